import io
import re
import tempfile
import warnings
import zipfile
from pathlib import Path

import pytest
from document_strategies import documents, texts
from hypothesis import given, settings
from hypothesis import strategies as st

import clinidistill as cd
from clinidistill.errors import ConfigError, DataError, OptionError
from clinidistill.types import Document, Span

ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
LEGAL = texts().map(lambda text: ILLEGAL.sub("", text))
IDS = st.lists(
    st.sampled_from(["a", "..", "/", "\\", "~", "%2E", "é", "😀", ".xmi", "\n", "&"]), min_size=1, max_size=5
)
NOTES = documents(text=LEGAL, ids=IDS.map("".join), fragments=False)

# As INCEpTION exports an annotator's document: the title is the file's name, the id the annotator's.
INCEPTION = """<?xml version="1.0" encoding="UTF-8"?>
<xmi:XMI xmlns:pos="http:///de/tudarmstadt/ukp/dkpro/core/api/lexmorph/type/pos.ecore" \
xmlns:tcas="http:///uima/tcas.ecore" xmlns:xmi="http://www.omg.org/XMI" xmlns:cas="http:///uima/cas.ecore" \
xmlns:type2="http:///de/tudarmstadt/ukp/dkpro/core/api/metadata/type.ecore" \
xmlns:type3="http:///de/tudarmstadt/ukp/dkpro/core/api/ner/type.ecore" \
xmlns:type4="http:///de/tudarmstadt/ukp/dkpro/core/api/segmentation/type.ecore" \
xmlns:custom="http:///webanno/custom.ecore" xmi:version="2.0">
    <cas:NULL xmi:id="0"/>
    <type2:DocumentMetaData xmi:id="2" sofa="1" begin="0" end="35" language="x-unspecified" \
documentTitle="letter.txt" documentId="admin" documentUri="file:/x/letter.txt" isLastSegment="false"/>
    <type4:Sentence xmi:id="10" sofa="1" begin="0" end="21"/>
    <type4:Token xmi:id="11" sofa="1" begin="0" end="2" order="0"/>
    <type3:NamedEntity xmi:id="20" sofa="1" begin="10" end="20" value="symptom" \
identifier="http://snomed.info/id/29857009"/>
    <type3:NamedEntity xmi:id="21" sofa="1" begin="26" end="35" value="medication"/>
    <type3:NamedEntity xmi:id="22" sofa="1" begin="0" end="2" value="deleted"/>
    <custom:Medication xmi:id="30" sofa="1" begin="26" end="35">
        <kinds>drug</kinds>
        <kinds>ingredient</kinds>
    </custom:Medication>
    <cas:Sofa xmi:id="1" sofaNum="1" sofaID="_InitialView" mimeType="text" \
sofaString="🙂 Denies chest pain.&#13;&#10;On metformin"/>
    <cas:View sofa="1" members="2 10 11 20 21 30"/>
</xmi:XMI>
"""
TEXT = "🙂 Denies chest pain.\r\nOn metformin"
SPANS = (Span(9, 19, "symptom", code="http://snomed.info/id/29857009"), Span(25, 34, "medication"))


def read(path, **options):
    return list(cd.load_dataset("xmi", path=path, **options))


def written(folder, content, name="x.xmi"):
    (folder / name).write_bytes(content.encode())
    return folder / name


def cas(*inner, sofa='sofaID="_InitialView" sofaString="secret"', version="1.0"):
    return "\n".join(
        [
            f'<?xml version="{version}" encoding="UTF-8"?>',
            '<xmi:XMI xmlns:xmi="http://www.omg.org/XMI" xmlns:cas="http:///uima/cas.ecore"'
            ' xmlns:n="http:///de/tudarmstadt/ukp/dkpro/core/api/ner/type.ecore" xmi:version="2.0">',
            f'<cas:Sofa xmi:id="1" sofaNum="1" {sofa}/>',
            *inner,
            "</xmi:XMI>",
        ]
    )


def entity(begin, end, value='value="x"', sofa=1):
    return f'<n:NamedEntity xmi:id="9" sofa="{sofa}" begin="{begin}" end="{end}" {value}/>'


