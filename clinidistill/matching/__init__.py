"""Finding terms in text: words folded with their offsets, and one automaton for all terms."""

from __future__ import annotations

from clinidistill.matching.automaton import Automaton, Match, Term, longest
from clinidistill.matching.cache import automaton_of, cached_automaton, cached_meta, inputs_of
from clinidistill.matching.evidence import Evidence, EvidenceKind
from clinidistill.matching.explanation import Explanation
from clinidistill.matching.fuzzy import LEAST_SCORE, Misspellings, least_score
from clinidistill.matching.known_words import known_words_version
from clinidistill.matching.matcher import Matcher
from clinidistill.matching.names import Dropped, NameRules
from clinidistill.matching.normalize import Normalized, normalize
from clinidistill.matching.parallel import find_all, find_in_parallel
from clinidistill.matching.stop_lists import StopList, folded, stop_list
from clinidistill.matching.words import Words, word_key

__all__ = [
    "LEAST_SCORE",
    "Automaton",
    "Dropped",
    "Evidence",
    "EvidenceKind",
    "Explanation",
    "Match",
    "Matcher",
    "Misspellings",
    "NameRules",
    "Normalized",
    "StopList",
    "Term",
    "Words",
    "automaton_of",
    "cached_automaton",
    "cached_meta",
    "find_all",
    "find_in_parallel",
    "folded",
    "inputs_of",
    "known_words_version",
    "least_score",
    "longest",
    "normalize",
    "stop_list",
    "word_key",
]
