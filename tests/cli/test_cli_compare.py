import json

import pytest

import clinidistill as cd
from clinidistill import Document, Span

GOLD = [Document(f"n{n}", "Takes metformin.", [Span(6, 15, "drug")]) for n in range(12)]


@pytest.fixture
def files(tmp_path):
    """Gold, a system that is right in all notes but one, and one that finds nothing in half of them."""
    sides = GOLD, [*GOLD[:11], GOLD[11].without_spans()], [*GOLD[:6], *(note.without_spans() for note in GOLD[6:])]
    for n, side in enumerate(sides):
        (tmp_path / f"{n}.jsonl").write_text("".join(json.dumps(note.to_dict()) + "\n" for note in side))
    return [tmp_path / f"{n}.jsonl" for n in range(3)]


def test_compare_prints_what_the_function_finds(cli, files):
    sides = [list(cd.load_dataset("jsonl", path=file)) for file in files]
    expected = cd.compare(*sides, scheme="unique", label="drug", resamples=300, seed=4)
    options = ("--scheme", "unique", "--of", "drug", "--bootstrap", 300, "--seed", 4)
    code, out, _ = cli("compare", *files, *options)
    assert (code, out) == (0, f"{expected}\n")
    code, out, _ = cli("compare", *files, *options, "--json")
    assert json.loads(out) == expected.to_dict()
    assert expected.p < 0.1


def test_compare_says_what_schemes_there_are(cli, files):
    code, _, err = cli("compare", *files, "--scheme", "exact")
    assert code == 1
    assert "there is no scheme 'exact'" in err.replace("\n", " ")


def test_evaluate_as_json_holds_every_scheme(cli, files):
    code, out, _ = cli("evaluate", files[0], "--predicted", files[1], "--json")
    assert code == 0
    assert set(json.loads(out)) == {"strict", "lenient", "token", "type", "boundary", "partial", "unique", "documents"}
