import gzip
import tempfile
from pathlib import Path

import pytest
from document_strategies import HOSTILE, documents
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOBES, Entities

import clinidistill as cd
from clinidistill.errors import DataError, OptionError
from clinidistill.types import Document, Span

TOKENS = st.sampled_from(
    [each for each in HOSTILE if each.strip(" ") and not set(each) & set("\n\t") and each != "-DOCSTART-"]
)
TAGS = st.sampled_from(["O", "B-drug", "I-drug", "B-Größe", "I-Größe", "I-x-y"])
SENTENCES = st.lists(st.lists(st.tuples(TOKENS, TAGS), min_size=1, max_size=8), min_size=1, max_size=4)
ENDING = {"iobes": (IOBES, "ES"), "bilou": (BILOU, "LU")}
REAL = {"tokens": "whitespace"}


def read(path, **options):
    return list(cd.load_dataset("conll", path=path, **options))


def written(folder, content, name="x.conll"):
    (folder / name).write_bytes(content.encode())
    return folder / name


def sayable(document):
    return document.with_spans(span for span in document.spans if document.mention(span).strip())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        documents(overlapping=False, fragments=False, codes=False).map(sayable),
        min_size=1,
        max_size=3,
        unique_by=lambda document: document.id,
    )
)
def test_mentions_and_ids_survive_and_a_second_round_changes_nothing(some):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.conll"
        assert cd.MemoryDataset(some).save(path) == len(some)
        once = read(path)
        assert [each.id for each in once] == [each.id for each in some]
        for before, after in zip(some, once, strict=True):
            assert "".join(after.text.split()) == "".join(before.text.split())
            assert [(span.label, "".join(after.mention(span).split())) for span in after.spans] == [
                (span.label, "".join(before.mention(span).split())) for span in before.spans
            ]
        cd.MemoryDataset(once).save(path)
        again = read(path)
        assert again == once
        assert all(document.meta == REAL for document in again)


