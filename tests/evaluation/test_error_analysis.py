import random
from collections import Counter

import pytest

from clinidistill import Document, MemoryDataset, Metrics, Span, evaluate
from clinidistill.errors import ConfigError
from clinidistill.evaluation.error_analysis import analyse_errors
from clinidistill.evaluation.finding import KINDS

TEXT = "HPI:\nType 2 diabetes, low back pain.\nMEDS:\nMetformin, aspirin.\nPLAN:\nmore metformin"


def span(mention, label, nth=0):
    start = -1
    for _ in range(nth + 1):
        start = TEXT.lower().index(mention, start + 1)
    return Span(start, start + len(mention), label)


GOLD = Document(
    "n1",
    TEXT,
    [
        span("type 2 diabetes", "disease"),
        span("low back pain", "symptom"),
        span("metformin", "drug"),
        span("aspirin", "drug"),
        span("metformin", "drug", 1),
    ],
)
FOUND = GOLD.with_spans(
    [
        span("diabetes", "disease"),
        span("back pain", "disease"),
        span("metformin", "drug"),
        span("aspirin", "disease"),
        span("more", "drug"),
    ]
)


def random_notes(seed, documents=15, labels=("a", "b", "c")):
    """The same notes with two independent sets of spans, nested and overlapping ones among them."""
    draw = random.Random(seed)

    def spans():
        starts = [draw.randrange(len(TEXT) - 16) for _ in range(draw.randrange(7))]
        return [Span(start, start + draw.randint(1, 16), draw.choice(labels)) for start in starts]

    gold = [Document(f"n{n}", TEXT, spans()) for n in range(documents)]
    return gold, [document.with_spans({*spans(), *document.spans[::2]}) for document in gold]


def test_each_kind_of_error_is_told_apart():
    findings = analyse_errors([GOLD], [FOUND]).findings
    assert [(f.kind, f.gold and GOLD.mention(f.gold), f.predicted and GOLD.mention(f.predicted)) for f in findings] == [
        ("boundary", "Type 2 diabetes", "diabetes"),
        ("type+boundary", "low back pain", "back pain"),
        ("correct", "Metformin", "Metformin"),
        ("type", "aspirin", "aspirin"),
        ("spurious", None, "more"),
        ("missed", "metformin", None),
    ]
    assert {finding.kind for finding in findings} == set(KINDS)


def test_traits_are_of_the_gold_mention_where_there_is_one():
    train = [Document("t1", "METFORMIN", [Span(0, 9, "other")])]
    traits = [finding.traits for finding in analyse_errors([GOLD], [FOUND], train=train).findings]
    assert [t.length for t in traits] == [3, 3, 1, 1, 1, 1]
    assert [t.section for t in traits] == ["history", "history", "medications", "medications", "plan", "plan"]
    assert [t.seen for t in traits] == [False, False, True, False, False, True]
    assert [t.frequency for t in traits] == [0, 0, 1, 0, 0, 1]
    without = [finding.traits for finding in analyse_errors([GOLD], [FOUND]).findings]
    assert [t.frequency for t in without] == [1, 1, 2, 1, 0, 2]
    assert {t.seen for t in without} == {None}


def test_the_gap_of_a_discontinuous_mention_has_no_length():
    gold = Document("n1", "pain in the left knee", [Span(0, 21, "symptom", fragments=((0, 4), (17, 21)))])
    assert analyse_errors([gold], [gold]).findings[0].traits.length == 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("what", ["label", "length", "frequency", "seen", "section", lambda note, span: span.start % 3])
def test_buckets_add_up_to_the_strict_micro_average(seed, what):
    gold, found = random_notes(seed)
    analysis = analyse_errors(gold, found, train=gold[:3])
    breakdown, micro = analysis.by(what), evaluate(gold, found).strict.micro
    sums = [sum(getattr(metrics, name) for metrics in breakdown.values()) for name in ("tp", "fp", "fn")]
    assert Metrics.from_counts(*sums) == micro
    assert micro.tp
    kinds = Counter(finding.kind for finding in analysis.findings)
    assert sum((Counter(counts) for counts in breakdown.kinds.values()), Counter()) == kinds


@pytest.mark.parametrize("seed", range(5))
def test_the_breakdown_by_label_is_strict_evaluation(seed):
    gold, found = random_notes(seed)
    assert dict(analyse_errors(gold, found).by("label")) == dict(evaluate(gold, found).strict.per_label)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_documents_and_spans_does_not_matter(seed):
    gold, found = random_notes(seed)
    shuffled = [document.with_spans(reversed(document.spans)) for document in found[::-1]]
    assert analyse_errors(gold, found).findings == analyse_errors(gold[::-1], shuffled).findings


def test_lengths_and_frequencies_come_in_their_order():
    gold, found = random_notes(1)
    analysis = analyse_errors(gold, found)
    assert list(analysis.by("length")) == ["0", "1", "2", "3", "4+"]  # a mention of white space has no tokens
    assert list(analysis.by("frequency"))[:3] == ["0", "1", "2-4"]
    by_label = analysis.by("label")
    assert [m.support for m in by_label.values()] == sorted((m.support for m in by_label.values()), reverse=True)


def test_unseen_mentions_are_told_from_seen_ones():
    train = [Document("t1", "on ASPIRIN", [Span(3, 10, "drug")])]
    seen = analyse_errors([GOLD], [FOUND], train=train).by("seen")
    assert list(seen) == ["seen", "unseen"]
    assert (seen["seen"].tp, seen["seen"].fp, seen["seen"].fn) == (0, 1, 1)
    assert seen.kinds["seen"] == {"type": 1}


