import json
import re
import stat
from html.parser import HTMLParser

import pytest
from report_runs import HOSTILE, notes, run_folder

from clinidistill.errors import ConfigError, DataError
from clinidistill.report import write_report
from clinidistill.report.browser import browser_data, embedded


class Tags(HTMLParser):
    """Checks that elements end in the order in which they began."""

    VOID = {"meta", "input", "link", "br", "img", "hr"}

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(path):
    parser = Tags()
    parser.feed(path.read_text(encoding="utf-8"))
    assert parser.open == []
    return parser


def test_one_file_that_needs_no_other(run):
    report = write_report(run, progress=False)
    assert report == run / "report.html"
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    for tag, attributes in parsed(report).seen:
        assert tag not in {"img", "link", "iframe", "object"}
        assert "src" not in attributes
        assert not {name for name in attributes if name.startswith("on")}
        assert attributes.get("href", "#").startswith("#")


def test_without_text_no_note_is_in_it(run, tmp_path):
    report = write_report(run, tmp_path / "shared.html", text=False, progress=False)
    html = report.read_text(encoding="utf-8")
    parsed(report)
    assert not re.search(r"aspirin|fever|daily|n0000|hacked", html)
    assert "precision" in html


def test_a_name_is_no_markup(run):
    recipe = json.loads((run / "recipe.json").read_text())
    (run / "recipe.json").write_text(json.dumps({**recipe, "name": HOSTILE}))
    assert HOSTILE not in write_report(run, progress=False).read_text()


def test_no_json_ends_the_script_that_it_stands_in():
    text = embedded({"t": f"{HOSTILE} <!-- \u2028 \ud800"})
    assert not re.search("[<>&\u2028\u2029]", text)
    assert json.loads(text)["t"].startswith(HOSTILE)


def test_spans_are_counted_as_javascript_counts(tmp_path):
    (note,) = notes(1)
    moved = type(note)("n", "🩺" + note.text, [type(s)(s.start + 1, s.end + 1, s.label) for s in note.spans])
    (row,) = browser_data([(moved, {"x": list(moved.spans)})], {"x": {"medication", "symptom"}})["documents"]
    assert row["g"][0] == 7
    assert row["k"] == ["cccc"]


@pytest.mark.parametrize("name", ["scores.json", "evidence.json", "predictions.jsonl"])
def test_a_damaged_file_is_named_with_the_cure(run, name):
    (run / name).write_text('{"id": "other"}\n')
    if name == "evidence.json":
        (run / name).write_text("[")
    with pytest.raises(DataError, match=rf"{name}.*(delete it)"):
        write_report(run, progress=False)


def test_what_is_no_finished_run_is_refused(run, tmp_path):
    with pytest.raises(ConfigError, match="is no run folder"):
        write_report(tmp_path, progress=False)
    (run / "evidence.json").unlink()
    with pytest.raises(ConfigError, match="has no evidence.json.*run it again"):
        write_report(run, progress=False)


def test_more_notes_than_a_page_holds_are_left_out_and_counted(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="needs the plots extra")
    monkeypatch.setattr("clinidistill.report.page._MOST_NOTES", 5)
    html = write_report(run_folder(tmp_path / "run", notes(8)), progress=False).read_text()
    assert "3 more test documents are left out" in html
    assert "n0004" in html
    assert "n0005" not in html
