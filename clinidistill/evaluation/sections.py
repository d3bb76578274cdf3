"""The sections of a clinical note, by its headings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

__all__ = ["BEFORE_ANY_HEADING", "Section", "find_sections"]

BEFORE_ANY_HEADING = "(start)"
"""The name of what stands before the first heading."""


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a note under one heading.

    Args:
        name: a common name (``"medications"``, ``"plan"``, …), or a heading of its own in lower case, at most 40
            characters long: that is text of the note.
        start: offset of the heading.
        end: offset after the section.
    """

    name: str
    start: int
    end: int


def find_sections(text: str) -> list[Section]:
    """The sections of a note, in order and without gaps; the first, before any heading, is ``"(start)"``.

    A heading is, at the start of a line and of at most seven words,

    * a common name of a section, whatever its case, alone or before a colon (``Medications: aspirin``);
    * any words before a colon that ends the line (``Code status:``);
    * any words behind ``#`` signs, or between ``**`` (Markdown);
    * capitals alone on a line at the start of the note or after an empty line, in a note that also has small letters.

    Names of body systems are no headings unless Markdown makes them so: in ``Neck: supple`` they divide an examination
    or a review of systems. The common names follow the section headings of SecTag
    (https://pubmed.ncbi.nlm.nih.gov/18999303/), gathered into few.

    >>> note = "68 M.\\nPMHx: gout\\n\\nMEDICATIONS\\naspirin\\nA/P: stop it\\n"
    >>> [(section.name, note[section.start : section.end]) for section in find_sections(note)]  # doctest: +ELLIPSIS
    [('(start)', '68 M.\\n'), ('past history', 'PMHx: gout\\n\\n'), ('medications', ...), ('assessment and plan', ...)]
    """
    mixed_case = not text.isupper()
    starts = [(0, BEFORE_ANY_HEADING)]
    after_empty = True
    for line in _LINE.finditer(text):
        beginning = line[1].strip()
        if name := _heading(beginning, bool(line[2]), after_empty and mixed_case):
            starts.append((line.start(), name))
        after_empty = not beginning
    if len(starts) > 1 and starts[1][0] == 0:
        del starts[0]
    return [Section(name, start, end) for (start, name), (end, _) in pairwise([*starts, (len(text), "")])]


def _heading(beginning: str, goes_on: bool, capitals_count: bool) -> str | None:
    """The name of the section that a line opens, of which this is the beginning."""
    if not beginning or (beginning[0] in "-•*" and not beginning.startswith("**")):  # an item of a list
        return None
    marked = _MARKDOWN.fullmatch(beginning)
    title, colon, rest = (marked[1] or marked[2] if marked else beginning).partition(":")
    words = _normal(title)
    if not words or words.count(" ") > 6:
        return None
    alone = not rest and not goes_on
    if (colon or alone) and (name := _common_name(words)):
        return name
    own = words[:40].rstrip()
    if marked and not rest:
        return own
    if not alone or _SYSTEMS.fullmatch(words):
        return None
    return own if colon or (capitals_count and _CAPITALS.fullmatch(title)) else None


@lru_cache(4096)
def _common_name(words: str) -> str | None:
    return next((name for name, pattern in _COMMON if pattern.fullmatch(words)), None)


def _normal(title: str) -> str:
    """Lower-case words without what is in brackets, common abbreviations written out."""
    words = re.sub(r"\([^)]*\)|\[[^]]*\]", " ", title).lower().replace("&", " and ").replace("/", " and ")
    return " ".join(_ABBREVIATIONS.get(word, word) for word in re.findall(r"[^\W_]+", words))


