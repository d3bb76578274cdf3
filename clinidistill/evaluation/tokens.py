"""The word tokens that mentions overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clinidistill.evaluation.tables import Ints

__all__ = ["overlapped_tokens"]

_SPACE, _WORD, _SIGN = range(3)


def overlapped_tokens(texts: Sequence[str], starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    r"""The tokens that each extent of a text overlaps, if only in part; tokens are ``\\w+|[^\\w\\s]``.

    Only the text within the extents is read, and that of a word which begins before one.

    Args:
        texts: for each extent, the text that it lies in.
        starts: offset of its first character.
        ends: offset after its last one; it has at least one.

    Returns:
        For each token, the number of its extent and its start offset.

    >>> overlapped_tokens(["Low back pain."], np.array([5]), np.array([14]))
    (array([0, 0, 0]), array([ 4,  9, 13]))
    """
    extents = zip(texts, starts.tolist(), ends.tolist(), strict=True)
    pieces = "".join([text[start:end] for text, start, end in extents])
    sizes = ends - starts
    kinds = _kinds(pieces)
    first = np.cumsum(sizes) - sizes
    begins = kinds != _SPACE
    begins[1:] &= (kinds[1:] == _SIGN) | (kinds[:-1] != _WORD)
    begins[first] = kinds[first] != _SPACE  # what the piece before ends with is another place
    at = np.flatnonzero(begins)
    owner = np.searchsorted(first, at, "right") - 1
    begun = starts[owner] + at - first[owner]
    leading = np.flatnonzero((at == first[owner]) & (kinds[at] == _WORD) & (begun > 0))
    for token, piece, start in zip(leading.tolist(), owner[leading].tolist(), begun[leading].tolist(), strict=True):
        text, begin = texts[piece], start
        while begin and _is_word(text[begin - 1]):  # in mid-word: a token counts from its own start
            begin -= 1
        begun[token] = begin
    return owner, begun


def _kinds(text: str) -> Ints:
    """Whether each character is space, of a word, or a sign."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64)
    occur = np.flatnonzero(np.bincount(codes))
    kinds = np.zeros(int(codes.max(initial=-1)) + 1, dtype=np.int64)
    characters = map(chr, occur.tolist())
    kinds[occur] = [_WORD if _is_word(each) else _SPACE if each.isspace() else _SIGN for each in characters]
    return kinds[codes]


def _is_word(character: str) -> bool:
    """What ``\\w`` means to :mod:`re`."""
    return character.isalnum() or character == "_"
