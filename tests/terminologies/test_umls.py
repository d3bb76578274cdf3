import gzip
import zipfile

import pytest

from clinidistill.errors import DataError
from clinidistill.terminologies import Concept, Terminology, load_terminology
from clinidistill.terminologies.umls import Umls


def name(cui, text, sab="SNOMEDCT_US", tty="PT", lat="ENG", marks="P PF Y", suppress="N"):
    """A row of MRCONSO: its 18 columns, each closed by a bar."""
    ts, stt, ispref = marks.split()
    return f"{cui}|{lat}|{ts}|L1|{stt}|S1|{ispref}|A1||||{sab}|{tty}|1|{text}|9|{suppress}|256|\n"


NAMES = (
    name("C0004057", "ASA", sab="NCI", tty="AB", marks="S PF Y")
    + name("C0004057", "ASPIRIN", sab="MSH", tty="MH", marks="P PF N")
    + name("C0004057", "aspirin", sab="RXNORM", tty="IN", marks="P VC Y")
    + name("C0004057", "Aspirin", marks="P PF Y")
    + name("C0004057", "Aspirina", lat="SPA", sab="SCTSPA")
    + name("C0004057", "old aspirin", suppress="O")
    + name("C0011849", "Diabetes mellitus")
    + name("C0011849", "Diabetes", sab="ICD10CM", tty="HT", suppress="Y")
    + name("C0011860", "diabète de type 2", lat="FRE", sab="MSHFRE")
    + name("C0012833", "Dizziness")
)
TYPES = (
    "C0004057|T109|A1.4.1.2.1|Organic Chemical|AT1|256|\n"
    "C0004057|T121|A1.4.1.1.1|Pharmacologic Substance|AT2|256|\n"
    "C0011849|T047|B2.2.1.2.1|Disease or Syndrome|AT3|256|\n"
    "C0011860|T047|B2.2.1.2.1|Disease or Syndrome|AT4|256|\n"
    "C0012833|T184|A2.2.2|Sign or Symptom|AT5|256|\n"
)
TABLES = {"MRCONSO.RRF": NAMES, "MRSTY.RRF": TYPES}


def meta(tmp_path, tables=TABLES):
    path = tmp_path / "2024AA"
    (path / "META").mkdir(parents=True, exist_ok=True)
    for file, content in tables.items():
        (path / "META" / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path, **options):
    return {concept.code: concept for concept in load_terminology("umls", path=path, **options)}


def test_concepts_have_english_names_the_preferred_one_first_and_semantic_types(tmp_path):
    concepts = read(meta(tmp_path))
    assert list(concepts) == ["C0004057", "C0011849", "C0012833"]
    assert concepts["C0004057"] == Concept(
        "C0004057",
        "Aspirin",
        ("ASPIRIN", "aspirin", "ASA"),
        frozenset({"T109", "Organic Chemical", "T121", "Pharmacologic Substance"}),
    )
    assert concepts["C0011849"].terms == ("Diabetes mellitus",)


@pytest.mark.parametrize(
    ("options", "terms"),
    [
        ({"language": "SPA"}, ["Aspirina"]),
        ({"language": None, "semantic_types": ["T047"]}, ["Diabetes mellitus", "diabète de type 2"]),
        ({"sources": ["NCI", "ICD10CM"]}, ["ASA"]),
        ({"sources": ["ICD10CM"], "suppressed": True}, ["Diabetes"]),
        ({"term_types": ["MH", "IN"]}, ["ASPIRIN", "aspirin"]),
        ({"semantic_types": ["sign or symptom", "T999"]}, ["Dizziness"]),
    ],
)
def test_options_choose_names_and_concepts(tmp_path, options, terms):
    assert [term for concept in read(meta(tmp_path), **options).values() for term in concept.terms] == terms