@settings(max_examples=60, deadline=None)
@given(SENTENCES)
def test_mentions_are_those_that_seqeval_finds_and_columns_come_back(sentences):
    rows = ["".join(f"{token}\t_\t{tag}\n" for token, tag in sentence) for sentence in sentences]
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), "-DOCSTART- -X- O\n\n" + "\n".join(rows))
        (document,) = read(path)
        expected, base = [], 0
        for sentence in sentences:
            starts, at = [], base
            for token, _ in sentence:
                starts.append(at)
                at += len(token) + 1
            for label, first, last in get_entities([tag for _, tag in sentence]):
                expected.append((starts[first], starts[last] + len(sentence[last][0]), label))
            base = at
        assert [span.key for span in document.spans] == expected
        assert document.text == "\n".join(" ".join(token for token, _ in sentence) for sentence in sentences)
        cd.MemoryDataset([document]).save(path)
        assert read(path) == [document]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["O", *(f"{prefix}-{label}" for prefix in "BIES" for label in "xy")]), min_size=1),
    st.sampled_from(["iobes", "bilou"]),
)
def test_tags_that_end_mentions_are_read_as_seqeval_reads_them_valid_or_not(tags, scheme):
    ours = [tag.translate(str.maketrans("ES", ENDING[scheme][1])) if tag[0] in "ES" else tag for tag in tags]
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), "".join(f"w\t{tag}\n" for tag in ours))
        (document,) = read(path)
        assert read(path, scheme=scheme) == [document]
    found = [(span.label, span.start // 2, span.end // 2) for span in document.spans]
    assert found == [tuple(each) for each in get_entities(tags)]


@settings(max_examples=40, deadline=None)
@given(documents(overlapping=False, fragments=False, codes=False).map(sayable), st.sampled_from(["iobes", "bilou"]))
def test_a_file_s_ending_says_the_scheme_it_is_written_in(document, scheme):
    with tempfile.TemporaryDirectory() as folder:
        plain, ending = Path(folder) / "x.conll", Path(folder) / f"x.{scheme}.gz"
        for path in (plain, ending):
            cd.MemoryDataset([document]).save(path)
        (expected,), (found,) = read(plain), read(ending, scheme=scheme)
        assert found == expected
        rows = [line.split("\t") for line in gzip.decompress(ending.read_bytes()).decode().split("\n")]
    tags = [row[1] for row in rows[1:] if len(row) == 2]
    marked = Entities([tags], ENDING[scheme][0]).entities[0]  # seqeval takes valid sequences only
    assert [each.tag for each in marked] == [span.label for span in expected.spans]


def test_the_scheme_can_be_fixed(tmp_path):
    path = written(tmp_path, "On O\nramipril S-drug\n")
    assert read(path, scheme="iobes")[0].spans == (Span(3, 11, "drug"),)
    with pytest.raises(DataError, match=r"x\.conll:2: column -1 holds no tag of the scheme 'iob'; want O, .* B-, I-$"):
        read(path, scheme="iob")
    with pytest.raises(OptionError, match="scheme"):
        read(path, scheme="iob2")


def test_docstart_parts_documents_and_the_files_name_and_a_number_are_their_ids(tmp_path):
    path = written(
        tmp_path,
        "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\r\nrejects VBZ B-VP O\n\n. . O O\n\n"
        "-DOCSTART- -X- -X- O\n\n\nHi UH O O\n-DOCSTART- O",
        "train.conll",
    )
    assert read(path) == [
        Document("train-1", "EU rejects\n.", (Span(0, 2, "ORG"),), meta=REAL),
        Document("train-2", "Hi", meta=REAL),
        Document("train-3", "", meta=REAL),
    ]


def test_without_docstart_each_block_is_a_document(tmp_path):
    path = written(tmp_path, "\nOn O\nramipril B-drug\n \n\nWell O", "x.bio")
    assert [(each.id, each.text, each.labels) for each in read(path)] == [
        ("x-1", "On ramipril", {"drug"}),
        ("x-2", "Well", set()),
    ]


def test_the_tag_can_be_in_another_column(tmp_path):
    path = written(tmp_path, "ramipril B-drug NN\n")
    for column in (1, -2):
        assert read(path, column=column)[0].spans == (Span(0, 8, "drug"),)
    with pytest.raises(OptionError, match="column 0 holds the token"):
        read(path, column=0)


def test_spaces_inside_a_tab_separated_token_become_one(tmp_path):
    (document,) = read(written(tmp_path, "1  000\tB-dose\nmg\xa0\tI-dose\n"))
    assert (document.text, document.spans) == ("1 000 mg\xa0", (Span(0, 9, "dose"),))


def test_other_text_is_cut_into_words_and_punctuation_and_at_the_edges_of_spans(tmp_path):
    text = "\nOn metformin-ER (500mg\ntwice).\nWell."
    spans = (Span(4, 13, "drug"), Span(18, 29, "dose"))
    assert text[18:29] == "500mg\ntwice"
    cd.MemoryDataset([Document("ward 3%/n", text, spans)]).save(tmp_path / "x.iob2")
    rows = (tmp_path / "x.iob2").read_text().split("\n")
    assert rows == [
        "-DOCSTART-\tid=ward%203%25/n\tO",
        *[
            "",
            "",
            "On\tO",
            "metformin\tB-drug",
            "-\tO",
            "ER\tO",
            "(\tO",
            "500mg\tB-dose",
            "twice\tI-dose",
            ")\tO",
            ".\tO",
        ],
        *["", "Well\tO", ".\tO", "", ""],
    ]


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("ramipril\n", 1, "1 columns, none of them column -1"),
        ("On O\nramipril\t\n", 2, "1 columns"),
        (
            "On O\nramipril M-drug\n",
            2,
            "no tag of the scheme 'auto'; want O, or a label after one of B-, I-, E-, S-, L-",
        ),
        ("ramipril B-\n", 1, "holds no tag"),
        ("ramipril drug\n", 1, "holds no tag"),
        ("ramipril S-drug\naspirin U-drug\n", 2, "no tag of the scheme 'iobes'; want O, .* B-, I-, E-, S-$"),
        ("ramipril U-drug\naspirin E-drug\n", 2, "no tag of the scheme 'bilou'"),
        (" \tO\n", 1, "the first column holds no token"),
        ("On O\n\n-DOCSTART- O\n", 3, "-DOCSTART- after tokens without one"),
        ("-DOCSTART-\tid=%FF\tO\n", 1, "not percent-encoded UTF-8"),
        ("-DOCSTART-\tid=\tO\n", 1, "non-empty string as its id"),
    ],
)
def test_a_malformed_line_names_file_and_line_and_shows_no_text(content, line, reason, tmp_path):
    path = written(tmp_path, content)
    with pytest.raises(DataError, match=reason) as caught:
        read(path)
    assert (caught.value.path, caught.value.line) == (path, line)
    assert "ramipril" not in str(caught.value)


def test_skip_leaves_out_the_whole_document_of_a_fault(tmp_path):
    path = written(tmp_path, "-DOCSTART- O\n\nOn O\n\nx Q\n\nOff O\n-DOCSTART- O\n\nWell O\n")
    assert [document.id for document in read(path, on_error="skip")] == ["x-2"]


@pytest.mark.parametrize(
    ("spans", "reason"),
    [
        ([Span(0, 4, "a"), Span(2, 6, "b")], r"the overlap of spans \[0, 4\) and \[2, 6\); resolve"),
        ([Span(0, 4, "a"), Span(0, 4, "b")], "the overlap of spans"),
        ([Span(0, 6, "a", fragments=((0, 1), (3, 6)))], r"the discontinuous span \[0, 6\).*save as brat or jsonl"),
        ([Span(0, 4, "a b")], "label 'a b' has white space"),
        ([Span(4, 5, "a")], r"span \[4, 5\) holds white space only"),
    ],
)
def test_what_iob2_cannot_say_is_refused_with_the_cure(spans, reason, tmp_path):
    with pytest.raises(DataError, match=f"document 'n1': .*{reason}"):
        cd.MemoryDataset([Document("n1", "some text", tuple(spans))]).save(tmp_path / "x.conll")
    assert list(tmp_path.iterdir()) == []


def test_a_token_that_would_begin_a_document_is_refused(tmp_path):
    with pytest.raises(DataError, match="the token at 2 would begin a document"):
        cd.MemoryDataset([Document("n1", "a -DOCSTART-", meta=REAL)]).save(tmp_path / "x.conll")
