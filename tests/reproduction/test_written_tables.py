import csv
import io
import shutil
import subprocess

import pytest

from clinidistill.reproduction.table import Column, Table, latex

NASTY = r'a_b & 50% #1 {x} \cmd $y^2$ ~ <|> "[q]" – ± × † … é Ω 中' + "\nnext"
TABLE = Table(
    "nasty",
    f"Title {NASTY}",
    (Column("task_1"), Column("n", "count"), Column("F1", "f1"), Column("95 %", "interval"), Column("$", "figure")),
    (
        ("a|b", 1234, 0.123456, (0.1, 1.0), 1e-5),
        ("a|b", 5, 1.0, None, 12345.678),
        (NASTY, 0, 0.0, (-0.25, 0.5), None),
    ),
    ("A note: 5 % & more.",),
)


def test_latex_escapes_all_that_it_would_read_as_commands():
    assert latex("50% of gpt_4o & {x}") == r"50\% of gpt\_4o \& \{x\}"
    assert latex("\\input{x}$^~#") == r"\textbackslash{}input\{x\}\$\textasciicircum{}\textasciitilde{}\#"
    assert latex("[.1, .2]") == "{[}.1, .2{]}"  # after \\ a bracket would be a length
    assert latex("Ωé") == "?é"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles_with_booktabs_alone(tmp_path):
    (tmp_path / "nasty.tex").write_text(TABLE.latex(), encoding="utf-8")
    page = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{nasty}\end{document}"
    (tmp_path / "page.tex").write_text(page)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-1500:]
    assert (tmp_path / "page.pdf").exists()


def test_csv_has_figures_unrounded_and_both_ends_of_intervals():
    head, *rows = csv.reader(io.StringIO(TABLE.csv()))
    assert head == ["task_1", "n", "F1", "95 % low", "95 % high", "$"]
    assert rows[0] == ["a|b", "1234", "0.123456", "0.1", "1.0", "1e-05"]
    assert rows[1][3:5] == ["", ""]
    assert rows[2][0] == NASTY
    assert rows[2][5] == ""


def test_markdown_has_a_cell_for_each_column_whatever_stands_in_it():
    lines = [line for line in TABLE.markdown().splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 3
    assert {line.replace(r"\|", "").count("|") for line in lines} == {6}
    assert r"| a\|b | 1,234 | .123 | [.100, 1.000] | 1e-05 |" in lines


def test_latex_prints_the_first_rows_of_each_group_and_a_rule_between_groups():
    rows = tuple((task, n) for task in ("one", "two") for n in range(30))
    printed = Table("t", "t", (Column("task"), Column("n", "count")), rows, printed=10).latex()
    assert printed.count("one &") == printed.count("two &") == 10
    assert printed.count(r"\midrule") == 2
    assert r"two & 9 \\" in printed
