from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opinions import DISEASE, DRUG, TEXT, corpora, keys, labels_of, said, scored, silver

from clinidistill.aggregation.majority import Majority, majority_vote
from clinidistill.aggregation.mentions import ABSTAINS, Candidates
from clinidistill.aggregation.vote import Union
from clinidistill.errors import OptionError
from clinidistill.types import Annotation, Document, Span

SHORT, LONG, LONGER = (3, 7, "medication"), (3, 12, "medication"), (3, 16, "medication")


@pytest.mark.parametrize(
    ("threshold", "votes", "voters", "kept"),
    [
        (0, 1, 9, True),
        (0.5, 1, 2, False),
        (0.5, 2, 3, True),
        (2 / 3, 2, 3, False),
        (2 / 3, 3, 4, True),
        (0.29, 29, 100, False),
    ],
)
def test_a_majority_passes_its_threshold_and_a_tie_does_not(threshold, votes, voters, kept):
    opinions = [said(f"t{n}", *([DRUG] if n < votes else [])) for n in range(voters)]
    assert keys(silver(Majority(threshold), *opinions)) == ([DRUG] if kept else [])


@pytest.mark.parametrize("threshold", [-0.1, 1, 1.5, float("nan")])
def test_a_threshold_outside_its_range_is_refused(threshold):
    with pytest.raises(OptionError, match="threshold"):
        Majority(threshold)


def test_teachers_that_differ_on_the_edges_of_a_mention_vote_for_one_mention():
    document = silver(Majority(), said("a", SHORT), said("b", LONG), said("c", LONG), said("d"))
    assert [(span.key, span.score) for span in document.spans] == [(LONG, 0.75)]


def test_edges_that_are_level_go_to_the_longest():
    assert keys(silver(Majority(), said("a", SHORT), said("b", LONGER), said("c", LONG))) == [LONGER]
    assert keys(silver(Majority(), said("a", SHORT), said("b", SHORT), said("c", LONG))) == [SHORT]


def test_labels_compete_for_a_mention_and_abstention_counts_for_neither():
    as_symptom = (*DISEASE[:2], "symptom")
    assert keys(silver(Majority(0.3), said("a", DISEASE), said("b", as_symptom), said("c", as_symptom))) == [as_symptom]
    specialist = said("a", DISEASE, covers={"disease"}), said("b", as_symptom, covers={"symptom"})
    document = silver(Majority(), *specialist, said("c", as_symptom))
    assert [(span.key, span.score) for span in document.spans] == [(as_symptom, 1.0)]


@pytest.mark.parametrize(
    "silent",
    [
        [said("c", DISEASE, error="Timeout"), said("d", error="Timeout")],
        [said("c", covers={"symptom"}), said("d", covers=set())],
        [],
    ],
    ids=["failed", "not covered", "absent"],
)
def test_teachers_without_a_vote_do_not_outvote_those_with_one(silent):
    document = silver(Majority(), said("a", DRUG), said("b", DRUG), *silent)
    assert [(span.key, span.score) for span in document.spans] == [(DRUG, 1.0)]


def test_nested_mentions_that_a_teacher_marked_both_stay_two():
    inner, outer = (7, 12, "medication"), (3, 12, "medication")
    assert keys(silver(Majority(), said("a", inner, outer), said("b", inner, outer), said("c"))) == [outer, inner]
    assert keys(silver(Majority(), said("a", inner), said("b", outer))) == [outer]


def test_a_code_comes_from_another_candidate_of_the_mention_where_the_kept_one_has_none():
    document = silver(Majority(), said("a", LONG), said("b", LONG), said("c", SHORT, code="6809"))
    assert [(span.key, span.code) for span in document.spans] == [(LONG, "6809")]


def test_a_code_of_another_label_is_not_taken():
    as_disease = (*SHORT[:2], "disease")
    document = silver(Majority(), said("a", LONG), said("b", LONG), said("c", as_disease, code="73211009"))
    assert [(span.key, span.code) for span in document.spans] == [(LONG, None)]


