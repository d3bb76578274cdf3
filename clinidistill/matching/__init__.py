"""Finding terms in text: words folded with their offsets, and one automaton for all terms."""

from __future__ import annotations

from clinidistill.matching.automaton import Automaton, Match, Term, longest
from clinidistill.matching.normalize import Normalized, normalize
from clinidistill.matching.stop_lists import StopList, folded, stop_list
from clinidistill.matching.words import Words, word_key

__all__ = [
    "Automaton",
    "Match",
    "Normalized",
    "StopList",
    "Term",
    "Words",
    "folded",
    "longest",
    "normalize",
    "stop_list",
    "word_key",
]
