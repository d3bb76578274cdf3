import random
import sys

import pytest

import clinidistill as cd
from clinidistill import Document, Span
from clinidistill.errors import ConfigError
from clinidistill.evaluation.learning_curve import learning_curve
from clinidistill.settings import Settings

DRUGS = ["aspirin", "codeine", "insulin", "metformin", "naproxen", "warfarin", "heparin", "digoxin"]


def notes(number, seed, prefix):
    """Notes with one drug each, some far more frequent than others."""
    draw = random.Random(seed)
    out = []
    for n in range(number):
        drug = draw.choices(DRUGS, weights=[2**k for k in range(len(DRUGS))])[0]
        out.append(Document(f"{prefix}{n}", f"{prefix} {n}: took {drug}.", ()))
        at = out[-1].text.index(drug)
        out[-1] = out[-1].with_spans([Span(at, at + len(drug), "drug")])
    return out


TRAIN, TEST = notes(60, 1, "a"), notes(40, 2, "b")


def dictionary(documents):
    """A learner that marks what it has seen marked; for documents with one label."""
    names = sorted({document.mention(span) for document in documents for span in document.spans})
    (label,) = {span.label for document in documents for span in document.spans}
    return cd.load_teacher("terminology", terminology=names, label=label, cache=False)


def test_more_documents_teach_more():
    curve = learning_curve(dictionary, TRAIN, TEST, sizes=(1, 4, 0.5, 1.0), progress=False)
    assert [point.documents for point in curve.points] == [1, 4, 30, 60]
    assert [point.mentions for point in curve.points] == [(1,), (4,), (30,), (60,)]
    f1 = [point.f1 for point in curve.points]
    assert f1 == sorted(f1)
    assert 0 < f1[0] < f1[-1] == 1
    full = cd.evaluate(dictionary(TRAIN), TEST)
    assert curve.points[-1].scores == (full,)


def test_smaller_draws_are_within_larger_ones_and_repeats_differ():
    drawn = []

    def learn(documents):
        drawn.append({document.id for document in documents})
        return dictionary(documents)

    curve = learning_curve(learn, TRAIN, TEST, sizes=(5, 20, 60), repeats=3, progress=False)
    by_size = [drawn[:3], drawn[3:6], drawn[6:]]
    assert [[len(each) for each in size] for size in by_size] == [[5] * 3, [20] * 3, [60] * 3]
    for small, large, every in zip(*by_size, strict=True):
        assert small < large < every
    assert len({frozenset(each) for each in by_size[0]}) == 3
    assert curve.points[0].spread > 0
    assert curve.points[0].f1 == pytest.approx(sum(s.strict.micro.f1 for s in curve.points[0].scores) / 3)
    assert curve.points[-1].spread == 0


def test_a_seed_draws_the_same_documents_again():
    runs = [
        learning_curve(dictionary, TRAIN, TEST, sizes=(3, 9), seed=seed, bootstrap=20, progress=False)
        for seed in (7, 7, 8)
    ]
    assert runs[0] == runs[1] != runs[2]
    assert runs[0].points[0].scores[0].strict.micro.f1_interval is not None


def test_a_failed_fit_names_the_size():
    def learn(documents):
        if len(documents) > 4:
            raise MemoryError("no room")
        return dictionary(documents)

    with pytest.raises(MemoryError, match="no room") as error:
        learning_curve(learn, TRAIN, TEST, sizes=(4, 8), repeats=2, progress=False)
    assert error.value.__notes__ == ["at 8 training documents, repeat 1 of 2"]


def test_what_cannot_predict_is_refused():
    with pytest.raises(ConfigError, match="must return a system with predict, not NoneType") as error:
        learning_curve(lambda documents: None, TRAIN, TEST, sizes=[2], progress=False)
    assert error.value.__notes__ == ["at 2 training documents, repeat 1 of 1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": [61]}, "cannot train on 61 of 60"),
        ({"sizes": [0]}, "cannot train on 0 of 60"),
        ({"sizes": [1.5]}, r"cannot train on 1\.5"),
        ({"sizes": [True]}, "cannot train on True"),
        ({"sizes": ["all"]}, "cannot train on 'all'"),
        ({"sizes": []}, "at least one size"),
        ({"repeats": 0}, "repeats"),
        ({"labels": "drug"}, "labels="),
        ({"test": TRAIN[:2]}, "2 of the test documents are among the training documents"),
    ],
)
def test_options_that_cannot_work_are_refused_before_training(options, message):
    arguments = {"documents": TRAIN, "test": TEST} | options
    with pytest.raises(ConfigError, match=message):
        learning_curve(lambda documents: pytest.fail("trained"), **arguments, progress=False)


def test_it_prints_a_table_and_has_a_dictionary_form():
    curve = learning_curve(dictionary, TRAIN, TEST, sizes=(2, 60), repeats=2, progress=False)
    head, first, last = str(curve).splitlines()
    assert head.split()[:2] == ["documents", "mentions"]
    assert first.split()[:2] == ["2", "2"]
    assert last.split() == ["60", "60", "1.000", "0.000", "1.000", "2"]
    data = curve.to_dict()["points"][1]
    assert data["f1"] == 1
    assert data["scores"][0] == curve.points[1].scores[0].to_dict()


def test_a_plot_is_written(tmp_path):
    curve = learning_curve(dictionary, TRAIN, TEST, sizes=(2, 60), repeats=2, bootstrap=10, progress=False)
    axes = curve.plot(tmp_path / "curve.svg").axes[0]
    assert (tmp_path / "curve.svg").read_text().startswith("<?xml")
    assert list(axes.lines[0].get_xdata()) == [2, 60]
    assert list(axes.lines[0].get_ydata()) == [point.f1 for point in curve.points]


def test_a_plot_without_matplotlib_names_the_extra(monkeypatch):
    curve = learning_curve(dictionary, TRAIN, TEST, sizes=[2], progress=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"clinidistill\[plots\]"):
        curve.plot()


def test_a_dictionary_learns_from_real_documents():
    path = Settings().data / "ncbi_disease/original-data/train/NCBItrainset_corpus.txt"
    if not path.exists():
        pytest.skip(f"{path} is absent; set CLINIDISTILL_DATA to the folder of corpora")
    names = dict.fromkeys(("SpecificDisease", "DiseaseClass", "Modifier", "CompositeMention"), "disease")
    documents = cd.load_dataset("pubtator", path=path, labels=names, on_error="skip")
    test, train = documents.split(100, 200)
    curve = learning_curve(dictionary, train, test, sizes=(0.1, 0.4, 1.0), labels=["disease"], progress=False)
    recall = [point.scores[0].strict.micro.recall for point in curve.points]
    assert recall == sorted(recall)
    assert recall[-1] > 2 * recall[0] > 0.1
