from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import asynccontextmanager

import pytest

from clinidistill.llm.bridge import as_completed


def sessions(work, log=None):
    @asynccontextmanager
    async def session():
        yield work
        if log is not None:
            log.append("closed")

    return session


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "clinidistill-bridge"]


def collect(results, given):
    for result in results:
        given.append(result)


async def double(number):
    await asyncio.sleep(0.001 * (number % 3))
    return 2 * number


@pytest.mark.parametrize("window", [1, 7, None])
def test_every_item_gives_its_result_and_the_session_is_closed(window):
    log = []
    assert sorted(as_completed(range(50), sessions(double, log), window=window)) == [2 * n for n in range(50)]
    assert log == ["closed"]


def test_results_come_in_the_order_they_are_done():
    async def work(seconds):
        await asyncio.sleep(seconds)
        return seconds

    assert list(as_completed([0.2, 0.1, 0.0], sessions(work))) == [0.0, 0.1, 0.2]


def test_items_are_drawn_in_the_callers_thread_and_never_more_than_the_window():
    drawn, given, threads = 0, 0, set()

    def items():
        nonlocal drawn
        for number in range(40):
            drawn += 1
            threads.add(threading.current_thread())
            assert drawn - given <= 5
            yield number

    for _ in as_completed(items(), sessions(double), window=5):
        given += 1
    assert given == 40
    assert threads == {threading.current_thread()}


def test_a_result_is_yielded_though_the_next_item_takes_long():
    def items():
        for number in range(4):
            time.sleep(0.05)
            waited.append(number - len(given))
            yield number

    given, waited = [], []
    collect(as_completed(items(), sessions(double), window=None), given)
    assert sorted(given) == [0, 2, 4, 6]
    assert max(waited) == 1


def test_it_works_inside_a_running_event_loop():
    async def notebook():
        return sorted(as_completed(range(5), sessions(double)))

    assert asyncio.run(notebook()) == [0, 2, 4, 6, 8]


def test_the_callers_context_reaches_the_work():
    variable = contextvars.ContextVar("variable", default="unset")

    async def work(_):
        return variable.get()

    variable.set("mine")
    assert list(as_completed([1], sessions(work))) == ["mine"]


def test_an_error_in_the_work_is_raised_after_what_was_in_flight():
    drawn = []

    async def work(number):
        if number == 3:
            raise ValueError("three")
        await asyncio.sleep(0.1)
        return number

    def items():
        for number in range(1000):
            drawn.append(number)
            yield number
            time.sleep(0.002)

    given = []
    with pytest.raises(ValueError, match="three"):
        collect(as_completed(items(), sessions(work), window=100), given)
    assert given == [number for number in drawn if number != 3]
    assert len(drawn) < 50


def test_an_error_while_drawing_is_raised_after_what_was_in_flight():
    def items():
        yield from range(4)
        raise OSError("gone")

    given = []
    with pytest.raises(OSError, match="gone"):
        collect(as_completed(items(), sessions(double)), given)
    assert sorted(given) == [0, 2, 4, 6]


@pytest.mark.alone
def test_unfinished_work_is_cancelled_when_its_grace_is_over():
    cancelled = []

    async def work(number):
        if number == 0:
            await asyncio.sleep(0.05)
            raise ValueError("zero")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    began = time.monotonic()
    with pytest.raises(ValueError, match="zero"):
        list(as_completed(range(3), sessions(work), window=3, grace=0.1))
    assert time.monotonic() - began < 10
    assert sorted(cancelled) == [1, 2]


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError()])
def test_an_error_in_opening_the_session_is_raised(error):
    @asynccontextmanager
    async def session():
        raise error
        yield double

    with pytest.raises((ValueError, RuntimeError)):
        list(as_completed(range(3), session))


def test_an_error_in_closing_the_session_is_raised_after_the_results():
    @asynccontextmanager
    async def session():
        yield double
        raise OSError("disk full")

    given = []
    with pytest.raises(OSError, match="disk full"):
        collect(as_completed(range(3), session), given)
    assert sorted(given) == [0, 2, 4]


def test_closing_the_generator_lets_what_is_in_flight_finish_and_begins_nothing_new():
    begun, done, log, full = [], [], [], asyncio.Event()

    async def work(number):
        begun.append(number)
        if len(begun) == 4:
            full.set()
        await asyncio.wait_for(full.wait(), 30)  # so that none is done before, whichever thread is quicker
        await asyncio.sleep(0.05 * number)
        done.append(number)
        return number

    def wind_down():
        log.append("winding down")

    results = as_completed(range(100), sessions(work, log), window=4, wind_down=wind_down)
    assert next(results) == 0
    results.close()
    assert begun == done == [0, 1, 2, 3]
    assert log == ["winding down", "closed"]


PROGRAM = """
    import asyncio, sys
    from contextlib import asynccontextmanager
    from clinidistill.llm.bridge import as_completed

    @asynccontextmanager
    async def session():
        async def work(number):
            print("begin", number, flush=True)
            await asyncio.sleep(SECONDS)
            print("done", number, flush=True)
        yield work
        print("closed", flush=True)

    try:
        for _ in as_completed(range(100), session, window=3):
            pass
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def interrupted(seconds, *, times):
    program = textwrap.dedent(PROGRAM).replace("SECONDS", str(seconds))
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(3)]
        for _ in range(times):
            os.kill(process.pid, signal.SIGINT)
            time.sleep(0.15)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert err == ""
    return "".join(lines) + out


def test_ctrl_c_keeps_what_is_in_flight_and_ends():
    out = interrupted(0.5, times=1)
    assert 3 <= out.count("begin") == out.count("done") < 100  # three, unless the machine was slow to send the signal
    assert out.endswith("closed\ninterrupted\n")


@pytest.mark.alone
def test_a_second_ctrl_c_ends_at_once():
    began = time.monotonic()
    out = interrupted(60, times=2)
    assert time.monotonic() - began < 10
    assert out.count("begin") == 3
    assert "done" not in out
    assert out.endswith("closed\ninterrupted\n")
