"""A label store that machines share: a real PostgreSQL server, real processes, and a model that counts questions."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from fault_server import FaultServer
from shared_store import EACH, TASK, Silent, costly, notes, teacher

import clinidistill as cd
from clinidistill.errors import StoreError
from clinidistill.llm import answers
from clinidistill.llm.answers import AnswerLog, Claim, Question
from clinidistill.llm.ledger import Ledger
from clinidistill.store import LabelStore
from clinidistill.types import Annotation, Document

# -- several machines ------------------------------------------------------------------------------------------------

MACHINE = """
import json, sys
import clinidistill as cd
from clinidistill.llm import answers

machine, silence, url, store, count, options = sys.argv[1:]
answers._machine = lambda: machine
answers._SILENCE = float(silence)
options = dict(model="gpt-4o-mini", max_tokens=200, concurrency=8) | json.loads(options)
notes = [cd.Document(f"n{number}", f"Note {number}: takes metformin daily.") for number in range(int(count))]
print("ready", flush=True)
sys.stdin.readline()
labels = cd.label(notes, cd.load_teacher("openai", base_url=url, **options), store, progress=False)
print(sum(len(a.spans) for o in labels for a in o.annotations.values()))
"""


def machine(name, server, url, count, silence=60.0, **options):
    """A process that labels as if it were a machine of its own; it waits until it is let go."""
    words = [sys.executable, "-W", "ignore", "-c", MACHINE, name, str(silence), server.url, url, str(count)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([*words, json.dumps({"task": TASK, **options})], **pipes)


def let_go(*processes):
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()


def test_two_machines_ask_each_question_once_and_stay_under_one_budget(url):
    budget, count = 0.012, 160
    with FaultServer(answer=costly, delay=0.005) as server:
        both = [machine(name, server, url, count, budget_usd=budget) for name in ("east", "west")]
        let_go(*both)
        marked = [int(process.communicate(timeout=60)[0]) for process in both]
        asked = len(server.times)
        assert [process.returncode for process in both] == [0, 0]
        assert set(server.good.values()) == {1}
        assert 0.8 * budget < asked * EACH <= budget  # it ends only where another request might not fit
        assert max(marked) <= asked < count
        rich = teacher(server, concurrency=8, budget_usd=1.0)
        assert cd.label(notes(count), rich, url, progress=False).costs()[0].documents == count
        assert len(server.times) == count
        assert set(server.good.values()) == {1}
    with LabelStore(url) as store:
        assert store.database.query("SELECT count(*), count(DISTINCT key) FROM answer") == [(count, count)]
        assert store.database.query("SELECT committed_usd FROM spending") == [(pytest.approx(count * EACH),)]
        assert store.database.query("SELECT count(*) FROM asker") == [(0,)]


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
def test_what_a_machine_had_in_hand_when_it_died_is_asked_by_another_after_its_silence(url):
    count = 120
    with FaultServer(answer=costly, delay=0.02) as server:
        first, second = machine("east", server, url, count), machine("west", server, url, count, silence=0.5)
        let_go(first)
        while len(server.times) < 40:
            assert first.poll() is None
            time.sleep(0.002)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        with LabelStore(url) as store:
            kept = store.database.query("SELECT count(*) FROM answer WHERE body IS NOT NULL")[0][0]
        let_go(second)
        assert int(second.communicate(timeout=60)[0]) == count
        assert kept > 30
        assert count <= len(server.times) <= count + 8 + 1  # what was on its way when the kill came
        assert sum(server.good.values()) - len(server.good) <= 8


def test_an_asker_on_another_machine_is_alive_by_the_servers_clock_whatever_ours_says(url, monkeypatch):
    async def work(first, second):
        async with Ledger(AnswerLog(first.database), "t") as ledger:
            assert isinstance(await ledger.claim(Question("k", "d", 0, 1, 0, 1)), Claim)
            monkeypatch.setattr(answers, "_ASKING", set())
            monkeypatch.setattr(answers, "_machine", lambda: "elsewhere")
            monkeypatch.setattr(time, "time", lambda now=time.time: now() + 3600)
            async with Ledger(AnswerLog(second.database), "t") as other:
                assert await other.claim(Question("k", "d", 0, 1, 0, 1)) is None
                monkeypatch.setattr(answers, "_SILENCE", 0.0)
                assert isinstance(await other.claim(Question("k", "d", 0, 1, 0, 1)), Claim)

    with LabelStore(url) as first, LabelStore(url) as second:
        asyncio.run(work(first, second))


def test_old_stores_opened_by_many_at_once_are_brought_up_to_date_once(url):
    with LabelStore(url) as store:
        fingerprint = store.register(Silent())
        for table in ("answer", "batch", "spending", "asker", "turn"):
            store.database.query(f"DROP TABLE {table}")
        store.database.query("UPDATE label_store SET version = 1")
    faults, go = [], threading.Barrier(6)

    def come():
        try:
            go.wait()
            with LabelStore(url) as store:
                assert store.pace(fingerprint) is None
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=come) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    with LabelStore(url) as store:
        assert store.database.query("SELECT application, version FROM label_store") == [("clinidistill", 3)]


# -- a server that goes away -----------------------------------------------------------------------------------------


def test_a_server_that_goes_away_midway_ends_the_run_and_loses_nothing_that_it_had(postgres, url):
    count = 150
    with FaultServer(answer=costly, delay=0.01) as server:

        def pull():
            while len(server.times) < 60:
                time.sleep(0.002)
            postgres.stop()

        plug = threading.Thread(target=pull)
        plug.start()
        with pytest.raises(StoreError, match=r"postgresql://.*run") as caught:
            cd.label(notes(count), teacher(server, concurrency=4), url, progress=False)
        plug.join()
        assert caught.value.__notes__[-1].startswith("answers so far are kept in postgresql://")
        before = len(server.times)
        postgres.start()
        with LabelStore(url) as store:
            kept = store.database.query("SELECT count(*) FROM answer WHERE body IS NOT NULL")[0][0]
        assert before - 8 <= kept <= before
        labels = cd.label(notes(count), teacher(server, concurrency=4), url, progress=False)
        assert sum(len(a.spans) for o in labels for a in o.annotations.values()) == count
        assert len(server.times) == before + count - kept


def kill_connections(postgres):
    postgres.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'clinidistill'")


def test_a_connection_that_broke_in_between_is_made_anew_and_one_in_a_transaction_is_an_error(postgres, url):
    note = Document("n1", "text")
    with LabelStore(url) as store:
        fingerprint = store.register(Silent())
        for use in (store.teachers, lambda: store.register(Silent())):
            kill_connections(postgres)
            use()

        def rename():
            with store.database.transaction() as connection:
                connection.execute("UPDATE teacher SET name = 'other'")
                kill_connections(postgres)
                store.database.now()

        with pytest.raises(StoreError, match="run again"):
            rename()
        assert [known.name for known in store.teachers()] == ["silent"]
        store.add(fingerprint, [(note, Annotation("n1", "t"))])
        assert store.outcomes(fingerprint, [note]) == {"n1": None}


def test_a_writer_that_sleeps_in_its_transaction_loses_its_turn(url):
    with LabelStore(url) as sleeper, LabelStore(url) as other:
        sleeper.database.query("SET idle_in_transaction_session_timeout = 100")

        def oversleep():
            with sleeper.database.transaction() as connection:
                connection.execute("DELETE FROM teacher")
                other.register(Silent())  # waits for its turn
                connection.execute("DELETE FROM teacher")

        with pytest.raises(StoreError, match="timeout"):
            oversleep()
        assert len(sleeper.teachers()) == 1


FORK = """
import os, sys
from clinidistill.store import LabelStore
store = LabelStore(sys.argv[1])
with store.database.transaction() as connection:  # which is not made anew
    connection.execute("SELECT 1")
    if not (child := os.fork()):
        sys.exit()
    assert os.waitpid(child, 0)[1] == 0
    assert connection.execute("SELECT 1").fetchall() == [(1,)]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_end_of_a_forked_process_leaves_the_connection_alone(url):
    subprocess.run([sys.executable, "-c", FORK, url], check=True)
