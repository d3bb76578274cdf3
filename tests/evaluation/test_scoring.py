import random

import pytest

import clinidistill as cd
from clinidistill import Document, Metrics, Span
from clinidistill.errors import ConfigError
from clinidistill.evaluation import Predictor

TEXT = "Patient with low back pain took metformin and aspirin for diabetes mellitus type 2."


def note(*spans, id="n1", text=TEXT, covers=None):
    return Document(id, text, [Span(*span) for span in spans], covers)


def random_notes(seed, documents=12, labels=("a", "b", "c")):
    """The same notes with two independent sets of spans, nested and overlapping ones among them."""
    draw = random.Random(seed)

    def spans():
        starts = [draw.randrange(len(TEXT) - 12) for _ in range(draw.randrange(6))]
        return [Span(start, start + draw.randint(1, 12), draw.choice(labels)) for start in starts]

    gold = [Document(f"n{n}", TEXT, spans()) for n in range(documents)]
    return gold, [document.with_spans(spans()) for document in gold]


def test_perfect_predictions_score_one_in_every_scheme():
    gold, _ = random_notes(0)
    scores = cd.evaluate(gold, gold)
    for scheme in (scores.strict, scores.lenient, scores.token):
        for metrics in (scheme.micro, scheme.macro, *scheme.per_label.values()):
            assert (metrics.precision, metrics.recall, metrics.f1) == (1, 1, 1)
    assert scores.strict.micro.support == sum(len(document.spans) for document in gold)


def test_strict_needs_both_offsets_and_the_label():
    gold = note((13, 26, "symptom"), (32, 41, "drug"), (46, 53, "drug"))
    predicted = note((17, 26, "symptom"), (32, 41, "symptom"), (46, 53, "drug"))
    scores = cd.evaluate([gold], [predicted])
    assert scores.strict.per_label == {"drug": Metrics(1.0, 0.5, 2 / 3, 1, 0, 1), "symptom": Metrics(0, 0, 0, 0, 2, 1)}
    assert scores.strict.micro == Metrics.from_counts(1, 2, 2)
    assert scores.strict.macro == Metrics(0.5, 0.25, 1 / 3)


def test_lenient_counts_any_overlap_once_and_touching_is_not_overlap():
    gold = note((13, 26, "symptom"), (32, 41, "drug"))
    predicted = note((13, 16, "symptom"), (17, 21, "symptom"), (41, 45, "drug"))
    lenient = cd.evaluate([gold], [predicted]).lenient.per_label
    assert (lenient["symptom"].tp, lenient["symptom"].fp, lenient["symptom"].fn) == (1, 1, 0)
    assert (lenient["drug"].tp, lenient["drug"].fp, lenient["drug"].fn) == (0, 1, 1)


def test_tokens_count_when_a_span_overlaps_part_of_them():
    gold, predicted = note((13, 26, "symptom")), note((18, 30, "symptom"))  # "low back pain", "ack pain too"
    token = cd.evaluate([gold], [predicted]).token.micro
    assert (token.tp, token.fp, token.fn) == (2, 1, 1)


def test_punctuation_is_a_token_and_whitespace_is_none():
    text = "a-b  c"
    gold, predicted = note((0, 6, "x"), text=text), note((1, 5, "x"), text=text)
    token = cd.evaluate([gold], [predicted]).token.micro
    assert (token.tp, token.fp, token.fn) == (2, 0, 2)  # "-" and "b", not "a" and "c"


def test_the_gap_of_a_discontinuous_mention_holds_no_tokens():
    gold = Document("n1", TEXT, [Span(13, 26, "symptom", fragments=((13, 16), (22, 26)))])  # "low ... pain"
    scores = cd.evaluate([gold], [note((13, 26, "symptom"))])
    assert (scores.token.micro.tp, scores.token.micro.fp) == (2, 1)
    assert scores.strict.micro.f1 == scores.lenient.micro.f1 == 1


