"""The CSV and HTML of an error analysis, read back by other people's parsers."""

import csv
import random
import stat
from html.parser import HTMLParser

import pytest

from clinidistill import Document, Span
from clinidistill.errors import DataError
from clinidistill.evaluation.error_analysis import analyse_errors

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Checks that elements nest, and keeps notes, marks and everything that could reach out of the page."""

    def __init__(self, text):
        super().__init__()
        self.open, self.notes, self.marks, self.ids, self.links, self.tags, self.tables = [], [], [], [], [], set(), 0
        self.attributes = set()
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        self.attributes |= attrs.keys()
        self.tables += tag == "table"
        if tag not in VOID:
            self.open.append((tag, attrs))
        if attrs.get("class") == "note":
            self.notes.append("")
            self.marks.append([])
        if tag == "mark" and self.in_note():
            self.marks[-1].append(attrs)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if "href" in attrs:
            self.links.append(attrs["href"])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def in_note(self):
        return any(attrs.get("class") == "note" for _, attrs in self.open)

    def handle_data(self, data):
        if self.in_note():
            self.notes[-1] += data


NASTY = "\n<script>alert(1)</script> &amp; \"q\" 'r' =1+1\r\n\ttab  \u00a0wide 𝒳 e\u0301 &lt; \r end"


@pytest.fixture
def nasty():
    """Notes full of markup, with nested, crossing, equal and discontinuous mentions on both sides."""
    draw = random.Random(0)

    def spans():
        found = []
        for _ in range(9):
            start = draw.randrange(len(NASTY) - 12)
            end = start + draw.randint(1, 12)
            fragments = ((start, start + 2), (end - 1, end)) if end - start > 5 else ()
            found.append(Span(start, end, draw.choice(["=a", "<b>", "c&d"]), fragments=fragments))
        return found

    gold = [Document(f"<{n}>", NASTY, spans()) for n in range(12)]
    found = [document.with_spans({*spans(), *document.spans[:3]}) for document in gold]
    return analyse_errors(gold, found, train=gold)


def test_the_visible_text_of_each_document_is_its_text(nasty, tmp_path):
    nasty.to_html(tmp_path / "errors.html")
    page = Page((tmp_path / "errors.html").read_bytes().decode())  # bytes: read_text would change line ends
    assert page.notes == [NASTY] * len(nasty.worst(20))
    assert len(page.notes) == 12


def test_every_finding_of_a_document_is_marked_with_its_kind(nasty, tmp_path):
    nasty.to_html(tmp_path / "errors.html")
    page = Page((tmp_path / "errors.html").read_bytes().decode())
    for each, marks in zip(nasty.worst(20), page.marks, strict=True):
        findings = [finding for finding in nasty.findings if finding.document_id == each.document_id]
        expected = []
        for finding in findings:
            name = finding.kind.replace("+", "-")
            sides = (
                ["gold", "found"] if "boundary" in name else [{"missed": "gold", "spurious": "found"}.get(name, "both")]
            )
            expected += [f"{name} {side}" for side in sides]
        tagged = [
            mark["class"] for mark in marks if "data-tag" in mark
        ]  # a mark may be cut; its last piece has the tag
        assert sorted(tagged) == sorted(expected)


def test_lines_of_overlapping_marks_do_not_meet(tmp_path):
    gold = Document("n", "abcdefghij", [Span(0, 9, "x"), Span(2, 5, "x"), Span(7, 10, "x")])
    analyse_errors([gold], [gold.without_spans()]).to_html(tmp_path / "errors.html")
    page = Page((tmp_path / "errors.html").read_text())
    levels = [(mark["style"], "data-tag" in mark) for mark in page.marks[0]]
    assert levels == [
        ("--level:1", False),  # ab, of the longest
        ("--level:1", False),  # cde, within it …
        ("--level:0", True),  # … the mention inside
        ("--level:1", False),  # fg
        ("--level:1", True),  # hi, where it ends …
        ("--level:0", False),  # … and another has begun
        ("--level:0", True),  # j
    ]


def test_the_page_needs_nothing_but_itself(nasty, tmp_path):
    nasty.to_html(tmp_path / "errors.html", n=5)
    text = (tmp_path / "errors.html").read_text()
    page = Page(text)
    assert not page.tags & {"script", "img", "link", "iframe", "object"}
    assert not {name for name in page.attributes if name.startswith("on")} | (page.attributes & {"src"})
    assert page.links == [f"#{id}" for id in page.ids]
    assert len(page.links) == 5
    assert page.tables == 2 + len(nasty.divisions)
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text


def test_a_page_without_errors_has_tables_only(tmp_path):
    gold = Document("n", "aspirin", [Span(0, 7, "drug")])
    analyse_errors([gold], [gold]).to_html(tmp_path / "errors.html")
    page = Page((tmp_path / "errors.html").read_text())
    assert page.notes == []
    assert page.tables == 5


def test_a_csv_has_a_row_for_each_finding(nasty, tmp_path):
    nasty.to_csv(tmp_path / "errors.csv")
    with (tmp_path / "errors.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == [finding.kind for finding in nasty.findings]
    for row, finding in zip(rows, nasty.findings, strict=True):
        for side, span in (("gold", finding.gold), ("predicted", finding.predicted)):
            document = nasty.documents[finding.document_id]
            assert row[f"{side}_start"] == ("" if span is None else str(span.start))
            mention = "" if span is None else document.mention(span)
            assert row[f"{side}_text"] in (mention, f"'{mention}")
        assert row["seen"] == str(finding.traits.seen)
        assert row["length"] == str(finding.traits.length)


def test_no_cell_of_the_csv_is_a_formula(tmp_path):
    starts = ["=1", "+1", "-1", "@A", " =1", "\t=1", "\r1", "＝1"]
    notes = [Document(start, f"{start} x", [Span(0, len(start), start)]) for start in starts]
    analyse_errors(notes, notes).to_csv(tmp_path / "errors.csv")
    with (tmp_path / "errors.csv").open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    assert len(rows) == len(starts)
    for row in rows:
        assert row[0].startswith("'")
        assert row[5].startswith("'")
        assert not any(cell.strip().startswith(("=", "+", "-", "@", "＝")) for cell in row)


@pytest.mark.parametrize("write", ["to_csv", "to_html"])
def test_files_are_their_owner_s_alone_and_replaced_whole(write, nasty, tmp_path):
    path = tmp_path / "errors"
    path.write_text("former")
    path.chmod(0o644)
    getattr(nasty, write)(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() != "former"
    assert [each.name for each in tmp_path.iterdir()] == ["errors"]


def test_a_failed_write_leaves_the_former_file(nasty, tmp_path, monkeypatch):
    path = tmp_path / "errors.html"
    path.write_text("former")
    monkeypatch.setattr(type(nasty), "by", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        nasty.to_html(path)
    assert path.read_text() == "former"
    assert [each.name for each in tmp_path.iterdir()] == ["errors.html"]


@pytest.mark.parametrize("write", ["to_csv", "to_html"])
def test_a_folder_is_made_and_one_in_the_place_of_the_file_is_named(write, nasty, tmp_path):
    getattr(nasty, write)(tmp_path / "nowhere" / "errors")
    assert (tmp_path / "nowhere" / "errors").stat().st_mode & 0o777 == 0o600
    with pytest.raises(DataError, match="cannot be written"):
        getattr(nasty, write)(tmp_path)


def test_what_utf_8_cannot_say_is_replaced(tmp_path):
    odd = Document("n", "a\ud800\0b", [Span(0, 4, "x")])
    analysis = analyse_errors([odd], [odd.without_spans()])
    analysis.to_csv(tmp_path / "errors.csv")
    analysis.to_html(tmp_path / "errors.html")
    assert Page((tmp_path / "errors.html").read_text()).notes == ["a?\ufffdb"]
