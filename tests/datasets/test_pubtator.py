import tempfile
from pathlib import Path

import pytest
from document_strategies import documents
from hypothesis import given, settings
from hypothesis import strategies as st

import clinidistill as cd
from clinidistill.datasets.files import flat
from clinidistill.errors import DataError
from clinidistill.types import Document, Span

HEAD = "227\t0\t8\tNaloxone\tChemical\tD009270\n"
TITLE, ABSTRACT = "227|t|Naloxone and pain.\n", "227|a|It was 5 µg.\n"
PUBMED_IDS = st.integers(1, 10**8).map(str)


def read(path, **options):
    return list(cd.load_dataset("pubtator", path=path, **options))


def written(folder, content):
    (folder / "x.pubtator").write_bytes(content.encode())
    return folder / "x.pubtator"


@settings(max_examples=60, deadline=None)
@given(st.lists(documents(ids=PUBMED_IDS, fragments=False), max_size=3, unique_by=lambda document: document.id))
def test_offsets_labels_and_characters_survive_and_a_second_round_changes_nothing(some):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.pubtator"
        assert cd.MemoryDataset(some).save(path) == len(some)
        once = read(path)
        assert [each.id for each in once] == [each.id for each in some]
        for before, after in zip(some, once, strict=True):
            assert flat(after.text) == flat(before.text)  # line breaks and tabs apart, the same characters
            assert [(*span.key, span.code) for span in after.spans] == [(*span.key, span.code) for span in before.spans]
        cd.MemoryDataset(once).save(path)
        assert read(path) == once


def test_title_abstract_mentions_and_codes_are_read(tmp_path):
    content = (
        TITLE
        + ABSTRACT
        + HEAD
        + "227\t13\t17\tpain\tDisease\n"  # no code
        + "227\t26\t28\t5 \tDose\t-1\n"
        + "227\t28\t30\tµg\tUnit\t D1|D2\tfirst|second\n"  # a composite mention's parts
        + "227\tCID\tD009270\tD010146\n227\tPositive_Correlation\tD1\tD2\tNovel\n"
        + "\n\n1|t|Only a title\n1|a|"
    )
    first, second = read(written(tmp_path, content))
    assert first == Document(
        "227",
        "Naloxone and pain.\nIt was 5 µg.",
        (
            Span(0, 8, "Chemical", code="D009270"),
            Span(13, 17, "Disease"),
            Span(26, 28, "Dose"),
            Span(28, 30, "Unit", code="D1|D2"),
        ),
    )
    assert second == Document("1", "Only a title")


def test_carriage_returns_at_line_ends_are_not_part_of_the_text(tmp_path):
    assert read(written(tmp_path, (TITLE + ABSTRACT + HEAD + "\n").replace("\n", "\r\n"))) == read(
        written(tmp_path, TITLE + ABSTRACT + HEAD)
    )


def test_the_writer_keeps_offsets_where_it_must_change_line_breaks(tmp_path):
    text = "a\r\nb\rc\nd\te\u2028f"
    cd.MemoryDataset([Document("1", text, (Span(4, 12, "x"),))]).save(tmp_path / "x.pubtator")
    assert (tmp_path / "x.pubtator").read_text() == "1|t|a \n1|a|b c d e f\n1\t4\t12\t c d e f\tx\t-1\n\n"


def test_a_span_on_a_last_line_break_survives(tmp_path):
    cd.MemoryDataset([Document("1", "ab\n", (Span(1, 3, "x"),))]).save(tmp_path / "x.PubTator")
    assert read(tmp_path / "x.PubTator") == [Document("1", "ab ", (Span(1, 3, "x"),))]


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (ABSTRACT, 1, "begins with two lines"),
        (TITLE, 1, "begins with two lines"),
        (TITLE + HEAD, 2, "begins with two lines"),
        (TITLE + ABSTRACT.replace("227", "228"), 2, "the abstract of '228' follows the title of '227'"),
        (TITLE + ABSTRACT + HEAD.replace("227", "228"), 3, "belongs to '227' but has another id"),
        (TITLE + ABSTRACT + TITLE, 3, "documents end with a blank line"),
        (TITLE + ABSTRACT + "227\t0\t8\tNaloxone\n", 3, "want ID, start, end"),
        (TITLE + ABSTRACT + "227\t0\tx\tNaloxone\tChemical\tD1\n", 3, "want ID, start, end"),
        (TITLE + ABSTRACT + "227\t-1\t8\tNaloxone\tChemical\tD1\n", 3, "want ID, start, end"),
        (TITLE + ABSTRACT + HEAD.replace("0\t8", "1\t9"), 3, r"mention at \[1, 9\) is not what"),
        (TITLE + ABSTRACT + HEAD.replace("0\t8", "8\t8"), 3, "is empty"),
        (TITLE + ABSTRACT + HEAD.replace("8", "99", 1), 3, "reaches outside"),
        (TITLE + ABSTRACT + "227\t0\t8\tNaloxone\t \tD1\n", 3, "has no label"),
    ],
)
def test_a_malformed_line_names_file_and_line_and_shows_no_text(content, line, reason, tmp_path):
    path = written(tmp_path, content + "\n1|t|Fine\n1|a|\n")
    with pytest.raises(DataError, match=reason) as caught:
        read(path)
    assert (caught.value.path, caught.value.line) == (path, line)
    assert "Naloxone" not in str(caught.value)
    assert [document.id for document in read(path, on_error="skip")] == ["1"]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (Document("a|b", "x"), "cannot say the id 'a|b'"),
        (Document("\ufeff1", "x"), "cannot say the id"),
        (Document("1", "abc", (Span(0, 3, "x", fragments=((0, 1), (2, 3))),)), r"discontinuous span \[0, 3\)"),
        (Document("1", "abc", (Span(0, 3, "x\ty"),)), "label 'x.*y' has tabs"),
        (Document("1", "abc", (Span(0, 3, "x", code=" D1"),)), "code ' D1' has tabs or outer white space"),
    ],
)
def test_what_pubtator_cannot_say_is_refused(document, reason, tmp_path):
    with pytest.raises(DataError, match=reason.replace("|", r"\|")):
        cd.MemoryDataset([document]).save(tmp_path / "x.pubtator")
    assert list(tmp_path.iterdir()) == []
