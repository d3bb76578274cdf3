"""The documentation's Python runs, and its links lead somewhere."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^(<!-- not run -->\n)?```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def for_each(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.relative_to(ROOT).as_posix())


def blocks(text: str, run_only: bool) -> str:
    """The Python blocks as one module whose lines are the page's, so that a traceback points into the page."""
    lines = [""] * (text.count("\n") + 1)
    for match in BLOCK.finditer(text):
        if not (run_only and match[1]):
            first = text.count("\n", 0, match.start(2))
            code = match[2].splitlines()
            lines[first : first + len(code)] = code
    return "\n".join(lines)


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ +(.+?) *$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


PAGES_THAT_RUN = [page for page in PAGES if blocks(page.read_text(encoding="utf-8"), run_only=True).strip()]


@for_each(PAGES)
def test_every_python_block_is_valid(page):
    ast.parse(blocks(page.read_text(encoding="utf-8"), run_only=False), page.name)


@for_each(PAGES_THAT_RUN)
def test_the_python_blocks_run_one_after_another(page, tmp_path):
    script = tmp_path / page.with_suffix(".py").name
    script.write_text(blocks(page.read_text(encoding="utf-8"), run_only=True), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-P", script], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, f"{page.relative_to(ROOT)}:\n{run.stderr}"


@for_each(PAGES)
def test_relative_links_lead_to_a_file_and_a_heading(page):
    text = page.read_text(encoding="utf-8")
    for target in filter(None, (match[1] or match[2] for match in LINK.finditer(FENCED.sub("", text)))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{page.name} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(linked.read_text(encoding="utf-8")), f"{page.name}: {target} names no heading"
