"""Terminologies with one fault each; the rule that finds it stands beside each."""

import random
from pathlib import Path

import clinidistill as cd
from clinidistill.errors import DataError
from clinidistill.terminologies import Concept


class Bars(cd.Terminology):
    """A good one: a concept a line, code and names parted by bars."""

    suffixes = (".bars",)

    def __init__(self, path: str | Path, name: str | None = None):
        self.path = Path(path)

    def lines(self):
        try:
            return self.path.read_bytes().decode().splitlines()
        except (OSError, ValueError):
            raise DataError("cannot be read", path=self.path) from None

    def concept(self, line):
        code, *names = (field.strip() for field in line.split("|"))
        if not code or not any(names):
            raise ValueError
        return Concept.named(code, names)

    def __iter__(self):
        for number, line in enumerate(self.lines(), 1):
            try:
                yield self.concept(line)
            except (ValueError, IndexError):
                raise DataError("want a code and names, with bars between", path=self.path, line=number) from None

    def source_files(self):
        return [self.path]


class Shuffled(Bars):
    def __iter__(self):
        concepts = list(super().__iter__())
        return iter(random.sample(concepts, len(concepts)))


class Shared(Bars):
    def __iter__(self):
        self.left = list(super().__iter__())
        while self.left:
            yield self.left.pop(0)


class Twice(Bars):
    def concept(self, line):
        code, name, *others = line.split("|")
        return Concept(code, name, (name, *others))


class Blank(Bars):
    def concept(self, line):
        code, name, *others = line.split("|")
        return Concept(code, name, ("",))


class Guessing(Bars):
    def __len__(self):
        return 1000


class Pathful(Bars):
    @property
    def fingerprint(self):
        return str(hash(str(self.path)))


class Rooted(Bars):
    @property
    def source_hash(self):
        return str(self.path)


class Blind(Bars):
    """Its hash is of the file's name."""

    @property
    def source_hash(self):
        return self.path.name


class Absent(Bars):
    def source_files(self):
        return [self.path, self.path.with_name("index")]


class Strange(Bars):
    def lines(self):
        return self.path.read_bytes().decode().splitlines()


FAULTS = {
    Shuffled: "terminology/again",
    Shared: "terminology/again",
    Twice: "terminology/concepts",
    Blank: "terminology/concepts",
    Guessing: "terminology/length",
    Pathful: "terminology/fingerprint",
    Rooted: "terminology/source",
    Blind: "terminology/source",
    Absent: "terminology/source",
    Strange: "terminology/damage",
}
