"""How sure a tagger must be that a word is outside all mentions.

Labels that leave mentions out teach a student to leave them out as well. How likely it finds them is still above that
of words that are none, so that a constant taken from the score of the outside tag, chosen on a few documents that
people labelled, brings many of them back (moving a threshold; Menon et al., *Long-tail learning via logit adjustment*,
ICLR 2021).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clinidistill.evaluation import evaluate
from clinidistill.students.decoding import decode
from clinidistill.students.scorer import Scorer
from clinidistill.students.streaming import scored
from clinidistill.students.tagger import Tagger, softmax
from clinidistill.types import Document

__all__ = ["outside_shift"]

_SHIFTS = np.arange(-2.0, 4.01, 0.25)


def outside_shift(tagger: Tagger, dev: Sequence[Document], scorer: Scorer) -> float:
    """What to add to the outside tag's logit, so that strict micro F1 on `dev` is best.

    The F1 of a shift is averaged with those of its neighbours, half as heavy: a peak that stands alone is chance. Of
    equal ones it takes the smallest.

    Args:
        tagger: a trained one.
        dev: labelled documents; some dozens of mentions are enough.
        scorer: its own.
    """
    bare = [document.without_spans() for document in dev]
    chunks = list(scored(bare, tagger.encoder, scorer, scorer.batch_tokens))
    found = []
    for shift in _SHIFTS:
        predicted = []
        for chunk in chunks:
            logits = chunk.logits.copy()
            logits[:, 0] -= shift
            texts = [document.text for document in chunk.documents]
            spans = decode(texts, chunk.tokens, softmax(logits), tagger.labels, decoder=tagger.decoder)
            predicted += [document.with_spans(own) for document, own in zip(chunk.documents, spans, strict=True)]
        found.append(evaluate(dev, predicted, labels=tagger.labels).strict.micro.f1)
    smooth = np.convolve(np.pad(found, 1, mode="edge"), (0.25, 0.5, 0.25), "valid")
    best = np.flatnonzero(smooth >= smooth.max() - 1e-12)
    return -float(_SHIFTS[best[np.abs(_SHIFTS[best]).argmin()]])
