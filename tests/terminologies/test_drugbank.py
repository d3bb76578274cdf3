import csv
import io
import zipfile

import pytest

from clinidistill.errors import DataError, OptionError
from clinidistill.settings import Settings
from clinidistill.terminologies import Concept, Terminology, load_terminology
from clinidistill.terminologies.drugbank import DrugBank

HEADER = "DrugBank ID,Accession Numbers,Common name,CAS,UNII,Synonyms,Standard InChI Key\n"
FILE = (
    HEADER
    + "DB00001,BIOD00024 | BTD00024,Lepirudin,138068-37-8,Y43GF64R34,Hirudin variant-1 | Lepirudin,\n"
    + 'DB00003,BTD00001,Dornase alfa,143831-71-4,953A26OA1Y,"Dornase alfa, recombinant | DNAse",\n'
    + "DB00009,,Alpha-dornase,143831-71-4,,,\n"
    + "DB00010,,Cétuxi,,,,KEY\n"
)


def read(tmp_path, text=FILE, file="drugs.csv", **options):
    path = tmp_path / file
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(load_terminology("drugbank", path=path, **options))


def test_drugs_come_with_their_synonyms(tmp_path):
    assert read(tmp_path, "\ufeff" + FILE) == [
        Concept("DB00001", "Lepirudin", ("Hirudin variant-1",)),
        Concept("DB00003", "Dornase alfa", ("Dornase alfa, recombinant", "DNAse")),
        Concept("DB00009", "Alpha-dornase"),
        Concept("DB00010", "Cétuxi"),
    ]


def test_another_identifier_can_be_the_code_and_drugs_that_share_it_are_one(tmp_path):
    assert [concept.code for concept in read(tmp_path, code="unii")] == ["Y43GF64R34", "953A26OA1Y"]
    assert read(tmp_path, code="cas") == [
        Concept("138068-37-8", "Lepirudin", ("Hirudin variant-1",)),
        Concept("143831-71-4", "Dornase alfa", ("Dornase alfa, recombinant", "DNAse", "Alpha-dornase")),
    ]
    with pytest.raises(OptionError, match="code"):
        read(tmp_path, code="inchi")


def zipped(tmp_path, members):
    path = tmp_path / "drugbank_all_drugbank_vocabulary.csv.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def test_the_download_is_read_as_it_is(tmp_path):
    path = zipped(tmp_path, {"drugbank vocabulary.csv": "\ufeff" + FILE, "licence.txt": "CC0"})
    assert type(Terminology.of(path)) is DrugBank
    assert list(Terminology.of(path)) == read(tmp_path)


def test_a_zip_that_is_not_the_download_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="2 CSV files"):
        list(DrugBank(zipped(tmp_path, {"a.csv": FILE, "b.csv": FILE})))
    with pytest.raises(DataError, match="not UTF-8") as caught:
        list(DrugBank(zipped(tmp_path, {"a.csv": FILE.encode("latin-1")})))
    assert caught.value.line == 5
    broken = zipped(tmp_path, {"a.csv": FILE})
    broken.write_bytes(broken.read_bytes()[:-30])
    with pytest.raises(DataError, match="unpacked"):
        list(DrugBank(broken))
    with pytest.raises(DataError, match="no such file"):
        list(DrugBank(tmp_path / "none.zip"))


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (FILE.replace(",CAS,UNII,", ",cas,"), 1, "no column 'CAS' and 'UNII'; is it the 'DrugBank Vocabulary'"),
        ("", 1, "no column 'DrugBank ID'"),
        (HEADER + "DB1,,a,,,,\nDB2,,b,,,\n", 3, "6 cells, while the header has 7"),
        (HEADER + "DB1,,a,,,,\nDB2,,,,,b,\n", 3, "without DrugBank ID or Common name"),
        (HEADER + 'DB1,,"a,,,,\n', 2, "quotes"),
        (FILE.encode("latin-1"), 5, "UTF-8"),
    ],
)
def test_a_bad_file_names_file_and_line(tmp_path, text, line, reason):
    with pytest.raises(DataError, match=reason) as caught:
        read(tmp_path, text)
    assert (caught.value.path, caught.value.line) == (tmp_path / "drugs.csv", line)


def test_the_real_vocabulary_has_all_its_drugs_and_identifiers():
    path = Settings().data / "drugbank_vocabulary/data/drug_names_terminology/drugbank vocabulary.csv"
    if not path.exists():
        pytest.skip("drugbank_vocabulary is not in $CLINIDISTILL_DATA")
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    drugs = Terminology.of(path)
    assert type(drugs) is DrugBank
    assert [(drug.code, drug.name) for drug in drugs] == [
        (row["DrugBank ID"], row["Common name"].strip()) for row in rows
    ]
    assert drugs.content_hash == load_terminology("table", path=path).content_hash
    for code, column in (("unii", "UNII"), ("cas", "CAS")):
        codes = [drug.code for drug in DrugBank(path, code=code)]
        assert len(codes) == len(set(codes))
        assert set(codes) == {row[column] for row in rows} - {""}
