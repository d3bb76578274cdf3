"""Other ways to write a term: plural and singular, without a classification's qualifiers, British and American.

Each rule takes a term and gives the variants that differ from it. They are made when an automaton is built, so
that matching costs nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

__all__ = ["is_abbreviation", "plurals", "spellings", "unqualified"]


def plurals(term: str) -> Iterator[str]:
    """The plural of a singular last word, the singular of a plural one.

    >>> [*plurals("breast tumor"), *plurals("metastasis"), *plurals("Seizures"), *plurals("biopsy")]
    ['breast tumors', 'metastases', 'Seizure', 'biopsies']
    """
    last = _LAST_WORD.search(term)
    if last is None:
        return
    if is_abbreviation(term):  # the S of AIDS is no plural
        yield term + "s"
        return
    head, word = term[: last.start()], last[0]
    for ending, others in _ENDINGS:
        if word.lower().endswith(ending):
            for other in others:
                yield head + word[: len(word) - len(ending)] + other
            return
    yield head + word + "s"


def unqualified(term: str) -> Iterator[str]:
    """The term without the qualifiers of classifications that no note has (NOS, unspecified, SNOMED CT's tags).

    >>> [*unqualified("Cough, unspecified"), *unqualified("Unspecified pain"), *unqualified("Fever (finding)")]
    ['Cough', 'pain', 'Fever']
    """
    bare = term
    while (stripped := _QUALIFIERS.sub("", bare).strip(" ,")) != bare:
        bare = stripped
    if bare != term and bare:
        yield bare


def spellings(term: str) -> Iterator[str]:
    """American spelling for British and the reverse, an eponym with 's for one without and the reverse.

    >>> [*spellings("Oedema of the tumour"), *spellings("hypoglycemia"), *spellings("Crohn's disease")]
    ['Edema of the tumor', 'hypoglycaemia', 'Crohn disease']
    """
    if "'s " in term:
        yield term.replace("'s ", " ")
    elif _EPONYM.match(term):
        yield term.replace(" ", "'s ", 1)
    for pattern, table in _SPELLINGS:
        if pattern.search(term):
            yield pattern.sub(partial(_respelled, table), term)
            return


def is_abbreviation(term: str) -> bool:
    """Whether its letters are at most four and all capitals, so that in another case it may well be a word.

    >>> is_abbreviation("ALL"), is_abbreviation("5-FU"), is_abbreviation("Iron"), is_abbreviation("COPD GOLD")
    (True, True, False, False)
    """
    letters = [character for character in term if character.isalpha()]
    return 0 < len(letters) <= 4 and all(map(str.isupper, letters))


def _respelled(table: Mapping[str, str], match: re.Match[str]) -> str:
    other = table[match[0].lower()]
    return other.capitalize() if match[0][0].isupper() else other


_EPONYM = re.compile(r"[A-Z][a-z]{2,}(?<!s) (?:disease|syndrome|lymphoma|sarcoma|palsy|disorder)$")
_LAST_WORD = re.compile(r"[^\W\d_]{3,}$")
_ENDINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    # Ending of the last word → what takes its place; the first that fits.
    ("sis", ("ses",)),
    ("ses", ("sis", "se", "s")),
    ("ies", ("y",)),
    ("ss", ("sses",)),
    ("us", ()),
    ("is", ()),
    ("xes", ("x",)),
    ("ches", ("ch", "che")),
    ("shes", ("sh",)),
    ("s", ("",)),
    ("x", ("xes",)),
    ("ch", ("ches", "chs")),
    ("sh", ("shes",)),
    *((vowel + "y", (vowel + "ys",)) for vowel in "aeou"),
    ("y", ("ies",)),
)
_TAGS = (
    "disorder|finding|substance|product|medicinal product|clinical drug|procedure|situation|event|organism|"
    "morphologic abnormality|body structure|observable entity|qualifier value"
)
_QUALIFIERS = re.compile(
    rf",?\s+(?:unspecified|not otherwise specified|NOS|not elsewhere classified|NEC)$|\s+\((?:{_TAGS})\)$"
    r"|^unspecified\s+(?=\w)",
    re.IGNORECASE,
)
# As in a dictionary: "haemo-" begins a word, "-aemia" ends one, "-sulph-" stands anywhere.
_MORPHEMES = (
    *(("haemo-", "hemo-"), ("haema-", "hema-"), ("-aemia", "-emia"), ("-kaemic", "-kemic"), ("-chaemic", "-chemic")),
    *(("-lycaemic", "-lycemic"), ("-oedema-", "-edema-"), ("oesophag-", "esophag-"), ("oestr-", "estr-")),
    *(("-rrhoea", "-rrhea"), ("-pnoea", "-pnea"), ("foetal", "fetal"), ("foetus", "fetus"), ("-tumour-", "-tumor-")),
    *(("paedia-", "pedia-"), ("orthopaed-", "orthoped-"), ("-anaesth-", "-anesth-"), ("gynaec-", "gynec-")),
    *(("faecal", "fecal"), ("faeces", "feces"), ("caecum", "cecum"), ("caecal", "cecal"), ("coeliac", "celiac")),
    *(("leucocyt-", "leukocyt-"), ("leucop-", "leukop-"), ("-caesarean", "-cesarean"), ("-sulph-", "-sulf-")),
)


def _pattern(morphemes: Iterable[str]) -> re.Pattern[str]:
    each = (
        ("" if morpheme[0] == "-" else r"\b") + morpheme.strip("-") + ("" if morpheme[-1] == "-" else r"\b")
        for morpheme in morphemes
    )
    return re.compile("|".join(each), re.IGNORECASE)


_BRITISH, _AMERICAN = zip(*_MORPHEMES, strict=True)
_SPELLINGS = tuple(
    (_pattern(these), {this.strip("-"): other.strip("-") for this, other in zip(these, others, strict=True)})
    for these, others in ((_BRITISH, _AMERICAN), (_AMERICAN, _BRITISH))
)
