import gzip
import zipfile

import pytest

from clinidistill.errors import DataError
from clinidistill.terminologies.release import Release

TABLE = "1|fever|\n2|Ménière|\n"


def folder(tmp_path, **tables):
    for name, content in (tables or {"A.RRF": TABLE}).items():
        path = tmp_path / "release" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path / "release"


def zipped(tmp_path, **tables):
    path = tmp_path / "release.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (tables or {"A.RRF": TABLE}).items():
            archive.writestr(name, content)
    return path


def read(release, name="A.RRF", **options):
    return list(release.rows(name, **{"delimiter": "|", "width": 2, "terminated": True} | options))


@pytest.mark.parametrize("make", [folder, zipped])
def test_tables_are_found_by_name_anywhere_in_a_folder_or_zip(tmp_path, make):
    tables = {"rrf/RXNREL.RRF": "", "rrf/prescribe/rxnrel.rrf": "", "rrf/RXNSAT.RRF.gz": "", "rrf/._RXNREL.RRF": ""}
    release = Release(make(tmp_path, **tables))
    assert release.find("RXNREL.RRF") == ["rrf/RXNREL.RRF", "rrf/prescribe/rxnrel.rrf"]
    assert release.one("rxnsat.*", "attributes") == "rrf/RXNSAT.RRF.gz"


def test_a_table_stands_for_those_beside_it(tmp_path):
    path = folder(tmp_path, **{"A.RRF": TABLE, "B.RRF": "", "old/A.RRF": "", "old/C.RRF": ""})
    release = Release(path / "A.RRF")
    assert (release.find("?.RRF"), release.find("B.RRF"), release.find("C.RRF")) == (["A.RRF"], ["B.RRF"], [])
    assert read(release)[0] == (1, ["1", "fever", ""])


def test_a_table_of_a_snomed_release_stands_for_the_reference_sets_too(tmp_path, monkeypatch):
    path = folder(
        tmp_path,
        **{
            "Snapshot/Terminology/sct2_D_1.txt": "",
            "Snapshot/Refset/Language/der2_L_1.txt": "",
            "Full/sct2_D_1.txt": "",
        },
    )
    release = Release(path / "Snapshot/Terminology/sct2_D_1.txt")
    assert release.find("sct2_*.txt") == ["Terminology/sct2_D_1.txt"]
    assert release.find("der2_*.txt") == ["Refset/Language/der2_L_1.txt"]
    monkeypatch.chdir(path / "Snapshot/Terminology")
    assert Release("sct2_D_1.txt").find("der2_*.txt") == ["Refset/Language/der2_L_1.txt"]


def test_an_unpacked_table_goes_before_its_packed_twin(tmp_path):
    assert Release(folder(tmp_path, **{"A.RRF": "", "A.RRF.gz": ""})).find("A.RRF") == ["A.RRF"]


def test_a_table_that_is_missing_or_not_the_only_one_is_named(tmp_path):
    release = Release(folder(tmp_path, **{"a/A.RRF": "", "b/A.RRF": ""}))
    with pytest.raises(DataError, match=r"release: no RXNREL.RRF \(relationships\)"):
        release.one("RXNREL.RRF", "relationships")
    with pytest.raises(DataError, match="a/A.RRF, b/A.RRF; give the path of the one"):
        release.one("A.RRF", "terms")


@pytest.mark.parametrize("name", ["no", "no.zip", "no.RRF"])
def test_a_release_that_is_not_there_is_named(tmp_path, name):
    with pytest.raises(DataError, match=f"{name}: no such file"):
        Release(tmp_path / name).find("*")


@pytest.mark.parametrize("make", [folder, zipped])
def test_rows_come_with_their_lines(tmp_path, make):
    tables = {
        "A.RRF": TABLE,
        "B.RRF.gz": gzip.compress(TABLE.encode()),
        "C.RRF": b"\xef\xbb\xbf" + TABLE.replace("\n", "\r\n").encode() + b"\r\n",
    }
    release = Release(make(tmp_path, **tables))
    rows = [(1, ["1", "fever", ""]), (2, ["2", "Ménière", ""])]
    assert [read(release, name) for name in tables] == [rows, rows, rows]


def test_the_header_must_be_the_tables_own_and_is_not_a_row(tmp_path):
    release = Release(folder(tmp_path, **{"a.txt": 'id\tterm\r\n1\ta "b|c\r\n'}))
    assert list(release.rows("a.txt", delimiter="\t", header=["id", "term"])) == [(2, ["1", 'a "b|c'])]
    with pytest.raises(DataError, match=r"a.txt:1: its first line is not the header"):
        next(release.rows("a.txt", delimiter="\t", header=["id", "name"]))


@pytest.mark.parametrize("make", [folder, zipped])
@pytest.mark.parametrize(
    ("row", "place", "reason"),
    [
        (b"3|co", "2:5", "1 columns.* where this table has 2"),
        (b"3|cough|N|", "2:9", "3 columns.* where this table has 2"),
        (b"3|M\xc3\xa9ni\xe8re|", "2:7", "not UTF-8"),
    ],
)
def test_a_broken_row_says_where_it_breaks(tmp_path, make, row, place, reason):
    path = make(tmp_path, **{"rrf/A.RRF": b"1|fever|\n" + row + b"\n2|x|\n"})
    with pytest.raises(DataError, match=f"^{path}/rrf/A.RRF:{place}: {reason}") as caught:
        read(Release(path), "rrf/A.RRF")
    assert (caught.value.line, caught.value.column) == tuple(map(int, place.split(":")))
    assert "Meni" not in str(caught.value)


def test_a_header_that_is_not_text_is_said_to_be_so(tmp_path):
    with pytest.raises(DataError, match=r"A.RRF:1:2: not UTF-8"):
        read(Release(folder(tmp_path, **{"A.RRF": b"i\xff\n"})), header=["id"])


def test_files_that_are_not_whole_are_named_with_a_cure(tmp_path):
    many = "".join(f"{number}|{number * 7919 % 10007}|\n" for number in range(50_000)).encode()
    cut = folder(tmp_path, **{"A.RRF.gz": gzip.compress(many)[:-200]})
    with pytest.raises(DataError, match=r"A.RRF.gz: cannot be read .*is it whole"):
        read(Release(cut), "A.RRF.gz")
    path = zipped(tmp_path, **{"rrf/A.RRF": many})
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    with pytest.raises(DataError, match=r"release.zip: cannot be read .*Download it again"):
        Release(path).find("A.RRF")
    path.write_bytes(whole[:5000] + b"\0" * 100 + whole[5100:])
    with pytest.raises(DataError, match=r"release.zip/rrf/A.RRF: cannot be read .*Download it again"):
        read(Release(path), "rrf/A.RRF")


def test_it_says_which_files_on_disk_hold_its_tables(tmp_path):
    path = folder(tmp_path, **{"a/A.RRF": "", "B.RRF": ""})
    assert Release(path).files(["a/A.RRF", "B.RRF"]) == [path / "B.RRF", path / "a/A.RRF"]
    archive = zipped(tmp_path, **{"a/A.RRF": "", "B.RRF": ""})
    assert Release(archive).files(["a/A.RRF", "B.RRF"]) == [archive]
