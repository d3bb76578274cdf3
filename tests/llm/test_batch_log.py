import pytest

from clinidistill.llm.answers import Answer, AnswerLog, Claim, Question
from clinidistill.llm.batch_log import BatchLog
from clinidistill.store import LabelStore


@pytest.fixture
def logs(place):
    """Batches of one teacher, and the answers that they go to."""
    with LabelStore(place) as store:
        answers = AnswerLog(store.database)
        yield BatchLog(answers, "t"), answers


def claim(logs, connection, token, *keys, usd=0.25):
    """A batch of that token with these questions in it."""
    batches, answers = logs
    for key in keys:
        question = Question(key, "d", 0, 9, 0, 100, usd)
        assert isinstance(answers.claim(connection, "t", question, 0, usd, owner=batches.owner(token)), Claim)
    batches.open(connection, token, len(keys))


def test_a_question_is_in_the_batch_that_holds_it_until_that_is_closed(logs):
    batches, answers = logs
    with answers.database.transaction() as connection:
        answers.sign_life(connection)
        claim(logs, connection, "b1", "k1", "k2")
        assert batches.holder(connection, "k1", 0) == "b1"
        assert batches.holder(connection, "k9", 0) is None
        assert answers.asked("t", "d") == {(0, 9, 0)}
        batch = batches.find(connection, "b1")
        assert (batch.submitter, batch.id, batch.requests) == (answers.owner, None, 2)
        assert abs(batches.now() - batch.created) < 60
        assert not batches.is_orphan(connection, batch)
        batches.identify(connection, "b1", "api-1")
        assert batches.ids(connection) == {"api-1"}
        kept = batches.close(connection, "b1", "collected", {"k1": b"raw \xff"}, 0.5)
        assert (kept["k1"].body, kept["k1"].discount, type(kept["k2"])) == (b"raw \xff", 0.5, int)
        assert batches.close(connection, "b1", "lost", {}, 0.5) == {}
        assert batches.find(connection, "b1") is batches.holder(connection, "k1", 0) is None
        assert isinstance(answers.find(connection, "k1"), Answer)
        assert answers.find(connection, "k2") is None
        assert answers.committed_usd(connection, "t") == 0.25


@pytest.mark.parametrize(("billed", "left"), [(False, 0.0), (True, 0.5)])
def test_what_a_lost_batch_held_is_spent_only_if_it_may_have_been_billed(logs, billed, left):
    batches, answers = logs
    with answers.database.transaction() as connection:
        claim(logs, connection, "b1", "k1", "k2")
        batches.close(connection, "b1", "lost", {}, 0.5, billed=billed)
        assert answers.committed_usd(connection, "t") == left
        assert isinstance(answers.claim(connection, "t", Question("k1", "d", 0, 9, 0, 100), 0, 0.0), Claim)


def test_an_id_that_was_taken_for_a_batchs_goes_to_the_one_whose_answers_it_has_or_is_anothers(logs):
    batches, answers = logs
    with answers.database.transaction() as connection:
        claim(logs, connection, "b1", "k1")
        claim(logs, connection, "b2", "k2")
        batches.identify(connection, "b1", "api")
        assert not batches.disown(connection, "b1", "api", {"k1"})
        assert batches.disown(connection, "b1", "api", {"k2"})
        assert [batches.find(connection, token).id for token in ("b1", "b2")] == [None, "api"]
        for token in ("b1", "b2"):
            batches.identify(connection, token, "strange")
            assert batches.disown(connection, token, "strange", {"k7"})
        assert batches.ids(connection) == {"strange"}
