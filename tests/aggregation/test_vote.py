from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opinions import DISEASE, DRUG, NOTE, keys, said, silver

from clinidistill.aggregation import Aggregator, load_aggregator
from clinidistill.aggregation.majority import Majority
from clinidistill.aggregation.vote import Intersection, Union
from clinidistill.errors import OptionError
from clinidistill.labels import Labels, Opinions
from clinidistill.registry import registry
from clinidistill.types import Annotation, Document, Span


def test_union_keeps_what_anyone_marked_and_intersection_what_all_marked():
    opinions = said("a", DRUG, DISEASE), said("b", DRUG), said("c", DRUG, DISEASE), said("d", (0, 2, "medication"))
    assert keys(silver(Union(), *opinions)) == [(0, 2, "medication"), DRUG, DISEASE]
    assert keys(silver(Intersection(), *opinions[:3])) == [DRUG]
    assert keys(silver(Intersection(), *opinions)) == []


def test_scores_are_the_share_of_voters():
    document = silver(Union(), said("a", DRUG, DISEASE, score=0.1), said("b", DRUG), said("c"))
    assert [(span.key, span.score) for span in document.spans] == [(DRUG, 2 / 3), (DISEASE, 1 / 3)]


def test_a_teacher_that_does_not_know_a_label_has_no_vote_on_it():
    opinions = said("a", DRUG, covers={"medication"}), said("b", covers={"disease"}), said("c", covers={"disease"})
    document = silver(Intersection(), *opinions)
    assert (keys(document), document.spans[0].score) == ([DRUG], 1.0)
    assert document.covers == {"medication", "disease"}


def test_a_label_marked_by_one_that_does_not_claim_to_know_it_does_not_count():
    opinions = said("a", DRUG, DISEASE, covers={"medication"}), said("b", DRUG, covers={"medication"})
    assert keys(silver(Union(), *opinions)) == [DRUG]


def test_a_failed_teacher_abstains():
    failed = said("b", DISEASE, covers={"symptom"}, error="Timeout")
    document = silver(Intersection(), said("a", DRUG, covers={"medication"}), failed)
    assert keys(document) == [DRUG]
    assert document.covers == {"medication"}


def test_an_absent_teacher_abstains():
    labels = Labels.from_annotations([NOTE, Document("n2", NOTE.text)], {"a": {"n1": [Span(*DRUG)]}, "b": {"n2": []}})
    assert [keys(document) for document in Intersection().combine(labels)] == [[DRUG], []]


@pytest.mark.parametrize(
    ("covers", "expected"),
    [
        ([{"a"}, {"b"}], {"a", "b"}),
        ([{"a"}, None], None),
        ([set()], set()),
        ([], set()),
    ],
)
def test_silver_covers_what_its_teachers_knew_and_nothing_where_none_answered(covers, expected):
    document = silver(Union(), *(said(f"t{n}", covers=each) for n, each in enumerate(covers)))
    assert document.covers == (None if expected is None else frozenset(expected))


def test_a_document_all_teachers_failed_on_claims_nothing():
    document = silver(Union(), said("a", error="Timeout"), said("b", error="Timeout"))
    assert (document.spans, document.covers) == ((), frozenset())


def test_the_first_code_wins_and_later_ones_fill_gaps():
    document = silver(
        Union(),
        said("a", DRUG),
        said("b", DRUG, DISEASE, code="6809"),
        said("c", DRUG, DISEASE, code="other"),
    )
    assert [(span.key, span.code) for span in document.spans] == [(DRUG, "6809"), (DISEASE, "6809")]


def test_fragments_of_the_first_teacher_are_kept():
    fragments = ((3, 5), (10, 12))
    assert silver(Union(), said("a", DRUG, fragments=fragments), said("b", DRUG)).spans[0].fragments == fragments


def test_votes_are_loaded_by_name():
    for name, cls in {"union": Union, "intersection": Intersection, "majority": Majority}.items():
        assert type(load_aggregator(name)) is cls
    assert load_aggregator("majority", threshold=0.7).threshold == 0.7
    assert load_aggregator("majority").fingerprint != load_aggregator("majority", threshold=0.7).fingerprint
    with pytest.raises(OptionError, match="unknown option 'treshold'.*did you mean 'threshold'"):
        load_aggregator("majority", treshold=0.7)


