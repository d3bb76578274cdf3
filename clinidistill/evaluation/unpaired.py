"""Two systems that were scored on different documents."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from clinidistill.errors import ConfigError
from clinidistill.evaluation.bootstrap import draw_weights, f1_of
from clinidistill.evaluation.comparison import Comparison, per_document
from clinidistill.evaluation.scoring import Predictor, answers
from clinidistill.types import SCHEMES, Document

__all__ = ["compare_unpaired"]

Side = tuple[Iterable[Document], Iterable[Document] | Predictor]
"""Documents with the right spans, and a system or what it says of them."""


def compare_unpaired(
    a: Side,
    b: Side,
    /,
    *,
    labels: Iterable[str] | None = None,
    scheme: str = "strict",
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Comparison:
    """The difference of two systems' micro F1, each on documents of its own, with its interval.

    Both sets of documents are resampled, each by itself (two-sample bootstrap; Efron and Tibshirani, An Introduction to
    the Bootstrap, 1993, ch. 8). The difference is one of systems only as far as the documents are equally hard, and its
    interval is wider than that of systems on the same documents: use :func:`~clinidistill.compare` where those are.

    Args:
        a: gold documents and a system, or its answers on them.
        b: likewise, of the other system.
        labels: score only these; None scores all.
        scheme: what to count, one of ``SCHEMES``.
        resamples: how many resamples to draw.
        seed: of the draws.
        confidence: of the interval, between 0 and 1.

    Returns:
        A comparison of which ``paired`` is False, ``p`` is ``bootstrap_p``, and ``documents`` counts the first's.

    Raises:
        ConfigError: if gold and predicted are not the same documents, or an option cannot work.

    >>> from clinidistill.types import Span
    >>> gold = [Document(f"n{n}", "On metformin.", [Span(3, 12, "medication")]) for n in range(20)]
    >>> others = [Document(f"m{n}", "On insulin.", [Span(3, 10, "medication")]) for n in range(30)]
    >>> found = compare_unpaired((gold, gold), (others, [note.without_spans() for note in others[:18]] + others[18:]))
    >>> found.paired, f"{found.difference:.3f}"
    (False, '0.429')
    """
    if isinstance(labels, str):
        raise ConfigError(f"labels must be several names, not one string; write labels=[{labels!r}]")
    if scheme not in SCHEMES:
        raise ConfigError(f"there is no scheme {scheme!r}; there are {', '.join(SCHEMES)}")
    if resamples < 1 or not 0 < confidence < 1:
        raise ConfigError("resamples must be 1 or more, and confidence between 0 and 1")
    wanted = None if labels is None else frozenset(labels)
    values, drawn, sizes = [], [], []
    for number, (gold, system) in enumerate((a, b)):
        notes = list(gold)
        if not notes:
            raise ConfigError("there is nothing to compare: no documents")
        counts = per_document(notes, answers(system, notes), wanted, scheme, None)
        blocks = [weights @ counts for weights in draw_weights(len(notes), resamples, seed + number)]
        totals = np.concatenate(blocks)
        values.append(float(f1_of(*counts.sum(axis=0))))
        drawn.append(f1_of(totals[:, 0], totals[:, 1]))
        sizes.append(len(notes))
    differences = drawn[0] - drawn[1]
    tail = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    low, high = np.quantile(differences, [(1 - confidence) / 2, (1 + confidence) / 2])
    p = min(1.0, 2 * (tail + 1) / (resamples + 1))
    return Comparison(
        scheme=scheme,
        label=None,
        a=values[0],
        b=values[1],
        difference=values[0] - values[1],
        interval=(float(low), float(high)),
        confidence=confidence,
        p=p,
        bootstrap_p=p,
        documents=sizes[0],
        resamples=resamples,
        paired=False,
    )
