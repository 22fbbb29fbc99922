"""The first look at a chunk: histogram, cuts and ids that are none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..contract import Scan, Tokens
from ._arrays import frozen
from ._jit import kernel

#: Tokens looked at in one piece: they stay in the first level cache from one look to the next, and
#: most pieces of a corpus have no cut.
_PIECE = 1024
#: So many ids are searched one after the other, in wide registers; more are looked up in a table.
_FEW = 8


def scan(tokens: Tokens, core: int, vocab_size: int, cutting: Tokens) -> Scan:
    tokens, cutting = frozen(tokens, tokens.dtype), frozen(cutting, tokens.dtype)
    known = cutting[: np.searchsorted(cutting, vocab_size)]
    is_cutting = np.zeros(vocab_size, np.uint8)
    is_cutting[known] = 1
    histogram = np.zeros(vocab_size, np.int64)
    cuts = np.empty(_PIECE, np.int64)
    begin, n_cuts = 0, 0
    while begin < tokens.size:
        if n_cuts + _PIECE > cuts.size:
            cuts.resize(2 * cuts.size, refcheck=False)
        begin, n_cuts, invalid = _scan_pieces(
            tokens, begin, core, cutting, known, is_cutting, histogram, cuts, n_cuts
        )
        if invalid >= 0:
            return Scan(histogram, cuts[:0], invalid)
    return Scan(histogram, cuts[:n_cuts].copy(), -1)


@kernel
def _scan_pieces(
    tokens: Tokens,
    begin: int,
    core: int,
    cutting: Tokens,
    known: Tokens,
    is_cutting: NDArray[np.uint8],
    histogram: NDArray[np.int64],
    cuts: NDArray[np.int64],
    n_cuts: int,
) -> tuple[int, int, int]:
    """Go on from `begin` while there is room for cuts.

    `known` are those of `cutting` that lie in the vocabulary, as `is_cutting` says for all of it.
    Returns where it stopped, how many cuts there are now, and the lowest position of an id that is
    none, or -1.
    """
    while begin < tokens.size and n_cuts + _PIECE <= cuts.size:
        piece = tokens[begin : begin + _PIECE]
        counted = piece[: max(core - begin, 0)]
        if _highest(piece) >= histogram.size:
            position, n_cuts = _find_checked_cuts(piece, begin, cutting, is_cutting, cuts, n_cuts)
            if position >= 0:
                return begin, n_cuts, position
            _add_known(counted, histogram)
        else:
            if _has_cut(piece, known, is_cutting):
                n_cuts = _find_cuts(piece, begin, is_cutting, cuts, n_cuts)
            _add(counted, histogram)
        begin += _PIECE
    return begin, n_cuts, -1


@kernel
def _highest(piece: Tokens) -> np.int64:
    highest = piece[0]
    for i in range(piece.size):  # by index, here and below: iteration is not vectorised
        highest = max(highest, piece[i])
    return np.int64(highest)


@kernel
def _add(piece: Tokens, histogram: NDArray[np.int64]) -> None:
    for i in range(piece.size):
        histogram[piece[i]] += 1


@kernel
def _add_known(piece: Tokens, histogram: NDArray[np.int64]) -> None:
    for i in range(piece.size):
        if piece[i] < histogram.size:
            histogram[piece[i]] += 1


@kernel
def _has_cut(piece: Tokens, known: Tokens, is_cutting: NDArray[np.uint8]) -> bool:
    found = False
    if known.size <= _FEW:
        for cut in known:
            for i in range(piece.size):
                found |= piece[i] == cut
    else:
        for i in range(piece.size):
            found |= is_cutting[piece[i]] != 0
    return found


@kernel
def _find_cuts(
    piece: Tokens,
    begin: int,
    is_cutting: NDArray[np.uint8],
    cuts: NDArray[np.int64],
    n_cuts: int,
) -> int:
    """Append the positions of ids that cut; how many there are now."""
    for i in range(piece.size):
        # Written always, kept if it is one: faster than a branch that is hard to foresee.
        cuts[n_cuts] = begin + i
        n_cuts += is_cutting[piece[i]]
    return n_cuts


@kernel
def _find_checked_cuts(
    piece: Tokens,
    begin: int,
    cutting: Tokens,
    is_cutting: NDArray[np.uint8],
    cuts: NDArray[np.int64],
    n_cuts: int,
) -> tuple[int, int]:
    """As above, for a piece with ids outside the vocabulary; the first that does not cut, or -1."""
    for i in range(piece.size):
        token = piece[i]
        if token < is_cutting.size:
            cut = is_cutting[token] != 0
        else:
            cut = _contains(cutting, token)
            if not cut:
                return begin + i, n_cuts
        if cut:
            cuts[n_cuts] = begin + i
            n_cuts += 1
    return -1, n_cuts


@kernel
def _contains(ids: Tokens, token: int) -> bool:
    low, high = 0, ids.size
    while low < high:
        middle = (low + high) // 2
        if ids[middle] < token:
            low = middle + 1
        else:
            high = middle
    return low < ids.size and ids[low] == token
