"""Teachers with one fault each, as plugin authors make them; the rule that finds it stands beside each."""

import contextlib
import itertools
import json
import logging
import random
import re
import socket
import sys
import threading
import time
import warnings

import clinidistill as cd
from clinidistill.types import Annotation, Span

log = logging.getLogger(__name__)
NOTES = ["Started metformin for diabetes.\nNo fever.", "Metformin and aspirin; a rash.", "Fever, treated with aspirin."]
SURE = re.compile(r"\b(metformin|aspirin)\b", re.IGNORECASE)


class Drugs(cd.Teacher):
    """A good one: marks two drugs."""

    labels = frozenset({"medication"})

    def __init__(self, words: list[str] | None = None, label: str = "medication", name: str | None = None):
        self.pattern = SURE if words is None else re.compile("|".join(map(re.escape, words)))
        self.labels, self.label = frozenset({label}), label

    def find(self, text):
        return [Span(*match.span(), self.label) for match in self.pattern.finditer(text)]

    def label_document(self, document):
        return self.find(document.text)


class Bytes(Drugs):
    def label_document(self, document):
        pattern = re.compile(self.pattern.pattern.encode(), re.IGNORECASE)
        data = document.text.encode("utf-8", "surrogatepass")
        return [Span(*match.span(), self.label) for match in pattern.finditer(data)]


class Utf16(Drugs):
    def label_document(self, document):
        def units(offset):
            return len(document.text[:offset].encode("utf-16-le", "surrogatepass")) // 2

        return [Span(units(span.start), units(span.end), self.label) for span in self.find(document.text)]


class Utf16Bytes(Drugs):
    def label_document(self, document):
        def count(offset):
            return len(document.text[:offset].encode("utf-16-le", "surrogatepass"))

        return [Span(count(span.start), count(span.end), self.label) for span in self.find(document.text)]


class Escaped(Drugs):
    """Counts in the note as it stands in a request."""

    def label_document(self, document):
        def count(offset):
            return len(json.dumps(document.text[:offset])) - 2

        return [Span(count(span.start), count(span.end), self.label) for span in self.find(document.text)]


class LastLetter(Drugs):
    """Has spans end at their last characters, as some tools do."""

    def label_document(self, document):
        return [Span(span.start, span.end - 1, self.label) for span in self.find(document.text)]


class FromOne(Drugs):
    def label_document(self, document):
        return [Span(span.start + 1, span.end + 1, self.label) for span in self.find(document.text)]


class Lines(Drugs):
    """Reads the note as a file with universal newlines."""

    def label_document(self, document):
        return self.find(document.text.replace("\r\n", "\n"))


class Stripped(Drugs):
    def label_document(self, document):
        return self.find(document.text.strip())


class Folded(Drugs):
    def label_document(self, document):
        return self.find(document.text.lower())


class Composed(Drugs):
    def label_document(self, document):
        import unicodedata

        return self.find(unicodedata.normalize("NFC", document.text))


class Inclusive(Drugs):
    """Hands on offsets of its own making, past what the base class checks."""

    def annotate(self, documents):
        for document in documents:
            spans = tuple(Span(span.start, len(document.text) + 5, self.label) for span in self.find(document.text))
            yield Annotation(document.id, self.name, spans, self.labels)


class Undeclared(Drugs):
    def label_document(self, document):
        return [*self.find(document.text), Span(0, 1, "surprise")]


class UndeclaredPastTheBase(Drugs):
    def annotate(self, documents):
        for document in documents:
            spans = [Span(span.start, span.end, "surprise") for span in self.find(document.text)]
            yield Annotation(document.id, self.name, tuple(spans), self.labels)


class Overclaiming(Drugs):
    def annotate(self, documents):
        for document in documents:
            yield Annotation(document.id, self.name, tuple(self.find(document.text)), None)


class Dice(Drugs):
    rolls = itertools.count()

    def label_document(self, document):
        return self.find(document.text) if next(self.rolls) % 4 else []


class Scores(Drugs):
    def label_document(self, document):
        return [Span(span.start, span.end, span.label, random.random()) for span in self.find(document.text)]


class Counting(Drugs):
    """Marks a mention where it is first seen only."""

    def annotate(self, documents):
        seen = set()
        for document in documents:
            new = [span for span in self.find(document.text) if document.mention(span).lower() not in seen]
            seen |= {document.mention(span).lower() for span in new}
            yield Annotation(document.id, self.name, tuple(new), self.labels)


