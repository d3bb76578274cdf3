import json
from pathlib import Path

import pytest
from document_strategies import texts
from hypothesis import given, settings
from hypothesis import strategies as st

from clinidistill.datasets import json_items
from clinidistill.datasets.json_items import json_objects
from clinidistill.errors import DataError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(texts(), VALUES, max_size=3), max_size=5)


def pieces(monkeypatch, content, size):
    monkeypatch.setattr(
        json_items, "chunks", lambda _: (content[at : at + size] for at in range(0, len(content), size))
    )


@settings(max_examples=100, deadline=None)
@given(OBJECTS, st.integers(1, 40), st.sampled_from([None, 1]), st.booleans(), st.booleans(), st.booleans())
def test_objects_are_those_that_json_reads_wherever_the_file_is_cut(some, size, indent, ascii_only, listed, marked):
    lines = [json.dumps(each, indent=indent, ensure_ascii=ascii_only) for each in some]
    text = "[" + " ,\n".join(lines) + "]\n" if listed else "\n".join(lines)
    content = b"\xef\xbb\xbf" * marked + text.encode()
    with pytest.MonkeyPatch.context() as patch:
        pieces(patch, content, size)
        found = list(json_objects(Path("x.json")))
    assert [each for _, each in found] == some
    at = 0
    for line, each in zip((line for line, _ in found), lines, strict=True):
        at = text.index(each, at)
        assert line == 1 + text.count("\n", 0, at)
        at += len(each)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        (b'[{"a": 1},\n {"b" 2}]', (2, 7), "want : here"),
        (b'[{"a": 1},\n\n {"b": tru}]', (3, 8), "Expecting value"),
        (b'[{"a": "x', (1, 8), "Unterminated string"),
        (b'{"a": 12', (1, 9), "want , or } here"),
        (b"[1]", (1, 2), "want {"),
        (b'[{"a": "\n"}]', (1, 9), "Invalid control character"),
        (b'{"a": 1}\n{"b": \xff}', (2, None), "this line is not UTF-8"),
    ],
)
def test_a_fault_has_its_line_and_column_wherever_the_file_is_cut(content, place, reason, size, monkeypatch):
    pieces(monkeypatch, content, size)
    with pytest.raises(DataError, match=reason) as caught:
        list(json_objects(Path("x.json")))
    assert (caught.value.line, caught.value.column) == place


def test_the_file_is_not_in_memory(tmp_path):
    row = json.dumps({"text": "x" * 1000})
    (tmp_path / "x.json").write_text("[" + ",\n".join([row] * 5000) + "]")
    reader = json_items._Reader(tmp_path / "x.json", frozenset())
    longest = max(len(reader.text) for _ in reader.values("["))
    assert longest < 200_000  # of 5 million characters


def test_a_fault_early_in_a_large_file_is_told_early(tmp_path, monkeypatch):
    content = b'[{"a": 1} {"b": 1}' + b" " * 100_000
    pieces(monkeypatch, content, 1000)
    reader = json_items._Reader(tmp_path, frozenset())
    with pytest.raises(DataError, match="want , or ]"):
        list(reader.values("["))
    assert len(reader.text) < 5000
