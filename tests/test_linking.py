"""Codes for spans: what is linked, how surely, and what is left alone."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clinidistill as cd
from clinidistill.errors import DataError, OptionError
from clinidistill.matching.candidates import NameIndex, stem

TERMS = cd.Terminology.of(
    [
        cd.Concept("D010300", "Parkinson Disease", ("Paralysis agitans",)),
        cd.Concept("D006974", "Hypertension, Malignant"),
        cd.Concept("D006973", "Hypertension", ("High blood pressure",)),
        cd.Concept("D000140", "Acidosis, Lactic"),
        cd.Concept("D058186", "Acute Kidney Injury"),
        cd.Concept("D006333", "Heart Failure"),
        cd.Concept("D003922", "Diabetes Mellitus, Type 1"),
        cd.Concept("D003924", "Diabetes Mellitus, Type 2"),
        cd.Concept("D014801", "Vitamin A"),
        cd.Concept("D008687", "Metformin"),
        cd.Concept("D008972", "Molindone"),
    ]
)


@pytest.fixture(scope="module")
def linker():
    return cd.Linker(TERMS, cache=False)


def document(*mentions, label="disease", text=None):
    """A note of the mentions, each marked."""
    text = text or "; ".join(mentions)
    starts = [text.index(mention) for mention in mentions]
    return cd.Document("n1", text, [cd.Span(s, s + len(m), label) for s, m in zip(starts, mentions, strict=True)])


@pytest.mark.parametrize(
    ("mention", "code", "least"),
    [
        ("Parkinson Disease", "D010300", 1),
        ("PARKINSON\u2010DISEASE", "D010300", 1),
        ("Parkinson's disease", "D010300", 0.9),
        ("malignant hypertension", "D006974", 0.9),
        ("hypertensions", "D006973", 0.9),
        ("metforimn", "D008687", 0.8),
        ("malignant hypertention", "D006974", 0.8),
        ("hert failure", "D006333", 0.8),
        ("type 2 diabetes mellitus", "D003924", 0.9),
        ("severe metformin-associated lactic acidosis", "D000140", 0.65),
        ("acute injury of the kidney", "D058186", 0.9),
    ],
)
def test_a_mention_finds_its_concept(linker, mention, code, least):
    best, *others = linker.candidates(mention)
    assert best.code == code
    assert least <= best.score <= 1
    assert all(other.score < best.score for other in others)


@pytest.mark.parametrize("mention", ["vitamin b", "type 3 diabetes", "kidney", "broken leg", "?!", "xyzzy"])
def test_what_is_not_in_the_terminology_gets_no_code(mention):
    (linked,) = cd.link([document(mention)], TERMS)
    assert linked.spans[0].code is None


def test_runners_up_are_there_with_their_scores(linker):
    (linked,) = cd.link([document("diabetes mellitus")], linker, min_score=0.95)
    assert linked.spans[0].code is None
    (entry,) = linked.meta["links"]
    assert (entry["start"], entry["end"], entry["label"]) == (0, 17, "disease")
    assert {each["code"] for each in entry["candidates"]} == {"D003922", "D003924"}
    assert [each["score"] for each in entry["candidates"]] == sorted(
        (each["score"] for each in entry["candidates"]), reverse=True
    )
    assert cd.Document.from_dict(linked.to_dict()) == linked


def test_only_codes_change(linker):
    note = cd.Document(
        "n1", "On metformin.", [cd.Span(3, 12, "drug", 0.5, "student")], covers={"drug"}, meta={"site": "A"}
    )
    (linked,) = cd.link([note], linker, candidates=0)
    assert linked == note.with_spans([cd.Span(3, 12, "drug", 0.5, "student", "D008687")], note.covers)


def test_an_abbreviation_means_what_the_note_says(linker):
    text = "Acute kidney injury (AKI) resolved. AKI is common, ALI is not."
    spans = [cd.Span(36, 39, "disease"), cd.Span(51, 54, "disease")]
    (linked,) = cd.link([cd.Document("n1", text, spans)], linker)
    assert [span.code for span in linked.spans] == ["D058186", None]


def test_the_parts_of_a_discontinuous_mention_are_read_together(linker):
    span = cd.Span(0, 26, "disease", fragments=((0, 5), (12, 18), (20, 26)))
    (linked,) = cd.link([cd.Document("n1", "acute liver/kidney  injury", [span])], linker)
    assert linked.spans[0].code == "D058186"


def test_labels_and_codes_that_are_there_are_respected(linker):
    note = cd.Document("n1", "metformin hypertension", [cd.Span(0, 9, "drug", code="mine"), cd.Span(10, 22, "disease")])
    (linked,) = cd.link([note], linker)
    assert [span.code for span in linked.spans] == ["mine", "D006973"]
    (linked,) = cd.link([note], linker, overwrite=True)
    assert [span.code for span in linked.spans] == ["D008687", "D006973"]
    (linked,) = cd.link([note], linker, labels=["finding"])
    assert linked is note
    (linked,) = cd.link(cd.link([note.with_spans(note.spans)], linker, labels=["disease"]), ["mine"], overwrite=True)
    assert [span.code for span in linked.spans] == [None, None]
    assert len(linked.meta["links"]) == 3  # what each of two runs looked up


def test_documents_are_taken_one_by_one(linker):
    linked = cd.link((document(name) for name in itertools.repeat("metformin")), linker)
    assert [next(linked).spans[0].code for _ in range(3)] == ["D008687"] * 3


@pytest.mark.parametrize(
    "options", [{"min_score": 1.5}, {"min_score": -0.1}, {"candidates": -1}, {"labels": "disease"}]
)
def test_options_that_do_not_fit_are_refused_at_once(linker, options):
    with pytest.raises(OptionError):
        cd.link([], linker, **options)


def test_a_linker_gives_at_least_one_candidate():
    with pytest.raises(OptionError, match="candidates=0"):
        cd.Linker(TERMS, candidates=0)


def test_an_empty_terminology_is_an_error_with_the_first_document():
    with pytest.raises(DataError, match="no names"):
        next(cd.link([document("fever")], []))


def test_concepts_of_one_name_are_all_candidates_in_the_order_of_the_terminology():
    linker = cd.Linker([cd.Concept("1", "Cold"), cd.Concept("2", "Common cold", ("cold",))], cache=False)
    assert [(each.code, each.score) for each in linker.candidates("cold")] == [("1", 1.0), ("2", 1.0)]


def test_spans_of_a_teacher_and_the_linker_agree_and_share_a_cached_automaton(tmp_path, monkeypatch):
    monkeypatch.setenv("CLINIDISTILL_CACHE", str(tmp_path))
    names = [f"{a}{b}{c}{d}mab" for a, b, c, d in itertools.product("bcdfglmnprst", "aeiou", "bcdfglmnprst", "aeiou")]
    path = tmp_path / "drugs.csv"
    rows = "".join(f"{at},{name},{name} beta\n" for at, name in enumerate(names))
    path.write_text("code,name,synonyms\n" + rows, encoding="utf-8")
    teacher = cd.load_teacher("terminology", path=path, label="drug")
    note = document(*names[:50])
    (found,) = teacher.predict([note])
    files = [*tmp_path.glob("automata/*")]
    assert len(files) == 1
    (linked,) = cd.link([found], path, overwrite=True, min_score=1)
    assert [span.code for span in linked.spans] == [span.code for span in found.spans] == [*map(str, range(50))]
    assert [*tmp_path.glob("automata/*")] == files


words = st.sampled_from(
    ["acute", "kidney", "injury", "disease", "diseases", "type", "1", "2", "of", "vitamin", "a", "b"]
)
phrases = st.lists(words, min_size=1, max_size=5).map(" ".join)


@given(st.lists(phrases, min_size=1, max_size=12, unique=True), phrases)
def test_a_name_itself_comes_first_and_scores_one_whatever_the_order_of_its_words(names, asked):
    index = NameIndex(names)
    for at, name in enumerate(names):
        for order in (name, " ".join(reversed(name.split()))):
            found = dict(index.search(order, len(names)))
            assert found[at] == pytest.approx(max(found.values())) == pytest.approx(1, abs=1e-5)
    found = index.search(asked, len(names))
    assert all(0 < score <= 1 + 1e-5 for _, score in found)
    shared = {at for at, name in enumerate(names) if {*map(stem, name.split())} & {*map(stem, asked.split())}}
    assert {at for at, _ in found} == shared


def test_what_is_no_document_is_told_so():
    with pytest.raises(OptionError, match="documents with spans, not str"):
        next(cd.link(["text"], ["fever"]))
