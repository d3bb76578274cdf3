"""Models from elsewhere, whose tags are not ours: their names tell the scheme, and what they say is put into IOB2.

Read are IO, IOB1, IOB2, IOE1, IOE2, BIOES (BILOU, BMEWO), with ``-`` or ``_`` after the letter, and bare labels, in any
order of the tags. The schemes are those of Tjong Kim Sang & Veenstra, *Representing Text Chunks* (EACL 1999), and
Ratinov & Roth, *Design Challenges and Misconceptions in Named Entity Recognition* (CoNLL 2009).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clinidistill.errors import DataError
from clinidistill.students.encoding import iob2_tags

__all__ = ["TagScheme"]

_OUTSIDE = re.compile(r"O|outside|none|LABEL_0|X|PAD|\[(CLS|SEP|PAD)\]|<(s|/s|pad)>", re.IGNORECASE)
_PREFIXED = re.compile(r"([BSUWIMEL])[-_](.+)")
_OPENING, _CLOSING = "BSUW", "ESUWL"


class TagScheme:
    """What the tags of a token classification model mean.

    A tag is outside (``O``, ``LABEL_0``, a special token's name), a bare label, or a letter and a label. Where no tag
    says that a mention opens, one opens at a label that was not there, or was closed, at the token before.

    Args:
        tags: the model's tags by their ids, as ``config.id2label`` has them.
        path: the file that they are from, for the error.

    Attributes:
        labels: the labels, in the order in which they first occur.
        is_iob2: whether the tags are those of :func:`~clinidistill.students.encoding.iob2_tags`, in that order.

    Raises:
        DataError: if no tag is outside, or all are.

    >>> TagScheme({0: "U-drug", 1: "O", 2: "L-drug", 3: "B-drug", 4: "I-drug"}).labels
    ('drug',)
    """

    def __init__(self, tags: Mapping[int, str], path: Path | None = None):
        names = [str(tags[n]) for n in sorted(tags)]
        inside = [name for name in names if not _OUTSIDE.fullmatch(name)]
        split = [_PREFIXED.fullmatch(name) for name in inside]
        if not inside or len(inside) == len(names):
            what = "no tag is outside of mentions" if inside else "no tag is of a label"
            raise DataError(
                f"{what}; write into id2label what the model's tags mean: O, B-x, I-x for labels x", path=path
            )
        # "B-cell" beside "T-cell" is a label; so letters count only where all tags have one.
        parts = [("I", name) for name in inside] if None in split else [(m[1], m[2]) for m in split if m]
        meaning = dict(zip(inside, parts, strict=True))
        self.labels = tuple(dict.fromkeys(label for _, label in parts))
        self.is_iob2 = tuple(names) == iob2_tags(self.labels)
        column = {label: n for n, label in enumerate(self.labels)}
        shape = len(names), len(self.labels)
        self._opens, self._goes_on, self._closes = (np.zeros(shape, dtype=np.float32) for _ in range(3))
        for row, name in enumerate(names):
            if name in meaning:
                letter, label = meaning[name]
                (self._opens if letter in _OPENING else self._goes_on)[row, column[label]] = 1
                self._closes[row, column[label]] = letter in _CLOSING

    def translate(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits of the model's tags as log-probabilities of ours.

        Tokens being scored apart from each other, the probability that a label opens a mention unsaid is that it is
        there, times that it did not go on from the token before.

        Args:
            logits: shape ``(rows, tokens, tags)``.

        Returns:
            Shape ``(rows, tokens, 1 + 2 * labels)``, float32, in the order of
            :func:`~clinidistill.students.encoding.iob2_tags`.
        """
        probabilities = logits.float().softmax(-1)
        opens, goes_on, closes = (
            probabilities @ torch.from_numpy(part).to(logits.device)
            for part in (self._opens, self._goes_on, self._closes)
        )
        open_still = (opens + goes_on - closes).clamp(0, 1)[:, :-1]
        unsaid = goes_on * (1 - torch.nn.functional.pad(open_still, (0, 0, 1, 0)))
        outside = 1 - (opens + goes_on).sum(-1, keepdim=True)
        pairs = torch.stack([opens + unsaid, goes_on - unsaid], dim=-1).flatten(-2)
        return torch.cat([outside, pairs], dim=-1).clamp(min=1e-30).log()

    def attach(self, model: torch.nn.Module) -> None:
        """Have `model` answer in our tags from now on; its weights and configuration stay as they are."""
        if not self.is_iob2:
            model.register_forward_hook(self._translate_output)

    def _translate_output(self, module: torch.nn.Module, inputs: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (self.translate(output[0]), *output[1:])
        output.logits = self.translate(output.logits)
        return output
