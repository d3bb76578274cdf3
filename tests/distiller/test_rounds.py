import numpy as np
import pytest
import torch

from clinidistill import Distiller
from clinidistill.distiller.corpus import Corpus
from clinidistill.distiller.dynamics import Dynamics
from clinidistill.distiller.guidance import guided
from clinidistill.distiller.loop import Training
from clinidistill.errors import ConfigError, OptionError
from clinidistill.evaluation import evaluate
from clinidistill.students.token_classifier import TokenClassifier

CPU = torch.device("cpu")
LABELS = ["medication", "symptom"]


def distiller(epochs, **settings):
    return Distiller(epochs, 5e-3, 128, precision="fp32", device="cpu", show=False, **settings)


@pytest.fixture(scope="module")
def teacher(tiny_base, notes):
    student = TokenClassifier(tiny_base)
    distiller(25).fit(student, notes)
    return student


def f1(student, notes):
    return evaluate(notes, list(student.predict([note.without_spans() for note in notes]))).strict.micro.f1


def test_the_pool_comes_back_labelled_by_the_student_itself(tiny_base, notes):
    student = TokenClassifier(tiny_base)
    history = distiller(25, rounds=2).fit(student, notes[:8], pool=notes[8:])
    alone = distiller(1).fit(TokenClassifier(tiny_base), notes[:8])
    assert history.epochs[0]["tokens"] > alone.epochs[0]["tokens"]
    assert f1(student, notes) > 0.9


def test_the_labels_that_the_pool_holds_are_not_looked_at(tiny_base, notes):
    wrong = [note.with_spans([], {"medication"}) for note in notes[8:]]
    losses = [
        distiller(2, rounds=2).fit(TokenClassifier(tiny_base, labels=LABELS), notes[:8], pool=pool).losses
        for pool in (notes[8:], wrong)
    ]
    assert losses[0] == losses[1]


def test_a_round_begins_from_the_start(tiny_base, notes):
    once, twice = (
        distiller(2, rounds=rounds, guide_weight=0.0).fit(TokenClassifier(tiny_base), notes) for rounds in (1, 2)
    )
    assert np.allclose(once.losses, twice.losses, atol=1e-4)


def test_a_pool_without_guides_is_refused(tiny_base, notes):
    with pytest.raises(ConfigError, match="rounds=2"):
        distiller(1).fit(TokenClassifier(tiny_base), notes, pool=notes)


def test_unsure_tokens_of_the_pool_take_no_part(notes, teacher):
    examples = list(teacher.encode([note.with_spans([], set()) for note in notes]))
    every = [(example.targets >= 0).sum() for example in guided(examples, [teacher], 1.0, CPU)]
    sure = list(guided(examples, [teacher], 1.0, CPU, confidence=0.99))
    assert 0 < sum((example.targets >= 0).sum() for example in sure) < sum(every)
    assert all((example.soft[example.targets >= 0].max(-1) > 0.98).all() for example in sure)


def test_guides_that_complete_leave_marked_tokens_alone(notes, teacher):
    half = [note.with_spans(note.spans[::2]) for note in notes]
    examples = list(teacher.encode(half))
    for example, completed in zip(examples, guided(examples, [teacher], 1.0, CPU, outside_only=True), strict=True):
        marked = example.targets > 0
        assert (completed.targets[marked] == example.targets[marked]).all()
        assert np.allclose(completed.soft[marked].max(-1), 1)
    gained = sum((example.targets > 0).sum() for example in guided(examples, [teacher], 1.0, CPU, outside_only=True))
    assert gained > sum((example.targets > 0).sum() for example in examples)


def test_tokens_whose_tag_is_never_believed_get_another(tiny_base, notes, teacher):
    right = Corpus(teacher.encode(notes))
    dynamics = Dynamics(Corpus(teacher.encode([note.with_spans([]) for note in notes])), 5)
    for _ in range(3):
        dynamics.update(teacher, CPU)
    mended = list(dynamics.relabelled(0.5))
    same = [(one.targets == other.targets).mean() for one, other in zip(right, mended, strict=True)]
    assert np.mean(same) > 0.95
    assert all((example.targets <= 0).all() for example in dynamics.relabelled(1.0))


def test_a_training_that_relabels_mends_its_labels(tiny_base, notes):
    silver = [note if n % 4 else note.with_spans([]) for n, note in enumerate(notes)]
    plain = distiller(20).fit(TokenClassifier(tiny_base), silver)
    mended = distiller(20, rounds=2, relabel=0.5, guide_weight=0.0).fit(TokenClassifier(tiny_base), silver)
    assert np.mean(mended.losses[-5:]) < 0.5 * np.mean(plain.losses[-5:])  # its labels no longer contradict each other


def test_relabelling_needs_another_round():
    with pytest.raises(OptionError, match="rounds=2"):
        Distiller(relabel=0.5)


def test_a_killed_training_of_several_rounds_goes_on(tiny_base, notes, tmp_path):
    settings = {"rounds": 2, "relabel": 0.6}
    whole = distiller(3, **settings).fit(TokenClassifier(tiny_base), notes)

    class Killed(Exception):
        pass

    ends, end = [], Training._end_epoch

    def dying(self):
        ends.append(1)
        if len(ends) == 5:
            raise Killed
        end(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "_end_epoch", dying)
        with pytest.raises(Killed):
            distiller(3, **settings).fit(TokenClassifier(tiny_base), notes, checkpoint=tmp_path)
    resumed = distiller(3, **settings).fit(TokenClassifier(tiny_base), notes, checkpoint=tmp_path)
    assert np.allclose(whole.losses, resumed.losses, atol=1e-6)
