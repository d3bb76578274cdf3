import numpy as np
import pytest
import torch

from clinidistill import Distiller
from clinidistill.distiller.guidance import check_guides, guided
from clinidistill.errors import ConfigError
from clinidistill.evaluation import evaluate
from clinidistill.students.token_classifier import TokenClassifier

CPU = torch.device("cpu")


def distiller(epochs, **settings):
    return Distiller(epochs, 5e-3, 128, precision="fp32", device="cpu", show=False, **settings)


@pytest.fixture(scope="module")
def teacher(tiny_base, notes):
    student = TokenClassifier(tiny_base)
    distiller(25).fit(student, notes)
    return student


def bare(notes):
    """The notes with nothing looked for in them."""
    return [note.with_spans([], set()) for note in notes]


def test_a_student_learns_unlabelled_notes_from_its_guide(tiny_base, notes, teacher):
    student = TokenClassifier(tiny_base, labels=["medication", "symptom"])
    distiller(25).fit(student, bare(notes), guides=[teacher])
    told, learnt = (list(each.predict(bare(notes))) for each in (teacher, student))
    assert evaluate(notes, told).strict.micro.f1 > 0.9
    assert evaluate(told, learnt).strict.micro.f1 > 0.9


def test_notes_without_labels_teach_nothing_without_a_guide(tiny_base, notes):
    with pytest.raises(ConfigError, match="no text to learn from"):
        distiller(1).fit(TokenClassifier(tiny_base, labels=["medication"]), bare(notes))


def test_guides_have_their_share_of_the_targets(notes, teacher):
    examples = list(teacher.encode(notes))
    [*mixed] = guided(examples, [teacher], 0.25, CPU)
    for example, both in zip(examples, mixed, strict=True):
        opinion = teacher.probabilities(teacher.model, [example], CPU)[0].detach().numpy()
        here = example.targets >= 0
        own = np.eye(opinion.shape[-1])[np.maximum(example.targets, 0)]
        assert np.allclose(both.soft[here], (0.25 * opinion + 0.75 * own)[here], atol=2e-3)
        assert (both.targets < 0).tolist() == (example.targets < 0).tolist()


def test_several_guides_are_averaged(tiny_base, notes, teacher):
    other = TokenClassifier(tiny_base)
    distiller(1).fit(other, notes)
    [example] = teacher.encode(bare(notes)[:1])
    one, two, both = (
        next(guided([example], guides, 1.0, CPU)).soft.astype(float)
        for guides in ([teacher], [other], [teacher, other])
    )
    assert np.allclose(both, (one + two) / 2, atol=2e-3)


def test_a_guide_with_other_labels_is_refused(tiny_base, notes, teacher):
    student = TokenClassifier(tiny_base, labels=["disease"])
    with pytest.raises(ConfigError, match="guide extracts"):
        distiller(1).fit(student, [note.with_spans([], {"disease"}) for note in notes], guides=[teacher])


def test_a_guide_that_does_not_tag_tokens_is_refused(teacher):
    with pytest.raises(ConfigError, match="transformer"):
        check_guides([object()], teacher)


def test_the_average_is_what_is_kept(tiny_base, notes):
    plain, averaged = TokenClassifier(tiny_base), TokenClassifier(tiny_base)
    distiller(3).fit(plain, notes)
    distiller(3, ema=0.9).fit(averaged, notes)
    differ = [
        not torch.equal(one, other)
        for one, other in zip(plain.model.parameters(), averaged.model.parameters(), strict=True)
    ]
    assert any(differ)
    assert evaluate(notes, list(averaged.predict(bare(notes)))).strict.micro.f1 >= 0


def test_an_averaged_training_goes_on_as_it_would_have(tiny_base, notes, tmp_path):
    settings = {"ema": 0.9, "self_distillation": 0.3}
    whole, parts = TokenClassifier(tiny_base), TokenClassifier(tiny_base)
    expected = distiller(3, **settings).fit(whole, notes).losses

    class Stop(Exception):
        pass

    class Stopping(TokenClassifier):
        left = 8

        def loss(self, *arguments):
            Stopping.left -= 1
            if not Stopping.left:
                raise Stop
            return super().loss(*arguments)

        fingerprint = property(lambda self: whole.fingerprint)

    with pytest.raises(Stop):
        distiller(3, **settings).fit(Stopping(tiny_base), notes, checkpoint=tmp_path, checkpoint_every=1)
    found = distiller(3, **settings).fit(parts, notes, checkpoint=tmp_path, checkpoint_every=1).losses
    assert found == pytest.approx(expected, rel=1e-6)


def test_self_distillation_without_an_average_is_refused():
    with pytest.raises(ConfigError, match="ema"):
        distiller(1, self_distillation=0.3)