@settings(max_examples=60, deadline=None)
@given(st.lists(NOTES, max_size=3, unique_by=lambda document: document.id.lower()))
def test_documents_come_back_as_they_were(some):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "notes"
        assert cd.MemoryDataset(some).save(path, format="xmi") == len(some)
        if not some:
            assert [each.name for each in path.iterdir()] == ["TypeSystem.xml"]
            return
        found = {each.id: each for each in read(path)}
        assert found == {each.id: each.with_spans(dict.fromkeys(each.spans)) for each in some}
        assert all(each.parent == path for each in path.rglob("*"))
        cd.MemoryDataset(some).save(path, format="xmi")  # what a save left may be replaced


@settings(max_examples=40, deadline=None)
@given(NOTES)
def test_cassis_reads_what_we_write_and_we_what_it_writes(document):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cassis

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "notes"
            cd.MemoryDataset([document]).save(path, format="xmi")
            (file,) = path.glob("*.xmi")
            types = cassis.load_typesystem(path / "TypeSystem.xml")
            theirs = cassis.load_cas_from_xmi(file, typesystem=types)
            assert theirs.sofa_string == document.text
            entities = theirs.select("de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity")
            assert sorted((each.begin, each.end, each.value) for each in entities) == [
                span.key for span in document.spans
            ]
            (metadata,) = theirs.select("de.tudarmstadt.ukp.dkpro.core.api.metadata.type.DocumentMetaData")
            assert metadata.documentTitle == document.id
            theirs.to_xmi(file)
            assert read(file) == [document.with_spans(dict.fromkeys(document.spans))]


def test_an_export_of_inception_is_read_and_its_offsets_count_code_units(tmp_path):
    path = written(tmp_path, INCEPTION)
    (found,) = read(path)
    assert found == Document("letter.txt", TEXT, SPANS)
    assert [found.mention(span) for span in found.spans] == ["chest pain", "metformin"]
    assert read(path, labels={"medication": "drug"}) == [
        Document("letter.txt", TEXT, (Span(25, 34, "drug"),), frozenset({"drug"}))
    ]


def test_a_custom_layer_its_name_as_label_and_features_with_several_values(tmp_path):
    path = written(tmp_path, INCEPTION)
    for layer in ("webanno.custom.Medication", "Medication"):
        assert read(path, layer=layer, feature=None)[0].spans == (Span(25, 34, "Medication"),)
    (found,) = read(path, layer="Medication", feature="kinds")
    assert [span.label for span in found.spans] == ["drug", "ingredient"]
    with pytest.raises(DataError, match=r"at \[26, 35\) has no 'value' \(see the option feature\)"):
        read(path, layer="Medication")
    assert read(path, layer="custom.Medication", feature=None)[0].spans == ()
    for options in ({"layer": ""}, {"feature": ""}):
        with pytest.raises(OptionError, match="need a name"):
            read(path, **options)


def test_an_archive_is_read_where_it_is_named(tmp_path):
    (tmp_path / "letter").mkdir()
    with zipfile.ZipFile(tmp_path / "letter" / "admin.zip", "w") as archive:
        archive.writestr("admin.xmi", INCEPTION.replace('begin="26" end="35" value', 'begin="26" end="99" value'))
        archive.writestr("TypeSystem.xml", "<typeSystemDescription/>")
    with pytest.raises(DataError, match=r"admin\.zip.admin\.xmi:\d+: offset 99 lies .* outside the text"):
        read(tmp_path / "letter" / "admin.zip")
    with zipfile.ZipFile(tmp_path / "letter" / "admin.zip", "w") as archive:
        archive.writestr("admin.xmi", INCEPTION.replace('documentTitle="letter.txt" documentId="admin"', ""))
    assert read(str(tmp_path / "*" / "*.zip")) == [Document("letter/admin", TEXT, SPANS)]
    with zipfile.ZipFile(tmp_path / "letter" / "admin.zip", "a") as archive:
        archive.writestr("other.xmi", cas())
    assert [each.id for each in read(tmp_path / "letter" / "admin.zip")] == ["admin/admin", "admin/other"]


@pytest.mark.parametrize(
    ("content", "reason"), [(b"PK no zip", "no zip archive"), (None, "holds no .xmi; export as UIMA CAS XMI")]
)
def test_an_archive_without_xmi_is_refused(content, reason, tmp_path):
    if content is None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("letter.json", "{}")
        content = packed.getvalue()
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(DataError, match=reason):
        read(tmp_path / "x.zip")


