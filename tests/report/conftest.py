"""A run folder to report on, and its page in a browser."""

import pytest
from report_runs import HOSTILE, notes, run_folder


@pytest.fixture
def run(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the plots extra")
    return run_folder(tmp_path / "run", notes(25, HOSTILE))


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
