"""Notes that a tiny student learns by heart."""

from clinidistill import Document, Span

KINDS = {
    "aspirin": "medication",
    "insulin": "medication",
    "metformin": "medication",
    "pain": "symptom",
    "rash": "symptom",
}
NOTES = [
    "started aspirin for pain daily",
    "pain and rash after metformin",
    "no rash reported on metformin",
    "she denied pain at once",
    "aspirin was stopped",
]


def gold(text):
    """A note whose words of KINDS are marked."""
    words = [(text.index(word), word) for word in text.split()]
    return Document(text, text, [Span(at, at + len(word), KINDS[word]) for at, word in words if word in KINDS])