class FailsOnNothing(Drugs):
    def label_document(self, document):
        document.text.split()[0]
        return self.find(document.text)


class Truncating(Drugs):
    def label_document(self, document):
        return self.find(document.text[:2000])


class Eager(Drugs):
    def annotate(self, documents):
        return map(self._annotate_one, list(documents))


class Racing(Drugs):
    """Keeps the note on itself while it works."""

    def label_document(self, document):
        self.text = document.text
        spans = []
        for span in self.find(self.text):
            if len(document.text) < 200:
                time.sleep(1e-3)
            spans.append(Span(span.start, span.end, span.label, 1.0 if self.text is document.text else 0.5))
        return spans


class Meddling(Drugs):
    def label_document(self, document):
        if isinstance(document.meta, dict):
            document.meta["seen"] = True
        return self.find(document.text)


class MeddlingDeeper(Drugs):
    def label_document(self, document):
        document.meta.get("ward", []).append("B")
        return self.find(document.text)


class Logging(Drugs):
    def label_document(self, document):
        log.debug("looking at %r", document.text)
        return self.find(document.text)


class LoggingMentions(Drugs):
    def label_document(self, document):
        spans = self.find(document.text)
        for span in spans:
            log.info("found %s", document.mention(span))
        return spans


class Warning_(Drugs):
    def label_document(self, document):
        if len(document.text) > 10:
            warnings.warn(f"long: {document.text}", stacklevel=1)
        return self.find(document.text)


class Printing(Drugs):
    def label_document(self, document):
        print(document.text)
        return self.find(document.text)


class PrintingErrors(Drugs):
    def label_document(self, document):
        print("working on", document.text, file=sys.stderr)
        return self.find(document.text)


class Quoting(Drugs):
    """Its own error has the note in it."""

    def label_document(self, document):
        try:
            document.text.encode()
        except UnicodeEncodeError:
            raise cd.errors.DataError(f"cannot encode {document.text!r}") from None
        return self.find(document.text)


class Keeping(Drugs):
    def label_document(self, document):
        self.last = document.text
        return self.find(document.text)

    def __repr__(self):
        return f"Keeping(last={getattr(self, 'last', None)!r})"


class Escaping(Drugs):
    """What goes wrong on one note ends the stream."""

    def annotate(self, documents):
        for document in documents:
            document.text.encode()
            yield Annotation(document.id, self.name, tuple(self.find(document.text)), self.labels)


class EscapingPastTheBase(Drugs):
    def annotate(self, documents):
        for document in documents:
            yield Annotation(document.id, self.name, tuple(self.label_document(document)), self.labels)


class TellingStrangersWords(Drugs):
    def annotate(self, documents):
        for document in documents:
            try:
                yield Annotation(document.id, self.name, tuple(self.label_document(document)), self.labels)
            except Exception as error:
                yield Annotation(document.id, self.name, covers=self.labels, error=f"{type(error).__name__}: {error}")


class Skipping(Drugs):
    def annotate(self, documents):
        for document in documents:
            if self.find(document.text):
                yield self._annotate_one(document)


class Repeating(Drugs):
    def annotate(self, documents):
        for document in documents:
            yield self._annotate_one(document)
            yield self._annotate_one(document)


class Renaming(Drugs):
    def annotate(self, documents):
        for document in documents:
            yield Annotation(document.id, "someone", tuple(self.find(document.text)), self.labels)


class OtherPredictions(Drugs):
    def predict(self, documents):
        for document in documents:
            yield document.with_spans(self.find(document.text)[:1], self.labels)


class LosingMeta(Drugs):
    def predict(self, documents):
        for document in documents:
            yield cd.Document(document.id, document.text, tuple(self.find(document.text)), self.labels)


class Attached(Drugs):
    """The copy that a run gets forgets how it was made."""

    def attach(self, session):
        return Drugs(["metformin"], self.label)


class CallingHome(Drugs):
    def label_document(self, document):
        with contextlib.suppress(OSError):  # it is only statistics
            socket.create_connection(("192.0.2.1", 80), timeout=0.01).close()
        return self.find(document.text)


class LookingUp(Drugs):
    def label_document(self, document):
        with contextlib.suppress(OSError):
            socket.getaddrinfo("statistics.example", 443)
        return self.find(document.text)


class Impatient(Drugs):
    """Remote, and asks nobody."""

    remote = True

    def predict(self, documents):
        for document in documents:
            yield document.with_spans(self.find(document.text), self.labels)


