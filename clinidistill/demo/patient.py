"""An invented patient: fills the slots of templates so that what one note says hangs together."""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources

from clinidistill.demo.lexicon import Entry, held_out, load_lexicon
from clinidistill.demo.spelling import misspell
from clinidistill.demo.templates import Template

__all__ = ["Patient", "Piece"]

Piece = tuple[str, str | None]
"""A stretch of text and the label of the mention that it is; None where it is none."""

_HELD_OUT_SHARE = 0.5  # how often a test note uses a held-out name of a concept that has other names too
_CHRONIC = {"cardiac": 6, "endocrine": 5, "respiratory": 3, "gastro": 3, "renal": 2, "psych": 3, "musculoskeletal": 3,
            "neuro": 2, "oncology": 2, "infection": 1, "skin": 1, "eye_ear": 1}  # fmt: skip
_POOLS = {  # slot → role; drawn from the main domain unless the general one has the role alone
    "cc": "symptom", "sx": "symptom", "ros": "symptom", "sign": "sign", "state": "state", "rxn": "reaction",
    "dx": "acute", "ddx": "acute", "pmh": "chronic", "fh": "family", "home": "home", "given": "given",
    "class": "class", "otc": "otc", "sup": "supplement", "fluid": "fluid", "alg": "allergy", "vax": "vaccine",
}  # fmt: skip
_BACKGROUND = ("chronic", "home")  # what the patient has and takes apart from the problem
_WAYS = {
    "PO": ("PO", "po", "by mouth"), "IV": ("IV", "iv", "IV"), "SC": ("SC", "subq", "subcutaneously"),
    "INH": ("INH", "inh", "inhaled"), "TOP": ("TOP", "topically", "to affected area"),
    "OPH": ("OU", "ou", "in both eyes"), "NAS": ("NAS", "each nostril", "in each nostril"),
    "OT": ("AU", "to ear", "in affected ear"), "TD": ("TD", "transdermal", "to skin"),
    "daily": ("daily", "qd", "once daily"), "BID": ("BID", "bid", "twice daily"),
    "TID": ("TID", "tid", "three times a day"), "QID": ("QID", "qid", "4 times daily"),
    "QHS": ("QHS", "qhs", "at bedtime"), "QAM": ("QAM", "qam", "every morning"),
    "QPM": ("QPM", "q pm", "every evening"), "PRN": ("PRN", "prn", "as needed"), "once": ("x1", "x 1", "once"),
    "weekly": ("weekly", "qweek", "once a week"), "continuous": ("gtt", "drip", "infusion"),
}  # fmt: skip


@cache
def _fillers() -> dict[str, list[str]]:
    return tomllib.loads(resources.files(__package__).joinpath("fillers.toml").read_text(encoding="utf-8"))


