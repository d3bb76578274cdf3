"""The most probable valid IOB2 tags of words: Viterbi decoding under one rule, that ``I-x`` follows ``B-x`` or ``I-x``.

Viterbi (*Error bounds for convolutional codes*, IEEE Trans. Inf. Theory 1967). Words are scored apart from each other,
and the rule is all that binds them, so a note falls into many short runs that are solved side by side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["viterbi"]

_IMPOSSIBLE = -1e9  # in place of -inf, whose differences are no numbers


def viterbi(log_probabilities: NDArray[np.floating], opens: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """The valid tag sequence with the highest product of probabilities.

    Args:
        log_probabilities: of each tag at each word, shape ``(words, 1 + 2 * labels)``, in the order of
            :func:`~clinidistill.students.encoding.iob2_tags`; ``-inf`` where a tag cannot be.
        opens: True at words that begin a sequence, shape ``(words,)``; None for a single sequence.

    Returns:
        Tag ids, shape ``(words,)``. In no sequence does ``I-x`` stand anywhere but after ``B-x`` or ``I-x``.

    Linear in words and in labels.

    >>> viterbi(np.log([[.6, .3, .1], [.1, .1, .8]]))  # O is likelier than B-x at first, but B-x I-x than O O
    array([1, 2])
    """
    words = len(log_probabilities)
    if not words:
        return np.zeros(0, dtype=np.int64)
    scores = np.maximum(log_probabilities, _IMPOSSIBLE)
    starts = np.flatnonzero(_begins_run(scores, opens))
    lengths = np.diff(np.append(starts, words))
    order = np.argsort(-lengths, kind="stable")  # so that the runs that go on are always the first ones
    starts, lengths = starts[order], lengths[order]
    running = [int(np.searchsorted(-lengths, -step)) for step in range(lengths[0])]  # runs longer than `step`

    best = scores[starts]
    best[:, 2::2] = _IMPOSSIBLE  # log-probability of the best path to each tag, one row a run
    came_from: list[tuple[NDArray[np.int64], NDArray[np.bool_]]] = []
    for step in range(1, len(running)):
        here, n = best[: running[step]], running[step]
        begun, going = here[:, 1::2], here[:, 2::2]
        source, goes_on = here.argmax(axis=1), going > begun
        inner = np.maximum(begun, going)
        here[:] = here[np.arange(n), source][:, None]
        here[:, 2::2] = inner
        here += scores[starts[:n] + step]
        came_from.append((source, goes_on))

    path = np.empty(words, dtype=np.int64)
    tag = best.argmax(axis=1)
    for step in range(len(running) - 1, 0, -1):
        n = running[step]
        path[starts[:n] + step] = tag[:n]
        source, goes_on = came_from[step - 1]
        label = np.maximum(tag[:n] - 1, 0) // 2
        inside = (tag[:n] > 0) & (tag[:n] % 2 == 0)
        tag[:n] = np.where(inside, 1 + 2 * label + goes_on[np.arange(n), label], source)
    path[starts] = tag
    return path


def _begins_run(scores: NDArray[np.floating], opens: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """Words at which some best path has no ``I``, so that what comes before and what follows can be solved apart.

    ``I-x`` can give way to ``B-x`` where that is as likely, whatever comes next. It can also give way to ``O``, if an
    ``I-x`` at the next word then gives way to ``B-x``, where the two together lose nothing. Neither adds an ``I``.
    """
    begin, inside = scores[:, 1::2], scores[:, 2::2]
    gain = begin - inside
    following = np.zeros_like(gain)
    following[:-1] = np.minimum(gain[1:], 0.0)
    if opens is not None:
        following[:-1][opens[1:]] = 0.0
    free = np.maximum(gain, scores[:, :1] + following - inside) >= 0
    runs = np.asarray(free.all(axis=1))
    runs[0] = True
    if opens is not None:
        runs[opens] = True
    return runs
