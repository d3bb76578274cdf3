"""The public API changes only on purpose: its signatures are kept as text, which whoever changes one writes anew."""

import ast
import difflib
from pathlib import Path

import pytest
from public_api import BESIDES, SNAPSHOT, public_api, signature

import clinidistill as cd

ROOT = Path(__file__).parents[1]
PUBLIC = {"clinidistill": cd.__all__, "clinidistill.errors": cd.errors.__all__, **BESIDES}


def test_public_signatures_are_those_that_were_written_down():
    kept, found = SNAPSHOT.read_text(encoding="utf-8").splitlines(), public_api().splitlines()
    changes = "\n".join(difflib.unified_diff(kept, found, "written down", "found", n=0, lineterm=""))
    assert not changes, (
        f"the public API changed:\n{changes}\nIf that is meant, say it in CHANGELOG.md, let what goes away warn first "
        "(docs/stability.md), and run: python tests/public_api.py"
    )


def example(
    a: "int | None", /, b=1.5, *rest: "str", c: "frozenset[str]" = frozenset({"y", "x"}), d=..., **more
) -> "None":
    pass


def test_signatures_are_written_as_the_source_has_them():
    text = "(a: int | None, /, b = 1.5, *rest: str, c: frozenset[str] = {'x', 'y'}, d = ..., **more) -> None"
    assert signature(example) == text


def sources():
    templates = ROOT.glob("clinidistill/scaffold/templates/*/*.py.tmpl")
    return sorted([*templates, *ROOT.glob("examples/plugins/**/*.py")])


@pytest.mark.parametrize("file", sources(), ids=lambda file: f"{file.parent.name}/{file.name}")
def test_our_plugins_and_templates_build_on_public_names_alone(file):
    code = file.read_text(encoding="utf-8")
    for variable in ("$module", "$cls"):
        code = code.replace(variable, "placeholder")
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "clinidistill":
            assert {alias.name for alias in node.names} <= set(PUBLIC[node.module])


def test_the_page_on_stability_lists_what_authors_build_on():
    page = (ROOT / "docs" / "stability.md").read_text(encoding="utf-8")
    rows = {
        row.split("`")[1]: set(row.split("`")[3::2]) for row in page.splitlines() if row.startswith("| `clinidistill.")
    }
    assert rows == {module: set(names) for module, names in BESIDES.items()}
