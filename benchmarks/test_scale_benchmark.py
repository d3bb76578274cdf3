"""What Ray Data costs beside plain predict, and memory from 2,000 to 200,000 notes.

Throughput: MiniLM with a fresh head over paragraphs of case reports, by itself on all cores, then through one worker
with all cores and two with half of them each, at 2,000 notes a block. Workers are at work from the first block's begin
to the last one's end; their start and end are told apart. Each run is compared with the mean of the plain ones right
before and after it, since a shared machine is now faster, now slower; of the ratios, the median. Then block by block
in turn, which such a machine disturbs less; the first, with the start of workers, is told apart.

Memory: a terminology and an untrained BERT of one layer of 8 over 2,000 and 200,000 short notes, two workers; peaks of
the driver (as the kernel tells) and of the largest worker (looked at ten times a second), Ray's store apart. Each run
is a process of its own.

SCALE_NOTES, SCALE_MANY and SCALE_ROUNDS set other numbers, to try the script.
"""

import json
import os
import random
import subprocess
import sys
from dataclasses import asdict
from itertools import cycle, islice
from pathlib import Path
from statistics import mean, median
from time import perf_counter

import pytest

import clinidistill as cd
from clinidistill.datasets.jsonl import JsonLines
from clinidistill.scale.blocks import cut
from clinidistill.scale.engine import cluster
from clinidistill.scale.output import Output
from clinidistill.scale.shipping import packed
from clinidistill.scale.storage import Place
from clinidistill.scale.workers import StudentMarker

ray = pytest.importorskip("ray")

BLOCK = 2000
NOTES = int(os.environ.get("SCALE_NOTES", "8000"))
MANY = int(os.environ.get("SCALE_MANY", "200000"))
ROUNDS = int(os.environ.get("SCALE_ROUNDS", "3"))

RUN = """
import json, sys, threading, time
import psutil
from clinidistill.scale import label_dataset, predict_dataset

def peak():
    with open("/proc/self/status") as status:  # getrusage would count the process that started this one
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

largest, done = 0, threading.Event()

def watch():
    global largest
    while not done.wait(0.1):
        for process in psutil.Process().children(recursive=True):
            try:
                if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::MapWorker"):
                    used = process.memory_info()
                    largest = max(largest, used.rss - used.shared)
            except psutil.Error:
                pass

watcher = threading.Thread(target=watch)
watcher.start()
what, notes, output = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
work = predict_dataset if isinstance(what, str) else label_dataset
summary = work(what, notes, output, workers=2)
done.set()
watcher.join()
print(json.dumps({"notes": summary.notes, "seconds": summary.seconds, "driver": peak(), "worker": largest}))
"""


@pytest.fixture(scope="module")
def paragraphs(reports):
    """Texts of some 500 characters."""
    texts = [report.text for report in reports]
    return [text[begin : begin + 500] for text in texts for begin in range(0, len(text) - 500, 500)]


def written(folder):
    return [json.loads(path.read_text()) for path in Path(folder, "_manifests").iterdir()]


def working_seconds(folder):
    """From the first block's begin to the last one's end."""
    blocks = written(folder)
    return max(each["written"] for each in blocks) - min(each["written"] - each["seconds"] for each in blocks)


def test_throughput_of_one_and_two_workers_beside_plain_predict(new_student, paragraphs, tmp_path, capsys):
    given = [cd.Document(str(n), text) for n, text in enumerate(islice(cycle(paragraphs), NOTES))]
    cd.MemoryDataset(given).save(tmp_path / "in.parquet")
    student = new_student()
    student.save(tmp_path / "student")
    list(student.predict(given[:64]))  # a copy of the weights, set up once
    from clinidistill.scale import predict_dataset

    def plainly():
        started = perf_counter()
        assert sum(1 for _ in student.predict(given)) == NOTES
        return perf_counter() - started

    plain, ends, ratios = [plainly()], [], {1: [], 2: []}
    for turn in range(ROUNDS):
        for workers, found in ratios.items():
            output = tmp_path / f"{workers}-{turn}"
            summary = predict_dataset(tmp_path / "student", tmp_path / "in.parquet", output, workers=workers)
            assert summary.notes == NOTES
            busy = working_seconds(output)
            ends.append(summary.seconds - busy)
            plain.append(plainly())
            found.append(busy / mean(plain[-2:]))
    with capsys.disabled():
        print(f"\nMiniLM, {NOTES:,} notes of 500 characters, {BLOCK:,} a block, {os.cpu_count()} cores")
        speeds = ", ".join(f"{NOTES / each:.0f}" for each in plain)
        print(f"    plain predict: {NOTES / median(plain):.0f} notes/s ({speeds})")
        for workers, found in ratios.items():
            times = ", ".join(f"{each:.2f}" for each in found)
            print(f"    {workers} worker{'s' * (workers > 1)} at work: {median(found):.2f} times as long ({times})")
        print(f"    to start and end: {median(ends):.1f} s")


