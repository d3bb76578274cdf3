import sys

import pyarrow
import pytest
from pyarrow import parquet

from clinidistill.errors import ConfigError, DataError
from clinidistill.settings import Settings
from clinidistill.terminologies import Concept, Terminology, load_terminology


def write(tmp_path, columns, **options):
    path = tmp_path / "terms.parquet"
    parquet.write_table(columns if isinstance(columns, pyarrow.Table) else pyarrow.table(columns), path, **options)
    return path


def read(tmp_path, columns, **options):
    return list(load_terminology("table", path=write(tmp_path, columns), **options))


FEVER, COUGH = Concept("1", "fever", ("pyrexia", "heat")), Concept("2", "cough")


@pytest.mark.parametrize(
    "synonyms",
    [
        ["pyrexia| heat", None],
        [["pyrexia", "heat", None], None],
        pyarrow.array([["pyrexia", "heat"], []], pyarrow.large_list(pyarrow.large_string())),
        pyarrow.array(["pyrexia|heat", None]).dictionary_encode(),
    ],
    ids=["text", "list", "large list", "dictionary"],
)
@pytest.mark.parametrize("codes", [["1", "2"], [1, 2]], ids=["text", "numbers"])
def test_columns_are_known_as_in_text_with_synonyms_as_text_or_lists(tmp_path, codes, synonyms):
    assert read(tmp_path, {"Synonyms": synonyms, "RXCUI": codes, "Preferred_Name": ["fever", "cough"]}) == [
        FEVER,
        COUGH,
    ]


def test_columns_can_be_named_and_others_may_hold_anything(tmp_path):
    columns = {"what": ["fever"], "also": ["pyrexia/heat"], "key": [1], "name": [{"a": 1.5}]}
    assert read(tmp_path, columns, code="key", name="what", synonyms="also", separator="/") == [FEVER]


def test_nulls_are_empty_cells_and_adjacent_rows_with_one_code_one_concept(tmp_path):
    columns = {"code": ["1", "1", "1", None, "5"], "name": ["fever", "pyrexia", "heat", "itch", None]}
    assert read(tmp_path, columns) == [FEVER, Concept("itch", "itch")]
    assert read(tmp_path, {"code": [None, None], "name": pyarrow.nulls(2)}) == []


def test_what_is_in_a_parquet_file_is_what_the_same_text_holds(tmp_path):
    path = Settings().data / "drugbank_vocabulary/data/drug_names_terminology/drugbank vocabulary.csv"
    if not path.exists():
        pytest.skip("drugbank_vocabulary is not in $CLINIDISTILL_DATA")
    from pyarrow import csv

    written = write(tmp_path, csv.read_csv(path), row_group_size=1000)
    assert len(Terminology.of(written)) == 14594
    assert Terminology.of(written).content_hash == load_terminology("table", path=path).content_hash


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"name": ["a"], "code": [1.5]}, r"column 'code' \(code\) holds double"),
        ({"name": [["a"]]}, r"column 'name' \(name\) holds list"),
        ({"name": ["a"], "synonyms": [[1]]}, r"column 'synonyms' \(synonyms\) holds list"),
        ({"name": pyarrow.array([b"\xff"])}, r"column 'name' \(name\) holds binary"),
        ({"what": ["a"]}, "no column is known to hold the name; columns: 'what'"),
    ],
)
def test_a_column_that_does_not_fit_is_named(tmp_path, columns, reason):
    with pytest.raises(DataError, match=reason) as caught:
        read(tmp_path, columns)
    assert caught.value.path == tmp_path / "terms.parquet"


def test_a_named_column_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no column 'cui'; columns: 'name'"):
        read(tmp_path, {"name": ["a"]}, code="cui")


def test_a_broken_or_missing_file_is_a_data_error(tmp_path):
    path = write(tmp_path, {"name": ["fever"] * 9})
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="no whole Parquet file"):
        list(Terminology.of(path))
    path.unlink()
    with pytest.raises(DataError, match="no such file"):
        list(Terminology.of(path))


def test_text_that_is_not_utf_8_is_a_data_error(tmp_path):
    bad = pyarrow.array([b"f\xe8vre"]).view(pyarrow.string())
    with pytest.raises(DataError, match="UTF-8"):
        read(tmp_path, {"name": bad})


def test_without_pyarrow_the_error_says_what_to_install(tmp_path, monkeypatch):
    path = write(tmp_path, {"name": ["fever"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'clinidistill\[parquet\]'"):
        list(Terminology.of(path))
