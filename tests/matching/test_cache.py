import json
import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from clinidistill.matching import Term, cached_automaton, cached_meta
from clinidistill.matching import cache as module

TEXT = "name 17 and Name 4,711; name 9 9"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CLINIDISTILL_CACHE", str(tmp_path))
    return tmp_path / "automata"


def many():
    return [Term(f"name {number}", str(number)) for number in range(module._WORTH_KEEPING)]


def make(terms=many, inputs="inputs"):
    return cached_automaton(inputs, terms, lambda: {"content_hash": "abc"})


def never():
    raise AssertionError("compiled again")


def test_a_compiled_automaton_is_taken_from_the_cache_and_finds_the_same(folder):
    first = make()
    again = make(never)
    assert again.find(TEXT) == first.find(TEXT) != []
    assert [again.term(entry) for entry in (0, 99)] == [first.term(entry) for entry in (0, 99)]
    assert cached_meta("inputs") == {"content_hash": "abc"}
    (kept,) = folder.iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_other_inputs_or_other_code_make_another_automaton(folder, monkeypatch):
    make()
    assert cached_meta("other") == {}
    with pytest.raises(AssertionError, match="again"):
        make(never, "other")
    monkeypatch.setattr(module, "_code", lambda: "changed")
    with pytest.raises(AssertionError, match="again"):
        make(never)


def test_what_compiles_in_no_time_is_not_kept(folder):
    make(lambda: [Term("fever", "1")])
    assert not folder.exists()


def flipped(data):
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        flipped,
        lambda data: data.replace(b"automaton 2", b"automaton 0"),
        lambda data: b"\x80\x04K\x01." + data,
        lambda data: data.split(b"\n")[0],
    ],
)
def test_a_broken_cache_file_is_made_anew_and_never_trusted(folder, damage, caplog):
    found = make().find(TEXT)
    (kept,) = folder.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    assert cached_meta("inputs") in ({}, {"content_hash": "abc"})
    assert make().find(TEXT) == found
    assert "broken" in caplog.text
    assert kept.read_bytes() == whole


def test_tables_with_a_right_checksum_that_do_not_fit_together_are_refused(folder):
    make()
    (kept,) = folder.iterdir()
    magic, _, tables = kept.read_bytes().split(b"\n", 2)
    header, rest = tables.split(b"\n", 1)
    sizes = json.loads(header)["sizes"]
    at = sum(list(sizes.values())[: list(sizes).index("code")])
    forged = header + b"\n" + rest[:at] + b"\xff\xff\xff\x7f" + rest[at + 4 :]
    kept.write_bytes(magic + b"\n" + module.hashlib.sha256(forged).hexdigest().encode() + b"\n" + forged)
    with pytest.raises(AssertionError, match="again"):
        make(never)


def test_what_is_remembered_is_not_taken_from_a_changed_header(folder):
    make()
    (kept,) = folder.iterdir()
    kept.write_bytes(kept.read_bytes().replace(b'"abc"', b'"abd"', 1))
    assert cached_meta("inputs") == {}


def test_where_the_folder_cannot_be_written_nothing_is_kept(tmp_path, monkeypatch, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("CLINIDISTILL_CACHE", str(blocked))
    assert make().find(TEXT)
    assert "cannot be kept" in caplog.text


def build_and_find(_):
    return [match[:3] for match in make().find(TEXT)]


def test_several_processes_may_build_at_once(folder):
    with ProcessPoolExecutor(3, get_context("spawn")) as pool:
        found = list(pool.map(build_and_find, range(3)))
    assert found[0] == found[1] == found[2] != []
    assert len(list(folder.iterdir())) == 1
