"""Text → windows of tokens, and spans → IOB2 tags on them.

A long note becomes overlapping windows; every token is in at least one, so nothing is cut off.
IOB2 is the scheme of Tjong Kim Sang & Veenstra, *Representing Text Chunks* (EACL 1999): ``B-x`` opens a mention,
``I-x`` continues it, ``O`` is outside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from clinidistill.errors import ConfigError
from clinidistill.types import Document, Span

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["IGNORE", "Encoder", "Tokens", "Window", "iob2_tags", "pad", "tag_window", "token_batches"]

IGNORE = -100
"""Tag id of tokens that take no part in the loss (PyTorch's convention)."""

Ints = NDArray[np.int64]

_SURROGATE = re.compile("[\ud800-\udfff]")  # half of a UTF-16 pair: no tokenizer takes it


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """A document's own tokens, without special ones.

    Args:
        ids: token ids, shape ``(tokens,)``.
        starts, ends: half-open code-point offsets of each token, shape ``(tokens,)``.
    """

    ids: Ints
    starts: Ints
    ends: Ints

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A run of tokens of one document, special tokens included.

    Args:
        document: position of its document among those encoded together.
        input_ids: token ids, shape ``(tokens,)``.
        starts, ends: half-open code-point offsets of each token, shape ``(tokens,)``; equal for special tokens.
    """

    document: int
    input_ids: Ints
    starts: Ints
    ends: Ints

    def __len__(self) -> int:
        return len(self.input_ids)


class Encoder:
    """Tokenises documents into windows.

    Args:
        tokenizer: a fast Hugging Face tokenizer (offsets are needed).
        max_length: most tokens in a window, special tokens included.
        stride: tokens that neighbouring windows share.

    Attributes:
        before, after: ids of the special tokens that every window begins and ends with.

    Raises:
        ConfigError: if the tokenizer has no offsets, or `stride` leaves no room for progress.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int, stride: int):
        if not tokenizer.is_fast:
            raise ConfigError(
                "this base has only a slow tokenizer, which gives no offsets; use one with tokenizer.json"
            )
        room = max_length - tokenizer.num_special_tokens_to_add(pair=False)
        if not 0 <= stride < room:
            raise ConfigError(
                f"stride {stride} must be at least 0 and below {room}, the room in a window of {max_length}"
            )
        self.tokenizer, self.max_length, self.stride = tokenizer, max_length, stride
        self._room = room
        framed = self._backend.encode("a")
        own = [n for n, special in enumerate(framed.special_tokens_mask) if not special] or [len(framed.ids)]
        self.before = np.array(framed.ids[: own[0]], dtype=np.int64)
        self.after = np.array(framed.ids[own[-1] + 1 :], dtype=np.int64)

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text, in order. Several threads of the tokenizer share the work, and hold no lock."""
        # Unpaired surrogates are replaced; offsets stay.
        encodings = self._backend.encode_batch(
            [_SURROGATE.sub("\ufffd", text) for text in texts], add_special_tokens=False
        )
        out = []
        for encoding in encodings:
            offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
            out.append(Tokens(np.array(encoding.ids, dtype=np.int64), offsets[:, 0], offsets[:, 1]))
        return out

    def cuts(self, count: int) -> list[slice]:
        """Where the windows of a document of `count` tokens lie; neighbours share :attr:`stride` tokens.

        Every token is in at least one; a document without tokens still has a window.
        """
        last = max(1, count - self.stride)
        return [slice(at, min(at + self._room, count)) for at in range(0, last, self._room - self.stride)]

    def frame(self, ids: Ints) -> Ints:
        """A window's ids: `ids` between the special tokens."""
        return np.concatenate((self.before, ids, self.after))

    def windows(self, texts: Sequence[str]) -> list[Window]:
        """The windows of `texts`, in order; a text without tokens still has one."""
        sides = len(self.before), len(self.after)
        return [
            Window(n, self.frame(tokens.ids[cut]), np.pad(tokens.starts[cut], sides), np.pad(tokens.ends[cut], sides))
            for n, tokens in enumerate(self.tokens(texts))
            for cut in self.cuts(len(tokens))
        ]

    @property
    def _backend(self) -> Any:
        """The tokenizer beneath, which must neither cut nor pad (whoever else uses it may have told it to)."""
        backend: Any = cast(Any, self.tokenizer).backend_tokenizer
        if backend.truncation is not None:
            backend.no_truncation()
        if backend.padding is not None:
            backend.no_padding()
        return backend


def iob2_tags(labels: Iterable[str]) -> tuple[str, ...]:
    """All tags for `labels`: ``O`` first, then ``B-`` and ``I-`` of each label in turn.

    >>> iob2_tags(["medication"])
    ('O', 'B-medication', 'I-medication')
    """
    return ("O", *(f"{prefix}-{label}" for label in labels for prefix in "BI"))


def tag_window(window: Window, document: Document, spans: Sequence[Span], labels: Sequence[str]) -> Ints:
    """IOB2 tag ids of a window's tokens, shape ``(tokens,)``; special tokens get :data:`IGNORE`.

    Args:
        window: a window of `document`.
        document: its document.
        spans: its spans without overlaps (:func:`~clinidistill.types.flatten`); unknown labels are passed over.
        labels: the labels in tag order.
    """
    real = window.ends > window.starts
    tags = np.where(real, 0, IGNORE)
    places = np.flatnonzero(real)
    starts, ends = window.starts[places], window.ends[places]
    position = {label: n for n, label in enumerate(labels)}
    for span in spans:
        if span.label not in position:
            continue
        # Offsets ascend within a window; byte-level tokens of one character share an offset, hence the sides.
        first, last = int(np.searchsorted(ends, span.start, "right")), int(np.searchsorted(starts, span.end, "left"))
        if first >= last:
            continue
        begin = 1 + 2 * position[span.label]
        tags[places[first:last]] = begin + 1
        # Only at the left edge of a window may the mention have opened before.
        if first or not document.text[span.start : max(span.start, int(starts[first]))].strip():
            tags[places[first]] = begin
    return tags


def token_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Positions grouped so that no batch, padded to its longest, holds more than `budget` tokens.

    Longest first, so that memory peaks at once rather than at the end. A single item over the budget is a batch.

    >>> list(token_batches([5, 2, 3, 9], budget=10))
    [[3], [0, 2], [1]]
    """
    order = sorted(range(len(lengths)), key=lambda n: -lengths[n])
    batch: list[int] = []
    for n in order:
        if batch and lengths[batch[0]] * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(n)
    if batch:
        yield batch


def pad(rows: Sequence[Ints], filler: int) -> tuple[Ints, Ints]:
    """Rows of token ids as one batch: ids, padded on the right with `filler`, and mask (1 at tokens, 0 at padding).

    >>> pad([np.array([7, 8]), np.array([9])], filler=0)
    (array([[7, 8],
           [9, 0]]), array([[1, 1],
           [1, 0]]))
    """
    lengths = np.array([len(row) for row in rows])
    width = max(1, int(lengths.max()))  # a tokenizer without special tokens makes no token of ""
    mask = np.arange(width) < lengths[:, None]
    ids = np.full(mask.shape, filler, dtype=np.int64)
    ids[mask] = np.concatenate(rows)
    return ids, mask.astype(np.int64)