def test_silver_is_lazy_keeps_order_and_text_and_can_be_iterated_again():
    looked = []

    def lookup(teacher, documents):
        looked.append(teacher)
        return {d.id: Annotation(d.id, teacher, (Span(0, 2, "x"),)) for d in documents}

    notes = [Document(str(n), f"text {n}", [Span(0, 1, "gold")], meta={"n": n}) for n in range(5)]
    result = Union().combine(Labels(notes, ["a"], lookup))
    assert looked == []
    assert len(result) == 5
    assert list(result) == list(result)
    assert [(d.id, d.text, d.meta) for d in result] == [(d.id, d.text, d.meta) for d in notes]
    assert [d.labels for d in result] == [{"x"}] * 5


def test_an_aggregator_of_ones_own_is_one_method():
    @registry("aggregators").register("test-first")
    class First(Aggregator):
        """Believes the first teacher."""

        def combine_document(self, opinions: Opinions):
            return next(iter(opinions.annotations.values())).spans

    labels = Labels.from_annotations([NOTE], {"a": {"n1": [Span(*DISEASE)]}, "b": {"n1": [Span(*DRUG)]}})
    aggregator = load_aggregator("test-first")
    assert [keys(d) for d in aggregator.fit(labels).combine(labels)] == [[DISEASE]]


offsets = st.sampled_from([(0, 2), (0, 5), (3, 5), (3, 12)])
label_names = st.sampled_from(["medication", "disease", "symptom"])
annotations = st.builds(
    lambda pairs, covers, error: said("t", *((*o, name) for o, name in pairs), covers=covers, error=error),
    st.lists(st.tuples(offsets, label_names), max_size=6),
    st.none() | st.frozensets(label_names),
    st.sampled_from([None, None, None, "Timeout"]),
)
panels = st.lists(annotations, min_size=1, max_size=6).map(
    lambda panel: [Annotation("n1", f"t{n}", a.spans, a.covers, a.error) for n, a in enumerate(panel)]
)


def kept(aggregator, panel):
    return {span.key: span.score for span in silver(aggregator, *panel).spans}


@given(panels)
def test_votes_agree_with_counting_by_hand(panel):
    alive = [a for a in panel if a.error is None]
    votes = Counter(key for a in alive for key in {s.key for s in a.spans if a.covers is None or s.label in a.covers})
    voters = {key: sum(a.covers is None or key[2] in a.covers for a in alive) for key in votes}
    shares = {key: Fraction(votes[key], voters[key]) for key in votes}
    assert kept(Union(), panel) == {key: float(share) for key, share in shares.items()}
    assert kept(Intersection(), panel) == {key: 1.0 for key, share in shares.items() if share == 1}


@given(panels, st.randoms())
def test_the_order_of_teachers_does_not_change_the_spans(panel, rng):
    shuffled = rng.sample(panel, len(panel))
    for aggregator in (Union(), Intersection()):
        assert kept(aggregator, panel) == kept(aggregator, shuffled)
        assert silver(aggregator, *panel).covers == silver(aggregator, *shuffled).covers


def test_a_flat_vote_keeps_the_longest_of_overlapping_spans_then_that_with_most_votes():
    short, long = (3, 7, "medication"), (3, 12, "medication")
    as_disease, as_symptom = (17, 25, "disease"), (17, 25, "symptom")
    opinions = said("a", short, as_disease), said("b", long, as_symptom), said("c", short, as_symptom)
    assert keys(silver(Union(), *opinions)) == [short, long, as_disease, as_symptom]
    assert keys(silver(Union(flat=True), *opinions)) == [long, as_symptom]


@given(panels)
def test_a_flat_vote_has_no_overlaps_and_nothing_new(panel):
    flat = silver(Union(flat=True), *panel).spans
    assert set(flat) <= set(silver(Union(), *panel).spans)
    assert not any(one.overlaps(other) for n, one in enumerate(flat) for other in flat[n + 1 :])
