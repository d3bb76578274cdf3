import json

import pytest

import clinidistill as cd

NOTE = cd.Document(
    "a", "Metformine (MET) for diabetis; saw Iron Man.", [cd.Span(0, 10, "drug"), cd.Span(21, 29, "disease")]
)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "my terms.csv"
    path.write_text("code,name\n6809,metformin\n73211009,diabetes\n5,iron\n")
    return path


def test_link_gives_spans_codes_from_files_and_stdin(cli, table, tmp_path):
    line = json.dumps(NOTE.to_dict())
    code, out, _ = cli("link", "-T", f"table path='{table}'", stdin=line)
    assert code == 0
    assert [span["code"] for span in json.loads(out)["spans"]] == ["6809", "73211009"]
    notes, linked = tmp_path / "notes.jsonl", tmp_path / "linked.jsonl"
    notes.write_text(line + "\n")
    code, *_ = cli("link", "-T", f"table path='{table}'", notes, "-o", linked, "--label", "drug", "-q")
    assert code == 0
    (document,) = cd.load_dataset("jsonl", path=linked)
    assert [span.code for span in document.spans] == ["6809", None]


def test_link_leaves_what_it_is_not_sure_of_without_a_code(cli, table):
    code, out, _ = cli("link", "-T", f"table path='{table}'", "--min-score", "1", stdin=json.dumps(NOTE.to_dict()))
    assert code == 0
    assert "code" not in json.loads(out)["spans"][0]


def test_explain_says_why_and_shows_the_notes_text_only_if_asked(cli, table):
    teacher = f"terminology path='{table}' label=x"
    code, out, _ = cli("explain", "-t", teacher, stdin="Metformin, iron low.")
    assert code == 0
    assert out.splitlines() == [
        "stdin 0-9: kept 'metformin' [6809]: a name",
        "stdin 11-15: kept 'iron' [5]: ambiguous, but there is evidence: list",
    ]
    _, out, _ = cli("explain", "-t", teacher, "--text", stdin="Metformin, iron low.")
    assert out.splitlines()[0].endswith("a name 'Metformin'")


def test_a_teacher_that_cannot_explain_itself_is_told_so(cli):
    code, _, err = cli("explain", "-t", "openai model=gpt-4o-mini", stdin="text")
    assert code == 1
    assert "cannot explain itself" in err


def test_an_empty_terminology_is_told_so_in_words_of_ours(cli):
    code, _, err = cli("link", "-T", "", stdin="{}")
    assert code == 1
    assert "there is no name" in err
