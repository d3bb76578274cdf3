"""A run folder to report on; and a browser, where there is one."""

import os
import shutil

import pytest
from report_runs import HOSTILE, notes, run_folder


@pytest.fixture
def run(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the plots extra")
    return run_folder(tmp_path / "run", notes(25, HOSTILE))


@pytest.fixture(scope="module")  # its event loop must not outlive these tests
def chromium():
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    there = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with api.sync_playwright() as playwright:
        if not (there or os.path.exists(playwright.chromium.executable_path)):
            pytest.skip("needs a Chromium: `playwright install chromium`, or CHROMIUM=path")
        browser = playwright.chromium.launch(executable_path=there, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium):
    """Opens a file; the page, and what it says on the console."""
    pages = []

    def open_file(path, **options):
        page = chromium.new_page(**options)
        pages.append(page)
        page.said = []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith("file:") else page.said.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_file
    for page in pages:
        page.close()