def test_it_is_read_alike_from_folders_zips_and_packed_or_split_tables(tmp_path):
    path = meta(tmp_path)
    whole = read(path)
    archive = tmp_path / "2024aa-1-meta.nlm"
    middle = NAMES.index("C0004057|ENG|P|L1|VC")
    parts = {
        "MRCONSO.RRF.aa.gz": gzip.compress(NAMES[:middle].encode()),
        "MRCONSO.RRF.ab.gz": gzip.compress(NAMES[middle:].encode()),
        "MRSTY.RRF.gz": gzip.compress(TYPES.encode()),
    }
    with zipfile.ZipFile(archive, "w") as file:
        for part, content in parts.items():
            file.writestr(f"2024AA/META/{part}", content)
    split = meta(tmp_path / "split", parts)
    places = [path / "META", path / "META/MRCONSO.RRF", archive, split, split / "META/MRCONSO.RRF.aa.gz"]
    assert [read(place) for place in places] == [whole] * 5
    assert Umls(archive).source_files() == [archive]
    assert Umls(split).source_files() == [split / "META" / part for part in parts]


def test_names_without_types_are_enough_unless_types_are_asked_for(tmp_path):
    path = meta(tmp_path, {"MRCONSO.RRF": NAMES})
    assert read(path)["C0012833"] == Concept("C0012833", "Dizziness")
    assert Umls(path).source_files() == [path / "META/MRCONSO.RRF"]
    with pytest.raises(DataError, match=r"no MRSTY.RRF \(the semantic types of concepts\)"):
        read(path, semantic_types=["T047"])


def test_missing_names_are_reported(tmp_path):
    with pytest.raises(DataError, match=r"no MRCONSO.RRF \(the names of concepts\)"):
        read(meta(tmp_path, {"MRSTY.RRF": TYPES}))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"language": "GER"}, r"language=\['GER'\] leaves no row; LAT is 'ENG', 'FRE', 'SPA'"),
        ({"language": "FRE", "sources": ["MSH"]}, r"sources=\['MSH'\] leaves no row; SAB is 'MSHFRE'"),
        ({"term_types": ["XX"]}, r"term_types=\['XX'\] leaves no row; TTY is 'AB'"),
        ({"sources": ["ICD10CM"]}, r"suppressed=False leaves no row; SUPPRESS is 'Y'"),
        ({"semantic_types": ["T001"]}, r"semantic_types=\['t001'\] leaves no concept"),
    ],
)
def test_an_option_that_leaves_nothing_is_named(tmp_path, options, reason):
    with pytest.raises(DataError, match=rf"MRCONSO.RRF: {reason}"):
        read(meta(tmp_path), **options)


@pytest.mark.parametrize(
    ("table", "row", "place"),
    [
        ("MRCONSO.RRF", "C0099999|ENG|P", "11:15: 2 columns.* where this table has 18"),
        ("MRCONSO.RRF", name("C0000001", "x"), "11: MRCONSO.RRF is not sorted by CUI"),
        ("MRSTY.RRF", "C0012833|T184|\n", "6:15: 2 columns.* where this table has 6"),
        ("MRSTY.RRF", "C0000001|T184|A|Sign|AT|256|\n", "6: MRSTY.RRF is not sorted by CUI"),
        ("MRSTY.RRF", b"C0012833|T184|A|Si\xf1|AT|256|\n", "6:19: not UTF-8"),
    ],
)
def test_what_is_not_as_published_names_file_line_and_column(tmp_path, table, row, place):
    names = NAMES + name("C9999999", "last") if table == "MRSTY.RRF" else NAMES  # so that all types are read
    tables = {"MRCONSO.RRF": names.encode(), "MRSTY.RRF": TYPES.encode()}
    tables[table] += row if isinstance(row, bytes) else row.encode()
    with pytest.raises(DataError, match=rf"{table}:{place}"):
        read(meta(tmp_path, tables))


def test_a_path_to_its_names_tells_the_format(tmp_path):
    assert type(Terminology.of(meta(tmp_path) / "META/MRCONSO.RRF")) is Umls
    assert type(Terminology.of("MRCONSO.RRF.gz")) is Umls
    assert type(Terminology.of("umls-2024AB-mrconso.zip")) is Umls