def test_a_block_in_workers_beside_the_same_in_this_process(new_student, paragraphs, tmp_path, capsys):
    class Worker:
        """What is a worker's in the engine, block by block on demand."""

        def __init__(self, output, files):
            self.marker = StudentMarker(output, "m", files, {})

        def mark(self, block):
            return self.marker(block)["rows"]

    given = [cd.Document(str(n), text) for n, text in enumerate(islice(cycle(paragraphs), BLOCK * 6))]
    cd.MemoryDataset(given).save(tmp_path / "in.parquet")
    student = new_student()
    student.save(tmp_path / "student")
    list(student.predict(given[:64]))
    _, files = packed(tmp_path / "student")
    blocks = [asdict(block) for block in cut(Place.of(tmp_path / "in.parquet"), BLOCK).blocks]
    ratios = {1: [], 2: []}
    with cluster():
        for workers, found in ratios.items():
            output, shipped = Output(Place.of(tmp_path / f"out-{workers}"), "parquet"), [ray.put(files)]
            share = os.cpu_count() // workers
            pool = [ray.remote(num_cpus=share)(Worker).remote(output, shipped) for _ in range(workers)]
            for first in range(0, len(blocks), workers):
                started = perf_counter()
                some = blocks[first : first + workers]
                ray.get([worker.mark.remote(block) for worker, block in zip(pool, some, strict=True)])
                between = perf_counter()
                list(student.predict(given[first * BLOCK : (first + workers) * BLOCK]))
                found.append((between - started) / (perf_counter() - between))
            for worker in pool:
                ray.kill(worker)
    with capsys.disabled():
        print(f"\nMiniLM, blocks of {BLOCK:,} notes in turn, read and written by workers; times those of plain predict")
        for workers, (warm_up, *found) in ratios.items():
            times = ", ".join(f"{each:.2f}" for each in found)
            print(f"    {workers} worker{'s' * (workers > 1)}: {median(found):.2f} ({times}; the first {warm_up:.2f})")


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the peak")
@pytest.mark.parametrize("kind", ["terminology", "student"])
def test_peak_memory_from_two_to_two_hundred_thousand_notes(kind, narrow_base, tmp_path, capsys):
    drugs = [f"drug{n}" for n in range(200)]
    what = {"use": "terminology", "terminology": drugs, "label": "drug"}
    if kind == "student":
        student = cd.load_student("token-classifier", base=narrow_base, labels=["drug"])
        student.prepare(["drug"])
        student.save(tmp_path / "student")
        what = str(tmp_path / "student")
    draw, runs = random.Random(0), []
    for size in (BLOCK, MANY):
        notes = tmp_path / f"{size}.jsonl"
        texts = (f"Took {draw.choice(drugs)} {draw.randrange(900)} mg twice a day for pain." * 3 for _ in range(size))
        JsonLines.write((cd.Document(str(n), text) for n, text in enumerate(texts)), notes)
        output = tmp_path / f"out-{size}"
        done = subprocess.run(
            [sys.executable, "-c", RUN, json.dumps(what), notes, output], check=True, stdout=subprocess.PIPE, text=True
        )
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    small, large = runs
    with capsys.disabled():
        print(f"\n{kind}: {'notes':>9}{'seconds':>9}{'driver':>9}{'worker':>9}  MB at most")
        for run in runs:
            peaks = "".join(f"{run[whose] / 1e6:9.0f}" for whose in ("driver", "worker"))
            print(f"{run['notes']:>{len(kind) + 11},}{run['seconds']:9.1f}{peaks}")
    assert large["notes"] == MANY
    assert large["driver"] < 1.2 * small["driver"]
    assert large["worker"] < 1.2 * small["worker"]
