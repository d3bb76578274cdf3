import itertools
import json
import random
import re
import time

import numpy as np
import pytest

import clinidistill as cd
from clinidistill import Annotation, Document, Labels, Span
from clinidistill.aggregation.agreement import agreement
from clinidistill.errors import ConfigError
from clinidistill.settings import Settings

krippendorff = pytest.importorskip("krippendorff")

NAMES = ("medication", "disease", "symptom")
TEXT = "Patient with low back pain took metformin 500 mg and aspirin for diabetes mellitus type 2."
TOKENS = [match.span() for match in re.finditer(r"\w+|[^\w\s]", TEXT)]


def random_labels(seed, teachers=4, documents=15, fragments=True):
    """Opinions with nested, crossing and discontinuous mentions, failures, absences and partial coverage."""
    draw = random.Random(seed)
    notes = [Document(f"n{n}", TEXT) for n in range(documents)]
    truth = {note.id: [random_span(draw, fragments) for _ in range(draw.randrange(5))] for note in notes}
    table = {}
    for teacher in range(teachers):
        covers = None if teacher % 2 else frozenset(draw.sample(NAMES, 2))
        table[f"t{teacher}"] = said = {}
        for note in notes:
            if (chance := draw.random()) < 0.1:
                continue
            spans = [span for span in truth[note.id] if draw.random() < 0.7]
            spans += [random_span(draw, fragments) for _ in range(draw.randrange(3))]
            error = "ServerError: x" if chance > 0.9 else None
            said[note.id] = Annotation(note.id, f"t{teacher}", () if error else tuple(spans), covers, error)
    return Labels(notes, table, lambda name, _: table[name])


def random_span(draw, fragments):
    start = draw.randrange(len(TEXT) - 14)
    end = start + draw.randint(1, 14)
    parts = ((start, start + 1), (end - 1, end)) if fragments and end - start > 6 and draw.random() < 0.2 else ()
    return Span(start, end, draw.choice(NAMES), fragments=parts)


def voting(labels, teacher):
    return {o.document.id: a for o in labels if (a := o.annotations.get(teacher)) is not None and not a.failed}


def shared(one, other):
    known = [set(NAMES) if a.covers is None else set(a.covers) for a in (one, other)]
    return known[0] & known[1]


@pytest.mark.parametrize("seed", range(8))
def test_pairwise_f1_is_that_of_evaluate_where_both_have_a_vote(seed):
    labels = random_labels(seed)
    found = agreement(labels)
    for one, other in itertools.combinations(labels.teachers, 2):
        said, replied = voting(labels, one), voting(labels, other)
        both = [key for key in said if key in replied and shared(said[key], replied[key])]
        gold = [Document(key, TEXT, said[key].spans, shared(said[key], replied[key])) for key in both]
        gold = [note.with_spans([s for s in note.spans if note.covers_label(s.label)], note.covers) for note in gold]
        predicted = [note.with_spans(replied[note.id].spans) for note in gold]
        scores, pair = cd.evaluate(gold, predicted), found.pair(other, one)
        assert pair.documents == len(both)
        assert pair.strict == pytest.approx(scores.strict.micro.f1)
        assert pair.lenient == pytest.approx(scores.lenient.micro.f1)
        for label in NAMES:
            strict, lenient = pair.per_label[label]
            if label in scores.strict.per_label:
                assert strict == pytest.approx(scores.strict.per_label[label].f1)
                assert lenient == pytest.approx(scores.lenient.per_label[label].f1)
            else:
                assert (strict, lenient) == (None, None)


def token_values(labels, label):
    """Teachers by tokens of all documents: 1 marked, 0 not, NaN without a vote."""
    rows = []
    for teacher in labels.teachers:
        row = []
        for opinions in labels:
            said = opinions.annotations.get(teacher)
            if said is None or not said.knows(label):
                row += [np.nan] * len(TOKENS)
                continue
            pieces = [piece for s in said.spans if s.label == label for piece in s.fragments or ((s.start, s.end),)]
            row += [float(any(a < end and start < b for a, b in pieces)) for start, end in TOKENS]
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("seed", range(8))
def test_alpha_is_that_of_the_krippendorff_package(seed):
    labels = random_labels(seed)
    found, values = agreement(labels), {label: token_values(labels, label) for label in NAMES}
    for label in NAMES:
        expected = krippendorff.alpha(reliability_data=values[label], level_of_measurement="nominal")
        assert found.alpha[label] == pytest.approx(expected)
    joined = np.concatenate([values[label] for label in NAMES], axis=1)
    expected = krippendorff.alpha(reliability_data=joined, level_of_measurement="nominal")
    assert found.overall_alpha == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(8))
def test_coverage_and_lone_mentions_are_those_found_by_looking_at_each(seed):
    labels = random_labels(seed)
    for each in agreement(labels).coverage:
        votes = mentions = alone = 0
        for opinions in labels:
            said = opinions.annotations.get(each.teacher)
            if said is None or not said.knows(each.label):
                continue
            votes += 1
            others = [a for a in opinions.voters(each.label) if a is not said]
            for start, end in {(s.start, s.end) for s in said.spans if s.label == each.label}:
                mentions += 1
                near = any(
                    s.label == each.label and s.start < end and start < s.end for other in others for s in other.spans
                )
                alone += bool(others) and not near
        assert (each.documents, each.mentions, each.alone) == (votes, mentions, alone)
        assert each.coverage == votes / 15
        assert each.per_document == pytest.approx(mentions / votes if votes else 0)
        assert each.alone_share == pytest.approx(alone / mentions if mentions else 0)


