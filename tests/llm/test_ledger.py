import asyncio
import os
import subprocess
import sys

import pytest

from clinidistill.errors import LabelingStopped, StoreError
from clinidistill.llm.answers import Answer, AnswerLog, Claim, Question
from clinidistill.llm.ledger import Ledger
from clinidistill.llm.types import Usage
from clinidistill.store import LabelStore


def question(key="k1", bound=0.0):
    return Question(key, "d1", 0, 10, 0, 100, bound)


def in_ledger(work, store=None, budget=None):
    """Runs `work(ledger, store)` in an event loop of its own."""
    kept = store or LabelStore(":memory:")

    async def main():
        async with Ledger(AnswerLog(kept.database), "t", budget) as ledger:
            return await work(ledger, kept)

    return asyncio.run(main())


class Shared:
    """A purse that is written down."""

    def __init__(self, usd, tokens):
        self.left = [usd, tokens]

    def take(self, usd, tokens):
        if usd > self.left[0] or tokens > self.left[1]:
            return False
        self.give_back(-usd, -tokens)
        return True

    def give_back(self, usd, tokens):
        self.left = [self.left[0] + usd, self.left[1] + tokens]


def test_a_shared_purse_gives_the_dearest_and_gets_back_what_was_not_used():
    store, purse = LabelStore(":memory:"), Shared(1.0, 1000)

    def asked(key):
        return Question(key, "d1", 0, 10, 0, 100, 0.4, 300)

    async def main():
        async with Ledger(AnswerLog(store.database), "t", None, purse) as ledger:
            await answer(ledger, asked("k1"), cost=0.1)
            assert purse.left == pytest.approx([0.9, 985])  # 15 tokens were used
            await answer(ledger, asked("k1b"), cost=None)  # unknown: taken for the dearest
            assert purse.left == pytest.approx([0.5, 970])
            assert isinstance(await ledger.claim(asked("k1")), Answer)
            assert purse.left == pytest.approx([0.5, 970])
            ledger.release(await ledger.claim(asked("k2")), billed=False)
            assert purse.left == pytest.approx([0.5, 970])
            ledger.release(await ledger.claim(asked("k3")), billed=True)
            assert purse.left == pytest.approx([0.1, 670])
            with pytest.raises(LabelingStopped, match="the budget of tokens is spent.*raise budget_tokens"):
                await ledger.claim(asked("k4"))

    asyncio.run(main())


def test_a_shared_purse_gets_back_what_an_asker_that_was_taken_for_dead_did_not_use():
    store, purse = LabelStore(":memory:"), Shared(1.0, 1000)

    async def main():
        async with Ledger(AnswerLog(store.database), "t", None, purse) as ledger:
            claim = await ledger.claim(Question("k", "d1", 0, 10, 0, 100, 0.4, 300))
            store.database.query("UPDATE answer SET owner = 'another'")
            kept = await ledger.keep(claim, b"{}", 0.1)
            assert kept.id != claim.id
            ledger.price(kept, "m", Usage(10, 5), 0.1)

    asyncio.run(main())
    assert purse.left == pytest.approx([0.9, 985])


def committed(store):
    return store.database.query("SELECT sum(committed_usd) FROM spending")[0][0]


async def answer(ledger, asked, body=b"{}", cost=None):
    claim = await ledger.claim(asked)
    assert isinstance(claim, Claim)
    kept = await ledger.keep(claim, body, 0.1)
    ledger.price(kept, "m", Usage(10, 5), cost)
    return kept


def test_an_answer_is_in_the_file_as_soon_as_keep_returns(place):

    async def work(ledger, store):
        kept = await ledger.keep(await ledger.claim(question()), b"raw \xff", 0.5)
        assert LabelStore(place).database.query("SELECT body, seconds FROM answer") == [(b"raw \xff", 0.5)]
        return kept

    assert in_ledger(work, LabelStore(place)).fresh


