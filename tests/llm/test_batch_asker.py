import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
from answer_server import note_in
from batch_server import Batch, BatchServer

import clinidistill as cd
from clinidistill.errors import AuthenticationError, OptionError
from clinidistill.llm import Provider
from clinidistill.llm.openai import OpenAI
from clinidistill.store import LabelStore
from clinidistill.teachers import language_model
from clinidistill.teachers.base import Session
from clinidistill.teachers.language_model import LanguageModelTeacher

APIS = ("openai", "gemini", "anthropic")
TASK = {"name": "drugs", "entities": [{"name": "medication", "definition": "A drug."}]}
PRICE = {"input": 1.0, "output": 1.0}


def reader(message):
    """A model that quotes metformin wherever it stands; of long notes it gets no further than the beginning."""
    note = note_in(message)
    if len(note) > 300:
        return None
    return json.dumps({"mentions": [{"text": "metformin", "label": "medication"}] if "metformin" in note else []})


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setitem(language_model._COURIER, "backoff", 0.01)


@pytest.fixture
def server():
    with BatchServer(reader) as running:
        yield running


@pytest.fixture
def store(tmp_path):
    return tmp_path / "s.sqlite"


def teacher(server, api="openai", **options):
    defaults = {"model": "m", "task": TASK, "api_key": "k", "batch": True, "poll_seconds": 0.05}
    return cd.load_teacher(api, base_url=server.url, **defaults | options)


def notes(count, first=0):
    return [cd.Document(f"n{number}", f"Note {number}: on metformin.") for number in range(first, first + count)]


def texts(documents):
    return Counter(document.text for document in documents)


def annotations(labels):
    return {a.document_id: a for opinions in labels for a in opinions.annotations.values()}


def answered(labels):
    return sum(not a.failed and len(a.spans) == 1 for a in annotations(labels).values())


def query(store, sql):
    with sqlite3.connect(store) as connection:
        rows = connection.execute(sql).fetchall()
    connection.close()
    return rows


# -- from end to end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", APIS)
def test_a_batch_is_asked_collected_and_paid_at_its_discount(server, store, api):
    documents = notes(12)
    labels = cd.label(documents, teacher(server, api, price=PRICE), store)
    assert answered(labels) == 12
    assert [len(batch.requests) for batch in server.batches] == [12]
    assert server.accepted == texts(documents)
    assert not server.alone
    whole = (server.answers.input_tokens + server.answers.output_tokens) / 1_000_000
    assert sum(a.cost_usd for a in annotations(labels).values()) == pytest.approx(whole / 2)
    assert query(store, "SELECT sum(committed_usd) FROM spending")[0][0] == pytest.approx(whole / 2)
    assert query(store, "SELECT state, requests FROM batch") == [("collected", 12)]


class Shared:
    """A purse that is written down."""

    def __init__(self):
        self.left = [1.0, 1_000_000]

    def take(self, usd, tokens):
        self.give_back(-usd, -tokens)
        return True

    def give_back(self, usd, tokens):
        self.left = [self.left[0] + usd, self.left[1] + tokens]


def test_a_shared_purse_gets_back_what_a_batch_did_not_use(server):
    server.fate = lambda note: "refused" if "2" in note else "answered"
    server.room, purse = 7, Shared()  # one batch fails, and is submitted again
    asking = teacher(server, price=PRICE, batch_size=3)
    with LabelStore(":memory:") as store:
        marked = list(asking.attach(Session(store.database, purse=purse)).annotate(notes(12)))
        spent = store.database.query("SELECT committed_usd FROM spending")[0][0]
    assert sum(each.failed for each in marked) == 1
    assert any(batch.failure == "token_limit_exceeded" for batch in server.batches)
    tokens = server.answers.input_tokens + server.answers.output_tokens
    assert purse.left == pytest.approx([1.0 - spent, 1_000_000 - tokens])


@pytest.mark.parametrize("api", APIS)
def test_afterwards_nothing_is_asked_again_in_a_batch_or_alone_or_to_relabel(server, store, api):
    documents = notes(4)
    cd.label(documents, teacher(server, api), store)
    server.answers.answer = lambda message: pytest.fail("asked again")
    query(store, "DELETE FROM annotation")
    assert answered(cd.relabel(documents, teacher(server, api), store)) == 4
    query(store, "DELETE FROM annotation")
    assert answered(cd.label(documents, teacher(server, api, batch=False), store)) == 4
    assert len(server.batches) == 1


