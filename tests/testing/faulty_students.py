"""Students with one fault each; the rule that finds it stands beside each."""

import json
import pickle
import re
from pathlib import Path

import numpy as np

import clinidistill as cd
from clinidistill.bases import read_metadata
from clinidistill.errors import DataError
from clinidistill.students.base import METADATA_FILE, Doubts, as_documents
from clinidistill.types import Document, Span

NOTES = ["Started metformin for diabetes.\nNo fever.", "Metformin and aspirin; a rash.", "Fever, treated with aspirin."]


@cd.register_student("conformance-words")
class Words(cd.Student):
    """A good one: marks words that it knows."""

    def __init__(self, words: dict[str, str] | None = None, name: str = "words"):
        self.words = dict(words or {})

    @property
    def labels(self):
        return tuple(sorted(set(self.words.values())))

    def spans(self, text):
        pattern = "|".join(map(re.escape, self.words)) or "(?!)"
        return [Span(*match.span(), self.words[match[0]]) for match in re.finditer(pattern, text)]

    def predict(self, documents, **options):
        for document in as_documents(documents):
            yield document.with_spans(self.spans(document.text), self.labels)

    def save(self, path, *, card=None):
        Path(path).mkdir(parents=True, exist_ok=True)
        metadata = {"student": type(self).registered_name or "words", "words": self.words}
        (Path(path) / METADATA_FILE).write_text(json.dumps(metadata), encoding="utf-8")

    @classmethod
    def load(cls, path):
        metadata = read_metadata(Path(path))
        if not metadata:
            raise DataError(f"holds no {METADATA_FILE}", path=path)
        return cls(metadata["words"])


class Numbering(Words):
    """Gives strings ids of its own."""

    def predict(self, documents, **options):
        for number, document in enumerate(documents):
            note = document if isinstance(document, Document) else Document(f"doc{number}", document)
            yield note.with_spans(self.spans(note.text), self.labels)


class Reordering(Words):
    """Sorts by length, to save padding, and forgets to undo it."""

    def predict(self, documents, **options):
        yield from super().predict(sorted(as_documents(documents), key=lambda document: len(document.text)))


class LosingMeta(Words):
    def predict(self, documents, **options):
        for document in super().predict(documents):
            yield Document(document.id, document.text, document.spans, document.covers)


class Ascii(Words):
    def predict(self, documents, **options):
        for document in as_documents(documents):
            document.text.encode("latin-1")
            yield document.with_spans(self.spans(document.text), self.labels)


class Doubtful(Words):
    def doubts(self, documents):
        for document in self.predict(documents):
            yield Doubts(np.array([0, len(document.text)]), np.array([0.5]))


class NotANumber(Words):
    def doubts(self, documents):
        for _ in self.predict(documents):
            yield Doubts(np.array([0]), np.array([np.nan]))


class Rooted(Words):
    """Remembers where it was saved."""

    def save(self, path, *, card=None):
        super().save(path)
        words = Path(path) / "words.json"
        words.write_text(json.dumps(self.words))
        (Path(path) / METADATA_FILE).write_text(json.dumps({"student": "rooted", "words": str(words.resolve())}))

    @classmethod
    def load(cls, path):
        return cls(json.loads(Path(read_metadata(Path(path))["words"]).read_text()))


class Forgetting(Words):
    def save(self, path, *, card=None):
        kept = dict(list(self.words.items())[:1])
        type(self)({**kept, "warfarin": "symptom"}).__class__.__mro__[1].save(
            type(self)({**kept, "x": "symptom"}), path
        )


@cd.register_student("conformance-anonymous")
class Anonymous(Words):
    """Its folder says that another student is in it."""

    def save(self, path, *, card=None):
        super().save(path)
        metadata = {"student": "conformance-words", "words": self.words}
        (Path(path) / METADATA_FILE).write_text(json.dumps(metadata))


class Pickling(Words):
    def save(self, path, *, card=None):
        super().save(path)
        (Path(path) / "model.bin").write_bytes(pickle.dumps(self.words))


class PicklingByTorch(Words):
    def save(self, path, *, card=None):
        import torch

        super().save(path)
        torch.save({"weights": torch.zeros(2)}, Path(path) / "weights")


class PicklingByNumpy(Words):
    def save(self, path, *, card=None):
        super().save(path)
        np.save(Path(path) / "words.npy", np.array([self.words], dtype=object), allow_pickle=True)


class Trusting(Words):
    @classmethod
    def load(cls, path):
        return cls(read_metadata(Path(path)).get("words"))


class Eager(Words):
    def predict(self, documents, **options):
        return iter(list(super().predict(documents)))


class Truncating(Words):
    def predict(self, documents, **options):
        for document in as_documents(documents):
            yield document.with_spans(self.spans(document.text[:512]), self.labels)


FAULTS = {
    Numbering: "student/predict",
    Reordering: "student/predict",
    LosingMeta: "student/predict",
    Ascii: "student/hostile",
    Doubtful: "student/doubts",
    NotANumber: "student/doubts",
    Rooted: "student/save",
    Forgetting: "student/save",
    Anonymous: "student/save",
    Pickling: "student/no-pickle",
    PicklingByTorch: "student/no-pickle",
    PicklingByNumpy: "student/no-pickle",
    Trusting: "student/load",
    Eager: "student/laziness",
    Truncating: "student/huge",
}