def test_a_question_is_asked_once_and_found_ever_after(place):
    store = LabelStore(place)
    in_ledger(lambda ledger, _: answer(ledger, question(), b"first"), store)

    async def again(ledger, _):
        return await ledger.claim(question()), await ledger.find(question()), await ledger.find(question("k2"))

    claimed, found, missing = in_ledger(again, LabelStore(place))
    assert claimed == found
    assert (found.body, found.fresh, missing) == (b"first", False, None)


def test_a_later_turn_is_another_answer_beside_the_first(place):
    async def work(ledger, store):
        await answer(ledger, question(), b"bad")
        claim = await ledger.claim(question(), after=1)
        await ledger.keep(claim, b"good", 0.1)
        assert (await ledger.find(question())).body == b"good"
        return store.database.query("SELECT turn, body FROM answer ORDER BY turn")

    assert in_ledger(work, LabelStore(place)) == [(0, b"bad"), (1, b"good")]


def test_what_another_asker_is_asking_is_not_asked_too(place):

    async def work(ledger, store):
        claim = await ledger.claim(question())
        async with Ledger(AnswerLog(LabelStore(place).database), "t") as other:
            assert await other.claim(question()) is None
            await ledger.keep(claim, b"mine", 0.1)
            return await other.claim(question())

    got = in_ledger(work, LabelStore(place))
    assert isinstance(got, Answer)
    assert got.body == b"mine"


