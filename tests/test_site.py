"""The documentation site builds without a warning, shows every public name, and finds what is looked for."""

import json
import os
import re
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import clinidistill as cd

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="needs the docs extra")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder


def test_the_reference_holds_every_public_name(site):
    pages = "".join(page.read_text(encoding="utf-8") for page in (site / "reference").glob("*.html"))
    names = {name for name in cd.__all__ if name not in ("__version__", "errors")}
    assert names - set(re.findall(r'id="clinidistill\.(\w+)"', pages)) == set()


def test_docstrings_are_shown_as_markdown(site):
    pages = "".join(page.read_text(encoding="utf-8") for page in (site / "reference").glob("*.html"))
    assert "language-pycon" in pages
    assert not re.search(r":(class|func|meth|mod):", pages)


def test_nothing_is_loaded_from_elsewhere(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|img|link(?=[^>]*stylesheet))[^>]+(?:src|href)="(?:https?:)?//[^"]+', text), (
            page
        )


def test_every_page_of_the_guides_can_be_searched(site):
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    places = {entry["location"].partition("#")[0] for entry in index["docs"]}
    pages = {page.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert pages - places == set()


def test_search_finds_a_page_in_a_browser(site, chromium):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = chromium.new_page()
        said = []
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        page.fill("[data-md-component=search-query]", "budget_usd hard cap")
        result = page.locator(".md-search-result__link").first
        result.wait_for(timeout=60_000)  # the index is built in the page, on a machine that tests keep busy
        found = [link.get_attribute("href") for link in page.locator(".md-search-result__link").all()]
        server.shutdown()
        page.close()
    assert said == []
    assert any("cap_the_bill.html" in link for link in found)


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass
