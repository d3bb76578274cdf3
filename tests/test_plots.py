import pytest

import clinidistill as cd
from clinidistill.distiller import History

pytest.importorskip("matplotlib", reason="needs the plots extra")
NOTES = [cd.Document("a", "On aspirin and zinc.", [cd.Span(3, 10, "medication"), cd.Span(15, 19, "medication")])]
SCORES = cd.evaluate(NOTES, [NOTES[0].with_spans([NOTES[0].spans[0]])])


def test_scores_of_several_systems_and_of_one_by_label():
    several = cd.plot_scores({"one": SCORES, "other": SCORES})
    assert [text.get_text() for text in several.axes[0].get_yticklabels()] == ["one", "other"]
    one = cd.plot_scores(SCORES)
    assert [text.get_text() for text in one.axes[0].get_yticklabels()] == ["medication", "micro"]
    assert one.axes[0].lines[0].get_xdata()[0] == pytest.approx(SCORES.strict.micro.f1)


def test_agreement_is_drawn_once_for_each_pair():
    said = {"a": {"a": NOTES[0].spans}, "b": {"a": [NOTES[0].spans[0]]}}
    figure = cd.plot_agreement(cd.agreement(cd.Labels.from_annotations(NOTES, said)))
    assert len(figure.axes[0].texts) == 2


def test_histories_by_name_get_a_legend():
    record = History([{"step": 1, "loss": 1.0}], [{"epoch": 1, "loss": 1.0, "dev_f1": 0.5}])
    assert cd.plot_history(record).axes[0].get_legend() is None
    figure = cd.plot_history({"one": record, "other": record.to_dict()})
    assert len(figure.axes) == 2
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["one", "other"]


def test_a_learning_curve_by_documents_or_dollars():
    curve = {"points": [{"documents": 10, "f1": 0.4, "spread": 0.1}, {"documents": 20, "f1": 0.5, "spread": 0.0}]}
    assert cd.plot_learning_curve({"x": curve}).axes[0].lines[0].get_xdata().tolist() == [10, 20]
    figure = cd.plot_learning_curve({"x": curve, "y": curve}, usd_per_note=0.5)
    assert figure.axes[0].lines[0].get_xdata().tolist() == [5, 10]
    assert figure.axes[0].get_xlabel() == "dollars"


def system(name, kind, usd, even=None):
    return {
        "name": name,
        "kind": kind,
        "f1": 0.5,
        "usd_per_1k_notes": usd,
        "seconds_per_note": 0.1,
        "break_even_notes": even,
    }


def test_costs_and_break_even():
    money = {"systems": [system("llm", "teacher", 5.0, 2000), system("bert", "student", 0.01)], "upfront_usd": 10.0}
    (legend,) = cd.plot_costs(money).legends
    assert [text.get_text() for text in legend.get_texts()] == ["llm", "bert"]
    lines = cd.plot_break_even(money).axes[0].lines
    assert lines[0].get_ydata()[0] == 10.0
    assert cd.plot_break_even({**money, "upfront_usd": None}) is None
