"""Which matches are meant: the abbreviations that a note defines, and what speaks for names that are ambiguous."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Literal, get_args

from clinidistill.errors import OptionError
from clinidistill.matching.abbreviations import WrittenOut, definitions, short_forms
from clinidistill.matching.automaton import Automaton, Match
from clinidistill.matching.compiled import AMBIGUOUS
from clinidistill.matching.stop_lists import stop_list
from clinidistill.matching.words import Words, word_key

__all__ = ["Evidence", "EvidenceKind", "Weighed"]

EvidenceKind = Literal["capitals", "dose", "list", "concept"]


@dataclass(slots=True)
class Weighed:
    """Which matches are meant, and which are not.

    Attributes:
        kept: those that are.
        reasons: why, of those that more than their name speaks for.
        dropped: those that are not, each with the reason.
    """

    kept: list[Match]
    reasons: dict[Match, str] = field(default_factory=dict)
    dropped: list[tuple[Match, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Evidence:
    """Rules at match time, weighed before overlaps are resolved. Each can be switched off.

    Args:
        definitions: whether an abbreviation that a note defines means what the note says: it is a mention wherever its
            long form is one, though the terminology may lack it, and is none where the terminology has it for
            something else. Names that are abbreviated in part count as well: "VHL disease".
        evidence: what makes a mention of an ambiguous name; any of these will do. ``"capitals"``: the name is written
            in capitals, and so is the match, in a line that is not. ``"dose"``: a dose, a route or a frequency stands
            beside it (a concentration does not). ``"list"``: it stands in a list with names that are not ambiguous.
            ``"concept"``: the note has another name of the concept, one that is not ambiguous.

    Raises:
        OptionError: if there is no such kind of evidence.
    """

    definitions: bool = True
    evidence: tuple[EvidenceKind, ...] = ("capitals", "dose", "list", "concept")

    def __post_init__(self) -> None:
        if strange := sorted(set(self.evidence) - set(get_args(EvidenceKind))):
            raise OptionError(f"no evidence is called {strange[0]!r}; there are {', '.join(get_args(EvidenceKind))}")

    def weigh(self, automaton: Automaton, text: str, found: list[Match]) -> Weighed:
        """Parts the candidates `found` in `text` into those that are meant and those that are not."""
        weighed = Weighed(found)
        if self.definitions and ("(" in text or "[" in text):
            _apply_definitions(automaton, text, weighed)
        flags = automaton.compiled.flags
        if any(flags[match[3]] & AMBIGUOUS for match in weighed.kept):
            self._apply_evidence(automaton, text, weighed)
        return weighed

    def _apply_evidence(self, automaton: Automaton, text: str, weighed: Weighed) -> None:
        flags, settled = automaton.compiled.flags, weighed.reasons.keys()
        ambiguous: list[Match] = []
        kept: list[Match] = []
        for match in weighed.kept:
            doubtful = flags[match.entry] & AMBIGUOUS and not (settled and match in settled)
            (ambiguous if doubtful else kept).append(match)
        sure = sorted(kept, key=itemgetter(0))
        for match in ambiguous:
            kind = self._evidence_for(match, automaton.compiled.text(match.entry), text, sure)
            if kind is None:
                weighed.dropped.append((match, "ambiguous, no evidence"))
            else:
                kept.append(match)
                weighed.reasons[match] = f"ambiguous, but there is evidence: {kind}"
        weighed.kept = kept

    def _evidence_for(self, match: Match, name: str, text: str, sure: list[Match]) -> EvidenceKind | None:
        """What speaks for a match of an ambiguous name; None if nothing does."""
        start, end = match[:2]
        mention = text[start:end]
        if mention != name and (end - start <= _SHORT or name[1:] != name[1:].lower()):
            return None  # "as" is not As, nor "this" the plural of THI
        for kind in self.evidence:
            if _speaks(kind, match, mention, text, sure):
                if kind in ("capitals", "concept") and word_key(name) in stop_list("analytes"):
                    continue  # it was measured, by whatever name
                return kind
        return None


def _speaks(kind: EvidenceKind, match: Match, mention: str, text: str, sure: list[Match]) -> bool:
    start, end = match[:2]
    if kind == "capitals":
        if not mention.isupper() or end - start < _SHORT:
            return False
        line = text[text.rfind("\n", 0, start) + 1 : start] + text[end:].partition("\n")[0]
        return sum(map(str.islower, line)) > sum(map(str.isupper, line))
    if kind == "dose":
        return bool(_DOSE_AFTER.match(text, end) or _DOSE_BEFORE.search(text[max(0, start - _NEAR) : start]))
    if kind == "concept":
        return any(other.code == match.code for other in sure)
    at = bisect_left(sure, start, key=itemgetter(0))
    return any(
        _IN_LIST.fullmatch(text, min(end, other.end), max(start, other.start))
        for other in sure[max(0, at - 2) : at + 2]
    )


def _apply_definitions(automaton: Automaton, text: str, weighed: Weighed) -> None:
    """Gives abbreviations that the text defines the meaning that it gives them."""
    ends: dict[int, Match] = {}
    for match in weighed.kept:
        if not automaton.is_ambiguous(match) and (match.end not in ends or match.start < ends[match.end].start):
            ends[match.end] = match
    mentions = {text[match.start : match.end] for match in weighed.kept}

    def matters(short: str, end: int) -> bool:
        return end in ends or short in mentions or f"{short}s" in mentions or _last_word(text, end) in automaton

    defined = definitions(text, matters)
    if not defined:
        return
    places = {(start, end): definition for start, end, definition in short_forms(text, defined)}
    kept: list[Match] = []
    for match in weighed.kept:
        if match[:2] in places:
            weighed.dropped.append((match, "an abbreviation that the note defines otherwise"))
        else:
            kept.append(match)
    made: dict[Match, str] = {}
    for (start, end), definition in places.items():
        long = ends.get(definition.end)
        if long is not None:
            made[Match(start, end, long.code, long.entry, long.score)] = "an abbreviation that the note defines"
    # Part of a name can only be what consists of words of names.
    parts = [each for each in defined if all(word in automaton for word in Words(text[each.start : each.end]).words)]
    if parts:
        written = WrittenOut(text, parts)
        for start, end in written.surroundings():
            for match in automaton.candidates(Words(written.text[start:end])):
                place = written.original(start + match.start, start + match.end)
                if place is not None and place not in places and not automaton.is_ambiguous(match):
                    reason = "abbreviated in part, as the note defines it"
                    made.setdefault(match._replace(start=place[0], end=place[1]), reason)
    weighed.kept = [*kept, *made]
    weighed.reasons.update(made)


def _last_word(text: str, end: int) -> str:
    words = Words(text[max(0, end - _NEAR) : end]).words
    return words[-1] if words else ""


_SHORT = 3
_NEAR = 40
_UNIT = (
    r"(?:mg|mcg|[µμ]g|ug|g|grams?|milligrams?|micrograms?|iu|units?|u|meq|mmol|ml|cc|tab(?:let)?s?|cap(?:sule)?s?"
    r"|drops?|puffs?)"
)
_DOSE = rf"\d[\d.,]*(?:\s*(?:-|to)\s*\d[\d.,]*)?\s*{_UNIT}\b(?!\s*(?:/|per)\s*(?:d?l|ml|100|lit)|\s*%)"
_FREQUENCY = (
    r"(?:[bt]\.?i\.?d|q\.?[dh]|q\.?\s?\d+|q\.?i\.?d|qhs|qod|prn|daily|nightly|once|twice|po|p\.o|iv|i\.v|im|sc"
    r"|orally)\b"
)
_FORM = (
    r"(?:supplement\w*|tablets?|capsules?|pills?|infusions?|injections?|replacement|drip|cream|ointment|lozenges?)\b"
)
_DOSE_AFTER = re.compile(rf"[ ,(]{{1,3}}(?:{_DOSE}|{_FREQUENCY}|{_FORM})", re.IGNORECASE)
_ROUTE = (
    r"(?:oral|intravenous|iv|i\.v\.|po|topical|inhaled|intranasal|subcutaneous|intramuscular|supplemental|taking|takes)"
)
_DOSE_BEFORE = re.compile(rf"(?<!\w)(?:{_DOSE}(?: of)?|{_ROUTE}) $", re.IGNORECASE)
_IN_LIST = re.compile(r"\s*[,;/]\s*(?:(?:and|or)\s)?\s*|\s+(?:and|or)\s+", re.IGNORECASE)
