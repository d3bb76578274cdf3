import pytest
import torch

from clinidistill import Distiller
from clinidistill.errors import ConfigError
from clinidistill.evaluation import evaluate
from clinidistill.students.token_classifier import TokenClassifier


def predicted(student, notes):
    return list(student.predict([note.without_spans() for note in notes]))


@pytest.fixture(scope="module")
def reluctant(tiny_base, notes):
    """A student that rather finds nothing, as those do that learnt from notes in which mentions are not marked."""
    student = TokenClassifier(tiny_base)
    Distiller(8, 5e-3, 128, precision="fp32", device="cpu", show=False).fit(student, notes)
    with torch.no_grad():
        student.model.classifier.bias[0] += 3
    return student


def test_calibration_finds_what_a_reluctant_student_leaves_out(reluctant, notes, tmp_path):
    reluctant.save(tmp_path / "student")
    student = TokenClassifier.load(tmp_path / "student")
    before = evaluate(notes, predicted(student, notes)).strict.micro
    shift = student.calibrate(notes)
    after = evaluate(notes, predicted(student, notes)).strict.micro
    assert shift < 0
    assert after.f1 > before.f1
    assert after.recall > before.recall


def test_a_calibrated_student_stays_so_when_saved(reluctant, notes, tmp_path):
    reluctant.save(tmp_path / "student")
    student = TokenClassifier.load(tmp_path / "student")
    student.calibrate(notes)
    student.save(tmp_path / "again")
    assert predicted(TokenClassifier.load(tmp_path / "again"), notes) == predicted(student, notes)


def test_calibrating_again_changes_nothing(reluctant, notes, tmp_path):
    reluctant.save(tmp_path / "student")
    student = TokenClassifier.load(tmp_path / "student")
    student.calibrate(notes)
    assert student.calibrate(notes) == 0


def test_a_crf_cannot_be_calibrated(tiny_base, notes):
    student = TokenClassifier(tiny_base, head="crf")
    Distiller(1, device="cpu", show=False).fit(student, notes)
    with pytest.raises(ConfigError, match="linear head"):
        student.calibrate(notes)


def test_calibration_without_dev_documents_is_refused(tiny_base, notes):
    with pytest.raises(ConfigError, match="dev"):
        Distiller(1, calibrate=True, device="cpu", show=False).fit(TokenClassifier(tiny_base), notes)
