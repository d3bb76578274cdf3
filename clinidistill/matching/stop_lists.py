"""Terms that are in terminologies but mean something else in notes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Literal, get_args

from clinidistill.errors import OptionError
from clinidistill.matching.variants import plurals
from clinidistill.matching.words import word_key

__all__ = ["StopList", "folded", "stop_list"]

StopList = Literal["everyday", "analytes", "general"]


@cache
def stop_list(name: StopList) -> frozenset[str]:
    """The packaged list of that name, as their words, in singular and plural.

    ``"everyday"`` holds ordinary words, foods, units and headings; ``"analytes"`` holds what is measured in the
    body or used in laboratories, which drug terminologies name too; ``"general"`` holds names that say nothing by
    themselves ("symptom").

    Raises:
        OptionError: if there is no such list.

    >>> "can" in stop_list("everyday"), "creatinine" in stop_list("analytes")
    (True, True)
    """
    if name not in get_args(StopList):
        raise OptionError(f"no stop list is called {name!r}; there are {', '.join(get_args(StopList))}")
    text = resources.files("clinidistill.matching").joinpath(f"stop_{name}.txt").read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines())
    return folded(line for line in lines if line and not line.startswith("#"))


def folded(terms: Iterable[str]) -> frozenset[str]:
    """`terms` as their words, in singular and plural."""
    return frozenset(word_key(form) for term in terms for form in (term, *plurals(term)))
