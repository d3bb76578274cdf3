"""Other ways to write a term: plural and singular, without a classification's qualifiers, British and American.

Each rule takes a term and gives the variants that differ from it. They are made when an automaton is built, so
that matching costs nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

__all__ = [
    "adjectives",
    "is_abbreviation",
    "is_systematic",
    "joined",
    "natural_order",
    "of_phrases",
    "plurals",
    "spellings",
    "synonyms",
    "unqualified",
]


def plurals(term: str) -> Iterator[str]:
    """The plural of a singular last word, the singular of a plural one.

    >>> [*plurals("breast tumor"), *plurals("metastasis"), *plurals("Seizures"), *plurals("biopsy")]
    ['breast tumors', 'metastases', 'Seizure', 'biopsies']
    """
    last = _LAST_WORD.search(term)
    if last is None or _UNCOUNTED.fullmatch(last[0]):
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


def natural_order(term: str) -> Iterator[str]:
    """The term with an inversion undone, and with what it is a disease of before it.

    >>> [*natural_order("Carcinoma, hepatocellular"), *natural_order("Cancer of the lip")]
    ['hepatocellular Carcinoma', 'lip Cancer']
    """
    if swapped := _INVERTED.fullmatch(term) or _OF.fullmatch(term):
        yield f"{swapped[2]} {swapped[1]}"


def of_phrases(term: str) -> Iterator[str]:
    """The term with what it is a disease of behind it, if it has one of the usual heads.

    >>> [*of_phrases("heart failure"), *of_phrases("Cancer of the lip")]
    ['failure of heart', 'failure of the heart', 'Cancer of lip']
    """
    if headed := _HEADED.fullmatch(term):
        yield f"{headed[2]} of {headed[1]}"
        yield f"{headed[2]} of the {headed[1]}"
    elif " of " in term:
        other = term.replace(" of the ", " of ", 1)
        yield other if other != term else term.replace(" of ", " of the ", 1)


def joined(term: str) -> Iterator[str]:
    """The term without the hyphen behind a prefix.

    >>> [*joined("non-small cell lung cancer"), *joined("Anti-inflammatory agent")]
    ['nonsmall cell lung cancer', 'Antiinflammatory agent']
    """
    if (other := _PREFIX.sub(r"\1", term)) != term:
        yield other


def synonyms(term: str) -> Iterator[str]:
    """The term with one word that means the same in place of another.

    >>> [*synonyms("Pituitary Neoplasms"), *synonyms("renal failure"), *synonyms("Malignant neoplasm of stomach")]
    ['Pituitary tumors', 'kidney failure', 'cancer of stomach']
    """
    for pattern, table in _SYNONYMS:
        other = pattern.sub(lambda match: table[match[0].lower()], term)  # noqa: B023
        if other != term:
            yield other


def adjectives(term: str) -> Iterator[str]:
    """The adjective of a name of one word.

    >>> [*adjectives("ischemia"), *adjectives("Psychosis"), *adjectives("hypertension"), *adjectives("dizziness")]
    ['ischemic', 'Psychotic', 'hypertensive', 'dizzy']
    """
    if len(term) >= _SHORTEST_NOUN and term.isalpha():
        for noun, adjective in _ADJECTIVES:
            if term.endswith(noun):
                yield term.removesuffix(noun) + adjective
                return


def spellings(term: str) -> Iterator[str]:
    """American spelling for British and the reverse; an eponym with 's, with s, and without.

    >>> [*spellings("Oedema of the tumour"), *spellings("hypoglycemia"), *spellings("Crohn's disease")]
    ['Edema of the tumor', 'hypoglycaemia', 'Crohn disease', 'Crohns disease']
    """
    if _POSSESSIVE.search(term):
        yield _POSSESSIVE.sub(" ", term)
        yield _POSSESSIVE.sub("s ", term)
    elif _EPONYM.match(term):
        yield term.replace(" ", "'s ", 1)
        yield term.replace(" ", "s ", 1)
    lower = term.lower()
    for pattern, table in _SPELLINGS:
        if any(map(lower.__contains__, table)) and pattern.search(term):  # the first is quick, the second exact
            yield pattern.sub(partial(_respelled, table), term)
            return


def is_systematic(term: str) -> bool:
    """Whether it looks like a chemical's systematic name or a catalogue's, which notes do not vary.

    >>> is_systematic("2-(4-isobutylphenyl)propionic acid"), is_systematic("type 2 diabetes")
    (True, False)
    """
    return len(term) > _LONGEST or _SYSTEMATIC.search(term) is not None


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


_NAME = r"[^\W\d_][^\W\d_'\-]*(?:[ '\-][^\W\d_]+){,3}"  # one to a few words without digits
_INVERTED = re.compile(rf"({_NAME}), (?!unspecified|other|not |nos\b|with|due|in |of |and )({_NAME})", re.IGNORECASE)
_OF = re.compile(rf"({_NAME}) of (?:the )?(?!unspecified|other)([^\W\d_]+(?: [^\W\d_]+)?)", re.IGNORECASE)
_HEADS = (
    "abscess|adenocarcinoma|atrophy|calcification|cancer|carcinoma|cyst|dilatation|dislocation|dysfunction|edema|oedema"
    "|embolism|enlargement|failure|fibrosis|fracture|hemorrhage|haemorrhage|hypertrophy|infarction|infection"
    "|inflammation|injury|insufficiency|lymphoma|melanoma|necrosis|neoplasm|obstruction|occlusion|pain|paralysis"
    "|perforation|prolapse|rupture|sarcoma|spasm|stenosis|swelling|thrombosis|tumor|tumour|ulcer|weakness"
)
_HEADED = re.compile(rf"([^\W\d_]+(?<!al|ar|ic|an|ed|us)(?<!ary|ive|ant|ent|ile|ior)) ((?:{_HEADS})s?)", re.IGNORECASE)
_PREFIX = re.compile(
    r"\b(anti|auto|bi|cardio|co|contra|extra|hyper|hypo|infra|inter|intra|macro|micro|mono|multi|neuro|non|over|pan"
    r"|para|peri|poly|post|pre|pseudo|re|retro|semi|sub|super|supra|thrombo|trans|tri|ultra|un|under)-(?=[^\W\d_]{3})",
    re.IGNORECASE,
)
_SAME: tuple[tuple[tuple[str, str], ...], ...] = (
    (
        ("malignant neoplasm", "cancer"),
        ("malignant neoplasms", "cancers"),
        ("neoplasm", "tumor"),
        ("neoplasms", "tumors"),
    ),
    (("renal", "kidney"), ("hepatic", "liver"), ("cardiac", "heart"), ("pulmonary", "lung"), ("gastric", "stomach")),
    (("kidney", "renal"), ("liver", "hepatic"), ("heart", "cardiac"), ("lung", "pulmonary"), ("stomach", "gastric")),
    (("difficulty in", "difficulty"), ("difficulties in", "difficulty"), ("difficulty with", "difficulty")),
    (("difficulty in", "trouble"), ("difficulty", "trouble"), ("inability to", "unable to")),
)
_SYNONYMS = tuple(
    (re.compile(rf"\b(?:{'|'.join(these)})\b{'' if 'neoplasm' in these else '(?= [a-z])'}", re.IGNORECASE), these)
    for these in map(dict, _SAME)
)
_SHORTEST_NOUN = 6
_ADJECTIVES = (
    *(
        ("genesis", "genic"),
        ("plegia", "plegic"),
        ("osis", "otic"),
        ("esis", "etic"),
        ("asis", "atic"),
    ),
    *(("kinesia", "kinetic"), ("ria", "ric"), ("emia", "emic"), ("aemia", "aemic"), ("enia", "enic"), ("oxia", "oxic")),
    *(
        ("ania", "anic"),
        ("ythmia", "ythmic"),
        ("epsy", "eptic"),
        ("pathy", "pathic"),
        ("etes", "etic"),
        ("itis", "itic"),
    ),
    *(
        ("tension", "tensive"),
        ("toxicity", "toxic"),
        ("insonism", "insonian"),
    ),
    *(("argy", "argic"), ("taxia", "taxic"), ("yroidism", "yroid"), ("ulsion", "ulsive"), ("ression", "ressed")),
    *(("iness", "y"), ("ness", ""), ("obesity", "obese")),
)
_POSSESSIVE = re.compile(r"['’]s ")
_EPONYM = re.compile(r"[A-Z][a-z]{2,}(?<!s) (?:disease|syndrome|lymphoma|sarcoma|palsy|disorder)$")
_LONGEST = 60
_SYSTEMATIC = re.compile(r"\d[\-,(']|[\-,)]\d|[()\[\]{}].*[()\[\]{}].*[()\[\]{}]")
_LAST_WORD = re.compile(r"[^\W\d_]{3,}$")
_UNCOUNTED = re.compile(  # parts of chemical and botanical names, of which terminologies of substances are full
    r"(?:whole|flesh|pollen|hydrochloride|chloride|bromide|iodide|sodium|potassium|calcium|sulfate|sulphate|acetate"
    r"|phosphate|maleate|tartrate|(?:mono|di|tri)?hydrate|anhydrous|hcl|oil|extract|juice|top|root|leaf|seed|bark|fruit"
    r"|flower|muscle)",
    re.IGNORECASE,
)
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
    rf",\s+unspecified(?:\s+[a-z]+){{,3}}$|\s+of\s+unspecified\s+[a-z]+$|^(?:other\s+and\s+)?unspecified\s+(?=\w)"
    r"|(?-i:(?<=[a-z]))\s+[(\[](?-i:[A-Z]{2,})[)\]](?=[\s,]|$)"
    rf"|,?\s+(?:unspecified|not otherwise specified|NOS|not elsewhere classified|NEC)$|\s+\((?:{_TAGS})\)$"
    r"|,\s+(?:drug|chemical|substance)-induced$",
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
