import gzip
import io
import json
import re
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from document_strategies import LABELS, documents, texts
from hypothesis import given, settings
from hypothesis import strategies as st

import clinidistill as cd
from clinidistill.datasets.bioc import BioC
from clinidistill.datasets.json_items import json_objects
from clinidistill.errors import ConfigError, DataError, OptionError
from clinidistill.types import Document, Span

ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
LEGAL = texts().map(lambda text: ILLEGAL.sub("", text))

# As PubTator 3 gives it out: the abstract begins one character after the title.
PUBTATOR_XML = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE collection SYSTEM "BioC.dtd">
<collection><source>PubTator</source><date/><key>BioC.key</key>
<document><id>227</id><infon key="tt_version">0</infon>
<passage><infon key="type">title</infon><offset>0</offset><text>Naloxone &amp; pain.</text>
<annotation id="2"><infon key="identifier">MESH:D009270</infon><infon key="type">Chemical</infon>
<location offset="0" length="8"/><text>Naloxone</text></annotation>
</passage>
<passage><infon key="type">abstract</infon><offset>17</offset><text>It was 5 µg in HeLa and Vero cells.</text>
<annotation id="3"><infon key="identifier">-</infon><infon key="type">CellLine</infon>
<location offset="32" length="4"/><location offset="46" length="5"/><text>HeLa cells</text></annotation>
<annotation id="4"><infon key="type">MeSH_Indexing</infon><infon key="identifier">D1</infon><text></text></annotation>
<relation id="R1"><infon key="type">Association</infon><node refid="2" role="a"/></relation>
</passage></document>
</collection>
"""
EXPECTED = Document(
    "227",
    "Naloxone & pain.\nIt was 5 µg in HeLa and Vero cells.",
    (Span(0, 8, "Chemical", code="MESH:D009270"), Span(32, 51, "CellLine", fragments=((32, 36), (46, 51)))),
    meta={"tt_version": "0"},
)
PUBTATOR_JSON = {
    "_id": "227|None",
    "id": "227",
    "infons": {"tt_version": "0"},
    "passages": [
        {
            "infons": {"type": "title", "section_type": "TITLE"},
            "offset": 0,
            "text": "Naloxone & pain.",
            "sentences": [],
            "annotations": [
                {
                    "id": "2",
                    "infons": {
                        "identifier": "MESH:D009270",
                        "type": "Chemical",
                        "valid": True,
                        "normalized": ["D009270"],
                        "database": "ncbi_mesh",
                        "accession": "@CHEMICAL_Naloxone",
                    },
                    "text": "Naloxone",
                    "locations": [{"offset": 0, "length": 8}],
                }
            ],
            "relations": [],
        },
        {
            "infons": {"type": "abstract"},
            "offset": 17,
            "text": "It was 5 µg in HeLa and Vero cells.",
            "annotations": [
                {
                    "id": "3",
                    "infons": {"identifier": None, "type": "CellLine"},
                    "text": "HeLa cells",
                    "locations": [{"offset": 32, "length": 4}, {"offset": 46, "length": 5}],
                }
            ],
        },
    ],
    "relations": [{"id": "R1", "infons": {"score": "0.5", "type": "Cotreatment"}}],
}


def read(path, **options):
    return list(cd.load_dataset("bioc", path=path, **options))


def written(folder, content, name="x.bioc.xml"):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


def collection(*inner):
    return "<collection>\n" + "\n".join(inner) + "\n</collection>"


def note(text, annotations="", offset=0, key="n1", after=""):
    head = f"<document>\n<id>{key}</id>\n<passage>\n<offset>{offset}</offset><text>{text}</text>\n"
    return f"{head}{annotations}\n</passage>\n{after}</document>"


def mention(offset, length, text, label="x"):
    return (
        f'<annotation id="T1"><infon key="type">{label}</infon>\n<location offset="{offset}" length="{length}"/>'
        f"<text>{text}</text></annotation>"
    )


@settings(max_examples=80, deadline=None)
@given(
    st.lists(documents(text=LEGAL), max_size=3, unique_by=lambda document: document.id),
    st.none() | st.frozensets(st.sampled_from(LABELS)),
    st.dictionaries(st.sampled_from(["id", "meta", "covers", "ward"]), st.integers() | st.none() | LEGAL, max_size=3),
    st.sampled_from([(1.0, None), (0.3, "gpt-4")]),
    st.sampled_from(["x.bioc.xml", "x.bioc.json", "x.bioc.xml.gz", "x.bioc.json.gz"]),
)
def test_documents_come_back_as_they_were(some, covers, meta, extra, name):
    score, source = extra
    some = [
        replace(
            each,
            spans=tuple(dict.fromkeys(replace(span, score=score, source=source) for span in each.spans)),
            covers=covers,
            meta=meta,
        )
        for each in some
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        assert cd.MemoryDataset(some).save(path) == len(some)
        assert read(path) == some


@settings(max_examples=30, deadline=None)
@given(documents(text=texts()))
def test_json_holds_every_character(document):
    with tempfile.TemporaryDirectory() as folder:
        cd.MemoryDataset([document]).save(Path(folder) / "x.bioc.json")
        assert read(Path(folder) / "x.bioc.json") == [document.with_spans(dict.fromkeys(document.spans))]


@settings(max_examples=30, deadline=None)
@given(documents(text=LEGAL), st.sampled_from(["xml", "json"]))
def test_the_bioc_package_reads_what_we_write_and_we_what_it_writes(document, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from bioc import biocjson, biocxml
    library = biocxml if kind == "xml" else biocjson
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x.bioc.{kind}"
        cd.MemoryDataset([document]).save(path)
        theirs = library.loads(path.read_bytes().decode()) if kind == "json" else library.load(str(path))
        (found,) = theirs.documents
        (passage,) = found.passages
        assert (found.id, passage.text or "") == (document.id, document.text)
        assert [
            (each.infons["type"], each.text, [(at.offset, at.offset + at.length) for at in each.locations])
            for each in passage.annotations
        ] == [
            (span.label, document.mention(span), list(span.fragments or ((span.start, span.end),)))
            for span in document.spans
        ]
        path.write_text(library.dumps(theirs), encoding="utf-8", newline="")
        assert read(path) == [document.with_spans(dict.fromkeys(document.spans))]


def test_pubtator_s_xml_is_read(tmp_path):
    assert read(written(tmp_path, PUBTATOR_XML)) == [EXPECTED]
    assert read(written(tmp_path, gzip.compress(PUBTATOR_XML.encode()), "227.BioC.XML.gz")) == [EXPECTED]


@pytest.mark.parametrize(
    "content",
    [
        {"PubTator3": [PUBTATOR_JSON]},
        [{"bioctype": "BioCCollection", "source": "PMC", "documents": [PUBTATOR_JSON]}],
        {"source": "PubTator", "date": "", "key": "", "infons": {}, "documents": [PUBTATOR_JSON]},
        [PUBTATOR_JSON],
        PUBTATOR_JSON,
    ],
)
def test_json_comes_as_a_collection_a_list_or_a_document(content, tmp_path):
    assert read(written(tmp_path, json.dumps(content), "x.json")) == [EXPECTED]
    assert read(written(tmp_path, json.dumps(content, indent=1), "x.biocjson")) == [EXPECTED]


def test_json_lines_hold_a_document_each(tmp_path):
    lines = [json.dumps({**PUBTATOR_JSON, "id": number}) for number in (1, 2)]
    assert [each.id for each in read(written(tmp_path, "\n".join(lines), "x.json"))] == ["1", "2"]


def test_sentences_have_text_and_annotations_of_their_own_and_so_have_documents(tmp_path):
    content = collection(
        "<document><id>1</id><passage><offset>0</offset>"
        f"<sentence><offset>0</offset><text>A cough.</text>{mention(2, 5, 'cough')}</sentence>"
        f"<sentence><offset>10</offset><text>No pain.</text>{mention(13, 4, 'pain')}</sentence></passage>"
        f"{mention(10, 2, 'No', 'negation')}</document>"
    )
    (found,) = read(written(tmp_path, content))
    assert found == Document("1", "A cough. \nNo pain.", (Span(2, 7, "x"), Span(10, 12, "negation"), Span(13, 17, "x")))


@pytest.mark.parametrize(("unit", "offset", "length"), [("code-points", 6, 3), ("utf-8", 13, 4), ("utf-16", 8, 3)])
def test_offsets_may_count_bytes_or_code_units(unit, offset, length, tmp_path):
    second = {"code-points": 4, "utf-8": 8, "utf-16": 5}[unit]
    first = "<passage><offset>0</offset><text>🙂µ.</text></passage>"
    content = (
        f"<document><id>1</id>{first}<passage><offset>{second}</offset><text>(🙂5µg)</text>"
        f"{mention(offset, length, '5µg')}</passage></document>"
    )
    path = written(tmp_path, collection(content))
    (found,) = read(path, offsets=unit)
    assert (found.text, found.mention(found.spans[0])) == ("🙂µ.\n(🙂5µg)", "5µg")
    for other in {"code-points", "utf-8", "utf-16"} - {unit}:
        with pytest.raises(DataError, match="check what offsets count here"):
            read(path, offsets=other)
    for wrong in ("bytes", "graphemes"):
        with pytest.raises(OptionError, match="utf-8"):
            read(path, offsets=wrong)


def test_a_normalised_text_passes_where_it_need_not_agree(tmp_path):
    path = written(tmp_path, collection(note("High TNF-α.", mention(5, 5, "TNF-a"))))
    with pytest.raises(
        DataError, match=r"x\.bioc\.xml:6: annotation 'T1': the text at \[5, 10\) .* or say check=False"
    ):
        read(path)
    assert read(path, check=False)[0].spans == (Span(5, 10, "x"),)


def test_other_infons_may_hold_label_and_code_and_other_labels_faults(tmp_path):
    annotation = (
        '<annotation id="1"><infon key="kind">Gene</infon><infon key="NCBI Gene identifier">7157</infon>'
        '<infon key="score">high</infon><location offset="0" length="4"/><text>TP53</text></annotation>'
        '<annotation id="2"><infon key="kind">Ghost</infon><location offset="0" length="0"/><text/></annotation>'
    )
    path = written(tmp_path, collection(note("TP53", annotation)))
    options = {"label_infon": "kind", "code_infon": "NCBI Gene identifier"}
    (found,) = read(path, labels={"Gene": "gene"}, **options)
    assert found == Document("n1", "TP53", (Span(0, 4, "gene", code="7157"),), {"gene"})
    with pytest.raises(DataError, match="annotation '2': a location has the length 0"):
        read(path, **options)
    with pytest.raises(DataError, match="annotation '1': has no infon 'type'"):
        read(path)


@pytest.mark.parametrize(
    ("document", "line", "reason"),
    [
        (note("secret", mention(1, 6, "secret")), 6, "annotation 'T1': offset 7 lies .* outside the text"),
        (note("secret", mention(1, 5, "secret")), 6, r"\[1, 6\) is not the annotation's"),
        (note("secret", mention("-1", 5, "secret")), 6, "want 'offset', a whole number"),
        (note("secret", mention(0, "x", "secret")), 6, "want 'length', a whole number"),
        (note("secret", mention(0, 6, "secret", label="")), 6, "has no infon 'type'"),
        (note("secret", key=""), 2, "non-empty string as its id"),
        (note("secret", offset="zero"), 2, "want 'offset'"),
        (note("secret", offset=10**9), 2, "begins 1000000000 characters after the last one"),
        (
            note("secret", after="<passage><offset>3</offset><text>secret</text></passage>"),
            2,
            "passage at offset 3 begins inside the one before it",
        ),
        ("<document><passage><offset>0</offset><text>secret</text></passage></document>", 2, "needs an 'id'"),
    ],
)
def test_a_fault_names_file_line_and_annotation_and_shows_no_text(document, line, reason, tmp_path):
    path = written(tmp_path, collection(document, note("Fine.", key="n2")))
    with pytest.raises(DataError, match=reason) as caught:
        read(path)
    assert (caught.value.path, caught.value.line) == (path, line)
    assert "secret" not in str(caught.value)
    assert [each.id for each in read(path, on_error="skip")] == ["n2"]


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("", 1, "neither XML nor JSON"),
        ("secret", 1, "neither XML nor JSON"),
        ("<html>\nsecret</html>", 1, "the root element is <html>; BioC has a <collection>"),
        ("<collection>\n<document>\n<id>secret", 3, "not well-formed XML .*; is it whole"),
        ('<!DOCTYPE a [<!ENTITY b "secret">]>\n<collection>&b;</collection>', 1, "declares an entity"),
        ('<!DOCTYPE collection SYSTEM "BioC.dtd">\n<collection>&nbsp;</collection>', 2, "declared nowhere"),
        ('{"documents": [\n{"id": "secret" 3}]}', 2, "no JSON of this format: want , or } here"),
        ('{"documents": [\n3]}', 2, "want { here"),
        ('[{"id": 1, "passages": []}', 1, "want , or ] here"),
        ('{"id": "secret}', 1, "Unterminated string"),
        ("{3: 4}", 1, "want a key here"),
        ('{"n": ' + "9" * 5000 + "}", 1, "a number too long"),
        ("[[]]", 1, "want { here"),
        ('{"id": "1", "passages": {}}', 1, "document '1' has no passages"),
        ('{"id": "1", "passages": [3]}', 1, "'passages' must be a list of objects"),
        ('{"id": true}', 1, "needs an 'id'"),
        ('{"id": "1", "infons": [1], "passages": []}', 1, "'infons' must be an object"),
        ('{"id": "1", "passages": [{"offset": 0, "text": 5}]}', 1, "text must be a string"),
    ],
)
def test_a_file_that_is_no_bioc_is_refused_with_its_line(content, line, reason, tmp_path):
    path = written(tmp_path, content)
    with pytest.raises(DataError, match=reason) as caught:
        read(path)
    assert (caught.value.path, caught.value.line) == (path, line)
    assert "secret" not in str(caught.value)


def test_a_damaged_gzip_stream_is_refused(tmp_path):
    with pytest.raises(DataError, match="damaged or cut short"):
        read(written(tmp_path, gzip.compress(PUBTATOR_XML.encode())[:-20], "x.bioc.xml.gz"))


def test_documents_are_read_and_written_one_at_a_time(tmp_path, monkeypatch):
    def many(alive):
        for number in range(400):
            alive.append(number)
            yield Document(str(number), "On ramipril. " * 100)

    made = []
    path = tmp_path / "x.bioc.xml"
    sizes = []

    class Watched(io.BytesIO):
        def write(self, data):
            sizes.append((len(made), len(data)))
            return super().write(data)

    from contextlib import contextmanager

    @contextmanager
    def watched(_):
        yield Watched()

    with monkeypatch.context() as patch:
        patch.setattr("clinidistill.datasets.bioc.replacing_file", watched)
        assert BioC.write(many(made), path) == 400
    assert [count for count, _ in sizes[1:6]] == [1, 2, 3, 4, 5]  # each is written before the next is asked for

    BioC.write(many([]), path)
    fed = []
    from clinidistill.datasets import bioc

    original = bioc.chunks

    def counted(path):
        for piece in original(path):
            fed.append(len(piece))
            yield piece

    monkeypatch.setattr(bioc, "chunks", counted)
    first = next(iter(cd.load_dataset("bioc", path=path)))
    assert first.id == "0"
    assert sum(fed) < path.stat().st_size / 2


def test_json_objects_come_before_what_follows_is_read(tmp_path):
    objects = json_objects(written(tmp_path, '{"documents": [{"id": 1},\n {"id": 2}, !'), ["documents"])
    assert [next(objects), next(objects)] == [(1, {"id": 1}), (2, {"id": 2})]
    with pytest.raises(DataError, match=r"x\.bioc\.xml:2:13: "):
        next(objects)


def test_the_ending_says_xml_or_json_and_characters_that_xml_lacks_are_refused(tmp_path):
    some = cd.MemoryDataset([Document("n1", "a\x0bb")])
    with pytest.raises(ConfigError, match=r"end it in \.bioc\.xml or \.bioc\.json"):
        some.save(tmp_path / "x", format="bioc")
    with pytest.raises(DataError, match=r"document 'n1' holds U\+000B, which XML 1\.0 cannot"):
        some.save(tmp_path / "x.bioc.xml")
    with pytest.raises(DataError, match="meta that is not JSON"):
        cd.MemoryDataset([Document("n1", "x", meta={"a": {1}})]).save(tmp_path / "x.bioc.json")
    assert list(tmp_path.iterdir()) == []
    assert some.save(tmp_path / "x.bioc.json") == 1