def opinions(**said):
    note = Document("n1", TEXT)
    return Labels.from_annotations(
        [note],
        {teacher: {"n1": [Span(*span) for span in spans]} for teacher, spans in said.items()},
        covers=dict.fromkeys(said),
    )


def test_conflicts_are_counted_in_clusters_of_overlapping_mentions():
    found = agreement(
        opinions(
            a=[(13, 26, "symptom"), (32, 41, "medication"), (65, 73, "disease"), (53, 60, "medication")],
            b=[(17, 26, "symptom"), (32, 41, "medication"), (65, 73, "symptom")],
            c=[(13, 26, "symptom"), (32, 41, "medication"), (65, 73, "disease")],
        )
    )
    by_label = {each.label: each for each in found.conflicts}
    medication, disease, symptom = (by_label[label] for label in NAMES)
    assert (medication.clusters, medication.agreed, medication.edges, medication.partial) == (2, 1, 0, 1)
    assert (symptom.clusters, symptom.agreed, symptom.edges, symptom.partial) == (2, 0, 1, 1)
    assert (disease.clusters, disease.agreed, disease.edges, disease.partial) == (1, 0, 0, 1)
    assert disease.other_labels == {"symptom": 1}
    assert symptom.other_labels == {"disease": 1}
    assert medication.other_labels == {}


def test_a_teacher_that_marks_both_labels_contradicts_nobody():
    found = agreement(opinions(a=[(0, 7, "disease"), (0, 7, "symptom")], b=[(0, 7, "disease")]))
    assert all(each.other_labels == {} for each in found.conflicts)


def test_what_nobody_marks_leaves_f1_and_alpha_undefined():
    found = agreement(opinions(a=[], b=[]))
    assert found.pair("a", "b").strict is None
    assert found.overall_alpha is None
    assert [each.disagreement for each in found.documents] == [0]
    assert "-" in str(found)


def test_teachers_that_share_no_label_are_not_compared():
    note = Document("n1", TEXT)
    said = {"a": {"n1": [Span(0, 7, "disease")]}, "b": {"n1": [Span(0, 7, "symptom")]}}
    pair = agreement(Labels.from_annotations([note], said)).pair("a", "b")
    assert (pair.documents, pair.strict, pair.lenient) == (0, None, None)


def test_agreement_is_between_at_least_two_teachers():
    with pytest.raises(ConfigError, match="at least two teachers"):
        agreement(opinions(a=[]))
    with pytest.raises(ConfigError, match="no two teachers are called 'a' and 'c'; teachers: a, b"):
        agreement(opinions(a=[], b=[])).pair("a", "c")


def test_the_dictionary_is_json_and_holds_no_note_text_and_the_print_names_everyone():
    found = agreement(random_labels(3))
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert "metformin" not in text + str(found)
    assert json.loads(text)["alpha"]["overall"] == found.overall_alpha
    assert all(name in str(found) for name in (*NAMES, "t0", "t1", "t2", "t3", "n1"))


@pytest.mark.alone
def test_ten_teachers_on_five_hundred_documents_take_a_second_or_so():
    draw = random.Random(0)
    text = "word " * 200
    notes = [Document(f"n{n}", text) for n in range(500)]
    table = {}
    for teacher in range(10):
        starts = {note.id: draw.sample(range(0, 1000, 5), 20) for note in notes}
        table[f"t{teacher}"] = {
            key: Annotation(key, "t", tuple(Span(at, at + draw.choice((4, 9)), NAMES[at % 3]) for at in places))
            for key, places in starts.items()
        }
    begun = time.perf_counter()
    found = agreement(Labels(notes, table, lambda name, _: table[name]))
    assert time.perf_counter() - begun < 5  # 0.7 s when nothing else runs
    assert len(found.pairs) == 45


def test_the_recorded_language_models_agree_as_far_as_is_known():
    folder = Settings().data / "recorded_llm_vaers"
    if not folder.is_dir():
        pytest.skip("recorded_llm_vaers is not in $CLINIDISTILL_DATA")
    gold = cd.load_dataset("jsonl", path=folder / "gold.jsonl.gz", id_fields=["split", "id"])
    notes = [note for note in gold if note.meta["split"] == "test"]
    prompts = ("baseline", "baseline_definition_guideline_erroranalysis_5shot")
    teachers = {
        prompt: cd.load_teacher(
            "recorded",
            path=folder / "responses.jsonl.gz",
            model="GPT-4",
            prompt=prompt,
            labels=["investigation", "nervous_AE", "other_AE", "procedure"],
        )
        for prompt in prompts
    }
    labels = cd.label(notes, teachers, progress=False)
    first, second = (labels.predictions(prompt) for prompt in prompts)
    failed = {annotation.document_id for annotation in labels.failures()}
    answered = [[note for note in notes if note.id not in failed] for notes in (first, second)]
    pair = agreement(labels).pair(*prompts)
    assert pair.strict == pytest.approx(cd.evaluate(*answered).strict.micro.f1)
