import numpy as np
import pytest
from opinions import DISEASE, DRUG, NOTE, labels_of, said

from clinidistill.aggregation.gold import Gold
from clinidistill.aggregation.mentions import ABSTAINS, Candidates
from clinidistill.types import Document, Span

OTHER = Document("n2", NOTE.text)


def gold_of(dev, *annotations):
    labels = labels_of(*annotations, notes=[NOTE, OTHER])
    opinions = list(labels)
    candidates = Candidates.of(opinions, labels.teachers)
    return candidates, Gold.of(candidates, opinions, {document.id: document for document in dev}, "test")


def test_candidates_are_true_false_or_not_looked_at():
    dev = [NOTE.with_spans([Span(*DRUG)], {"medication"})]
    c, gold = gold_of(dev, said("a", DRUG, (0, 2, "medication"), DISEASE), said("a", DRUG, document="n2"))
    assert gold.truth.tolist() == [0, 1, -1, -1]
    assert gold.looked.tolist() == [[False, True], [False, False]]
    assert gold.classes(c.mentions).tolist() == [ABSTAINS, 2, ABSTAINS, ABSTAINS]  # others may be there in the first


def test_a_mention_is_what_people_call_one_that_overlaps_it():
    dev = [NOTE.with_spans([Span(3, 10, "medication"), Span(17, 25, "symptom")])]
    c, gold = gold_of(dev, said("a", DRUG, (0, 2, "medication"), DISEASE), said("b", (17, 25, "symptom")))
    assert [c.labels[k - 1] if k > 0 else k for k in gold.classes(c.mentions).tolist()] == [0, "medication", "symptom"]


def test_strict_f1_counts_what_was_kept_where_people_looked():
    dev = [NOTE.with_spans([Span(*DRUG), Span(*DISEASE)])]
    _, gold = gold_of(dev, said("a", DRUG, (0, 2, "medication")), said("a", DRUG, document="n2"))
    assert len(gold.spans) == 1  # no teacher knows diseases
    assert gold.strict_f1(np.array([0, 1, 2])) == pytest.approx(2 / 3)
    assert gold.strict_f1(np.array([], dtype=np.int64)) == 0.0


def test_parts_divide_the_documents_that_people_looked_at():
    _, gold = gold_of([NOTE, OTHER], said("a", DRUG), said("a", DRUG, document="n2"))
    parts = gold.parts(5, seed=0)
    assert np.sum(parts, axis=0).tolist() == [1, 1]
    within = [
        gold.within(gold_of([NOTE, OTHER], said("a", DRUG), said("a", DRUG, document="n2"))[0], part) for part in parts
    ]
    assert sorted(each.looked.any(axis=1).tolist() for each in within) == [[False, True], [True, False]]
    assert all((each.truth >= 0).sum() == 1 for each in within)


def test_there_are_no_parts_where_people_looked_for_nothing_that_teachers_know():
    _, gold = gold_of([NOTE.with_spans([], {"procedure"})], said("a", DRUG))
    assert gold.parts(5, seed=0) == []
