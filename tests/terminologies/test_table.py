import gzip

import pytest

from clinidistill.errors import DataError
from clinidistill.settings import Settings
from clinidistill.terminologies import Concept, load_terminology


def read(tmp_path, text, file="terms.csv", **options):
    path = tmp_path / file
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(load_terminology("table", path=path, **options))


def test_columns_are_known_by_usual_headers(tmp_path):
    text = 'RXCUI,Preferred_Name,Synonyms\n6809,metformin,Glucophage | "Metformina"\n'
    assert read(tmp_path, text) == [Concept("6809", "metformin", ("Glucophage", '"Metformina"'))]


def test_columns_can_be_named(tmp_path):
    text = "key;label;what;also\n1;x;fever;pyrexia/ heat\n"
    options = {"code": "Key", "name": "what", "synonyms": "also", "separator": "/"}
    assert read(tmp_path, text, **options) == [Concept("1", "fever", ("pyrexia", "heat"))]


@pytest.mark.parametrize("name", ["terms.csv", "terms.txt", "terms.tsv"])
def test_a_file_of_one_column_without_header_is_a_list_of_terms(tmp_path, name):
    terms = [concept.name for concept in read(tmp_path, "\ufeffaspirin\r\n\r\n  beta carotene \nfever", name)]
    assert terms == ["aspirin", "beta carotene", "fever"]


def test_terms_with_commas_stand_in_text_files_as_they_are(tmp_path):
    assert [c.name for c in read(tmp_path, "pain, acute\nfever\n", "terms.txt")] == ["pain, acute", "fever"]


def test_a_header_over_one_column_is_no_term(tmp_path):
    assert read(tmp_path, "Term\nfever\n") == [Concept("fever", "fever")]


def test_adjacent_rows_with_one_code_are_one_concept(tmp_path):
    text = "id\tlabel\n1\tfever\n1\tpyrexia\n1\tfever\n2\tcough\n"
    assert read(tmp_path, text, "t.tsv") == [Concept("1", "fever", ("pyrexia",)), Concept("2", "cough")]


def test_a_row_without_code_has_its_name_as_code_and_one_without_name_its_synonym(tmp_path):
    text = "code,name,synonyms\n,fever,\n7,,cough\n8,,\n"
    assert read(tmp_path, text) == [Concept("fever", "fever"), Concept("7", "cough")]


def test_gzip_is_unpacked(tmp_path):
    assert read(tmp_path, gzip.compress(b"name\nfever\n"), "t.csv.gz") == [Concept("fever", "fever")]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('code,name\n1,"two\nlines"\n2,fever,oops\n', 4, "3 cells, while the header has 2"),
        ('code,name\n1,fever\n2,"open\n', 3, "quotes"),
        ("code,what\n1,fever\n", 1, "columns: 'code', 'what'.*name="),
        (b"name\nfever\nf\xe8vre\n", 3, "UTF-8"),
    ],
)
def test_a_fault_names_file_line_and_cure(tmp_path, text, line, reason):
    with pytest.raises(DataError, match=reason) as caught:
        read(tmp_path, text)
    assert (caught.value.path, caught.value.line) == (tmp_path / "terms.csv", line)


def test_a_column_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match="no column 'cui'; columns: 'code', 'name'.*code="):
        read(tmp_path, "code,name\n1,fever\n", code="cui")


def test_a_missing_or_broken_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        list(load_terminology("table", path=tmp_path / "none.csv"))
    with pytest.raises(DataError, match="is it whole"):
        read(tmp_path, gzip.compress(b"name\n" + b"fever\n" * 999)[:-12], "t.csv.gz")


@pytest.mark.parametrize(
    ("file", "concepts", "first"),
    [
        ("drugbank_vocabulary/data/drug_names_terminology/drugbank vocabulary.csv", 14594, ("DB00001", "Lepirudin")),
        ("doid/DOreports/HumanDO.tsv", 12246, ("DOID:0040058", "1,4-phenylenediamine allergic contact dermatitis")),
    ],
)
def test_real_vocabularies_are_read_without_options(file, concepts, first):
    path = Settings().data / file
    if not path.exists():
        pytest.skip(f"{file} is not in $CLINIDISTILL_DATA")
    read = list(load_terminology("table", path=path))
    assert len(read) == len({concept.code for concept in read}) == concepts
    assert (read[0].code, read[0].name) == first


def test_a_folder_or_a_file_that_may_not_be_read_is_said_to_be_so(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="a folder; give the path of the file"):
        list(load_terminology("table", path=tmp_path))

    def refuse(path, *_):
        raise PermissionError

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(DataError, match=r"drugs.csv: may not be read; .*chmod"):
        list(load_terminology("table", path=tmp_path / "drugs.csv"))
