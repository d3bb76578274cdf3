"""What teachers said of short notes, by hand and at random, and what aggregators make of it."""

from hypothesis import strategies as st

from clinidistill.labels import Labels
from clinidistill.types import Annotation, Document, Span

NOTE = Document("n1", "On metformin for diabetes.")
DRUG, DISEASE = (3, 12, "medication"), (17, 25, "disease")
NAMES = ("disease", "medication", "symptom")
TEXT = "Took low-dose aspirin\r\nfor a  𝒜lpha pain, 5mg!"


def said(teacher, *keys, covers=None, error=None, document="n1", **fields):
    return Annotation(document, teacher, tuple(Span(*key, **fields) for key in keys), covers, error)


def labels_of(*annotations, notes=(NOTE,), teachers=None):
    """Labels from annotations; teachers in the order in which they first speak, unless given."""
    names = tuple(dict.fromkeys(a.teacher for a in annotations)) if teachers is None else teachers
    return Labels(notes, names, lambda name, _: {a.document_id: a for a in annotations if a.teacher == name})


def silver(aggregator, *annotations):
    """The one note with what the aggregator makes of what was said of it, without learning from it first."""
    (document,) = aggregator.combine(labels_of(*annotations))
    return document


def keys(document):
    return [span.key for span in document.spans]


def scored(documents):
    """All spans with their scores, by document."""
    return {document.id: {span.key: span.score for span in document.spans} for document in documents}


def spans_in(text, labels=NAMES):
    """Spans of up to 12 characters anywhere in a text, so also in mid-word and over line breaks."""
    starts = st.integers(0, len(text) - 1)
    places = st.tuples(starts, st.integers(1, 12)).map(lambda place: (place[0], min(sum(place), len(text))))
    return st.builds(lambda place, label: Span(*place, label), places, st.sampled_from(labels))


@st.composite
def corpora(draw, documents=3, teachers=4, spans=5):
    """Labels of a few notes by a few teachers that know some labels, fail, or have not seen all notes."""
    notes = [Document(f"n{n}", TEXT) for n in range(draw(st.integers(0, documents)))]
    names = [f"t{n}" for n in range(draw(st.integers(0, teachers)))]
    annotations = []
    for name in names:
        covers = draw(st.none() | st.frozensets(st.sampled_from(NAMES)))
        for note in notes:
            fate = draw(st.sampled_from(["answers", "answers", "answers", "fails", "absent"]))
            if fate != "absent":
                marked = tuple(draw(st.lists(spans_in(TEXT), max_size=spans)))
                error = "Timeout" if fate == "fails" else None
                annotations.append(Annotation(note.id, name, marked, covers, error))
    return labels_of(*annotations, notes=notes, teachers=names)
