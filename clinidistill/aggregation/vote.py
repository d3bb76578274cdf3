"""Votes on exact spans: union, intersection, majority; a teacher that does not know a label has none."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator

from clinidistill.aggregation.base import Aggregator
from clinidistill.errors import OptionError
from clinidistill.labels import Opinions
from clinidistill.types import Span, flatten

__all__ = ["Intersection", "Majority", "Union"]


class _Vote(Aggregator):
    """Keeps the spans (same offsets, same label) that enough of the teachers with a vote marked.

    Args:
        flat: of kept spans that overlap keep one, whatever their labels: the longest, then that with most votes.
    """

    def __init__(self, flat: bool = False):
        self.flat = flat

    @abstractmethod
    def enough(self, votes: int, voters: int) -> bool:
        """Whether `votes` of `voters` keep a span; ``1 <= votes <= voters``."""

    def combine_document(self, opinions: Opinions) -> list[Span]:
        kept = self._kept(opinions)
        return flatten(kept) if self.flat else list(kept)

    def _kept(self, opinions: Opinions) -> Iterator[Span]:
        said = [annotation for annotation in opinions.annotations.values() if not annotation.failed]
        first: dict[tuple[int, int, str], Span] = {}
        votes: Counter[tuple[int, int, str]] = Counter()
        codes: dict[tuple[int, int, str], str] = {}
        for annotation in said:
            own = {span.key: span for span in reversed(annotation.spans) if annotation.knows(span.label)}
            votes.update(own.keys())
            for key, span in own.items():
                first.setdefault(key, span)
                if span.code is not None:
                    codes.setdefault(key, span.code)
        voters = {label: len(opinions.voters(label)) for label in {key[2] for key in votes}}
        for key, count in votes.items():
            label = key[2]
            if self.enough(count, voters[label]):
                yield Span(
                    key[0], key[1], label, count / voters[label], code=codes.get(key), fragments=first[key].fragments
                )


class Union(_Vote):
    """Every span that at least one teacher marked. Scores are the share of voters.

    Args:
        flat: of spans that overlap keep one, whatever their labels: the longest, then that with most votes.
    """

    def enough(self, votes: int, voters: int) -> bool:
        return True


class Intersection(_Vote):
    """The spans that all teachers with a vote on their label marked.

    Args:
        flat: of spans that overlap keep one, whatever their labels: the longest, then that with most votes.
    """

    def enough(self, votes: int, voters: int) -> bool:
        return votes == voters


class Majority(_Vote):
    """The spans that more than a share of the teachers with a vote on their label marked.

    Args:
        threshold: the share to pass, in ``[0, 1)``; 0.5 is a plain majority, and a tie is none.
        flat: of spans that overlap keep one, whatever their labels: the longest, then that with most votes.

    Raises:
        OptionError: if the threshold is outside ``[0, 1)``.
    """

    def __init__(self, threshold: float = 0.5, flat: bool = False):
        super().__init__(flat)
        if not 0 <= threshold < 1:
            raise OptionError(f"majority: threshold {threshold} must be at least 0 and below 1")
        self.threshold = threshold

    def enough(self, votes: int, voters: int) -> bool:
        return votes / voters > self.threshold  # a rounded product would let some ties pass
