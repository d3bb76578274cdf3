"""The report in headless Chromium: it draws, filters work, hostile notes stay text."""

import time

import pytest
from report_runs import notes, run_folder

from clinidistill.report import write_report


@pytest.fixture
def page(run, opened):
    return opened(write_report(run, progress=False), viewport={"width": 1200, "height": 900})


def test_it_draws_without_errors_or_requests(page):
    assert page.said == []
    assert page.locator("h1").inner_text() == "tiny"
    assert page.locator("svg.plot").count() == 2
    assert page.locator("article").count() == 10
    assert page.locator("#shown").inner_text() == "notes 1 to 10 of 25 (25 in all)"


def test_what_notes_say_is_text(page):
    assert page.evaluate("window.hacked") is None
    assert page.locator("article img, main script:not([type])").count() == 0
    assert "<script>window.hacked = 1</script>" in page.locator("article .note").first.inner_text()
    assert "<script>" in page.locator("article h3").first.inner_text()


def test_filters(page):
    page.select_option("#kind", "m")
    assert page.locator("#shown").inner_text() == "no such note among 25"
    page.select_option("#kind", "b")
    assert page.locator("article").count() == 10
    assert "boundary medication “aspirin”, marked by people" in page.locator("ul.findings").first.inner_text()
    page.select_option("#label", label="symptom")
    assert page.locator("article").count() == 0
    page.select_option("#kind", "c")
    assert page.locator("article").count() == 10
    page.select_option("#system", label="drugs")  # it does not know the symptoms, and is not judged on them
    assert page.locator("article").count() == 0
    page.select_option("#label", "")
    assert page.locator("article").count() == 10


def test_what_everyone_says_is_stacked(page):
    assert "drugs" not in page.locator("article .note").first.locator(".tag").all_inner_texts()
    page.check("#everyone")
    assert "drugs" in page.locator("article .note").first.locator(".tag").all_inner_texts()


def test_marks_stand_where_the_mentions_are(page):
    # The second note has a character that counts two in JavaScript in front of its symptom.
    pieces = page.locator("article").nth(1).locator(".piece").all_inner_texts()
    assert [piece.split("\n")[0] for piece in pieces] == ["codei", "ne", "fever"]


def test_pages_are_turned_with_the_keyboard(page):
    for _ in range(2):
        page.locator("#on").focus()
        page.keyboard.press("Enter")
    assert page.locator("#shown").inner_text() == "notes 21 to 25 of 25 (25 in all)"
    assert page.locator("#on").is_disabled()
    page.locator("#back").focus()
    page.keyboard.press("Space")
    assert page.locator("#shown").inner_text() == "notes 11 to 20 of 25 (25 in all)"


def test_people_who_do_not_see_it_are_told(page):
    for svg in page.locator("svg.plot").all():
        assert svg.get_attribute("role") == "img"
        assert svg.get_attribute("aria-label")
    for control in page.locator("form select, form input").all():
        assert control.evaluate("one => one.labels.length") == 1
    assert page.locator("html").get_attribute("lang") == "en"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    assert page.locator("th").evaluate_all("all => all.every(one => one.scope)")
    identifiers = page.locator("[id]").evaluate_all("all => all.map(one => one.id)")
    assert len(identifiers) == len(set(identifiers))
    missing = "all => all.filter(one => !document.querySelector(one.getAttribute('xlink:href'))).length"
    assert page.locator("svg use").evaluate_all(missing) == 0


def test_dark_mode_turns_paper_and_ink(run, opened):
    page = opened(write_report(run, progress=False), color_scheme="dark")
    paper, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert (paper, ink) == ("rgb(13, 17, 23)", "rgb(230, 237, 243)")
    assert page.locator("svg.plot").first.evaluate("one => getComputedStyle(one).color") == ink


def test_printed_it_has_no_controls(page):
    page.emulate_media(media="print")
    assert not page.locator("form").is_visible()
    assert page.locator("article").first.is_visible()
    assert page.pdf()[:4] == b"%PDF"


@pytest.mark.alone
def test_two_thousand_notes_are_less_than_ten_megabytes_and_open_in_two_seconds(tmp_path, opened):
    pytest.importorskip("matplotlib", reason="needs the plots extra")
    run = run_folder(tmp_path / "run", notes(2000, "The course was uneventful. " * 60))
    report = write_report(run, progress=False)
    assert 3_000_000 < report.stat().st_size < 10_000_000
    waited = []
    for _ in range(3):  # other work on the machine aside
        began = time.perf_counter()
        page = opened(report)
        page.locator("article").first.wait_for()
        waited.append(time.perf_counter() - began)
    assert min(waited) < 2
    assert page.said == []