def test_what_was_asked_alone_is_not_in_the_batch(server, store):
    cd.label(notes(3), teacher(server, batch=False), store)
    assert answered(cd.label(notes(8), teacher(server), store)) == 8
    assert server.alone == texts(notes(3))
    assert server.accepted == texts(notes(5, first=3))


@pytest.mark.parametrize("api", APIS)
def test_answers_that_break_off_are_asked_for_in_halves_in_a_second_batch(server, store, api):
    long = cd.Document("long", "".join(f"Day {day}: metformin was given.\n" for day in range(16)))
    labels = cd.label([long, *notes(2)], teacher(server, api), store)
    assert len(annotations(labels)["long"].spans) == 16
    assert [len(batch.requests) for batch in server.batches] == [3, 2]


def test_two_notes_of_one_text_are_one_request(server, store):
    documents = [cd.Document(f"n{number}", "On metformin.") for number in range(3)]
    assert answered(cd.label(documents, teacher(server), store)) == 3
    assert server.accepted == {"On metformin.": 1}


@pytest.mark.parametrize("limit", ["batch_requests", "batch_bytes"])
def test_a_full_batch_is_submitted_and_another_begun(server, store, monkeypatch, limit):
    size = len(
        teacher(server).provider.build(teacher(server)._reader.prompt(notes(1)[0].text, notes(1)[0].text)).content
    )
    monkeypatch.setattr(OpenAI, limit, 3 if limit == "batch_requests" else 3 * (size + 600))
    assert answered(cd.label(notes(10), teacher(server), store)) == 10
    assert sorted(len(batch.requests) for batch in server.batches) == [1, 3, 3, 3]


def test_batches_that_an_account_has_no_room_for_wait_until_others_have_ended(server, store):
    server.room = 7
    assert answered(cd.label(notes(12), teacher(server, batch_size=3), store)) == 12
    assert server.accepted == texts(notes(12))
    assert any(batch.failure == "token_limit_exceeded" for batch in server.batches)


def test_a_batch_that_is_too_large_for_an_account_names_the_cure(server, store):
    server.room = 2
    labels = cd.label(notes(9), teacher(server, batch_size=3), store)  # none of three fits
    assert all("batch_size" in a.error for a in annotations(labels).values())
    assert len(server.batches) == 3
    assert answered(cd.label(notes(9), teacher(server, batch_size=2), store, retry_failures=True)) == 9


# -- what fails ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("fate", ["refused", "expired", "missing"])
def test_requests_that_fail_in_a_batch_are_failures_on_record_that_cost_nothing(server, store, api, fate):
    server.fate = lambda note: fate if "Note 1:" in note else "answered"
    labels = cd.label(notes(4), teacher(server, api, price=PRICE), store)
    failed = annotations(labels)["n1"]
    assert failed.failed
    assert "metformin" not in failed.error
    assert answered(labels) == 3
    paid = sum(a.cost_usd or 0 for a in annotations(labels).values())
    assert query(store, "SELECT sum(committed_usd) FROM spending")[0][0] == pytest.approx(paid)
    server.fate = lambda note: "answered"
    assert answered(cd.label(notes(4), teacher(server, api, price=PRICE), store)) == 3
    assert len(server.batches) == 1
    assert answered(cd.label(notes(4), teacher(server, api, price=PRICE), store, retry_failures=True)) == 4
    assert list(server.batches[1].requests.values()) == [
        r for r in server.batches[0].requests.values() if "Note 1:" in str(r)
    ]


@pytest.mark.parametrize("api", APIS)
def test_a_batch_that_fails_as_a_whole_is_named_and_can_be_tried_again(server, store, api):
    server.failure = "invalid_json_line"
    labels = cd.label(notes(3), teacher(server, api), store)
    assert all("invalid_json_line" in a.error for a in annotations(labels).values())
    server.failure = None
    assert answered(cd.label(notes(3), teacher(server, api), store, retry_failures=True)) == 3


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "faults",
    [
        {"create": ["lost"]},
        {"create": [429, 500, 503, "reset", "lost"], "list": [500, "reset"]},
        {"upload": [500, "reset"], "poll": [429, 500, "reset", "lost"], "results": [503, "lost"]},
    ],
    ids=["lost", "create", "poll"],
)
def test_whatever_goes_wrong_on_the_way_each_request_is_accepted_once(server, store, api, faults):
    for operation, statuses in faults.items():
        server.faults[operation] += statuses
    assert answered(cd.label(notes(5), teacher(server, api), store)) == 5
    assert server.accepted == texts(notes(5))


