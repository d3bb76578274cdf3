"""spaCy's entity recogniser as a clinidistill student: how a package brings in a student that is no torch module."""

from __future__ import annotations

import importlib.metadata
import json
import random
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import spacy
from spacy.training import Example
from spacy.training.batchers import minibatch_by_words
from spacy.util import filter_spans
from thinc.api import fix_random_seed

import clinidistill as cd
from clinidistill.distiller.settings import Settings
from clinidistill.errors import ConfigError, DataError
from clinidistill.progress import track
from clinidistill.students.base import METADATA_FILE, as_documents, read_metadata
from clinidistill.types.span import flatten

__all__ = ["SpacyStudent"]

_SURROGATE = re.compile("[\ud800-\udfff]")  # spaCy keeps strings as UTF-8, which has no half of a UTF-16 pair
_PIPELINE = "pipeline"
_PART = 10_000  # characters that are looked at as one text
_VERSION = importlib.metadata.version("spacy")


class SpacyStudent(cd.Student):
    """spaCy's entity recogniser on a blank pipeline: no pre-trained weights, four megabytes, quick on a CPU.

    A convolutional network over hashed features of words, and a transition-based parser of mentions (Lample et al.,
    *Neural Architectures for Named Entity Recognition*, NAACL 2016). Mentions are runs of spaCy's tokens that do not
    overlap; their scores are all 1.

    Args:
        labels: the labels to extract; None takes them from the training data.
        language: spaCy's code of the notes' language, for its tokenizer.
        lr: learning rate; the Distiller's is meant for pre-trained weights.
        dropout: share of features left out in training.
        batch_words: about how many words an update sees.
        name: what it signs its spans with.

    Raises:
        ConfigError: if the language is no code of spaCy's.
    """

    def __init__(
        self,
        labels: Sequence[str] | None = None,
        *,
        language: str = "en",
        lr: float = 1e-3,
        dropout: float = 0.2,
        batch_words: int = 500,
        name: str = "spacy",
    ):
        self._labels = tuple(labels or ())
        self.language, self.lr, self.dropout, self.batch_words, self.name = language, lr, dropout, batch_words, name
        self._trained = False
        try:
            self._nlp = spacy.blank(language)
        except ImportError:
            raise ConfigError(f"spaCy has no language {language!r}; give a code such as 'en' or 'de'") from None
        self._nlp.max_length = 10**9  # the limit is for parsers that need more memory
        self._nlp.add_pipe("ner")

    @property
    def labels(self) -> tuple[str, ...]:
        return self._labels

    def learn(self, train: Iterable[cd.Document], dev: Sequence[cd.Document] | None, settings: Settings) -> cd.History:
        """Learn from labelled documents, all in memory; of the settings it heeds epochs, patience, seed and show.

        Where a document's ``covers`` leaves out some label, its words outside mentions are unknown rather than outside:
        spaCy cannot be told that a word is no medication but may be a disease. So such a document teaches what its
        mentions are, and nothing by its silence.
        """
        documents = list(train)
        found = {label for document in documents for label in document.labels | (document.covers or frozenset())}
        self._labels = self._labels or tuple(sorted(found))
        if not self._labels or not documents:
            raise ConfigError("there is no label or no document to learn from; check the teachers, or give labels")
        fix_random_seed(settings.seed)
        examples = [self._example(document) for document in documents]
        optimizer = self._optimizer(examples)
        history, best = cd.History(), b""
        with track("training", settings.epochs, settings.show) as bar:
            for epoch in range(1, settings.epochs + 1):
                random.Random(f"{settings.seed}-{epoch}").shuffle(examples)
                history.epochs.append(record := {"epoch": epoch} | self._epoch(examples, optimizer, history, epoch))
                bar.advance()
                if dev is None:
                    history.best_epoch = epoch
                    continue
                scores = cd.evaluate(dev, self.predict(each.without_spans() for each in dev), labels=self._labels)
                record |= {"dev_f1": scores.strict.micro.f1, "dev_f1_lenient": scores.lenient.micro.f1}
                if history.best_epoch is None or record["dev_f1"] > max(history.dev_f1[:-1]):
                    history.best_epoch, best = epoch, self._ner.model.to_bytes()
                if settings.patience and epoch - history.best_epoch >= settings.patience and epoch < settings.epochs:
                    history.stopped_early = True
                    break
        if best:
            self._ner.model.from_bytes(best)
        return history

    def predict(
        self, documents: Iterable[cd.Document | str], *, batch_size: int = 64, workers: int = 1, **options: Any
    ) -> Iterator[cd.Document]:
        """The documents with its spans in place of theirs, lazily and in order; strings get ids ``"0"``, ``"1"``, …

        Args:
            documents: notes; read some batches ahead.
            batch_size: notes in a batch.
            workers: processes.
            options: none are known.

        Raises:
            ConfigError: if it was not trained, or an option is unknown.
        """
        if options:
            raise ConfigError(f"predict takes batch_size and workers; got {', '.join(options)}")
        if not self._trained:
            raise ConfigError("this student has no model yet: train it with Distiller.fit, or load a saved one")
        return self._predict(as_documents(documents), batch_size, workers)

    def _predict(self, documents: Iterable[cd.Document], batch_size: int, workers: int) -> Iterator[cd.Document]:
        parts = (
            (text, (start, document))
            for document in documents
            for start, text in _parts(_SURROGATE.sub("\ufffd", document.text))
        )
        spans: list[cd.Span] = []
        for found, (start, document) in self._nlp.pipe(parts, as_tuples=True, batch_size=batch_size, n_process=workers):
            places = [(start + e.start_char, start + e.end_char, e.label_) for e in found.ents]
            spans += [cd.Span(*place, source=self.name) for place in places]
            if start + len(found.text) == len(document.text):
                yield document.with_spans(spans, self._labels)
                spans = []

    def save(self, path: str | Path, *, card: str | None = None) -> None:
        """Write it to a folder, as JSON, NumPy arrays without objects, and MessagePack: nothing that runs code."""
        if not self._trained:
            raise ConfigError("this student has learnt nothing yet that could be saved: train it with Distiller.fit")
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        self._nlp.to_disk(folder / _PIPELINE, exclude=["tokenizer"])  # which the language code says
        options = {name: self.options[name] for name in ("language", "lr", "dropout", "batch_words", "name")}
        metadata = {"student": "spacy", "spacy": _VERSION, "labels": list(self._labels), **options}
        (folder / METADATA_FILE).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
        listing = "\n".join(f"- {label}" for label in self._labels)
        own = f"# {self.name}\n\nspaCy entity recogniser trained with clinidistill. It extracts:\n\n{listing}\n"
        (folder / "README.md").write_text(own if card is None else card, encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        folder = Path(path)
        metadata = read_metadata(folder)
        try:
            student = cls(**{name: metadata[name] for name in cls.__signature__.parameters})
            # Its config.cfg is not read: a pipeline's configuration may name functions to call.
            student._add_labels()
            student._nlp.from_disk(folder / _PIPELINE, exclude=["tokenizer"])
        except Exception as error:
            version = metadata.get("spacy", "another version")
            raise DataError(
                f"holds no student that can be loaded ({type(error).__name__}); it was saved with spaCy {version}, and "
                f"this is {_VERSION}",
                path=folder,
            ) from error
        student._trained = True
        return student

    @property
    def _ner(self) -> Any:
        return self._nlp.get_pipe("ner")

    def _add_labels(self) -> None:
        for label in self._labels:
            self._ner.add_label(label)

    def _optimizer(self, examples: Sequence[Example]) -> Any:
        if self._trained:
            optimizer = self._nlp.resume_training()
        else:
            self._add_labels()
            optimizer = self._nlp.initialize(lambda: examples)
        optimizer.learn_rate, self._trained = self.lr, True
        return optimizer

    def _epoch(self, examples: Sequence[Example], optimizer: Any, history: cd.History, epoch: int) -> dict[str, Any]:
        total, tokens, began = 0.0, 0, time.perf_counter()
        for batch in minibatch_by_words(examples, self.batch_words, get_length=_words):
            loss = self._nlp.update(batch, sgd=optimizer, drop=self.dropout)["ner"]
            words = sum(map(_words, batch))
            step = {"step": len(history.steps) + 1, "epoch": epoch, "loss": loss / max(words, 1), "lr": self.lr}
            history.steps.append(step)
            total, tokens = total + loss, tokens + words
        seconds = time.perf_counter() - began
        rates = {"tokens": tokens, "seconds": seconds, "tokens_per_second": tokens / seconds}
        return {"loss": total / max(tokens, 1), **rates}

    def _example(self, document: cd.Document) -> Example:
        """Its mentions on whole tokens; of overlapping ones the longest, a discontinuous one as if it had no gaps."""
        text = _SURROGATE.sub("\ufffd", document.text)
        doc, found = self._nlp.make_doc(text), []
        for span in flatten(s for s in document.spans if s.label in self._labels and document.covers_label(s.label)):
            mention = text[span.start : span.end].strip()  # spaCy takes no mention with white space at its edges
            start = text.find(mention, span.start)
            found.append(doc.char_span(start, start + len(mention), label=span.label, alignment_mode="expand"))
        all_known = all(map(document.covers_label, self._labels))
        doc.set_ents(filter_spans(filter(None, found)), default="outside" if all_known else "missing")
        return Example(self._nlp.make_doc(text), doc)


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """A long note in parts, with their starts, cut at white space where there is some: memory grows with a part."""
    start = 0
    while len(text) - start > _PART:
        cut = max(text.rfind(space, start + 1, start + _PART) for space in "\n ")
        end = start + _PART if cut < 0 else cut
        yield start, text[start:end]
        start = end
    yield start, text[start:]


def _words(example: Example) -> int:
    return len(example.reference)
