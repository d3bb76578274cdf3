"""Real Ray on this machine: two workers, some of which are killed."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "llm"))
from answer_server import AnswerServer, note_in
from helpers import DRUGS, Logged, Moody, bad, documents, manifests, notes

import clinidistill as cd
from clinidistill.errors import ClinidistillError, ConfigError
from clinidistill.scale import evaluate_dataset, label_dataset, predict_dataset

pytestmark = pytest.mark.usefixtures("ray")

DICTIONARY = {"use": "terminology", "terminology": DRUGS, "label": "drug", "name": "drugs"}


@pytest.fixture
def lines(tmp_path):
    """Writes notes to a file of JSON lines."""

    def write(documents, *more):
        path = tmp_path / "in.jsonl"
        cd.MemoryDataset(documents).save(path)
        with path.open("a") as file:
            file.writelines(line + "\n" for line in more)
        return path

    return write


def kill_a_worker(output, killed):
    """Kill, as soon as a block is written, the process that wrote it: it is at the next one."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if written := manifests(output):
            killed.append(int(written[0]["worker"].rpartition(":")[2]))
            os.kill(killed[0], signal.SIGKILL)
            return
        time.sleep(0.005)


def test_twenty_thousand_notes_with_a_worker_killed_are_what_one_process_makes_of_them(tmp_path, spread_student):
    given = list(notes(20_000))
    cd.MemoryDataset(given).save(tmp_path / "in.parquet")
    killed = []
    killer = threading.Thread(target=kill_a_worker, args=(tmp_path / "out", killed))
    killer.start()
    # Blocks of whole chunks, so that batches are the same ones here and there, and sums are rounded alike.
    summary = predict_dataset(spread_student, tmp_path / "in.parquet", tmp_path / "out", workers=2, block_notes=1024)
    killer.join()
    expected = {document.id: document for document in cd.load_student(spread_student).predict(given)}
    assert documents(tmp_path / "out") == expected
    assert sum(len(document.spans) for document in expected.values()) > 20_000
    written = manifests(tmp_path / "out")
    workers = {each["worker"].rpartition(":")[2] for each in written}
    assert str(killed[0]) in workers
    assert len(workers) >= 3  # two, and the one in the killed one's place
    assert len(written) == summary.blocks == 20
    assert (summary.notes, summary.bad, summary.missing, summary.stopped) == (20_000, 0, 0, None)


def test_what_is_no_document_or_fails_is_in_the_side_table_and_nothing_else_is_lost(tmp_path, lines):
    given = list(notes(300))
    secret = "took codeine in secret"
    path = lines(
        [*given, cd.Document("f", f"moody {secret}")],
        '{"id": "cut", "text": "' + secret,
        '{"id": "bare"}',
        json.dumps({"id": "out", "text": secret, "spans": [{"start": 5, "end": 99, "label": "drug"}]}),
        json.dumps({"id": "n299", "text": secret}),
        "[]",
    )
    summary = label_dataset(Moody(fails_on="moody"), path, tmp_path / "out", workers=2, block_notes=100)
    assert (summary.notes, summary.bad) == (300, 6)
    assert documents(tmp_path / "out") == {d.id: d for d in Moody().predict(given)}
    table = bad(tmp_path / "out")
    assert [(row["id"], row["reason"].partition(":")[0]) for row in sorted(table, key=lambda row: row["at"] or 0)] == [
        ("f", "RuntimeError at label_document, line 52"),
        (None, "no JSON at column 23"),
        ("bare", "SpanError"),
        ("out", "SpanError"),
        ("n299", "a second document of this block has the id 'n299'"),
        (None, "a line must be one object, not a list"),
    ]
    assert "secret" not in json.dumps(table)
    assert {row["block"] for row in table} <= {each["block"] for each in manifests(tmp_path / "out")}


