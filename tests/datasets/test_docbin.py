import sys
import tempfile
import warnings
import zlib
from pathlib import Path

import pytest
from document_strategies import LABELS, documents, texts
from hypothesis import given, settings
from hypothesis import strategies as st

import clinidistill as cd
from clinidistill.errors import ConfigError, DataError
from clinidistill.types import Document, Span

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import spacy
    import srsly
    from spacy.tokens import Doc, DocBin, SpanGroup
    from spacy.training import Corpus

NLP = spacy.blank("en")


@st.composite
def whole(draw):
    """Documents with all that they can hold."""
    document = draw(documents(overlapping=draw(st.booleans()), fragments=draw(st.booleans())))
    score, source, status = draw(st.sampled_from([(1.0, None, None), (0.3, "gpt-4", "fuzzy")]))
    spans = {
        Span(each.start, each.end, each.label, score, source, each.code, each.fragments, status)
        for each in document.spans
    }
    meta = draw(st.dictionaries(texts(), st.integers() | st.none() | texts(), max_size=2))
    covers = draw(st.none() | st.frozensets(st.sampled_from(LABELS)))
    return Document(document.id, document.text, tuple(spans), covers, meta)


def read(path, **options):
    return list(cd.load_dataset("docbin", path=path, **options))


def packed(folder, *docs, name="x.spacy", **options):
    DocBin(docs=docs, **options).to_disk(folder / name)
    return folder / name


def doc(text="On aspirin or ASA.", *ents, **groups):
    made = NLP(text)
    if ents:
        made.set_ents([made.char_span(*each) for each in ents])
    for key, spans in groups.items():
        made.spans[key] = [made.char_span(*each) for each in spans]
    return made


@settings(max_examples=30, deadline=None)
@given(st.lists(whole(), max_size=3, unique_by=lambda document: document.id))
def test_documents_come_back_whole_and_spacy_finds_their_spans(some):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.spacy"
        assert cd.MemoryDataset(some).save(path) == len(some)
        assert read(path) == some
        theirs = list(DocBin().from_disk(path).get_docs(NLP.vocab))
    for made, document in zip(theirs, some, strict=True):
        assert made.text == document.text
        expected = [(*span.key, span.code or "") for span in document.spans]
        group = made.spans.get("sc", [])
        assert [(each.start_char, each.end_char, each.label_, each.kb_id_) for each in group] == expected
        if made.ents:
            assert [(each.start_char, each.end_char, each.label_, each.kb_id_) for each in made.ents] == expected
        flat = not any(span.fragments for span in document.spans) and all(
            left.end <= right.start for left, right in zip(document.spans, document.spans[1:], strict=False)
        )
        assert bool(made.ents) == bool(flat and document.spans)


def test_spacy_trains_on_what_we_write(tmp_path):
    notes = [
        Document("n1", "Naïve 😀  on ramipril5mg.\r\nNo ASA", (Span(12, 20, "drug"),)),
        Document("n2", "Nobody looked.", covers=()),
    ]
    cd.MemoryDataset(notes).save(tmp_path / "train.spacy")
    (first, second) = Corpus(tmp_path / "train.spacy")(NLP)
    assert [(ent.text, ent.label_) for ent in first.reference.ents] == [("ramipril", "drug")]
    assert set(first.get_aligned_ner()) <= {"O", "U-drug", "B-drug", "L-drug", None}
    assert set(second.get_aligned_ner()) == {None}  # spaCy learns nothing from it, either


def test_entities_are_read_and_a_group_comes_before_them(tmp_path):
    path = packed(
        tmp_path,
        doc("On aspirin or ASA.", (3, 10, "drug", "6809")),
        doc("On aspirin or ASA.", (3, 10, "drug"), sc=[(3, 17, "all"), (14, 17, "drug")]),
        doc("On aspirin or ASA.", (3, 10, "drug"), sc=[], ruler=[(0, 2, "x")]),
    )
    found = read(path)
    assert [[(*span.key, span.code) for span in each.spans] for each in found] == [
        [(3, 10, "drug", "6809")],
        [(3, 17, "all", None), (14, 17, "drug", None)],
        [(3, 10, "drug", None)],
    ]
    assert [each.id for each in found] == ["x-1", "x-2", "x-3"]
    assert [len(each.spans) for each in read(path, spans_key=None)] == [1, 1, 1]
    assert read(path, spans_key="ruler", labels={"x": "y"})[2].spans == (Span(0, 2, "y"),)


def test_scores_of_a_span_group_are_read_as_the_span_categorizer_leaves_them(tmp_path):
    made = doc()
    group = SpanGroup(made, name="sc", spans=[made.char_span(3, 10, "drug"), made.char_span(14, 17, "drug")])
    group.attrs["scores"] = [0.25, 0.5]
    made.spans["sc"] = group
    assert [span.score for span in read(packed(tmp_path, made))[0].spans] == [0.25, 0.5]
    cd.MemoryDataset([Document("n", "ab cd", (Span(0, 2, "x", 0.25),))]).save(tmp_path / "y.spacy")
    (theirs,) = DocBin().from_disk(tmp_path / "y.spacy").get_docs(NLP.vocab)
    assert list(theirs.spans["sc"].attrs["scores"]) == [0.25]


