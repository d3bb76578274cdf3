"""What holds for every aggregator, whatever it believes."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opinions import DRUG, NOTE, TEXT, corpora, labels_of, said, scored
from simulated_teachers import PARTIAL, UNEQUAL, labelled_by, notes

from clinidistill.aggregation import load_aggregator
from clinidistill.errors import ConfigError, OptionError
from clinidistill.labels import Labels
from clinidistill.types import Document, Span

LEARN_ALONE = ("majority", "weighted", "dawid-skene", "hmm", "auto")
LEARN_FROM_PEOPLE = ("weighted", "dawid-skene", "stacked", "auto")
ALL = (*LEARN_ALONE, "stacked")
PEOPLE = [Document("n0", TEXT, [Span(0, 4, "medication")]), Document("n1", TEXT, [Span(5, 13, "disease")])]


@pytest.fixture(scope="module")
def simulated():
    gold = notes(60)
    return gold, labelled_by(gold, PARTIAL)


def fitted(name, labels, dev=None):
    return load_aggregator(name).fit(labels, dev)


def assert_same(one, other):
    """The same spans, and scores that differ by rounding at most."""
    assert {name: set(spans) for name, spans in one.items()} == {name: set(spans) for name, spans in other.items()}
    for name, spans in one.items():
        assert spans == pytest.approx(other[name], abs=1e-6)


@given(corpora(), corpora(), st.sampled_from(LEARN_ALONE))
def test_silver_spans_are_ones_that_someone_marked_with_scores_from_0_to_1(labels, others, name):
    model = fitted(name, labels)
    for given_labels in (labels, others):  # others: other teachers, labels and failures than it learned from
        marked = {
            opinions.document.id: {span.key for a in opinions.annotations.values() for span in a.spans}
            for opinions in given_labels
        }
        for document, spans in scored(model.combine(given_labels)).items():
            assert spans.keys() <= marked[document]
            assert all(0 <= score <= 1 for score in spans.values())


@given(
    corpora(),
    corpora(),
    st.sampled_from(LEARN_FROM_PEOPLE),
    st.none() | st.frozensets(st.sampled_from(["disease", "x"])),
)
def test_learning_from_people_survives_any_opinions(labels, others, name, covers):
    dev = [document.with_spans(document.spans, covers) for document in PEOPLE]
    try:
        model = fitted(name, labels, dev)
    except ConfigError:  # too few of the dev documents are among the labels, or none
        if name == "auto" or not {document.id for document in labels.documents} & {"n0", "n1"}:
            return
        raise
    for given_labels in (labels, others):
        assert all(0 <= s <= 1 for spans in scored(model.combine(given_labels)).values() for s in spans.values())


@pytest.mark.parametrize("name", ALL)
def test_teachers_come_in_any_order(name, simulated):
    gold, labels = simulated
    shuffled = labels.select(*random.Random(0).sample(labels.teachers, len(labels.teachers)))
    one, other = fitted(name, labels, gold[:20]), fitted(name, shuffled, gold[:20])
    assert_same(scored(one.combine(labels)), scored(other.combine(shuffled)))


@pytest.mark.parametrize("name", LEARN_ALONE[:-1])  # auto and stacked draw folds by place
def test_documents_come_in_any_order(name, simulated):
    gold, labels = simulated
    shuffled = labels_of(
        *(a for opinions in labels for a in opinions.annotations.values()),
        notes=random.Random(0).sample(list(labels.documents), len(gold)),
        teachers=labels.teachers,
    )
    one, other = fitted(name, labels, gold[:20]), fitted(name, shuffled, gold[:20])
    assert_same(scored(one.combine(labels)), scored(other.combine(shuffled)))


@pytest.mark.parametrize("name", ALL)
def test_documents_come_in_any_chunks(name, simulated):
    gold, labels = simulated
    model, opinions = fitted(name, labels, gold[:20]), list(labels)
    together = [sorted(spans) for spans in model.combine_documents(opinions, labels.teachers)]
    alone = [sorted(model.combine_documents([each], labels.teachers)[0]) for each in opinions]
    assert [[span.key for span in spans] for spans in together] == [[span.key for span in spans] for spans in alone]
    assert [s.score for spans in together for s in spans] == pytest.approx([s.score for spans in alone for s in spans])


@pytest.mark.parametrize("name", ALL)
def test_fitting_again_leaves_nothing_of_what_was_learned_before(name, simulated):
    gold, labels = simulated
    others = notes(15, seed=9)
    again = fitted(name, labelled_by(others, UNEQUAL), others).fit(labels, gold[:20])
    assert scored(again.combine(labels)) == scored(fitted(name, labels, gold[:20]).combine(labels))


@pytest.mark.parametrize("name", LEARN_FROM_PEOPLE[:2])
def test_fitting_again_without_people_leaves_nothing_of_what_they_said(name, simulated):
    gold, labels = simulated
    again = fitted(name, labels, gold[:20]).fit(labels)
    assert scored(again.combine(labels)) == scored(fitted(name, labels).combine(labels))


EMPTY = {
    "no documents": labels_of(notes=[], teachers=("a", "b")),
    "no documents and no teachers": labels_of(notes=[]),
    "no teachers": labels_of(),
    "no spans": labels_of(said("a"), said("b")),
    "all failed": labels_of(said("a", error="Timeout"), said("b", error="Timeout")),
    "all absent": labels_of(teachers=("a", "b")),
    "nothing known": labels_of(said("a", covers=set())),
}


@pytest.mark.parametrize("name", LEARN_ALONE)
@pytest.mark.parametrize("empty", EMPTY.values(), ids=EMPTY)
def test_where_nothing_was_said_nothing_is_found_nor_learned(name, empty):
    model = fitted(name, empty)
    assert not any(scored(model.combine(empty)).values())
    agreed = labels_of(said("a", DRUG), said("b", DRUG), said("c", DRUG))
    assert set(scored(model.combine(agreed))["n1"]) == {DRUG}
    assert not any(scored(fitted(name, agreed).combine(empty)).values())


@pytest.mark.parametrize("name", ALL[1:])
def test_combine_before_fit_is_refused_with_the_cure(name):
    with pytest.raises(ConfigError, match=rf"^{name}: .*call fit\(labels\) before combine\(labels\)"):
        list(load_aggregator(name).combine(labels_of(said("a", DRUG))))


def test_learning_from_people_without_people_is_refused_with_the_cure():
    with pytest.raises(ConfigError, match=r"^stacked: .*call fit\(labels, dev\)"):
        load_aggregator("stacked").fit(labels_of(said("a", DRUG)))


@pytest.mark.parametrize("name", LEARN_FROM_PEOPLE)
@pytest.mark.parametrize(
    ("dev", "message"),
    [
        ([], "none of the 0 dev documents is among the labels; let the teachers label them, too"),
        ([Document("other", NOTE.text)], "none of the 1 dev documents is among the labels"),
        ([Document("n1", "Off metformin.")], "the dev document 'n1' has another text than its labels"),
    ],
)
def test_dev_documents_that_do_not_fit_are_refused_without_their_text(name, dev, message):
    with pytest.raises(ConfigError) as caught:
        fitted(name, labels_of(said("a", DRUG)), dev)
    assert f"{name}: {message}" in str(caught.value)
    assert "metformin" not in str(caught.value)


@pytest.mark.parametrize("name", [each for each in ALL if each != "auto"])
@pytest.mark.parametrize("threshold", [-0.1, 1, float("nan")])
def test_a_threshold_outside_its_range_is_refused(name, threshold):
    with pytest.raises(OptionError, match=f"{name}: threshold .* must be at least 0 and below 1"):
        load_aggregator(name, threshold=threshold)


@pytest.mark.parametrize("name", [each for each in ALL if each != "auto"])
def test_a_higher_threshold_keeps_less(name, simulated):
    gold, labels = simulated
    few, many = (
        sum(len(d.spans) for d in load_aggregator(name, threshold=threshold).fit(labels, gold[:20]).combine(labels))
        for threshold in (0.8, 0.2)
    )
    assert few < many


@pytest.mark.parametrize("name", ALL)
def test_people_who_looked_for_some_labels_teach_those(name, simulated):
    gold, labels = simulated
    dev = [d.with_spans([s for s in d.spans if s.label == "disease"], {"disease"}) for d in gold[:30]]
    found = scored(fitted(name, labels, dev).combine(labels))
    assert {label for spans in found.values() for *_, label in spans} == {"disease", "medication", "symptom"}


@pytest.mark.parametrize("name", LEARN_ALONE)
def test_identical_spans_of_very_many_teachers_are_one_sure_span(name):
    labels = labels_of(*(said(f"t{n}", DRUG) for n in range(200)))
    ((key, score),) = scored(fitted(name, labels).combine(labels))["n1"].items()
    assert key == DRUG
    assert score > 0.99


@pytest.mark.parametrize("name", LEARN_ALONE)
def test_spans_in_mid_word_over_line_breaks_and_astral_letters_keep_their_offsets(name):
    places = [(1, 3), (11, 25), (29, 31), (30, 34), (len(TEXT) - 4, len(TEXT))]
    labels = labels_of(
        *(said(t, *((*place, "x") for place in places if place != (30, 34)), document="n") for t in "abc"),
        notes=[Document("n", TEXT)],
    )
    assert set(scored(fitted(name, labels).combine(labels))["n"]) == {(*p, "x") for p in places if p != (30, 34)}


@pytest.mark.parametrize("name", LEARN_ALONE[:-1])
def test_two_hundred_labels_are_told_apart(name):
    documents = [Document(f"n{n}", "word " * 50) for n in range(20)]
    marked = {
        d.id: [Span(5 * n, 5 * n + 4, f"label {(10 * at + n // 5) % 200}") for n in range(0, 50, 5)]
        for at, d in enumerate(documents)
    }
    labels = Labels.from_annotations(documents, dict.fromkeys("abc", marked))
    found = scored(fitted(name, labels).combine(labels))
    assert {d: set(spans) for d, spans in found.items()} == {d: {s.key for s in spans} for d, spans in marked.items()}


@pytest.mark.alone
@pytest.mark.parametrize("teachers", [1, 5])
def test_thousands_of_overlapping_spans_in_one_document_take_seconds(teachers):
    draw, text = random.Random(0), "word " * 1200
    marked = {f"t{n}": [] for n in range(teachers)}
    for n in range(5000):
        start = draw.randrange(5000)
        marked[f"t{n % teachers}"].append(Span(start, start + draw.randint(1, 900), draw.choice("xy")))
    labels = Labels.from_annotations([Document("n", text)], {t: {"n": spans} for t, spans in marked.items()})
    began = time.perf_counter()
    assert len(scored(fitted("majority", labels).combine(labels))["n"]) > 300
    assert time.perf_counter() - began < 8


@pytest.mark.alone
@pytest.mark.parametrize("name", LEARN_ALONE[:-1])
def test_four_times_the_documents_take_about_four_times_the_time(name):
    labels = [labelled_by(notes(n), UNEQUAL) for n in (100, 400)]
    learned = fitted(name, labels[0])
    seconds = []
    for each in labels:
        opinions = list(each)
        runs = []
        for _ in range(3):
            began = time.perf_counter()
            learned.fit(each).combine_documents(opinions, each.teachers)
            runs.append(time.perf_counter() - began)
        seconds.append(min(runs))
    assert seconds[1] < 4 * 2.5 * seconds[0]