def test_a_run_goes_on_with_what_is_missing_and_refuses_another_model_and_another_input(tmp_path, lines):
    path, out = lines(notes(400)), tmp_path / "out"
    first = label_dataset(DICTIONARY, path, out, workers=2, block_notes=100)
    assert (first.blocks, first.notes_before) == (4, 0)
    whole = documents(out)
    lost = manifests(out)[1:3]
    (out / "_manifests" / f"{lost[0]['block']}.json").unlink()
    (out / lost[1]["part"]).unlink()
    again = label_dataset(DICTIONARY, path, out, workers=2, block_notes=100)
    assert (again.notes, again.notes_before) == (400, sum(each["rows"] for each in manifests(out)) - 200)
    assert documents(out) == whole
    kept = [each for each in manifests(out) if each["written"] < max(each["written"] for each in lost)]
    assert len(kept) in (1, 2)  # the block in between may be the one written last
    with pytest.raises(ConfigError, match="another run \\(model:.*overwrite=True"):
        label_dataset({**DICTIONARY, "label": "medication"}, path, out, block_notes=100)
    with path.open("a") as file:
        file.write(json.dumps({"id": "new", "text": "took aspirin"}) + "\n")
    with pytest.raises(ConfigError, match="input:"):
        label_dataset(DICTIONARY, path, out, block_notes=100)
    assert documents(out) == whole
    new = label_dataset(DICTIONARY, path, out, workers=2, block_notes=200, overwrite=True)
    assert (new.notes, new.blocks, new.notes_before) == (401, 2, 0)
    assert documents(out) == {
        d.id: d for d in cd.load_teacher("terminology", **rest(DICTIONARY)).predict(cd.load_dataset("jsonl", path=path))
    }


def rest(spec):
    return {name: value for name, value in spec.items() if name != "use"}


def test_a_terminology_is_read_and_compiled_by_the_driver_alone(tmp_path, lines):
    log = tmp_path / "log"
    teacher = cd.load_teacher("terminology", terminology=Logged(str(log)), label="drug", cache=False)
    summary = label_dataset(teacher, lines(notes(300)), tmp_path / "out", workers=2, block_notes=100)
    assert summary.notes == 300
    assert all(document.spans for document in documents(tmp_path / "out").values())
    assert set(log.read_text().split()) == {str(os.getpid())}
    assert str(os.getpid()) not in {each["worker"].rpartition(":")[2] for each in manifests(tmp_path / "out")}


def test_a_note_that_kills_its_workers_costs_its_block_alone(tmp_path, lines):
    given = list(notes(150))
    summary = label_dataset(
        Moody(dies_of="deadly"),
        lines([*given, cd.Document("d", "deadly")]),
        tmp_path / "out",
        workers=2,
        block_notes=30,
    )
    assert (summary.blocks, summary.missing) == (4, 1)
    assert summary.stopped.startswith("block 4 killed its workers again and again")
    assert len(documents(tmp_path / "out")) == summary.notes


def test_a_block_in_which_every_note_fails_is_left_out_and_tried_again(tmp_path):
    given = list(notes(150))
    failing = [cd.Document(f"f{number}", "moody all day") for number in range(60)]
    cd.MemoryDataset([*given[:90], *failing, *given[90:]]).save(tmp_path / "in.parquet")
    for before in (0, 150):
        summary = label_dataset(
            Moody(fails_on="moody"), tmp_path / "in.parquet", tmp_path / "out", workers=1, block_notes=30
        )
        assert (summary.notes, summary.notes_before, summary.blocks, summary.missing) == (150, before, 5, 2)
        assert "all 30 notes of 00000" in summary.stopped
        assert summary.stopped.endswith("run again for what is missing")


def test_where_every_note_fails_it_is_not_the_notes(tmp_path, lines):
    moody, path = Moody(fails_on="took"), lines(notes(100))
    with pytest.raises(ClinidistillError, match="^all 50 notes of 00000[01]-.* failed") as caught:
        label_dataset(moody, path, tmp_path / "out", block_notes=50)
    assert "pain" not in str(caught.value)


def test_scores_are_to_the_digit_those_of_evaluate(tmp_path, lines):
    teacher, student = Moody(), cd.load_teacher("terminology", terminology=DRUGS[:5], label="drug")
    gold = list(teacher.predict(notes(500)))
    path = lines(gold)
    label_dataset(student, path, tmp_path / "out", workers=2, block_notes=90)
    found = evaluate_dataset(path, tmp_path / "out", workers=2, bootstrap=20, seed=3)
    assert found == cd.evaluate(student, gold, bootstrap=20, seed=3)
    assert 0 < found.strict.micro.f1 < 1
    label_dataset(teacher, path, tmp_path / "silver", workers=2, block_notes=90, format="parquet")
    plain = evaluate_dataset(tmp_path / "silver", tmp_path / "out", workers=2)
    assert plain == cd.evaluate(student, gold)
    next((tmp_path / "out" / "_manifests").iterdir()).unlink()
    with pytest.raises(ConfigError, match="not complete"):
        evaluate_dataset(path, tmp_path / "out")
    with pytest.raises(ConfigError, match="bootstrap must be"):
        evaluate_dataset(path, tmp_path / "out", bootstrap=-1)


