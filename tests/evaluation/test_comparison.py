import json
import random
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.stats import kstest, permutation_test

import clinidistill as cd
from clinidistill import Document, Span
from clinidistill.errors import ConfigError
from clinidistill.evaluation import bootstrap
from clinidistill.evaluation.bootstrap import draw_weights
from clinidistill.types import SCHEMES

WORDS = "a b c d e f g h i j k l m n o p q r s t "


def notes(documents, *recalls, seed=0):
    """Notes of ten mentions and what systems find; each mention is found with its system's chance, or one beside it."""
    draw = random.Random(seed)
    gold = [
        Document(f"n{n:04}", WORDS, [Span(4 * k, 4 * k + 1, draw.choice("xy")) for k in range(draw.randint(1, 10))])
        for n in range(documents)
    ]
    return gold, *(
        [
            note.with_spans(
                s if draw.random() < recall else Span(s.start + 2, s.end + 2, draw.choice("xy")) for s in note.spans
            )
            for note in gold
        ]
        for recall in recalls
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_identical_systems_do_not_differ(scheme):
    gold, a = notes(10, 0.7)
    result = cd.compare(gold, a, a, scheme=scheme, resamples=200)
    assert (result.difference, result.interval, result.p, result.bootstrap_p) == (0, (0, 0), 1, 1)


def test_a_clear_difference_is_improbable_and_its_interval_lies_on_one_side():
    result = cd.compare(*notes(60, 0.9, 0.6), resamples=999)
    assert result.p == 0.001
    assert result.bootstrap_p == 0.002
    assert 0.1 < result.interval[0] < result.difference < result.interval[1] < 0.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("label", [None, "x"])
def test_f1_is_that_of_evaluate(scheme, label):
    gold, a, b = notes(12, 0.8, 0.6)
    result = cd.compare(gold, a, b, scheme=scheme, label=label, resamples=10)
    for f1, system in ((result.a, a), (result.b, b)):
        scores = getattr(cd.evaluate(gold, system), scheme)
        assert f1 == pytest.approx((scores.micro if label is None else scores.per_label[label]).f1, abs=1e-12)
    assert result.difference == result.a - result.b


def test_swapping_the_systems_turns_the_sign_alone():
    gold, a, b = notes(15, 0.8, 0.7)
    forth, back = cd.compare(gold, a, b, resamples=300), cd.compare(gold, b, a, resamples=300)
    assert (back.a, back.b, back.difference) == (forth.b, forth.a, -forth.difference)
    assert back.interval == pytest.approx((-forth.interval[1], -forth.interval[0]))
    assert (back.p, back.bootstrap_p) == (forth.p, forth.bootstrap_p)


def test_the_interval_is_that_of_resampling_documents_in_a_loop():
    gold, a, b = notes(6, 0.8, 0.6)
    differences = []
    for weights in np.concatenate(list(draw_weights(6, 80, seed=3))):
        drawn = [n for n, weight in enumerate(weights) for _ in range(int(weight))]
        one, *systems = ([replace(side[n], id=str(k)) for k, n in enumerate(drawn)] for side in (gold, a, b))
        f1 = [cd.evaluate(one, system).strict.micro.f1 for system in systems]
        differences.append(f1[0] - f1[1])
    result = cd.compare(gold, a, b, resamples=80, seed=3, confidence=0.9)
    assert result.interval == pytest.approx(tuple(np.quantile(differences, (0.05, 0.95))), abs=1e-12)
    tail = min(sum(d <= 1e-12 for d in differences), sum(d >= -1e-12 for d in differences))
    assert result.bootstrap_p == min(1, 2 * (tail + 1) / 81)


@pytest.mark.parametrize("seed", range(3))
def test_p_is_that_of_all_swaps_within_sampling_error_as_enumerated_and_by_scipy(seed):
    gold, a, b = notes(8, 0.8, 0.5, seed=seed)

    def difference(swaps):
        sides = [[(y, x)[swap] for x, y, swap in zip(*pair, swaps, strict=True)] for pair in ((a, b), (b, a))]
        ours, theirs = (cd.evaluate(gold, side).strict.micro.f1 for side in sides)
        return ours - theirs

    observed = abs(difference([1] * 8))
    exact = np.mean([abs(difference(swaps)) >= observed - 1e-12 for swaps in product((0, 1), repeat=8)])

    counts = [[cd.evaluate([g], [s]).strict.micro for g, s in zip(gold, side, strict=True)] for side in (a, b)]

    def statistic(x, y):
        def f1(which):
            metrics = [counts[int(k) // 8][int(k) % 8] for k in which]
            return 2 * sum(m.tp for m in metrics) / sum(2 * m.tp + m.fp + m.fn for m in metrics)

        return f1(x) - f1(y)

    theirs = permutation_test(
        (np.arange(8), np.arange(8, 16)), statistic, permutation_type="samples", n_resamples=1000, vectorized=False
    )
    assert exact == pytest.approx(theirs.pvalue)
    result = cd.compare(gold, a, b, resamples=20_000)
    assert result.p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000) + 1e-4)


def test_p_is_uniform_where_the_systems_are_equally_good():
    found = [cd.compare(*notes(30, 0.7, 0.7, seed=seed), resamples=199).p for seed in range(150)]
    assert kstest(found, "uniform").pvalue > 0.01
    assert np.mean(np.array(found) <= 0.1) == pytest.approx(0.1, abs=0.08)


def test_blocks_do_not_change_the_result(monkeypatch):
    systems = notes(20, 0.8, 0.7)
    whole = cd.compare(*systems, resamples=500)
    monkeypatch.setattr("clinidistill.evaluation.comparison.BLOCK", 20 * 8)
    monkeypatch.setattr(bootstrap, "BLOCK", 20 * 8)
    parts = cd.compare(*systems, resamples=500)
    assert parts.interval == whole.interval
    assert parts.p == pytest.approx(whole.p, abs=0.1)  # int8 draws are buffered by the call


def test_systems_predict_without_seeing_gold():
    gold, a, b = notes(8, 0.9, 0.5)

    class System:
        def __init__(self, predictions):
            self.predictions = {note.id: note for note in predictions}

        def predict(self, documents):
            for document in documents:
                assert not document.spans
                yield self.predictions[document.id]

    assert cd.compare(gold, System(a), System(b), resamples=50) == cd.compare(gold, a, b, resamples=50)


def test_covers_and_labels_limit_what_is_compared():
    gold, a, b = notes(12, 0.9, 0.5)
    covered = [Document(note.id, note.text, note.spans, {"x"}) for note in gold]
    assert cd.compare(covered, a, b, resamples=50) == cd.compare(gold, a, b, labels=["x"], resamples=50)


def test_a_seed_fixes_the_result():
    systems = notes(20, 0.8, 0.7)
    assert cd.compare(*systems, resamples=200) == cd.compare(*systems, resamples=200, seed=0)
    assert cd.compare(*systems, resamples=200) != cd.compare(*systems, resamples=200, seed=1)


def test_a_comparison_is_one_line_and_survives_json():
    result = cd.compare(*notes(20, 0.8, 0.7), label="x", resamples=200)
    assert "\n" not in str(result)
    assert str(result).startswith(f"strict F1 of x: {result.a:.3f} against {result.b:.3f}, difference +")
    data = json.loads(json.dumps(result.to_dict()))
    assert data["interval"] == list(result.interval)
    assert (data["p"], data["documents"], data["resamples"]) == (result.p, 20, 200)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "exact"}, "no scheme 'exact'; there are strict, lenient"),
        ({"resamples": 0}, "resamples must be 1 or more"),
        ({"confidence": 95}, "confidence between 0 and 1"),
        ({"labels": "x"}, "write labels="),
        ({"label": "z"}, "label 'z' occurs on no side"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        cd.compare(*notes(3, 0.5, 0.5), **options)


def test_nothing_to_compare_and_missing_documents_are_refused():
    gold, a, b = notes(3, 0.5, 0.5)
    with pytest.raises(ConfigError, match="no documents"):
        cd.compare([], [], [])
    with pytest.raises(ConfigError, match="without a prediction: 'n0002'"):
        cd.compare(gold, a, b[:2])
