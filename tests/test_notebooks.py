"""What notebooks show of our objects."""

import clinidistill as cd
from clinidistill.distiller import History
from clinidistill.types.html import html_note, html_table

HOSTILE = "<script>alert(1)</script>"


def test_a_document_shows_its_mentions_and_nothing_of_it_is_markup():
    note = cd.Document(f"n{HOSTILE}", f"On aspirin {HOSTILE}.", [cd.Span(3, 10, f"drug{HOSTILE}")])
    shown = note._repr_html_()
    assert "<script" not in shown
    assert ">aspirin <small" in shown
    assert "&lt;script&gt;" in shown


def test_overlapping_and_discontinuous_mentions_are_whole():
    spans = [cd.Span(0, 9, "a"), cd.Span(5, 14, "b"), cd.Span(0, 14, "c", fragments=[(0, 4), (10, 14)])]
    shown = html_note("left upper arm", spans)
    assert shown.count("[0, 9)") == 3  # in three pieces
    assert shown.count(">a</small>") == 1


def test_the_text_of_a_note_stays_out_of_its_repr():
    assert "aspirin" not in repr(cd.Document("n", "On aspirin."))


def test_scores_are_a_table_like_their_print():
    gold = [cd.Document("n", "On aspirin.", [cd.Span(3, 10, "medication")])]
    shown = cd.evaluate(gold, gold)._repr_html_()
    assert shown.count("<tr>") == 4
    assert "<td>medication</td>" in shown
    assert "<td>1.000</td>" in shown


def test_labels_tell_teachers_and_counts_but_no_text():
    notes = [cd.Document("n", "On aspirin."), cd.Document("m", "Well.")]
    said = {"a": {"n": [cd.Span(3, 10, "medication")], "m": []}, "b": {"n": []}}
    shown = cd.Labels.from_annotations(notes, said)._repr_html_()
    assert "<p>2 documents</p>" in shown
    assert "<tr><td>a</td><td>2</td><td>0</td><td>1</td></tr>" in shown
    assert "<tr><td>b</td><td>1</td><td>0</td><td>0</td></tr>" in shown
    assert "aspirin" not in shown


def test_a_history_is_a_table_of_epochs():
    epochs = [{"epoch": 1, "loss": 0.5, "tokens_per_second": 999.6, "dev_f1": 0.25}]
    shown = History([], epochs, best_epoch=1)._repr_html_()
    assert "<td>0.250</td>" in shown
    assert "Kept: epoch 1" in shown
    del epochs[0]["dev_f1"]
    assert "–" in History([], epochs)._repr_html_()


def test_tables_are_escaped():
    assert "<script" not in html_table([HOSTILE], [[HOSTILE]])