class Patient:
    """One patient with one main problem.

    Args:
        rng: source of every choice.
        domain: clinical domain of the problem.
        test: whether held-out names may be used.
        slip: probability that a mention is misspelt.
        outpatient: no drug is given into a vein if there is another.
        imaging: the problem is to be one that imaging shows.

    Attributes:
        problem: the disease that the note is about.
    """

    def __init__(
        self,
        rng: random.Random,
        domain: str,
        *,
        test: bool,
        slip: float,
        outpatient: bool = False,
        imaging: bool = False,
    ):
        self._rng, self._domain, self._test, self._slip, self._outpatient = rng, domain, test, slip, outpatient
        self.sex = "F" if domain == "gynecology" else rng.choice("MF")
        low, high = {"gynecology": (19, 46), "psych": (19, 70), "skin": (19, 80)}.get(domain, (34, 93))
        self.age = rng.randint(low, high)
        self._style = rng.choice((0, 0, 1, 2))  # how orders are written
        self._used: set[str] = set()
        self._seen: dict[str, list[Entry]] = {"pmh": [], "home": [], "given": []}
        self._here: list[Entry] = []  # entries of the sentence at hand
        self._fixed: dict[str, Entry] = {}
        self._imaging = imaging
        self.problem = self._entry("dx", fresh=True)  # settled first: the rest has to fit it

    def fill(self, template: Template, *, fresh: bool = False, imaging: bool = False) -> Iterator[Piece]:
        """The template's text and mentions.

        Args:
            template: a sentence with slots.
            fresh: never come back to a disease or drug named before, as in a list.
            imaging: name only acute diseases that imaging shows.
        """
        self._here, self._imaging = [], imaging
        for kind, text in template.parts:
            if kind == "text":
                yield text, None
            elif kind != "slot":
                yield text, kind
            else:
                yield from self._slot(text, fresh)

    def _slot(self, slot: str, fresh: bool) -> Iterator[Piece]:
        name = slot.removesuffix("sig")
        if name not in _POOLS:
            yield self._filler(slot), None
            return
        entry = self._entry(name, fresh)
        self._here.append(entry)
        mention = self._pronouns(self._name(entry))
        yield misspell(mention, self._rng) if self._rng.random() < self._slip else mention, entry.label
        if slot != name:
            yield " " + self._order(entry.order), None

    def _entry(self, slot: str, fresh: bool) -> Entry:
        if slot in self._fixed and self._fixed[slot] not in self._here:
            return self._fixed[slot]
        known = [entry for entry in self._seen.get(slot, ()) if entry not in self._here and self._fits(entry)]
        if known and not fresh and self._rng.random() < 0.5:
            return self._rng.choice(known)
        entry = self._draw(self._pool(slot))
        self._used.update(name.casefold() for name in entry.names)
        if slot in ("cc", "dx"):
            self._fixed.setdefault(slot, entry)
        if slot in self._seen:
            self._seen[slot].append(entry)
        return entry

    def _fits(self, entry: Entry) -> bool:
        """Whether an entry goes with the patient's problem, and with the disease or drug that the sentence named."""
        if entry.role in _BACKGROUND:
            partners = self._partners(entry.role)
            return all(entry.domain == other.domain and entry.fits(other) for other in partners[-1:])
        if entry.role == "acute" and self._imaging and not entry.imaged:
            return False
        return "dx" not in self._fixed or entry.fits(self.problem)

    def _partners(self, role: str) -> list[Entry]:
        """What of the patient's background the sentence has named that a disease or drug should go with."""
        return [other for other in self._here if other.role == "home" or (role == "home" and other.role == "chronic")]

    def _pool(self, slot: str) -> Sequence[Entry]:
        lexicon, role = load_lexicon(), _POOLS[slot]
        domain = self._domain
        if role in _BACKGROUND:
            if partners := self._partners(role):
                domain = partners[-1].domain
            elif role == "home":
                domain = self._rng.choice([self._domain, *(entry.domain for entry in self._seen["pmh"])])
            elif self._rng.random() < 0.6:
                domain = self._rng.choices([*_CHRONIC], [*_CHRONIC.values()])[0]
        elif slot == "ros" or (slot == "state" and self._rng.random() < 0.2) or role not in lexicon[domain]:
            domain = "general"
        return lexicon[domain][role]

    def _draw(self, pool: Sequence[Entry]) -> Entry:
        """An entry of the pool, usual ones more often; unused and fitting if there is one."""
        allowed = [
            (entry, 1 / (n + 4))
            for n, entry in enumerate(pool)
            if entry.sex in ("", self.sex)
            and entry is not self._fixed.get("dx")
            and (self._test or not all(map(held_out, entry.names)))
        ]
        fitting = [each for each in allowed if self._fits(each[0])]
        unnamed = [each for each in fitting if each[0] not in self._here]
        unnamed = unnamed or [each for each in allowed if each[0] not in self._here] or allowed
        new = [each for each in unnamed if self._used.isdisjoint(map(str.casefold, each[0].names))] or unnamed
        if self._outpatient:
            new = [each for each in new if " IV" not in each[0].order] or new
        return self._rng.choices([entry for entry, _ in new], [weight for _, weight in new])[0]

    def _name(self, entry: Entry) -> str:
        held = [name for name in entry.names if held_out(name)]
        names = [name for name in entry.names if name not in held]
        if self._test and held and (not names or self._rng.random() < _HELD_OUT_SHARE):
            names = held
        return self._rng.choices(names, [1 / (n + 2) for n in range(len(names))])[0]

    def _order(self, order: str) -> str:
        """A drug's order in this note's manner, such as ``500mg po bid`` or ``500 mg by mouth twice daily``."""
        style = self._style
        if style == 2:
            order = re.sub(r"\bQ(\d+)H\b", r"every \1 hours", order)
        elif style == 1:
            order = re.sub(r"\bQ(\d+)H\b", r"q\1h", re.sub(r"(\d) (mg|mcg|g|mL)\b", r"\1\2", order))
        return " ".join(_WAYS[word][style] if word in _WAYS else word for word in order.split(" "))

    def _pronouns(self, text: str) -> str:
        return text.replace("~", "his" if self.sex == "M" else "her")

    def _filler(self, slot: str) -> str:
        rng, man = self._rng, self.sex == "M"
        if "|" in slot:
            return rng.choice(slot.split("|"))
        if match := re.fullmatch(r"(\d+)-(\d+)", slot):
            return str(rng.randint(int(match[1]), int(match[2])))
        if match := re.fullmatch(r"(\d+\.\d+)-(\d+\.\d+)", slot):
            return f"{rng.uniform(float(match[1]), float(match[2])):.1f}"
        if slot.lower() == "family":
            text = ("his " if man else "her ") + rng.choice([*_fillers()["relative"], "wife" if man else "husband"])
            return text[0].upper() + text[1:] if slot == "Family" else text
        if slot in _fillers():
            return self._pronouns(rng.choice(_fillers()[slot]))
        return {
            "age": str(self.age),
            "aage": f"{'an' if self.age in (80, 81, 82, 83, 84, 85, 86, 87, 88, 89) else 'a'} {self.age}",
            "man": "man" if man else "woman",
            "MF": self.sex,
            "he": "he" if man else "she",
            "He": "He" if man else "She",
            "his": "his" if man else "her",
            "His": "His" if man else "Her",
            "him": "him" if man else "her",
            "Mr": f"{'Mr.' if man else 'Ms.'} {rng.choice(_fillers()['surname'])}",
            "year": str(rng.randint(2003, 2022)),
            "temp": f"{rng.uniform(97.0, 101.9):.1f}",
            "bp": f"{rng.randint(94, 178)}/{rng.randint(52, 98)}",
            "hr": str(rng.randint(54, 118)),
            "rr": str(rng.randint(12, 24)),
            "spo2": str(rng.randint(91, 100)),
        }[slot]
