import numpy as np

from clinidistill import Document, Span
from clinidistill.students.token_classifier import TokenClassifier


def test_a_spans_score_is_how_likely_its_tags_are(tiny_base):
    student = TokenClassifier(tiny_base)
    student.prepare(["medication", "symptom"])
    text = "took aspirin for chest pain"
    [example] = student.encode([Document("n", text, [Span(5, 12, "medication", 0.75), Span(17, 27, "symptom")])])
    inside = example.targets > 0
    assert np.allclose(example.soft.sum(-1), 1, atol=1e-3)
    drug = inside & np.isin(example.targets, [1, 2])
    assert np.allclose(example.soft[drug, 0], 0.25)
    assert np.allclose(example.soft[drug, example.targets[drug]], 0.75)
    rest = inside & ~drug
    assert (example.soft[rest, example.targets[rest]] == 1).all()


def test_certain_spans_need_no_probabilities(tiny_base):
    student = TokenClassifier(tiny_base)
    student.prepare(["medication"])
    [example] = student.encode([Document("n", "took aspirin", [Span(5, 12, "medication")])])
    assert example.soft is None
