"""Datasets with one fault each; the rule that finds it stands beside each."""

import json
from pathlib import Path

import clinidistill as cd
from clinidistill.errors import ClinidistillError, DataError
from clinidistill.types import Document, Span


class Lines(cd.Dataset):
    """A good one: a JSON array a line, of id, text and spans."""

    suffixes = (".lines",)

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def lines(self):
        try:
            yield from self.path.read_bytes().splitlines()
        except OSError:
            raise DataError("cannot be read", path=self.path) from None

    def document(self, line):
        name, text, spans = json.loads(line.decode())
        return Document(name, text, tuple(Span(*span) for span in spans))

    def __iter__(self):
        for number, line in enumerate(self.lines(), 1):
            try:
                document = self.document(line)
            except ClinidistillError:
                raise
            except (ValueError, TypeError, RecursionError, OverflowError):
                raise DataError("no note", path=self.path, line=number) from None
            yield document

    @classmethod
    def row(cls, document):
        return [document.id, document.text, [[s.start, s.end, s.label] for s in document.spans]]

    @classmethod
    def write(cls, documents, path):
        rows = [json.dumps(cls.row(document)) + "\n" for document in documents]
        Path(path).write_text("".join(rows))
        return len(rows)


class LeavingOutWhatIsEmpty(Lines):
    @classmethod
    def write(cls, documents, path):
        return super().write([document for document in documents if document.text], path)


class CutShort(Lines):
    """As if fields had an upper bound."""

    @classmethod
    def row(cls, document):
        name, text, spans = super().row(document)
        return [name, text[:65_536], [span for span in spans if span[1] <= 65_536]]


class Once(Lines):
    def __init__(self, path: str | Path):
        super().__init__(path)
        self.left = None

    def __iter__(self):
        if self.left is None:
            self.left = list(super().__iter__())
        while self.left:
            yield self.left.pop(0)


class OneAtATime(Lines):
    """Its place in the file is its own, not the iteration's."""

    def __iter__(self):
        self.at = 0
        documents = list(super().__iter__())
        while self.at < len(documents):
            self.at += 1
            yield documents[self.at - 1]


class Nameless(Lines):
    def document(self, line):
        return super().document(line).__class__("note", *json.loads(line)[1:2])


class Rows(Lines):
    def __iter__(self):
        return (document.to_dict() for document in super().__iter__())


class Guessing(Lines):
    def __len__(self):
        return 100


class Shifting(Lines):
    """Writes UTF-8 offsets and reads them as they are."""

    @classmethod
    def row(cls, document):
        def at(offset):
            return len(document.text[:offset].encode("utf-8", "surrogatepass"))

        return [document.id, document.text, [[at(s.start), at(s.end), s.label] for s in document.spans]]


class Unlabelled(Lines):
    @classmethod
    def row(cls, document):
        return [document.id, document.text, [[s.start, s.end, "entity"] for s in document.spans]]


class Miscounting(Lines):
    @classmethod
    def write(cls, documents, path):
        return super().write(documents, path) + 1


class Growing(Lines):
    """Each time that a note is written it has another line."""

    @classmethod
    def row(cls, document):
        name, text, spans = super().row(document)
        return [name, text + "\n", spans]


class Strange(Lines):
    """Whatever json says of a line is what the reader gets."""

    def __iter__(self):
        return map(self.document, self.lines())


class Absent(Lines):
    def lines(self):
        return iter(self.path.read_bytes().splitlines())


class Quoting(Lines):
    def __iter__(self):
        for line in self.lines():
            try:
                document = self.document(line)
            except (ValueError, TypeError, RecursionError):
                raise DataError(f"no note: {line.decode('utf-8', 'replace')}", path=self.path) from None
            yield document


class Showing(Lines):
    def __repr__(self):
        return f"Showing({[document.text for document in self]})"


class Chatting(Lines):
    def document(self, line):
        print("read", line.decode())
        return super().document(line)


class ChattingAsItWrites(Lines):
    @classmethod
    def row(cls, document):
        print("writing", document.text)
        return super().row(document)


FAULTS = {
    Once: "dataset/again",
    OneAtATime: "dataset/again",
    Nameless: "dataset/documents",
    Rows: "dataset/documents",
    Guessing: "dataset/length",
    Shifting: "dataset/offsets",
    LeavingOutWhatIsEmpty: "dataset/sizes",
    CutShort: "dataset/sizes",
    Unlabelled: "dataset/round-trip",
    Miscounting: "dataset/round-trip",
    Growing: "dataset/round-trip",
    Strange: "dataset/damage",
    Absent: "dataset/damage",
    Quoting: "dataset/damage",
    Showing: "dataset/privacy",
    Chatting: "dataset/privacy",
    ChattingAsItWrites: "dataset/privacy",
}
