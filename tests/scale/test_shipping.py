"""What goes to workers: parts of components, files of students, leases of a budget."""

from types import SimpleNamespace

import pytest

import clinidistill as cd
from clinidistill.component import Component
from clinidistill.errors import ConfigError, DataError, OptionError
from clinidistill.scale import label_dataset
from clinidistill.scale.budget import BUDGET_FILE, Budget
from clinidistill.scale.jobs import _store
from clinidistill.scale.marking import marked
from clinidistill.scale.output import Output
from clinidistill.scale.rows import Bad
from clinidistill.scale.shipping import Parts, packed, put_together, student_folder, taken_apart, unpacked
from clinidistill.scale.storage import Place
from clinidistill.students import Student
from clinidistill.terminologies import Concept, Terminology

TASK = {"name": "drugs", "entities": [{"name": "drug", "definition": "A drug."}]}


class Odd(Component):
    def __init__(self, first, /, *several, third=3, **rest):
        self.all = first, several, third, rest


def test_a_component_comes_back_of_its_parts_however_it_takes_its_options():
    again = put_together(taken_apart({"odd": [Odd(1, 2, Odd("x"), third=(Odd(5),), more=7)]}))["odd"][0]
    first, (two, inner), (third,), rest = again.all
    assert (first, two, inner.all[0], third.all[0], rest) == (1, 2, "x", 5, {"more": 7})


def test_what_can_be_read_but_once_does_not_travel():
    with pytest.raises(ConfigError, match="a generator, which is used up"):
        taken_apart(Odd(1, more=(n for n in range(3))))


@pytest.mark.parametrize(
    "teacher",
    [
        lambda: cd.load_teacher("terminology", terminology=Terminology.of([Concept("1", "fever")]) - ["2"], label="a"),
        lambda: cd.load_teacher("openai", model="m", task=TASK, api_key="sk-1", base_url="http://localhost:1/v1"),
        lambda: cd.load_teacher("llm", provider={"name": "anthropic", "model": "m", "api_key": "k"}, task=TASK),
    ],
)
def test_teachers_come_back_the_same(teacher):
    made = teacher()
    parts = taken_apart(made)
    assert isinstance(parts, Parts)
    again = put_together(parts)
    assert again is not made
    assert (again.fingerprint, again.name) == (made.fingerprint, made.name)


def test_a_terminology_teacher_with_luggage_needs_no_terminology(tmp_path):
    path = tmp_path / "drugs.csv"
    path.write_text("code,name\n1,metformin\n2,heart failure\n")
    made = cd.load_teacher("terminology", path=path, label="drug", fuzzy=True, cache=False)
    luggage, parts = made.luggage(), taken_apart(made)
    path.unlink()
    again = put_together(parts)
    again.unpack(memoryview(luggage))
    text = "heart failures, metforimn"
    assert list(again.label_document(cd.Document("n", text))) == list(made.label_document(cd.Document("n", text)))
    assert cd.load_teacher("llm", provider={"name": "openai", "model": "m"}, task=TASK).luggage() is None


def test_a_students_files_make_the_same_student_wherever_it_is_unpacked(spread_student, tmp_path, monkeypatch):
    monkeypatch.setenv("CLINIDISTILL_CACHE", str(tmp_path / "cache"))
    fingerprint, files = packed(spread_student)
    folder = unpacked(fingerprint, files)
    assert folder == unpacked(fingerprint, {})  # it is there
    assert packed(folder)[0] == fingerprint
    text = ["took aspirin for pain"]
    assert list(cd.load_student(folder).predict(text)) == list(cd.load_student(spread_student).predict(text))
    with student_folder(cd.load_student(spread_student), {}) as saved:
        assert packed(saved)[0] == fingerprint
    place = Place.of("memory://models/tiny")
    place.fs.put(f"{spread_student}/", f"{place.path}/", recursive=True)
    with student_folder("memory://models/tiny", {}) as fetched:
        assert packed(fetched)[0] == fingerprint
    with pytest.raises(DataError, match="no such folder"), student_folder(tmp_path / "none", {}):
        pass


class Touchy(Student):
    """Predicts in pieces of four, and dies of some notes."""

    labels = ("a",)

    def predict(self, documents, **options):
        documents = list(documents)
        for begin in range(0, len(documents), 4):
            piece = documents[begin : begin + 4]
            if any("bad" in document.text for document in piece):
                raise RuntimeError(piece[0].text)
            yield from (document.with_spans([cd.Span(0, 1, "a")]) for document in piece)

    def save(self, path, *, card=None):
        raise NotImplementedError

    @classmethod
    def load(cls, path):
        raise NotImplementedError


@pytest.mark.parametrize("wrong", [set(), {0}, {9}, {3, 4}, set(range(10))])
def test_of_notes_that_fail_together_only_those_at_fault_are_left_out(wrong):
    given = [cd.Document(str(n), "bad" if n in wrong else "good") for n in range(10)]
    found = marked(Touchy(), given, {})
    assert [each.id for each in found] == [each.id for each in given]
    assert {int(each.id) for each in found if isinstance(each, Bad)} == wrong
    assert all(each.spans for each in found if isinstance(each, cd.Document))
    assert all("bad" not in each.reason for each in found if isinstance(each, Bad))


def test_what_is_leased_is_spent_until_it_is_returned_and_stays_so_after_a_restart(tmp_path):
    file = Place.of(tmp_path) / BUDGET_FILE
    budget = Budget((1.0, None), file)
    assert budget.grant(0.01, 500) == (0.05, 10_000)
    assert budget.grant(0.9, 0) == (0.9, 0)
    assert budget.grant(0.06, 0) is None
    budget.give_back(0.02, 1000)
    restarted = Budget((1.0, None), file)  # whoever held the rest is gone: it stays spent
    assert restarted.grant(0.08, 0) is None
    assert restarted.grant(0.07, 0) == (pytest.approx(0.07), 0)
    restarted.give_back(-0.5, 0)  # an API that charged more than it may
    assert restarted.grant(0.0001, 0) is None


def test_a_store_that_not_all_workers_would_share_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = cd.load_teacher("openai", model="m", task=TASK, base_url="http://localhost:9")
    output = Output(Place.of(tmp_path / "out"), "jsonl")
    one, two = (SimpleNamespace(nodes=lambda n=n: [{"Alive": True}] * n + [{"Alive": False}]) for n in (1, 2))
    assert _store(one, model, None, output) == f"{tmp_path}/out/_answers.sqlite"
    assert _store(one, model, "a.sqlite", output) == f"{tmp_path}/a.sqlite"  # workers may be elsewhere
    for cluster, store in ((two, None), (two, "a.sqlite"), (two, tmp_path / "a.sqlite"), (one, ":memory:")):
        with pytest.raises(ConfigError, match="name a store= that all workers reach"):
            _store(cluster, model, store, output)
    assert _store(two, model, "postgresql://h/d", output) == "postgresql://h/d"


@pytest.mark.parametrize("teacher", ["terminology", [{"use": "terminology"}], {"label": "drug"}, None])
def test_what_is_no_teacher_is_told_what_one_is(teacher):
    with pytest.raises(OptionError, match="under 'use'"):
        label_dataset(teacher, "in", "out")
