import json

import clinidistill as cd
import httpx
import pytest
from clinidistill.llm import Message, Prompt
from clinidistill.testing import check_provider

from clinidistill_parley import Parley, ParleyTeacher
from clinidistill_parley.server import ParleyServer

NOTES = [
    cd.Document("n1", "Started Metformin and lisinopril."),
    cd.Document("n2", "No complaints."),
    cd.Document("n3", "A cough since the day before."),
]
ANSWER = {"says": '{"mentions": []}', "done": True, "model": "parrot-1", "heard": 80, "spoken": 12}


def labelled(server, **options):
    """What the teacher marked of each note, and what it was billed."""
    labels = cd.label(NOTES, cd.load_teacher("parley", base_url=server.url, task="clinical", **options))
    annotations = [opinions.annotations["parrot-1"] for opinions in labels]
    marked = [[(note.mention(s), s.label) for s in each.spans] for note, each in zip(NOTES, annotations, strict=True)]
    (cost,) = labels.costs()
    return marked, cost


def test_it_keeps_the_contract_of_providers():
    check_provider(Parley(), [httpx.Response(200, json=ANSWER)])


def test_notes_are_labelled_through_its_server():
    with ParleyServer() as server:
        marked, cost = labelled(server, price={"input": 1.0, "output": 2.0})
    assert marked == [[("Metformin", "medication"), ("lisinopril", "medication")], [], [("cough", "symptom")]]
    assert len(server.requests) == 3
    assert cost.cost_usd == pytest.approx((cost.input_tokens + 2 * cost.output_tokens) / 1e6)


def test_a_server_that_is_busy_is_asked_again():
    with ParleyServer(busy=2) as server:
        marked, _ = labelled(server)
    assert [len(found) for found in marked] == [2, 0, 1]
    assert len(server.requests) == 5


def test_a_request_holds_the_prompt_and_the_key(monkeypatch):
    monkeypatch.setenv("PARLEY_KEY", "s3cret")
    request = Parley().build(Prompt("Mark drugs.", (Message("user", "On \ud800 aspirin."),), sample=2))
    body = json.loads(request.content)
    assert (body["rules"], body["turns"], body["roll"]) == (
        "Mark drugs.",
        [{"from": "user", "says": "On \ufffd aspirin."}],
        2,
    )
    assert request.headers["parley-key"] == "s3cret"


def test_limits_are_read_from_headers():
    response = httpx.Response(200, headers={"parley-pace": "600", "parley-left": "x"})
    limits = Parley().limits(response)
    assert (limits.requests_per_minute, limits.requests_left) == (600.0, None)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, cd.errors.AuthenticationError),
        (429, cd.errors.RateLimitError),
        (404, cd.errors.RequestError),
        (500, cd.errors.ServerError),
        (200, cd.errors.ServerError),
    ],
)
def test_a_failure_says_whether_asking_again_may_help(status, error):
    with pytest.raises(error):
        Parley().read(httpx.Response(status, json={"says": "no"}, headers={"retry-after": "3"}))


def test_both_are_found_by_their_name():
    assert type(cd.load_teacher("parley")) is ParleyTeacher
    assert type(cd.load_teacher("llm", provider={"name": "parley"}).provider) is Parley