DYING = """
import asyncio, os, sys
from clinidistill.llm.answers import AnswerLog, Question
from clinidistill.llm.ledger import Ledger
from clinidistill.store import LabelStore

async def main():
    async with Ledger(AnswerLog(LabelStore(sys.argv[1]).database), "t", 1.0) as ledger:
        for key in ("k0", "k1"):  # the first goes alone; its cost is settled before the second is asked
            claim = await ledger.claim(Question(key, "d1", 0, 10, 0, 100, 0.25))
            if key == "k0":
                from clinidistill.llm.types import Usage
                ledger.price(await ledger.keep(claim, b"kept", 0.1), "m", Usage(1, 1), 0.125)
                await asyncio.sleep(0.05)
        os.kill(os.getpid(), 9)

asyncio.run(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_killed_asker_loses_no_answer_and_what_it_had_in_flight_stays_spent(place):
    process = subprocess.Popen([sys.executable, "-c", DYING, str(place)])
    assert process.wait() == -9

    async def work(ledger, store):
        assert committed(store) == 0.375
        assert (await ledger.claim(question("k0"))).body == b"kept"
        claim = await ledger.claim(question("k1", bound=0.25))  # at once, since its asker is dead
        assert isinstance(claim, Claim)
        assert committed(store) == 0.625
        ledger.price(await ledger.keep(claim, b"{}", 0.1), "m", Usage(1, 1), 0.125)

    store = LabelStore(place)
    in_ledger(work, store, budget=1.0)
    assert committed(store) == 0.5
    assert store.database.query("SELECT lost_usd FROM answer WHERE key = 'k1'") == [(0.25,)]


def test_a_budget_is_never_passed_whatever_is_in_flight(place):
    async def work(ledger, store):
        most, tasks = 0.0, set()

        async def one(number):
            nonlocal most
            while True:
                await ledger.ready()
                claim = await ledger.claim(question(f"k{number}", bound=0.1))
                if claim is not None:
                    break
                await ledger.ready(at_once=False)
            most = max(most, committed(store))
            await asyncio.sleep(0.001)
            ledger.price(await ledger.keep(claim, b"{}", 0.1), "m", Usage(1, 1), 0.03)

        tasks = [asyncio.create_task(one(number)) for number in range(60)]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        stopped = [outcome for outcome in outcomes if outcome is not None]
        assert all(isinstance(outcome, LabelingStopped) for outcome in stopped)
        return most, len(stopped)

    store = LabelStore(place)
    most, stopped = in_ledger(work, store, budget=1.0)
    assert most <= 1.0
    assert committed(store) == pytest.approx(0.03 * (60 - stopped))
    assert 0.9 < committed(store) <= 1.0  # stops only where not even one more request fits


def test_the_first_request_goes_alone_and_shows_that_an_api_charges_more_than_it_could(place):
    async def work(ledger, store):
        first = await ledger.claim(question("k0", bound=0.01))
        assert await ledger.claim(question("k1", bound=0.01)) is None
        ledger.price(await ledger.keep(first, b"{}", 0.1), "m", Usage(1, 1), 0.04)
        second = await ledger.claim(question("k1", bound=0.01))
        assert second.reserved_usd == pytest.approx(0.04)
        assert await ledger.claim(question("k2", bound=0.01)) is None
        ledger.price(await ledger.keep(second, b"{}", 0.1), "m", Usage(1, 1), 0.04)
        with pytest.raises(LabelingStopped, match=r"budget of \$0\.1 "):
            await ledger.claim(question("k2", bound=0.01))

    in_ledger(work, LabelStore(place), budget=0.1)


@pytest.mark.parametrize(("billed", "left", "rows"), [(False, 0.0, 0), (True, 0.5, 1)])
def test_a_released_claim_frees_its_money_unless_it_may_have_been_billed(place, billed, left, rows):
    async def work(ledger, store):
        ledger.release(await ledger.claim(question(bound=0.5)), billed=billed)
        assert isinstance(await ledger.claim(question(bound=0.0)), Claim)
        assert committed(store) == pytest.approx(left)
        return store.database.query("SELECT count(*) FROM answer WHERE lost_usd > 0")[0][0]

    assert in_ledger(work, LabelStore(place)) == rows


def test_an_answer_of_unknown_cost_keeps_what_was_reserved_for_it_spent(place):
    store = LabelStore(place)
    in_ledger(lambda ledger, _: answer(ledger, question(bound=0.5)), store)
    assert committed(store) == 0.5


def test_an_answer_that_another_finds_before_it_is_priced_is_paid_for_once(place):
    async def work(ledger, store):
        kept = await ledger.keep(await ledger.claim(question(bound=0.5)), b"{}", 0.1)
        async with Ledger(AnswerLog(LabelStore(place).database), "t") as other:
            found = await other.find(question())
            other.price(found, "m", Usage(1, 1), 0.125)
        ledger.price(kept, "m", Usage(1, 1), 0.125)
        await ledger.find(question())
        return committed(store), *store.database.query("SELECT reserved_usd, cost_usd FROM answer")

    assert in_ledger(work, LabelStore(place)) == (0.125, (0.0, 0.125))


def test_a_cancelled_claim_is_given_back(place):
    async def work(ledger, store):
        task = asyncio.create_task(ledger.claim(question(bound=0.5)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0.01)
        assert isinstance(await ledger.claim(question(bound=0.25)), Claim)
        return committed(store)

    assert in_ledger(work, LabelStore(place)) == 0.25


def test_a_store_that_breaks_is_an_error_to_everyone_who_waits_on_it(place):
    async def work(ledger, store):
        claim = await ledger.claim(question())
        store.database.query("DROP TABLE answer")
        results = await asyncio.gather(
            ledger.keep(claim, b"{}", 0.1), ledger.claim(question("k2")), return_exceptions=True
        )
        assert [type(result) for result in results] == [StoreError, StoreError]

    in_ledger(work, LabelStore(place))


def test_a_store_that_breaks_while_claims_are_made_leaves_nobody_waiting(place):
    async def work(ledger, store):
        store.database.query("DROP TABLE answer")
        with pytest.raises(StoreError):
            await asyncio.wait_for(ledger.claim(question()), 5)

    in_ledger(work, LabelStore(place))


def test_many_answers_go_in_few_transactions():
    async def work(ledger, store):
        began = []
        store.database._connection.set_trace_callback(
            lambda sql: began.append(sql) if sql.startswith("BEGIN") else None
        )
        await asyncio.gather(*(answer(ledger, question(f"k{number}")) for number in range(200)))
        return len(began)

    assert in_ledger(work) <= 10
