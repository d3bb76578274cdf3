"""Outputs: whole blocks, one run a folder."""

import json
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from helpers import bad, documents, notes

import clinidistill as cd
from clinidistill.errors import ConfigError, DataError
from clinidistill.scale.blocks import cut
from clinidistill.scale.output import Output
from clinidistill.scale.rows import Bad
from clinidistill.scale.storage import Place

RUN = {"kind": "predict", "model": "m1", "input": "i1"}


@pytest.fixture
def blocks(tmp_path):
    cd.MemoryDataset(notes(50)).save(tmp_path / "in.jsonl")
    return cut(Place.of(tmp_path / "in.jsonl"), 10).blocks


def rich():
    span = cd.Span(0, 4, "drug", 0.5, "me", "C1", ((0, 1), (2, 4)), "exact")
    return cd.Document("rich", "text", [span, cd.Span(1, 2, "x")], ["drug", "x"], {"a": [1, None], "b": {"c": "ü"}})


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_a_block_keeps_everything_and_what_the_format_cannot_say_goes_to_the_side_table(tmp_path, blocks, format):
    output = Output(Place.of(tmp_path / "out"), format)
    output.begin(RUN, "in", overwrite=False)
    strange = cd.Document("odd", "\ud83d\ude00" if format == "jsonl" else "\ud83d")
    given = [rich(), strange, *notes(3000), Bad(None, 7, "no JSON")]
    record = {}
    manifest = output.write(blocks[0], (record.update(cost_usd=1.5) or each for each in given), record)
    assert documents(tmp_path / "out") == {each.id: each for each in [rich(), *notes(3000)]}
    assert [(row["id"], row["at"]) for row in bad(tmp_path / "out")] == [("odd", None), (None, 7)]
    assert (manifest["rows"], manifest["bad"], manifest["cost_usd"]) == (3001, 2, 1.5)
    assert output.manifests() == {blocks[0].name: manifest}
    assert output.manifest(blocks[1]) is None


def test_a_block_that_breaks_off_leaves_nothing_that_counts(tmp_path, blocks):
    output = Output(Place.of(tmp_path / "out"), "jsonl")
    output.begin(RUN, "in", overwrite=False)

    def half():
        yield from notes(5)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        output.write(blocks[0], half(), {})
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["run.json"]


def test_notes_of_a_block_that_is_being_written_lie_in_no_file_with_a_name(tmp_path, blocks, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    output = Output(Place.of(tmp_path / "out"), "jsonl")
    output.begin(RUN, "in", overwrite=False)
    seen = []

    def slowly():
        for note in notes(3000):
            seen.extend((tmp_path / "tmp").iterdir())
            yield note

    assert output.write(blocks[0], slowly(), {})["rows"] == 3000
    assert seen == []


def test_what_failed_when_a_worker_died_is_not_in_the_side_table_if_it_did_not_fail_again(tmp_path, blocks):
    output = Output(Place.of(tmp_path / "out"), "jsonl")
    output.begin(RUN, "in", overwrite=False)
    manifest = output.write(blocks[0], [*notes(4), Bad("n4", None, "once")], {})
    (tmp_path / "out" / "_manifests" / f"{manifest['block']}.json").unlink()  # as if it had not come to that
    output.write(blocks[0], notes(5), {})
    assert bad(tmp_path / "out") == []


def test_a_part_that_is_not_what_its_manifest_says_counts_for_nothing(tmp_path, blocks):
    output = Output(Place.of(tmp_path / "out"), "jsonl")
    output.begin(RUN, "in", overwrite=False)
    manifests = [output.write(block, notes(5), {}) for block in blocks[:2]]
    (tmp_path / "out" / manifests[0]["part"]).write_text("cut short")
    assert list(output.manifests()) == [blocks[1].name]
    output.forget(blocks[:1])
    assert output.manifest(blocks[0]) is None


@pytest.mark.parametrize("name", ["out", "out [1]*"])
def test_a_folder_is_that_of_one_run_and_overwriting_deletes_what_the_run_wrote_alone(tmp_path, blocks, name):
    tmp_path /= name
    output = Output(Place.of(tmp_path / "out"), "jsonl")
    output.begin(RUN, "in", overwrite=False)
    output.write(blocks[0], [*notes(5), Bad("b", 0, "why")], {})
    (tmp_path / "out" / "mine.txt").write_text("stays")
    output.begin(RUN, "elsewhere", overwrite=False)
    with pytest.raises(ConfigError, match="another run \\(model: 'm1' there, 'm2' now\\)"):
        output.begin({**RUN, "model": "m2"}, "in", overwrite=False)
    assert len(documents(tmp_path / "out")) == 5
    output.begin({**RUN, "model": "m2"}, "in", overwrite=True)
    files = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert files == {"run.json", "mine.txt"}
    assert json.loads((tmp_path / "out" / "run.json").read_text())["model"] == "m2"


def test_a_folder_of_someone_elses_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match="files that are of no run"):
        Output(Place.of(tmp_path), "jsonl").begin(RUN, "in", overwrite=True)
    with pytest.raises(DataError, match="is no output"):
        Output.of_run(Place.of(tmp_path))