TASK = {"name": "drugs", "entities": [{"name": "drug", "definition": "A drug."}]}
PRICE = {"input": 1.0, "output": 2.0}


def reads(message):
    found = [{"text": drug, "label": "drug"} for drug in DRUGS if drug in note_in(message)]
    return json.dumps({"mentions": found})


def asking(server, **options):
    defaults = {"model": "m", "task": TASK, "api_key": "k", "price": PRICE, "max_tokens": 100, "concurrency": 4}
    return cd.load_teacher("openai", base_url=server.url, **defaults | options)


def spent(server):
    return (server.input_tokens * PRICE["input"] + server.output_tokens * PRICE["output"]) / 1e6


def test_two_workers_with_one_budget_never_spend_more_and_a_raised_one_pays_for_the_rest_alone(tmp_path, lines):
    path, out = lines(notes(200)), tmp_path / "out"
    with AnswerServer(reads) as server:
        short = label_dataset(asking(server, budget_usd=0.02), path, out, workers=2, block_notes=20)
        assert 0.01 < spent(server) <= 0.02
        assert short.missing > 0
        assert "budget of $0.02" in short.stopped
        full = label_dataset(asking(server, budget_usd=1.0), path, out, workers=2, block_notes=20)
        assert set(server.asked.values()) == {1}  # what was paid for is in the store, blocks unwritten or not
        assert full.cost_usd == pytest.approx(spent(server))
    assert (full.notes, full.missing, full.stopped) == (200, 0, None)
    assert documents(out).keys() == {f"n{number}" for number in range(200)}
    assert json.loads((out / "_budget.json").read_text())["usd"] == pytest.approx(spent(server))


def test_tokens_are_capped_where_no_price_is_known(tmp_path, lines):
    with AnswerServer(reads) as server:
        summary = label_dataset(
            asking(server, price=None),
            lines(notes(100)),
            tmp_path / "out",
            workers=2,
            block_notes=20,
            budget_tokens=20_000,
        )
        assert 10_000 < server.input_tokens + server.output_tokens <= 20_000
    assert summary.missing > 0
    assert "the budget of tokens is spent" in summary.stopped


@pytest.fixture
def s3():
    """A server on loopback that speaks S3, with one bucket; what reaches it."""
    pytest.importorskip("moto", reason="moto is not installed")
    fsspec = pytest.importorskip("fsspec")
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'clinidistill[s3]'")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    options = {"key": "k", "secret": "s", "endpoint_url": f"http://{host}:{port}"}
    fsspec.filesystem("s3", **options).mkdir("notes")
    yield options
    server.stop()


def test_an_object_store_holds_input_and_output(s3, tmp_path, lines):
    import fsspec

    store = fsspec.filesystem("s3", **s3)
    given = list(notes(100))
    store.put(str(lines(given, "no json")), "notes/in/a.jsonl")
    summary = label_dataset(
        DICTIONARY, "s3://notes/in", "s3://notes/out", workers=2, block_notes=40, storage_options=s3
    )
    assert (summary.notes, summary.bad, summary.blocks) == (100, 1, 3)
    store.get("notes/out/", f"{tmp_path}/out/", recursive=True)
    teacher = cd.load_teacher("terminology", **rest(DICTIONARY))
    assert documents(tmp_path / "out") == {d.id: d for d in teacher.predict(given)}
    assert [row["reason"] for row in bad(tmp_path / "out")] == ["no JSON at column 1: Expecting value"]
    again = label_dataset(DICTIONARY, "s3://notes/in", "s3://notes/out", block_notes=40, storage_options=s3)
    assert again.notes_before == 100
    with pytest.raises(ConfigError, match="name a store= that all workers reach"):
        label_dataset(
            {"use": "openai", "model": "m", "task": TASK, "base_url": "http://localhost:9"},
            "s3://notes/in", "s3://notes/llm", storage_options=s3,
        )  # fmt: skip
    assert "secret" not in json.dumps(manifests(tmp_path / "out"))
