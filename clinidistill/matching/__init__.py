"""Finding terms in text: normalisation with an offset map, and one automaton for all terms."""

from __future__ import annotations

from clinidistill.matching.automaton import Automaton, Match, Term
from clinidistill.matching.normalize import Normalized, normalize
from clinidistill.matching.stop_lists import StopList, folded, stop_list

__all__ = ["Automaton", "Match", "Normalized", "StopList", "Term", "folded", "normalize", "stop_list"]