def test_xml_1_1_refers_to_control_characters(tmp_path):
    text = 'sofaID="_InitialView" sofaString="a&#1;&#x1F;&#13;&#10;b&#133;"'
    path = written(tmp_path, cas(entity(1, 3), sofa=text, version="1.1"))
    assert read(path) == [Document("x", "a\x01\x1f\r\nb\x85", (Span(1, 3, "x"),))]
    with pytest.raises(DataError, match="not well-formed"):
        read(written(tmp_path, cas(sofa=text, version="1.0")))


def test_annotations_of_other_views_are_passed_over(tmp_path):
    other = '<cas:Sofa xmi:id="2" sofaNum="2" sofaID="html" sofaString="other text"/>'
    path = written(tmp_path, cas(entity(0, 6), entity(0, 10, sofa=2), other))
    assert read(path) == [Document("x", "secret", (Span(0, 6, "x"),))]
    path = written(tmp_path, cas(entity(0, 6), sofa='sofaID="note" sofaString="secret"'))
    assert read(path) == [Document("x", "secret", (Span(0, 6, "x"),))]


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (cas(entity(0, 7)), 4, "offset 7 lies .* outside the text"),
        (cas(entity(3, 3)), 4, "is empty"),
        (cas(entity("x", 3)), 4, "needs begin and end"),
        (cas('<n:NamedEntity sofa="1" end="3"/>'), 4, "needs begin and end"),
        (cas(entity(0, 3, "")), 4, r"the NamedEntity at \[0, 3\) has no 'value' \(see the option feature\)"),
        (cas(entity(1, 3), sofa='sofaID="_InitialView" sofaString="🙂"'), 4, "lies inside a character"),
        (cas(sofa='sofaID="_InitialView" sofaURI="file:x"'), None, r"0 views with a text \(sofaString\)"),
        (cas('<cas:Sofa sofaID="b" sofaString=""/>', sofa='sofaID="a" sofaString=""'), None, "2 views with a text"),
        ("<html>\nsecret</html>", 1, "its root is not xmi:XMI"),
        (cas()[:-6], 4, "not well-formed XML"),
        ('<!DOCTYPE a [<!ENTITY b "secret">]>\n<a>&b;</a>', 1, "declares an entity"),
        ("", 1, "not well-formed XML"),
    ],
)
def test_a_fault_names_file_and_line_and_shows_no_text(content, line, reason, tmp_path):
    path = written(tmp_path, content)
    written(tmp_path, cas(), "y.xmi")
    with pytest.raises(DataError, match=reason) as caught:
        read(tmp_path)
    assert (caught.value.path, caught.value.line) == (path, line)
    assert "secret" not in str(caught.value)
    assert [each.id for each in read(tmp_path, on_error="skip")] == ["y"]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (Document("n1", "a\x00b"), r"document 'n1' holds U\+0000, which XML 1\.0 cannot"),
        (Document("n1", "a\ud800b"), r"holds U\+D800"),
        (Document("n1\x0b", "ab"), r"holds U\+000B"),
        (Document("n1", "abc", (Span(0, 3, "x", fragments=((0, 1), (2, 3))),)), "cannot say the discontinuous span"),
    ],
)
def test_what_xmi_cannot_say_is_refused(document, reason, tmp_path):
    with pytest.raises(DataError, match=reason):
        cd.MemoryDataset([document]).save(tmp_path / "notes", format="xmi")
    assert list(tmp_path.iterdir()) == []


def test_a_file_s_name_and_a_folder_with_other_files_are_refused(tmp_path):
    some = cd.MemoryDataset([Document("n1", "ab")])
    with pytest.raises(ConfigError, match="must be a folder"):
        some.save(tmp_path / "x.xmi")
    (tmp_path / "notes").mkdir()
    written(tmp_path / "notes", "mine", "diary.xml")
    with pytest.raises(DataError, match=r"holds more than \.xmi files"):
        some.save(tmp_path / "notes", format="xmi")


def test_documents_are_written_one_at_a_time(tmp_path, monkeypatch):
    from clinidistill.datasets import xmi

    made, at_writing = [], []

    def many():
        for number in range(5):
            made.append(number)
            yield Document(str(number), "x")

    original = xmi.encode
    monkeypatch.setattr(xmi, "encode", lambda *given: (at_writing.append(len(made)), original(*given))[1])
    xmi.Xmi.write(many(), tmp_path / "notes")
    assert at_writing == [1, 2, 3, 4, 5]