def test_a_breakdown_may_be_by_anything_of_the_document():
    notes = [
        Document(id, TEXT, GOLD.spans, meta={"ward": ward}) for id, ward in (("a", "W1"), ("b", "W2"), ("c", "W2"))
    ]
    by_ward = analyse_errors(notes, notes).by(lambda document, span: document.meta["ward"])
    assert {ward: metrics.tp for ward, metrics in by_ward.items()} == {"W1": 5, "W2": 10}


@pytest.mark.parametrize(("what", "message"), [("seen", "needs the training data"), ("size", "no breakdown by 'size'")])
def test_a_breakdown_that_cannot_be_is_refused(what, message):
    with pytest.raises(ConfigError, match=message):
        analyse_errors([GOLD], [FOUND]).by(what)


def test_divisions_offers_seen_only_with_training_data():
    assert "seen" not in analyse_errors([GOLD], [FOUND]).divisions
    trained = analyse_errors([GOLD], [FOUND], train=[])
    assert "seen" in trained.divisions
    assert all(trained.by(name) for name in trained.divisions)


def test_confusions_count_pairs_of_labels():
    analysis = analyse_errors([GOLD], [FOUND])
    assert analysis.confusion == {
        "(none)": {"drug": 1},
        "disease": {"disease": 1},
        "drug": {"(none)": 1, "disease": 1, "drug": 1},
        "symptom": {"disease": 1},
    }
    assert str(analysis).splitlines()[-4:] == [
        "disease                 1     0        0       0",
        "drug                    1     1        0       1",
        "symptom                 1     0        0       0",
        "(none)                  0     1        0       0",
    ]


def test_kinds_are_printed_by_label():
    assert str(analyse_errors([GOLD], [FOUND])).splitlines()[:5] == [
        "label    correct  boundary  type  type+boundary  missed  spurious",
        "drug           1         0     1              0       1         1",
        "disease        0         1     0              0       0         0",
        "symptom        0         0     0              1       0         0",
        "all            1         1     1              1       1         1",
    ]


def test_many_labels_are_taken_together_in_print_and_none_is_lost():
    labels = [f"label {n:02}" for n in range(20)]
    gold, found = random_notes(2, documents=40, labels=labels)
    analysis = analyse_errors(gold, found)
    head, *rows = str(analysis).split("\n\n")[1].splitlines()
    assert head.endswith("(other)  (none)")
    assert len(rows) == 10
    printed = sum(int(cell) for row in rows for cell in row.split()[-10:])
    assert printed == len(analysis.findings) == sum(sum(row.values()) for row in analysis.confusion.values())


def test_labels_outside_covers_and_labels_not_asked_for_are_left_out():
    gold = GOLD.with_spans(GOLD.spans, {"drug", "symptom"})
    findings = analyse_errors([gold], [FOUND], labels=["drug"]).findings
    assert [finding.kind for finding in findings] == ["correct", "missed", "spurious", "missed"]
    assert {finding.span.label for finding in findings} == {"drug"}
    assert {f.span.label for f in analyse_errors([gold], [FOUND]).findings} == {"drug", "symptom"}
    assert analyse_errors([gold], [FOUND], labels=[]).findings == ()


def test_the_worst_documents_come_first():
    gold, found = random_notes(3)
    analysis = analyse_errors(gold, [*found[:-1], gold[-1]])
    worst = analysis.worst(100)
    assert [each.errors for each in worst] == sorted((each.errors for each in worst), reverse=True)
    assert gold[-1].id not in {each.document_id for each in worst}
    assert sum(each.errors for each in worst) == sum(finding.kind != "correct" for finding in analysis.findings)
    first = worst[0].document_id
    by_id = {document.id: document for document in found}
    alone = evaluate([document for document in gold if document.id == first], [by_id[first]])
    assert worst[0].metrics == alone.strict.micro
    assert analysis.worst(2) == worst[:2]


def test_a_system_is_analysed_on_a_dataset_without_seeing_its_spans():
    class Blind:
        def predict(self, documents):
            for document in documents:
                assert not document.spans
                yield document.with_spans([span("aspirin", "drug")])

    analysis = analyse_errors(Blind(), MemoryDataset([GOLD]))
    assert Counter(finding.kind for finding in analysis.findings) == {"correct": 1, "missed": 4}
    with pytest.raises(ConfigError, match="the system comes first"):
        analyse_errors([GOLD], Blind())


@pytest.mark.parametrize(("found", "options"), [([FOUND], {"labels": "drug"}), ([], {}), ([FOUND, FOUND], {})])
def test_arguments_that_cannot_work_are_refused(found, options):
    with pytest.raises(ConfigError):
        analyse_errors([GOLD], found, **options)


def test_nothing_at_all_is_analysed_too():
    analysis = analyse_errors([], [])
    assert analysis.findings == ()
    assert str(analysis).split() == ["label", *KINDS]
    assert analysis.worst() == []
    assert analysis.to_dict()["kinds"] == {}


def test_neither_repr_nor_summary_holds_note_text():
    secret = Document("n1", "# Jane Roe\nRoetitis", [Span(11, 19, "disease")])
    analysis = analyse_errors([secret], [secret])
    shown = f"{analysis!r}{analysis}{analysis.findings!r}{analysis.by('section')!r}{analysis.to_dict()}"
    assert "roe" not in shown.lower()
    assert list(analysis.by("section")) == ["jane roe"]  # which is why the documentation warns of it
    assert analysis.findings[0].to_dict()["gold"] == {"start": 11, "end": 19, "label": "disease"}
