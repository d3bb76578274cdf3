"""The loop in other processes: killed for good and gone on with, and two at a time."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clinidistill import Distiller
from clinidistill.students.token_classifier import TokenClassifier

SCRIPT = """
import json, sys
import torch
from clinidistill import Distiller, Document
from clinidistill.students.token_classifier import TokenClassifier

torch.set_num_threads(1)
job = json.loads(sys.argv[1])
notes = [Document.from_dict(note) for note in job["notes"]]
student = TokenClassifier(job["base"])
pool = notes[10:] if job["settings"].get("rounds", 1) > 1 else None
history = Distiller(**job["settings"]).fit(
    student, notes, notes[:5], pool=pool, checkpoint=job["folder"], checkpoint_every=1
)
found = [[span.to_dict() for span in document.spans] for document in student.predict(notes)]
import accelerate
rank = accelerate.PartialState().process_index
with open(f"{job['out']}.{rank}", "w") as file:
    json.dump({"history": history.to_dict(), "found": found}, file)
"""
SETTINGS = {"epochs": 4, "lr": 5e-3, "batch_tokens": 64, "precision": "fp32", "device": "cpu", "show": False}


def start(tmp_path, base, notes, *launcher, **settings):
    """A process that trains, and the file it will write its history and predictions to."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    job = {"notes": [note.to_dict() for note in notes], "base": str(base), "settings": {**SETTINGS, **settings}}
    job |= {"folder": str(tmp_path / "checkpoint"), "out": str(tmp_path / "out")}
    loopback = {"GLOO_SOCKET_IFNAME": "lo", "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launcher, str(script), json.dumps(job)]
    environment = {**os.environ, **loopback}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)


def two_processes():
    """What launches a script twice on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = ["--master_addr", "127.0.0.1", "--master_port", str(free.getsockname()[1])]
    return ["-m", "torch.distributed.run", "--nproc_per_node", "2", *address]


def kill(process):
    """With -9, and all that it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


def finish(process, tmp_path):
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors[-3000:]
    return json.loads(Path(f"{tmp_path / 'out'}.0").read_text())


def wait_for_step(process, tmp_path, step):
    """Until a checkpoint of at least this step stands."""
    for _ in range(3000):
        steps = [int(folder.name[5:]) for folder in (tmp_path / "checkpoint").glob("step-*[0-9]")]
        if steps and max(steps) >= step:
            return
        assert process.poll() is None, process.stderr.read()[-3000:]
        time.sleep(0.02)
    raise AssertionError("no checkpoint in a minute")


def test_a_killed_training_goes_on_to_the_last_bit_in_another_process(tmp_path, tiny_base, notes):
    whole = Distiller(**SETTINGS).fit(student := TokenClassifier(tiny_base), notes, notes[:5])
    process = start(tmp_path, tiny_base, notes)
    wait_for_step(process, tmp_path, 5)
    kill(process)
    resumed = finish(start(tmp_path, tiny_base, notes), tmp_path)
    assert resumed["history"]["steps"] == whole.steps
    assert [epoch["dev_f1"] for epoch in resumed["history"]["epochs"]] == whole.dev_f1
    assert resumed["found"] == [[span.to_dict() for span in d.spans] for d in student.predict(notes)]


def test_two_processes_train_as_one_that_accumulates_and_go_on_after_a_kill(tmp_path, still_base, notes):
    one = Distiller(**SETTINGS, accumulate=2).fit(student := TokenClassifier(still_base), notes, notes[:5])
    launcher = two_processes()
    process = start(tmp_path, still_base, notes, *launcher, device=None)
    wait_for_step(process, tmp_path, 5)
    kill(process)
    process = start(tmp_path, still_base, notes, *launcher, device=None)
    results = [finish(process, tmp_path), json.loads(Path(f"{tmp_path / 'out'}.1").read_text())]
    for result in results:
        assert [step["loss"] for step in result["history"]["steps"]] == pytest.approx(one.losses, rel=1e-4)
        assert [epoch["dev_f1"] for epoch in result["history"]["epochs"]] == pytest.approx(one.dev_f1)
        assert result["found"] == results[0]["found"]
    assert [[(s["start"], s["end"], s["label"]) for s in spans] for spans in results[0]["found"]] == [
        [span.key for span in document.spans] for document in student.predict(notes)
    ]
    [folder] = (tmp_path / "checkpoint").iterdir()
    assert {"random-0.safetensors", "random-1.safetensors"} < {file.name for file in folder.iterdir()}


def test_two_processes_teach_themselves_as_one_does(tmp_path, still_base, notes):
    settings = {"epochs": 3, "rounds": 2, "relabel": 0.5, "ema": 0.8, "self_distillation": 0.3}
    one = Distiller(**SETTINGS | settings, accumulate=2).fit(
        TokenClassifier(still_base), notes, notes[:5], pool=notes[10:]
    )
    two = finish(start(tmp_path, still_base, notes, *two_processes(), device=None, **settings), tmp_path)
    assert [step["loss"] for step in two["history"]["steps"]] == pytest.approx(one.losses, rel=1e-4)
    other = json.loads(Path(f"{tmp_path / 'out'}.1").read_text())
    assert two["found"] == other["found"]
