"""How an input is cut, and that every note is read once, wherever the cuts fall."""

import gzip
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from helpers import notes

import clinidistill as cd
from clinidistill.errors import ConfigError, DataError
from clinidistill.scale.blocks import cut
from clinidistill.scale.rows import Bad, Reader
from clinidistill.scale.storage import Place


def read(path, block_notes, **options):
    place = Place.of(path, options)
    plan, reader = cut(place, block_notes), Reader(place.options)
    return plan, [list(reader.read(block)) for block in plan.blocks]


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
def test_lines_of_any_length_fall_into_exactly_one_block(tmp_path, size):
    given = [cd.Document(f"ü{n}", "é" * (n * 37 % 101)) for n in range(200)]
    cd.MemoryDataset(given).save(tmp_path / "a.jsonl")
    plan, blocks = read(tmp_path / "a.jsonl", size)
    assert [row for block in blocks for row in block] == given
    assert len(plan.blocks) == pytest.approx(200 / size, abs=1)
    assert len({block.name for block in plan.blocks}) == len(plan.blocks)


def test_blank_lines_a_byte_order_mark_and_a_missing_last_line_end_do_not_matter(tmp_path):
    lines = [json.dumps(note.to_dict()) for note in notes(20)]
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + "\n\n".join(lines).encode())
    _, blocks = read(tmp_path / "a.jsonl", 3)
    assert [row for block in blocks for row in block] == list(notes(20))


def test_rows_are_counted_exactly_across_row_groups_and_read_in_any_order(tmp_path):
    from pyarrow import Table, parquet

    rows = [{"id": n, "text": f"note {n}"} for n in range(1000)]
    parquet.write_table(Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=300)
    place = Place.of(tmp_path / "a.parquet")
    plan, reader = cut(place, 130), Reader({})
    assert [block.end - block.begin for block in plan.blocks] == [130] * 7 + [90]
    for block in [*plan.blocks, *plan.blocks[::2], *plan.blocks[::-1]]:
        expected = [(str(n), f"note {n}") for n in range(block.begin, block.end)]
        assert [(row.id, row.text) for row in reader.read(block)] == expected
    reader.close()


def test_a_null_text_of_a_table_is_told_with_its_row_and_a_table_without_texts_is_refused(tmp_path):
    from pyarrow import Table, parquet

    parquet.write_table(
        Table.from_pylist([{"id": "a", "text": "x"}, {"id": "b", "text": None}]), tmp_path / "a.parquet"
    )
    _, ((first, second),) = read(tmp_path / "a.parquet", 10)
    assert (first.id, second) == ("a", Bad("b", 1, "has no text but null"))
    parquet.write_table(Table.from_pylist([{"id": "a", "note": "x"}]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="no column 'text'"):
        read(tmp_path / "a.parquet", 10)


def test_a_gzipped_file_is_one_block_and_folders_are_read_by_name_without_what_is_hidden(tmp_path):
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(note.to_dict()) + "\n" for note in notes(30))
    cd.MemoryDataset(notes(10, seed=1)).save(tmp_path / "a.jsonl")
    for hidden in ("_bad", ".tmp"):
        (tmp_path / hidden).mkdir()
        (tmp_path / hidden / "c.jsonl").write_text("no\n")
    plan, blocks = read(tmp_path, 10)
    assert [len(block) for block in blocks] == [10, 30]
    assert [block.end for block in plan.blocks][1] is None
    assert read(str(tmp_path / "*.jsonl"), 10)[1] == blocks[:1]


def test_folders_may_be_called_like_globs_and_lie_in_hidden_ones(tmp_path):
    folder = tmp_path / ".ward" / "notes [1]?"
    folder.mkdir(parents=True)
    cd.MemoryDataset(notes(10)).save(folder / "a.jsonl")
    _, blocks = read(folder, 10)
    assert len(blocks[0]) == 10
    assert read(folder / "a.jsonl", 10)[1] == blocks
    (folder.parent / "b").mkdir()
    cd.MemoryDataset(notes(10)).save(folder.parent / "b" / "a.jsonl")
    assert read(folder.parent / "[ab]" / "*.jsonl", 10)[1] == blocks


def test_blocks_are_the_same_each_time_and_others_when_a_file_or_their_size_changes(tmp_path):
    path = tmp_path / "a.jsonl"
    cd.MemoryDataset(notes(50)).save(path)
    plan = cut(Place.of(path), 10)
    assert cut(Place.of(f"file://{path}"), 10) == plan
    assert cut(Place.of(path), 20).fingerprint != plan.fingerprint
    cd.MemoryDataset(notes(51)).save(path)
    assert not {block.id for block in cut(Place.of(path), 10).blocks} & {block.id for block in plan.blocks}


@pytest.mark.parametrize(
    ("url", "block_notes", "error", "said"),
    [
        ("nowhere", 10, DataError, "no file ending in .jsonl"),
        (".", 0, ConfigError, "at least one note"),
        ("s4://bucket", 10, ConfigError, "cannot be reached"),
        (
            "s3://me:sesame@bucket/notes",
            10,
            ConfigError,
            "^a password does not belong in a URL, which manifests repeat",
        ),
        ("ftp://127.0.0.1:1/notes", 10, ConfigError, "cannot be reached"),
    ],
)
def test_what_cannot_be_cut_is_told(tmp_path, monkeypatch, url, block_notes, error, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said):
        cut(Place.of(url), block_notes)