def test_a_key_that_is_refused_ends_the_run_and_holds_nothing_back(server, store):
    server.faults["create"] += [401]
    with pytest.raises(AuthenticationError):
        cd.label(notes(3), teacher(server), store)
    assert query(store, "SELECT count(*) FROM answer") == [(0,)]
    assert answered(cd.label(notes(3), teacher(server), store)) == 3


@pytest.mark.parametrize("api", APIS)
def test_a_batch_that_the_api_has_forgotten_is_a_failure_that_may_have_cost_something(server, store, api):
    server.after = lambda operation: server.batches.clear() if operation == "create" else None
    labels = cd.label(notes(2), teacher(server, api, price=PRICE), store)
    assert all("no longer knows" in a.error for a in annotations(labels).values())
    assert query(store, "SELECT total(lost_usd) > 0 FROM answer") == [(1,)]
    server.after = lambda operation: None
    assert answered(cd.label(notes(2), teacher(server, api, price=PRICE), store, retry_failures=True)) == 2


# -- what outlives a run ---------------------------------------------------------------------------------------------

RUN = """
import json, sys
import clinidistill as cd
api, url, store, task, count = sys.argv[1:]
notes = [cd.Document(f"n{number}", f"Note {number}: on metformin.") for number in range(int(count))]
options = {"model": "m", "task": json.loads(task), "api_key": "k", "batch": True, "poll_seconds": 0.05}
cd.label(notes, cd.load_teacher(api, base_url=url, **options), store, progress=False)
"""


def run(server, store, api):
    """Six notes in another process."""
    words = [sys.executable, "-c", RUN, api, server.url, str(store), json.dumps(TASK), "6"]
    return subprocess.Popen(words, stderr=subprocess.DEVNULL)


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("moment", ["before create", "after create", "before poll"])
def test_a_killed_run_is_taken_up_by_the_next_and_nothing_is_asked_twice(server, store, api, moment):
    when, operation = moment.split()
    started, killed = threading.Event(), threading.Event()

    def kill(done):
        if done == operation and not killed.is_set():
            started.wait()
            process.kill()
            process.wait()
            killed.set()
            if moment == "after create":  # other people's, so that ours is to be looked for
                server.batches += [Batch(f"other_{n}", api, f"t{n}", {"k": {}, "l": {}}) for n in range(5)]
            return "drop"
        return None

    setattr(server, when, kill)
    process = run(server, store, api)
    started.set()
    assert killed.wait(30)
    assert query(store, "SELECT state FROM batch") == [("open",)]
    assert answered(cd.label(notes(9), teacher(server, api), store)) == 9
    assert server.accepted == texts(notes(9))
    assert not server.alone
    assert query(store, "SELECT count(*) FROM batch WHERE state = 'open'") == [(0,)]
    assert query(store, "SELECT count(*) FROM answer WHERE owner IS NOT NULL") == [(0,)]


def interrupted(server, store, documents, **options):
    """A run whose time is up while its batch goes on."""
    server.held = True
    labels = cd.label(documents, teacher(server, run_timeout=0.4, **options), store)
    server.held = False
    assert not annotations(labels)
    assert set(query(store, "SELECT state FROM batch")) == {("open",)}


@pytest.mark.parametrize("api", APIS)
def test_a_run_that_is_out_of_time_leaves_its_batch_to_a_later_one_that_asks_alone(server, store, api):
    interrupted(server, store, notes(4), api=api)
    assert answered(cd.label(notes(6), teacher(server, api, batch=False), store)) == 6
    assert server.accepted == texts(notes(4))
    assert server.alone == texts(notes(2, first=4))


def test_batches_without_a_name_are_told_apart_by_what_they_answered(server, store):
    interrupted(server, store, notes(6), api="anthropic", batch_size=2)
    first, *rest = server.batches
    requests = {f"other-{number}": request for number, request in enumerate(first.requests.values())}
    server.batches = [Batch("others", "anthropic", None, requests, created=first.created - 5), first, *rest]
    query(store, "UPDATE batch SET id = NULL")  # as if the run had died while it submitted
    assert answered(cd.label(notes(6), teacher(server, "anthropic"), store)) == 6
    assert server.accepted == texts(notes(6))


def test_a_batch_is_of_use_to_another_teacher_that_asks_the_same(server, store):
    interrupted(server, store, notes(3), price=PRICE)
    assert answered(cd.label(notes(3), teacher(server, agreement=0.9, price=PRICE), store)) == 3
    assert len(server.batches) == 1
    assert len(query(store, "SELECT teacher FROM spending")) == 1  # who submitted it pays


