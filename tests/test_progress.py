import sys

import pytest

from clinidistill.progress import track


def test_nothing_is_written_where_nobody_looks(capsys):
    with track("work", total=3) as bar:
        bar.advance()
        bar.skip(1)
        bar.note(loss=0.5)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_without_being_asked(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with track("work", total=2) as bar:
        bar.advance(2)
    assert "2/2" in capsys.readouterr().err


def test_a_bar_shows_description_counts_and_the_newest_notes(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with track("round [b]{0}", total=10, show=True) as bar:
        bar.skip(4)
        bar.advance(5)
        bar.note(loss=0.123456)
        bar.note(loss=0.0123456, f1=0.5)
        bar.advance()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "round [b]{0}" in shown.err.replace("\n", "")
    assert "6/6" in shown.err
    assert "loss 0.01235, f1 0.5" in shown.err


def test_an_unknown_total_is_counted_without_one(capsys):
    with track("work", show=True) as bar:
        bar.advance(7)
        bar.skip(1)
    assert "7/?" in capsys.readouterr().err


def test_an_error_passes_through_the_bar(capsys):
    with pytest.raises(KeyError), track("work", show=True):
        raise KeyError