_LINE = re.compile(r"^([^\n]{0,100})([^\n]*)", re.MULTILINE)  # headings are short
_MARKDOWN = re.compile(r"#{1,6}\s*(.+?)[\s#]*|\*\*(.+?)\*\*:?")
_CAPITALS = re.compile(r"(?=(?:[^A-Z]*[A-Z]){3})[A-Z][A-Z &/,()'-]*[A-Z)]")
_ABBREVIATIONS = {
    "a": "assessment", "dx": "diagnosis", "hx": "history", "imp": "impression", "lab": "laboratory",
    "labs": "laboratory", "med": "medications", "medication": "medications", "meds": "medications", "p": "plan",
    "rx": "medications", "sx": "symptoms",
}  # fmt: skip
_SYSTEMS = re.compile(
    "constitutional|general(?: appearance)?|gen|skin|integumentary|head(?: and face)?|heent|hent|eyes?|ears?|nose|mouth"
    "|throat|neck|breasts?|chest|lungs?|pulm(?:onary)?|resp(?:iratory)?|heart|cardiac|cardiovascular|cv|abd(?:omen)?"
    "|gastrointestinal|gi|genitourinary|gu|gi and gu|genital(?:s|ia)?|rectal|pelvis|back|spine|musculoskeletal|msk|ext"
    "|extremities|vascular|lymph(?:atic)?|neuro(?:logic(?:al)?)?|gait|psych(?:iatric)?|endocrine|hematologic|heme"
)
_COMMON = [
    (name, re.compile(pattern))
    for name, pattern in (
        (
            "chief complaint",
            "cc|c and c|(?:chief|primary|presenting) (?:complaints?|concerns?|problems?)"
            "|(?:reason|indication)s? for (?:visit|consult(?:ation)?|referral|admission)",
        ),
        ("review of systems", "ros|(?:review of (?:systems|symptoms)|systems? review)"),
        ("family history", "fh|fhx|fmhx?|fam(?:ily)? (?:medical )?history|relatives"),
        ("social history", "sh|shx|(?:personal (?:and )?|psycho ?)?social(?: history)?|psychosocial|habits"),
        (
            "past history",
            "pm?hx?|psh|pshx|background|problem list|birth history"
            "|(?:(?:past|previous|prior|other) )?"
            "(?:(?:medical|surgical|psychiatric|obstetric|gyna?ecologic(?:al)?|ob|gyn|oncologic)(?: and )?)+ history"
            "|(?:past|previous) history|history of past illness",
        ),
        (
            "history",
            "hpi|cc and hpi|s|subj(?:ective)?|narrative|(?:history of )?(?:the )?present(?:ing)? illness"
            "|(?:interval |clinical |patient )?history|history of (?:the )?present(?:ing)? (?:illness|complaint)"
            "|(?:interval|overnight|24h) events|history since last visit|patient update",
        ),
        (
            "medications",
            "(?:(?:current|home|outpatient|usual|active|admission|discharge)(?: and )?)* ?medications"
            "(?: list| reconciliation| history| reviewed with patient)?"
            "|medications (?:on|at|prior to) (?:admission|discharge|home)|drug chart",
        ),
        (
            "allergies",
            "all|nkda|(?:drug |medications |known )?allerg(?:y|ies)(?: and (?:intolerances?|adverse reactions?))?"
            "|adverse reactions?",
        ),
        ("immunizations", "immuni[sz]ations?(?: history)?|vaccinations?|vaccines?"),
        ("vitals", "vs|obs|vitals?(?: signs)?(?: reviewed| on arrival)?|measurements"),
        (
            "exam",
            "pe|pex|o|o and e|objective|(?:(?:physical|general|mental status|on) )?exam(?:ination)?(?: findings)?",
        ),
        ("imaging", "imaging(?: studies| results)?|radiology|x ?rays?|diagnostic imaging"),
        (
            "labs",
            "(?:pertinent |admission |discharge )?laboratory(?: (?:data|results|studies|values|tests|findings))?"
            "|bloods?|blood work",
        ),
        (
            "results",
            "(?:pertinent |diagnostic )?(?:results|data|studies|tests)|investigations|workup|laboratory and imaging",
        ),
        ("procedures", "procedures?(?: performed)?|operations?|surger(?:y|ies)|operative findings"),
        (
            "hospital course",
            "(?:brief )?(?:hospital|inpatient|clinical|ed|er|emergency (?:department|room))? ?course(?: in hospital)?"
            "|summary of stay",
        ),
        ("assessment and plan", "(?:assessment|impression|problems?)(?: and)? plans?|plan and assessment"),
        (
            "assessment",
            "assessments?|impressions?|conclusions?|opinion|formulation|summary|mdm|(?:medical )?decision making"
            "|(?:(?:principal|secondary|primary|final|admission|admitting|discharge|working|differential)(?: and )?)*"
            " ?diagnos[ei]s(?: (?:at|on) (?:admission|discharge))?",
        ),
        (
            "instructions",
            "(?:(?:discharge|patient|follow ?up) )?(?:instructions|advice)|going home|follow ?up(?: plans?)?",
        ),
        ("plan", "(?:treatment |care |discharge )?plans?(?: of care)?|recommendations?"),
        ("disposition", "dispo(?:sition)?|(?:discharge )?condition(?: (?:at|on) discharge)?"),
        ("indication", "indications?|clinical information|reason for (?:exam|study)"),
        ("findings", "findings|report"),
        ("triage", "triage(?: note)?|arrival note"),
    )
]