def test_what_is_in_a_batch_is_collected_though_the_budget_is_reserved_for_it(server, store):
    interrupted(server, store, notes(3), price=PRICE, budget_usd=1.0)
    (reserved,) = query(store, "SELECT committed_usd FROM spending")[0]
    labels = cd.label(notes(3), teacher(server, price=PRICE, budget_usd=reserved), store)
    assert answered(labels) == 3
    assert len(server.batches) == 1


def test_the_estimate_leaves_out_what_is_in_a_batch(server, store):
    interrupted(server, store, notes(3))
    (told,) = cd.estimate(notes(5), teacher(server), store)
    assert told.requests == 2


def test_two_runs_at_once_ask_each_question_once(server, store):
    results = []

    def work():
        results.append(answered(cd.label(notes(20), teacher(server), store)))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [20] * 3
    assert server.accepted == texts(notes(20))


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_ends_a_run_at_once_and_leaves_its_batch_to_the_next(server, store):
    server.held = True
    polled = threading.Event()
    server.after = lambda operation: polled.set() if operation == "poll" else None
    process = run(server, store, "openai")
    assert polled.wait(30)
    process.send_signal(signal.SIGINT)
    assert process.wait(5) != 0
    server.held = False
    assert answered(cd.label(notes(6), teacher(server), store)) == 6
    assert server.accepted == texts(notes(6))


# -- money and options -----------------------------------------------------------------------------------------------


def bound(asking):
    request = asking.provider.build(asking._reader.prompt(notes(1)[0].text, notes(1)[0].text))
    return asking.price.bound(len(request.content) + language_model.ENVELOPE, asking.provider.max_tokens) / 2


@pytest.mark.parametrize(("bounds", "fewest"), [(3.5, 10), (1.1, 1)])
def test_no_more_is_submitted_than_the_budget_allows_and_what_comes_back_frees_money(server, store, bounds, fewest):
    budget = bounds * bound(teacher(server, price=PRICE))
    most = []
    server.before = lambda operation: most.append(query(store, "SELECT sum(committed_usd) FROM spending")[0][0])
    labels = cd.label(notes(10), teacher(server, price=PRICE, budget_usd=budget), store)
    spent = (server.answers.input_tokens + server.answers.output_tokens) / 2_000_000
    assert max(most) <= budget
    assert len(server.batches[0].requests) == int(bounds)
    assert answered(labels) >= fewest
    assert answered(labels) == 10 or spent + bound(teacher(server, price=PRICE)) > budget
    assert query(store, "SELECT sum(committed_usd) FROM spending")[0][0] == pytest.approx(spent)


def test_an_estimate_of_batches_has_their_price(server):
    (alone,) = cd.estimate(notes(5), teacher(server, batch=False, price=PRICE))
    (batch,) = cd.estimate(notes(5), teacher(server, price=PRICE))
    assert batch.cost_usd == pytest.approx(alone.cost_usd / 2)
    assert batch.most_usd == pytest.approx(alone.most_usd / 2)


def test_batches_are_no_part_of_who_a_teacher_is(server):
    assert teacher(server).fingerprint == teacher(server, batch=False, poll_seconds=9.0).fingerprint


class Plain(Provider):
    def __init__(self):
        self.model, self.url, self.max_tokens = "m", "http://localhost", 10

    def build(self, prompt):
        raise NotImplementedError

    read = build


def test_options_that_cannot_work_are_refused(server):
    with pytest.raises(OptionError, match="Plain has no batches"):
        LanguageModelTeacher(Plain(), batch=True)
    with pytest.raises(OptionError, match="poll_seconds"):
        teacher(server, poll_seconds=0)
    with pytest.raises(OptionError, match="batch_size"):
        teacher(server, batch_size=0)


def test_the_command_line_asks_in_batches(server, store, tmp_path):
    from clinidistill.cli.main import app

    path = tmp_path / "notes.jsonl"
    path.write_text("".join(json.dumps({"id": d.id, "text": d.text, "spans": []}) + "\n" for d in notes(3)))
    words = ["label", str(path), "--teacher", "openai poll_seconds=0.05", "--model", "m", "--base-url", server.url]
    result = CliRunner().invoke(app, [*words, "--batch", "--task", "medication", "--store", str(store), "--quiet"])
    assert result.exit_code == 0, result.output
    assert [len(batch.requests) for batch in server.batches] == [3]