def test_fragments_of_the_kept_span_are_kept():
    fragments = ((3, 5), (10, 12))
    document = silver(Majority(), said("a", LONG, fragments=fragments), said("b", LONG), said("c", SHORT))
    assert document.spans[0].fragments == fragments


def test_a_teacher_that_marks_a_span_twice_votes_once():
    assert keys(silver(Majority(), said("a", DRUG, DRUG), said("b"), said("c", DISEASE))) == []


def test_a_flat_majority_keeps_the_longest_of_overlapping_mentions():
    inner = (7, 12, "disease")
    both = said("a", inner, LONG), said("b", inner, LONG)
    assert keys(silver(Majority(), *both)) == [LONG, inner]
    assert keys(silver(Majority(flat=True), *both)) == [LONG]


@given(corpora(), st.sampled_from([0.0, 0.3, 0.5, 0.7]))
def test_silver_spans_are_ones_that_a_teacher_with_a_vote_marked(labels, threshold):
    found, said_by_anyone = scored(Majority(threshold).combine(labels)), scored(Union().combine(labels))
    for document, spans in found.items():
        assert spans.keys() <= said_by_anyone[document].keys()
        assert all(threshold < score <= 1 for score in spans.values())


@given(corpora(documents=1), st.integers(1, 5))
def test_teachers_that_say_the_same_are_believed(labels, copies):
    """Where all agree there is one voice, so that nested and crossing mentions stay as they are."""
    for opinions in labels:
        for one in opinions.annotations.values():
            panel = [Annotation(one.document_id, f"t{n}", one.spans, one.covers, one.error) for n in range(copies)]
            found = scored(Majority().combine(labels_of(*panel, notes=[opinions.document])))
            assert found[one.document_id] == {span.key: 1.0 for span in one.spans if one.knows(span.label)}


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # crowd-kit's, of pandas
def test_the_share_of_votes_is_crowd_kits():
    pandas, aggregation = pytest.importorskip("pandas"), pytest.importorskip("crowdkit.aggregation")
    draw = np.random.default_rng(0)
    for classes, missing in ((2, 0.0), (5, 0.3), (3, 0.8)):
        votes = draw.integers(0, classes, (200, 7))
        votes[draw.random(votes.shape) < missing] = ABSTAINS
        item, teacher = np.nonzero(votes != ABSTAINS)
        table = pandas.DataFrame({"task": item, "worker": teacher, "label": votes[item, teacher]})
        theirs = aggregation.MajorityVote().fit_predict_proba(table).reindex(range(200)).fillna(0)
        np.testing.assert_allclose(majority_vote(votes, classes), theirs[list(range(classes))], atol=1e-12)


@given(corpora(), st.randoms())
def test_the_order_of_teachers_does_not_change_a_majority(labels, rng):
    shuffled = labels.select(*rng.sample(labels.teachers, len(labels.teachers)))
    assert scored(Majority().combine(labels)) == scored(Majority().combine(shuffled))
    assert [d.covers for d in Majority().combine(labels)] == [d.covers for d in Majority().combine(shuffled)]


@given(corpora(documents=1, teachers=5))
def test_a_mention_without_rivals_gets_the_share_of_its_voters(labels):
    for opinions in labels:
        candidates = Candidates.of([opinions], labels.teachers)
        for row, score in enumerate(Majority().believe(candidates).score):
            start, end, label = candidates.start[row], candidates.end[row], candidates.labels[candidates.label[row]]
            overlapping = (candidates.start < end) & (start < candidates.end)
            if overlapping.sum() == 1:
                marked = [span.key for a in opinions.voters(label) for span in set(a.spans)].count((start, end, label))
                assert score == float(Fraction(marked, len(opinions.voters(label))))


def test_mentions_of_other_documents_do_not_mix():
    notes = [Document(f"n{n}", TEXT) for n in range(3)]
    annotations = [Annotation(note.id, f"t{n}", (Span(0, 4, "x"),)) for n, note in enumerate(notes)]
    empty = [Annotation(note.id, f"u{n}", ()) for n, note in enumerate(notes)]
    assert scored(Majority().combine(labels_of(*annotations, *empty, notes=notes))) == {"n0": {}, "n1": {}, "n2": {}}