def test_a_doc_in_which_nobody_looked_covers_nothing(tmp_path):
    looked = doc()
    looked.set_ents([])
    found = read(packed(tmp_path, doc(), looked, doc(sc=[])))
    assert [each.covers for each in found] == [frozenset(), None, None]


def test_a_pipeline_s_changes_count_and_what_travelled_stays(tmp_path):
    note = Document(
        "n1", "On aspirin or ASA.", (Span(3, 10, "drug", 0.5, "gpt"), Span(14, 17, "drug")), {"drug"}, {"a": 1}
    )
    cd.MemoryDataset([note]).save(tmp_path / "x.spacy")
    (theirs,) = DocBin().from_disk(tmp_path / "x.spacy").get_docs(NLP.vocab)
    theirs.spans["sc"] = [theirs.char_span(3, 10, "drug", kb_id="1191"), theirs.char_span(0, 2, "other")]
    (found,) = read(packed(tmp_path, theirs, store_user_data=True))
    spans = (Span(0, 2, "other"), Span(3, 10, "drug", 0.5, "gpt", "1191"))
    assert found == Document("n1", note.text, spans, {"drug"}, {"a": 1})


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: Doc(NLP.vocab, words=["very", "secret"]), "doc 2: made of words without spaces"),
        (lambda: doc("is secret", ruler=[(3, 9, "x")]), "doc 2: no entities, but spans under 'ruler'; say which"),
        (lambda: doc("is secret", sc=[(3, 9, "")]), r"doc 2: span \[3, 9\) has no label"),
        (lambda: _with_data("{secret"), r"user_data\['clinidistill'\] is not what was written there"),
        (lambda: _with_data('{"id": "secret"}'), r"user_data\['clinidistill'\] is not what was written there"),
    ],
)
def test_a_doc_that_cannot_be_read_is_named_and_shows_no_text(made, reason, tmp_path):
    path = packed(tmp_path, doc(), made(), store_user_data=True)
    with pytest.raises(DataError, match=reason) as caught:
        read(path)
    assert caught.value.path == path
    assert "secret" not in str(caught.value)
    assert [each.id for each in read(path, on_error="skip")] == ["x-1"]


def _with_data(line):
    made = doc("is secret")
    made.user_data["clinidistill"] = line
    return made


def test_what_is_no_docbin_or_damaged_is_refused(tmp_path):
    whole = packed(tmp_path, doc(), doc()).read_bytes()
    data = srsly.msgpack_loads(zlib.decompress(whole))
    broken = [b"no zlib", whole[:-9], zlib.compress(srsly.msgpack_dumps([1])), zlib.compress(b"\xc1")]
    for changes in ({"lengths": b"\0"}, {"tokens": data["tokens"][:-5]}, {"attrs": []}):
        broken.append(zlib.compress(srsly.msgpack_dumps({**data, **changes})))
    for content in broken:
        (tmp_path / "x.spacy").write_bytes(content)
        with pytest.raises(DataError, match="no whole DocBin|is damaged"):
            read(tmp_path)
    groups = {**data, "span_groups": [b"", b"\xc1"]}
    (tmp_path / "x.spacy").write_bytes(zlib.compress(srsly.msgpack_dumps(groups)))
    with pytest.raises(DataError, match="doc 2 is damaged"):
        read(tmp_path)


def test_a_folder_of_files_is_written_some_documents_at_a_time(tmp_path, monkeypatch):
    from clinidistill.datasets import docbin

    monkeypatch.setattr(docbin, "_A_FILE", 2)
    made = []

    def many():
        for number in range(5):
            made.append(number)
            yield Document(str(number), "On aspirin.", (Span(3, 10, "drug"),))

    sizes, original = [], docbin.DocBinFile.write
    packs = docbin._packed
    monkeypatch.setattr(docbin, "_packed", lambda some: (sizes.append(len(made)), packs(some))[1])
    assert original(many(), tmp_path / "notes") == 5
    assert sizes == [0, 2, 4, 5]
    assert len(list((tmp_path / "notes").glob("*.spacy"))) == 3
    assert [each.id for each in read(tmp_path / "notes")] == list("01234")
    assert cd.MemoryDataset([]).save(tmp_path / "notes", format="docbin") == 0
    assert read(tmp_path / "notes") == []


def test_what_cannot_be_written_leaves_no_file(tmp_path):
    for document, reason in [
        (Document("n1", "\ud800"), "document 'n1' holds lone surrogates"),
        (Document("n1", "x", meta={"a": {1}}), "meta that is not JSON"),
    ]:
        with pytest.raises(DataError, match=reason):
            cd.MemoryDataset([document]).save(tmp_path / "x.spacy")
    assert list(tmp_path.iterdir()) == []


def test_without_spacy_the_extra_is_named(tmp_path, monkeypatch):
    path = packed(tmp_path, doc())
    monkeypatch.setitem(sys.modules, "spacy", None)
    for does in (lambda: read(path), lambda: cd.MemoryDataset([]).save(tmp_path / "y.spacy")):
        with pytest.raises(ConfigError, match=r"pip install 'clinidistill\[spacy\]'"):
            does()
