import pytest

import clinidistill as cd
from clinidistill.datasets.base import Dataset, as_dataset
from clinidistill.errors import ConfigError, UnknownComponentError
from clinidistill.types import Document, Span

NOTES = [Document(f"n{n}", f"note {n}", (Span(0, 4, "x"),)) for n in range(10)]


class Stream(Dataset):
    """Ten notes whose number is not known beforehand."""

    def __iter__(self):
        return iter(NOTES)


def ids(documents):
    return [document.id for document in documents]


@pytest.mark.parametrize("source", [cd.MemoryDataset(NOTES), Stream()])
class TestViews:
    def test_parts_are_disjoint_keep_order_and_leave_the_rest_out(self, source):
        train, dev = source.split(6, 3)
        assert ids(train) == ids(NOTES[:6])
        assert ids(dev) == ids(NOTES[6:9])
        assert (len(train), len(dev)) == (6, 3)

    def test_a_seed_shuffles_the_same_way_each_time_and_parts_keep_order(self, source):
        parts = source.split(0.6, 0.2, 0.2, seed=1)
        assert [len(part) for part in parts] == [6, 2, 2]
        assert sorted(key for part in parts for key in ids(part)) == ids(NOTES)
        assert all(ids(part) == sorted(ids(part)) for part in parts)
        assert [ids(part) for part in parts] == [ids(part) for part in source.split(0.6, 0.2, 0.2, seed=1)]
        assert ids(parts[0]) != ids(NOTES[:6])
        assert ids(parts[0]) != ids(source.split(0.6, seed=2)[0])

    def test_shares_that_add_up_to_one_leave_nothing_over(self, source):
        assert sum(len(part) for part in source.split(*[0.1] * 10)) == 10

    @pytest.mark.parametrize("sizes", [(), (-1,), (11,), (6, 6), (0.6, 0.6), (1, 0.5), (float("nan"),)])
    def test_sizes_that_cannot_be_are_refused(self, source, sizes):
        with pytest.raises(ConfigError):
            source.split(*sizes)

    def test_a_sample_is_drawn_without_replacement_in_order(self, source):
        drawn = source.sample(4, seed=3)
        assert ids(drawn) == sorted(set(ids(drawn)))
        assert len(drawn) == len(ids(drawn)) == 4
        assert ids(drawn) == ids(source.sample(4, seed=3))
        with pytest.raises(ConfigError, match="cannot sample 11 of 10"):
            source.sample(11)

    def test_map_and_filter_are_views_that_can_be_read_again(self, source):
        bare = source.map(Document.without_spans).filter(lambda document: document.id > "n7")
        for _ in range(2):
            assert ids(bare) == ["n8", "n9"]
            assert all(document.spans == () for document in bare)
        assert all(document.spans == () for document in source.without_spans())

    def test_sorted_goes_by_id(self, source):
        backwards = cd.MemoryDataset(reversed(list(source)))
        assert ids(backwards.sorted()) == ids(NOTES)

    @pytest.mark.parametrize(
        "name", ["x.jsonl", "x.ndjson", "x.jsonl.gz", "x.pubtator", "x.PubTator.gz", "x.conll", "x.bio"]
    )
    def test_save_picks_the_format_by_the_ending(self, source, name, tmp_path):
        assert source.save(tmp_path / name) == 10
        format = {"js": "jsonl", "nd": "jsonl", "pu": "pubtator", "Pu": "pubtator", "co": "conll", "bi": "conll"}[
            name[2:4]
        ]
        assert ids(cd.load_dataset(format, path=tmp_path / name)) == ids(NOTES)


def test_length_is_known_only_where_it_costs_nothing():
    assert len(cd.MemoryDataset(NOTES)) == len(cd.MemoryDataset(NOTES).without_spans()) == 10
    for dataset in (Stream(), Stream().without_spans(), cd.MemoryDataset(NOTES).filter(bool)):
        with pytest.raises(TypeError, match="does not know its length"):
            len(dataset)
        assert repr(dataset).endswith("(length unknown)")


def test_save_refuses_an_ending_that_says_nothing_an_unknown_format_and_one_that_only_reads(tmp_path):
    notes = cd.MemoryDataset(NOTES)
    with pytest.raises(ConfigError, match=r"'notes' does not tell its format; name one: .*brat.*jsonl"):
        notes.save(tmp_path / "notes")
    with pytest.raises(UnknownComponentError, match="did you mean 'brat'"):
        notes.save(tmp_path / "notes", format="brad")
    with pytest.raises(ConfigError, match="Stream can only read"):
        Stream.write(NOTES, tmp_path / "notes")


def test_a_generator_is_read_once_into_memory_and_a_dataset_is_itself():
    dataset = as_dataset(note for note in NOTES)
    assert ids(dataset) == ids(dataset) == ids(NOTES)
    assert as_dataset(dataset) is dataset
    assert dataset[3] is NOTES[3]
