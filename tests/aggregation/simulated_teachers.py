"""Notes with mentions, and teachers of known quality that read them."""

import random
from dataclasses import dataclass

from clinidistill.labels import Labels
from clinidistill.types import Document, Span

DISEASES, DRUGS = "disease", "medication"
LABELS = (DISEASES, DRUGS, "symptom")
_SLOT = 5  # words; one place for a mention each, so that mentions never touch


@dataclass(frozen=True)
class Quality:
    """How good a teacher is.

    Args:
        recall: how probably it finds a mention.
        invented: mentions in a note that it makes up, on average at most.
        edges: how probably it takes a wrong last word.
        confused: how probably it takes another label.
        covers: the labels it knows.
    """

    recall: float
    invented: float = 1.0
    edges: float = 0.1
    confused: float = 0.05
    covers: tuple[str, ...] = LABELS


UNEQUAL = {
    "best": Quality(0.85, 0.8, 0.05, 0.03),
    "good": Quality(0.7, 1.2, 0.1, 0.05),
    "fair": Quality(0.6, 2.0, 0.25, 0.1),
    "poor": Quality(0.4, 2.5, 0.3, 0.2),
    "bad": Quality(0.3, 3.0, 0.4, 0.3),
}
"""Five teachers of very unequal quality that know all labels."""

PARTIAL = {
    "llm": Quality(0.8, 1.5, 0.1, 0.08),
    "small llm": Quality(0.65, 1.2, 0.15, 0.1),
    "drugs": Quality(0.85, 0.6, 0.05, 0.0, (DRUGS,)),
    "findings": Quality(0.6, 1.5, 0.15, 0.1, (DISEASES, "symptom")),
    "diseases": Quality(0.7, 0.8, 0.1, 0.0, (DISEASES,)),
    "symptoms": Quality(0.5, 0.6, 0.1, 0.0, ("symptom",)),
}
"""Two teachers that know all labels, and four that know some."""


def notes(number, seed=0, slots=14, mentions=6):
    """Notes of made-up words; each label's mentions have words of their own, half of which occur elsewhere, too."""
    draw = random.Random(seed)
    common = [_word(draw) for _ in range(200)]
    own = {label: [_word(draw) for _ in range(20)] + common[20 * n : 20 * n + 20] for n, label in enumerate(LABELS)}
    found = []
    for n in range(number):
        words, marked = [draw.choice(common) for _ in range(slots * _SLOT)], []
        for slot in draw.sample(range(slots), mentions):
            label, first, size = draw.choice(LABELS), slot * _SLOT + draw.randrange(2), draw.choice((1, 1, 2, 3))
            words[first : first + size] = [draw.choice(own[label]) for _ in range(size)]
            marked.append((first, first + size, label))
        text, starts = _joined(words)
        found.append(Document(f"s{n}", text, [_span(starts, *each) for each in marked]))
    return found


def labelled_by(documents, teachers, seed=1):
    """What teachers of these qualities say of the documents."""
    draw = random.Random(seed)
    table = {
        name: {document.id: _answer(draw, document, each) for document in documents} for name, each in teachers.items()
    }
    return Labels.from_annotations(documents, table, covers={name: each.covers for name, each in teachers.items()})


def strict_f1(gold, silver):
    """Micro F1 over exact spans, on the documents of `gold`."""
    found = {document.id: {span.key for span in document.spans} for document in silver}
    wanted = {document.id: {span.key for span in document.spans} for document in gold}
    right = sum(len(wanted[name] & found[name]) for name in wanted)
    return 2 * right / sum(len(wanted[name]) + len(found[name]) for name in wanted)


def _answer(draw, document, quality):
    starts = [0, *(n + 1 for n, letter in enumerate(document.text) if letter == " "), len(document.text) + 1]
    said = []
    for span in document.spans:
        if span.label not in quality.covers or draw.random() > quality.recall:
            continue
        first, last = starts.index(span.start), starts.index(span.end + 1)
        if draw.random() < quality.edges:
            last += draw.choice((-1, 1)) if last - first > 1 else 1
        said.append((first, last, draw.choice(quality.covers) if draw.random() < quality.confused else span.label))
    free = [
        n
        for n in range((len(starts) - 1) // _SLOT)
        if not any(n * _SLOT <= first < n * _SLOT + _SLOT for first, *_ in said)
    ]
    for slot in draw.sample(free, min(len(free), round(draw.random() * 2 * quality.invented))):
        first = slot * _SLOT + draw.randrange(2)
        said.append((first, first + draw.choice((1, 1, 2)), draw.choice(quality.covers)))
    return [_span(starts, *each) for each in said if each[1] < len(starts)]


def _word(draw):
    return "".join(draw.choices("abcdefghijklm", k=draw.randint(3, 9)))


def _joined(words):
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word) + 1)
    return " ".join(words), starts


def _span(starts, first, last, label):
    return Span(starts[first], starts[last] - 1, label)