def test_identical_spans_count_once():
    gold = note((32, 41, "drug"))
    predicted = Document("n1", TEXT, [Span(32, 41, "drug", 0.9), Span(32, 41, "drug", 0.4, source="other")])
    scores = cd.evaluate([gold], [predicted])
    assert scores.strict.micro == scores.lenient.micro == scores.token.micro == Metrics.from_counts(1, 0, 0)


def test_nested_mentions_are_matched_one_to_one():
    gold = note((58, 82, "disease"), (58, 66, "disease"))  # "diabetes mellitus type 2" and "diabetes" within it
    predicted = note((62, 66, "disease"), (77, 81, "disease"))
    assert cd.evaluate([gold], [predicted]).lenient.micro.f1 == 1


def test_labels_outside_gold_covers_are_ignored_on_both_sides():
    spans = ((13, 26, "symptom"), (32, 41, "drug"))
    predicted = note((46, 53, "drug"), (58, 66, "symptom"))
    scores = cd.evaluate([note(*spans, covers={"drug"})], [predicted])
    assert scores == cd.evaluate([note(spans[1])], [note((46, 53, "drug"))])
    assert set(scores.strict.per_label) == {"drug"}


def test_predicted_covers_are_ignored():
    gold, bare = note((32, 41, "drug")), note((46, 53, "drug"))
    assert cd.evaluate([gold], [bare]) == cd.evaluate([gold], [bare.with_spans(bare.spans, covers=())])


def test_labels_limits_what_is_scored_and_leaves_out_absent_ones():
    gold, predicted = random_notes(1)
    scores, of_all = cd.evaluate(gold, predicted, labels=["c", "a", "never"]), cd.evaluate(gold, predicted)
    assert list(scores.strict.per_label) == ["a", "c"]
    for name in ("strict", "lenient", "token"):
        some, every = getattr(scores, name), getattr(of_all, name)
        assert some.per_label == {label: every.per_label[label] for label in ("a", "c")}
        assert some.micro.tp == sum(metrics.tp for metrics in some.per_label.values())
        assert some.macro.f1 == pytest.approx((every.per_label["a"].f1 + every.per_label["c"].f1) / 2)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_documents_and_spans_does_not_matter(seed):
    gold, predicted = random_notes(seed)
    shuffled = [document.with_spans(reversed(document.spans)) for document in predicted]
    random.Random(seed).shuffle(shuffled)
    assert cd.evaluate(gold, predicted, bootstrap=20) == cd.evaluate(gold[::-1], shuffled, bootstrap=20)


@pytest.mark.parametrize("seed", range(5))
def test_swapping_the_sides_swaps_precision_and_recall(seed):
    gold, predicted = random_notes(seed)
    forth, back = cd.evaluate(gold, predicted), cd.evaluate(predicted, gold)
    for name in ("strict", "lenient", "token"):
        one, other = getattr(forth, name), getattr(back, name)
        rows = [(one.micro, other.micro), (one.macro, other.macro)]
        rows += [(one.per_label[label], other.per_label[label]) for label in one.per_label]
        assert one.micro.fp
        assert one.micro.fn
        for a, b in rows:
            assert (a.precision, a.recall, a.f1, a.tp, a.fp, a.fn) == (b.recall, b.precision, b.f1, b.tp, b.fn, b.fp)


def test_documents_without_spans_score_zero_not_an_error():
    scores = cd.evaluate([note()], [note()], bootstrap=10)
    assert scores.strict.micro == scores.token.macro == Metrics(0.0, 0.0, 0.0)
    assert scores.lenient.per_label == {}
    empty = Document("e", "")
    assert cd.evaluate([empty], [empty]).documents == 1


def test_no_documents_at_all_score_zero():
    assert cd.evaluate([], [], bootstrap=10).strict.micro == Metrics(0.0, 0.0, 0.0)


def test_nothing_predicted_and_nothing_to_find_are_zero_division_zero():
    missed = cd.evaluate([note((32, 41, "drug"))], [note()]).strict.micro
    spurious = cd.evaluate([note()], [note((32, 41, "drug"))]).strict.micro
    assert missed == Metrics(0.0, 0.0, 0.0, 0, 0, 1)
    assert spurious == Metrics(0.0, 0.0, 0.0, 0, 1, 0)


