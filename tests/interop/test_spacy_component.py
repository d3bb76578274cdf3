import re
import subprocess
import sys

import pytest
import spacy
from spacy.tokens import Span

import clinidistill as cd
from clinidistill.errors import ConfigError

NOTES = ["Started metformin 500 mg.", "", "💊 No cough, chest pain; on aspirin/metformin.", "Nothing."]


@pytest.fixture(scope="module")
def model(tiny_base, tmp_path_factory):
    """A student that has learnt by heart what the notes say."""
    words = re.compile("metformin|aspirin|chest pain|cough")
    labels = {"metformin": "medication", "aspirin": "medication"}
    train = [
        cd.Document(
            str(number),
            text,
            [cd.Span(m.start(), m.end(), labels.get(m[0], "symptom")) for m in words.finditer(text)],
            {"medication", "symptom"},
        )
        for number, text in enumerate(NOTES)
        if text
    ]
    student = cd.load_student("token-classifier", base=str(tiny_base))
    cd.Distiller(epochs=60, lr=2e-2, patience=None, show=False).fit(student, train)
    folder = tmp_path_factory.mktemp("component") / "student"
    student.save(folder)
    assert sum(len(document.spans) for document in student.predict(NOTES)) >= 4
    return folder


@pytest.fixture
def nlp():
    return spacy.blank("en")


def test_entities_are_those_of_the_student(nlp, model):
    nlp.add_pipe("clinidistill", config={"model": str(model)})
    expected = list(cd.load_student(model).predict(NOTES))
    for doc, document in zip(nlp.pipe(NOTES), expected, strict=True):
        assert [(e.start_char, e.end_char, e.label_) for e in doc.ents] == [span.key for span in document.spans]
    assert [e.text for e in nlp(NOTES[0]).ents] == ["metformin"]


def test_span_groups_hold_the_scores_and_leave_entities_alone(nlp, model):
    nlp.add_pipe("clinidistill", config={"model": str(model), "spans_key": "clinical"})
    doc = nlp(NOTES[2])
    (document,) = cd.load_student(model).predict([NOTES[2]])
    assert not doc.ents
    assert [(s.start_char, s.end_char, s.label_) for s in doc.spans["clinical"]] == [s.key for s in document.spans]
    assert doc.spans["clinical"].attrs["scores"] == pytest.approx([span.score for span in document.spans], abs=1e-3)


@pytest.mark.parametrize(("overwrite", "left"), [(False, ["Started metformin 500"]), (True, ["metformin"])])
def test_entities_that_are_there_stay_unless_they_are_to_be_overwritten(nlp, model, overwrite, left):
    nlp.add_pipe("clinidistill", config={"model": str(model), "overwrite_ents": overwrite})
    doc = nlp.make_doc(NOTES[0])
    doc.ents = [Span(doc, 0, 3, "PHRASE")]
    assert [e.text for e in nlp.get_pipe("clinidistill")(doc).ents] == left


def test_a_pipeline_saved_to_disk_takes_the_student_with_it(nlp, model, tmp_path):
    nlp.add_pipe("clinidistill", config={"model": str(model)})
    nlp.to_disk(tmp_path / "pipeline")
    config = (tmp_path / "pipeline/config.cfg").read_text(encoding="utf-8")
    (tmp_path / "pipeline/config.cfg").write_text(config.replace(str(model), "/nowhere"), encoding="utf-8")
    again = spacy.load(tmp_path / "pipeline")
    assert [[e.text for e in doc.ents] for doc in again.pipe(NOTES)] == [
        [e.text for e in doc.ents] for doc in nlp.pipe(NOTES)
    ]


def test_a_pipeline_without_a_model_says_what_to_do(nlp):
    nlp.add_pipe("clinidistill")
    with pytest.raises(ConfigError, match="name a model: nlp.add_pipe"):
        nlp("Well.")
    nlp.remove_pipe("clinidistill")
    nlp.add_pipe("clinidistill", config={"model": "token-classifier"})
    with pytest.raises(ConfigError, match="is no folder"):
        nlp("Well.")


def test_spacy_finds_the_component_without_an_import_of_ours():
    script = "import spacy, sys; nlp = spacy.blank('en'); nlp.add_pipe('clinidistill'); print(nlp.pipe_names)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "['clinidistill']"
