"""Makes the demo vocabularies, two for each label: incomplete and overlapping, as real terminologies are.

Each knows a share of the lexicon, less of what is held out for the test notes, and has entries that do harm: words that
mean something else as a rule (``RA`` is room air as well as rheumatoid arthritis), symptoms among the diseases, and
names that are only a part of what an annotator marks (``pain``).
"""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from clinidistill.demo.lexicon import Entry, held_out, load_lexicon

__all__ = ["VOCABULARIES", "Vocabulary", "write_vocabularies"]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A vocabulary to be made.

    Args:
        name: its file's name without ending.
        label: what its terms are.
        prefix: of its codes.
        strong, weak: share of the names it knows of its own kind and of the other, in percent.
        harmful: terms that mark what no annotator would, or mark it wrongly.
    """

    name: str
    label: str
    prefix: str
    strong: int
    weak: int
    harmful: str

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Code, name and synonyms (``|`` between them), one concept a row."""
        seen: set[str] = set()
        concepts = [[name for name in entry.names if self._knows(name, entry)] for entry in _entries(self.label)]
        concepts += [term.split("|") for term in self.harmful.split(", ")]
        number = 0
        for names in concepts:
            new = [name for name in dict.fromkeys(names) if name.casefold() not in seen]
            seen.update(map(str.casefold, new))
            if new:
                number += 1
                yield f"{self.prefix}:{number:04}", new[0], "|".join(new[1:])

    def _knows(self, name: str, entry: Entry) -> bool:
        percent = self.strong if _SPECIALITY[self.name](name, entry) else self.weak
        if held_out(name):
            percent = percent * 5 // 8
        return "~" not in name and zlib.crc32(f"{self.name} {name.casefold()}".encode()) % 100 < percent


_SPECIALITY: Mapping[str, Callable[[str, Entry], bool]] = {
    "medications_generic": lambda name, entry: name.islower(),
    "medications_brand": lambda name, entry: not name.islower(),
    "diseases_registry": lambda name, entry: name.islower() or " " in name,
    "diseases_clinic": lambda name, entry: not name.islower() or " " not in name,
    "symptoms_review": lambda name, entry: entry.role == "symptom",
    "symptoms_nursing": lambda name, entry: entry.role != "symptom",
}

VOCABULARIES = (
    Vocabulary(
        "medications_generic", "medication", "MG", 60, 20,
        "iron, magnesium, oxygen|O2, insulin, calcium, vitamin D, lithium, tacrolimus, B12, glucose, alcohol|EtOH, "
        "coffee, lead, potassium, sodium, INH",
    ),
    Vocabulary(
        "medications_brand", "medication", "MB", 58, 40,
        "digoxin|dig, vanc, oxygen|O2, iron, wine, salt, contrast, lead",
    ),
    Vocabulary(
        "diseases_registry", "disease", "DR", 48, 16,
        "dyspnea|shortness of breath, syncope, edema, jaundice, tachycardia, constipation, heart failure, diabetes, "
        "pneumonia, cancer, stroke, cold, fracture, RA, ulcer",
    ),
    Vocabulary(
        "diseases_clinic", "disease", "DC", 48, 32,
        "PCP, ALL, PE, RA, fall, AIDS|aid|aids, stroke, heart failure, cancer, infection, nausea, vertigo, ulcer",
    ),
    Vocabulary(
        "symptoms_review", "symptom", "SR", 56, 26,
        "pain, edema|swelling, discharge, fall|falls, weakness, cold, tenderness, bleeding, migraine, anxiety, "
        "depression",
    ),
    Vocabulary(
        "symptoms_nursing", "symptom", "SN", 58, 38,
        "pain, edema, tired, murmur, distress, cold, falls|fall|trip, discharge, insomnia, swelling",
    ),
)  # fmt: skip


def _entries(label: str) -> list[Entry]:
    return [
        entry for roles in load_lexicon().values() for role in roles.values() for entry in role if entry.label == label
    ]


def write_vocabularies(folder: Path) -> None:
    """Write every vocabulary as ``<name>.csv`` in `folder`."""
    for vocabulary in VOCABULARIES:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("code", "name", "synonyms"), *vocabulary.rows()])
        (folder / f"{vocabulary.name}.csv").write_text(text.getvalue(), encoding="utf-8", newline="\n")
