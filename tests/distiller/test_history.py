import json

import pytest

from clinidistill import History


@pytest.fixture
def history():
    steps = [{"step": n, "epoch": 1 + n // 3, "loss": 1 / n, "lr": 1e-3} for n in range(1, 6)]
    epochs = [{"epoch": n, "loss": 0.5, "tokens": 9, "seconds": 1.0, "dev_f1": 0.3 * n} for n in (1, 2)]
    return History(steps, epochs, best_epoch=2, stopped_early=True)


def test_a_history_comes_back_from_json(history):
    assert History.from_dict(json.loads(json.dumps(history.to_dict()))) == history


def test_losses_and_dev_f1_are_lists_to_plot(history):
    assert history.losses == [1.0, 1 / 2, 1 / 3, 1 / 4, 1 / 5]
    assert history.dev_f1 == [0.3, 0.6]
    assert History().losses == History().dev_f1 == []


def test_the_plot_shows_the_losses_and_dev_f1(history, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the plots extra")
    figure = history.plot(tmp_path / "history.svg")
    loss, f1 = figure.axes
    assert loss.lines[0].get_xydata().tolist() == [[n, 1 / n] for n in range(1, 6)]
    assert f1.lines[0].get_xydata().tolist() == [[1, 0.3], [2, 0.6]]
    assert (tmp_path / "history.svg").read_text().startswith("<?xml")
    history.epochs.clear()
    assert len(history.plot().axes) == 1