class AtSomeTime(Drugs):
    ticks = itertools.count()

    def fingerprint_data(self):
        return {"tick": next(self.ticks)}


class Hashing(Drugs):
    def fingerprint_data(self):
        return {"label": hash(self.label)}


class Unsorted(Drugs):
    def fingerprint_data(self):
        return {"words": str({"metformin", "aspirin", "codeine", "warfarin", "insulin"}), "label": self.label}


class Learning(Drugs):
    """What it has seen is in its fingerprint."""

    seen = 0

    def label_document(self, document):
        self.seen += 1
        return self.find(document.text)

    def fingerprint_data(self):
        return {**super().fingerprint_data(), "seen": self.seen}


class Forgetting(Drugs):
    """An option that changes the answers has no part in the fingerprint."""

    def fingerprint_data(self):
        return {"words": self.options["words"]}


class ForgettingWords(Drugs):
    """A list that changes the answers has no part in the fingerprint."""

    def fingerprint_data(self):
        return {"label": self.options["label"]}


class ForgettingByDeclaration(Drugs):
    display_options = frozenset({"name", "label"})


class Named(Drugs):
    def fingerprint_data(self):
        return dict(self.options)


class Converting(cd.Teacher):
    """Takes what no recipe can say back: a word, of which it makes something else in its options."""

    def __init__(self, word: str):
        self.word = word
        self._options["word"] = {"compiled": word}

    def label_document(self, document):
        return [Span(*match.span(), "medication") for match in re.finditer(self.word, document.text)]


class Spent(cd.Teacher):
    def __init__(self, words):
        self.words = list(words)

    def label_document(self, document):
        return [Span(*m.span(), "medication") for word in self.words for m in re.finditer(word, document.text)]


class Sorting(Drugs):
    """Sorts the list that it was given."""

    def __init__(self, words: list[str], label: str = "medication"):
        words.sort()
        super().__init__(words, label)


class Talkative(Drugs):
    def __init__(self, api_key: str = "", label: str = "medication"):
        super().__init__(None, label)
        self.api_key = api_key


class Locked(Drugs):
    """Good, though it uses a lock, which cannot be copied."""

    def __init__(self, label: str = "medication"):
        super().__init__(None, label)
        self.lock = threading.Lock()


FAULTS = {
    Bytes: "teacher/offsets",
    Utf16: "teacher/offsets",
    Utf16Bytes: "teacher/offsets",
    Escaped: "teacher/offsets",
    LastLetter: "teacher/offsets",
    FromOne: "teacher/offsets",
    Lines: "teacher/offsets",
    Stripped: "teacher/offsets",
    Folded: "teacher/offsets",
    Composed: "teacher/offsets",
    Inclusive: "teacher/offsets",
    Undeclared: "teacher/labels",
    UndeclaredPastTheBase: "teacher/labels",
    Overclaiming: "teacher/labels",
    Dice: "teacher/determinism",
    Scores: "teacher/determinism",
    Counting: "teacher/independence",
    FailsOnNothing: "teacher/empty",
    Truncating: "teacher/huge",
    Eager: "teacher/laziness",
    Racing: "teacher/threads",
    Meddling: "teacher/inputs",
    MeddlingDeeper: "teacher/inputs",
    Logging: "teacher/privacy",
    LoggingMentions: "teacher/privacy",
    Warning_: "teacher/privacy",
    Printing: "teacher/privacy",
    PrintingErrors: "teacher/privacy",
    Quoting: "teacher/privacy",
    Keeping: "teacher/privacy",
    Escaping: "teacher/failures",
    EscapingPastTheBase: "teacher/failures",
    TellingStrangersWords: "teacher/failures",
    Skipping: "teacher/annotations",
    Repeating: "teacher/annotations",
    Renaming: "teacher/annotations",
    OtherPredictions: "teacher/predict",
    LosingMeta: "teacher/predict",
    Attached: "teacher/label-step",
    CallingHome: "component/network",
    LookingUp: "component/network",
    Impatient: "teacher/remote",
    AtSomeTime: "component/fingerprint-stable",
    Hashing: "component/fingerprint-stable",
    Unsorted: "component/fingerprint-stable",
    Learning: "component/fingerprint-stable",
    Forgetting: "component/fingerprint-options",
    ForgettingByDeclaration: "component/fingerprint-options",
    Named: "component/fingerprint-options",
    Talkative: "component/secrets",
}