def test_a_mention_without_a_word_token_counts_as_a_mention_only():
    gold = note((3, 5, "gap"), text="one  two")
    scores = cd.evaluate([gold], [gold], bootstrap=10)
    assert scores.strict.macro.f1 == 1
    assert scores.token.per_label["gap"] == Metrics(0.0, 0.0, 0.0, f1_interval=(0.0, 0.0))


class Echo:
    """Predicts what it was given, so it is right only if it was given the answers."""

    def predict(self, documents):
        self.seen = list(documents)
        return reversed(self.seen)


def test_a_system_is_scored_on_a_dataset_without_seeing_its_spans():
    gold, _ = random_notes(2)
    echo = Echo()
    scores = cd.evaluate(echo, cd.MemoryDataset(gold))
    assert [document.text for document in echo.seen] == [document.text for document in gold]
    assert not any(document.spans for document in echo.seen)
    assert scores == cd.evaluate(gold, [document.without_spans() for document in gold])


def test_a_teacher_is_a_system():
    class Metformin(cd.Teacher):
        def label_document(self, document):
            start = document.text.index("metformin")
            yield Span(start, start + 9, "drug")

    gold = [note((32, 41, "drug"), (46, 53, "drug"))]
    assert isinstance(Metformin(), Predictor)
    assert cd.evaluate(Metformin(), gold).strict.micro == Metrics.from_counts(1, 0, 1)


@pytest.mark.parametrize(
    ("gold", "predicted", "message"),
    [
        ("abcde", "a", "documents without a prediction: 'b', 'c', 'd' and 1 more; predict every gold document"),
        ("a", "ab", "predictions without a gold document: 'b'; "),
        ("aba", "ab", "ids occur twice among the gold documents: 'a'; "),
        ("ab", "abb", "ids occur twice among the predictions: 'b'; "),
    ],
)
def test_documents_that_do_not_pair_are_refused_by_id(gold, predicted, message):
    with pytest.raises(ConfigError) as error:
        cd.evaluate([note(id=id) for id in gold], [note(id=id) for id in predicted])
    assert str(error.value).startswith(message)


def test_differing_texts_are_refused_without_quoting_them():
    with pytest.raises(ConfigError, match="texts differ: 'n1'") as error:
        cd.evaluate([note()], [note(text="Secret")])
    assert "Secret" not in str(error.value)
    assert "metformin" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([], []), {"labels": "drug"}, "labels="),
        (([], []), {"bootstrap": -1}, "bootstrap"),
        (([], []), {"confidence": 95}, "confidence"),
        (([], Echo()), {}, "the system comes first"),
        ((["text"], []), {}, "must be Documents; one is a str"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments, options, message):
    with pytest.raises(ConfigError, match=message):
        cd.evaluate(*arguments, **options)


def test_printed_scores_are_a_table_with_intervals_below_their_row():
    gold, predicted = random_notes(3)
    lines = str(cd.evaluate(gold, predicted)).splitlines()
    assert [line.split()[0] for line in lines] == ["strict", "P", "a", "b", "c", "micro", "macro"]
    strict = cd.evaluate(gold, predicted, bootstrap=50).strict
    with_intervals = str(cd.evaluate(gold, predicted, bootstrap=50)).splitlines()
    assert [line for line in with_intervals if "[" not in line] == lines
    assert with_intervals[-1].split("]")[0].strip() == "[{:.3f}, {:.3f}".format(*strict.macro.f1_interval)


def test_the_dictionary_form_holds_every_scheme():
    gold, predicted = random_notes(4)
    scores = cd.evaluate(gold, predicted, bootstrap=10)
    data = scores.to_dict()
    assert data["documents"] == len(gold)
    for name in ("strict", "lenient", "token"):
        assert data[name]["micro"]["f1"] == getattr(scores, name).micro.f1
        assert set(data[name]["per_label"]) == {"a", "b", "c"}
        assert len(data[name]["macro"]["f1_interval"]) == 2
