"""Cosines of single pairs of tokens, for pictures: of a sample of all pairs, and of groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..plots.token_groups import FoundGroup, find_groups
from .comparison import Comparison, Settings

if TYPE_CHECKING:
    import scipy.sparse

#: Pairs whose rows are gathered at a time, and rows of a block of all pairs.
_PAIRS_AT_ONCE, _ROWS_AT_ONCE = 2**13, 512


@dataclass(frozen=True)
class Units:
    """The rows compared, each of unit length.

    Attributes:
        embedding: float64 [K, d].
        signature: float64 CSR [K, W].
        tokens: their ids, int64 [K], ascending.
    """

    embedding: NDArray[np.float64]
    signature: scipy.sparse.csr_array
    tokens: NDArray[np.int64]

    @property
    def pairs(self) -> int:
        return math.comb(self.tokens.size, 2)


@dataclass(frozen=True)
class PairCosines:
    """Cosines of pairs i < j.

    Attributes:
        embedding, signature: float64 [n].
        pairs: how many there are in all; n of them were drawn where that is more.
    """

    embedding: NDArray[np.float64]
    signature: NDArray[np.float64]
    pairs: int

    @property
    def sampled(self) -> bool:
        return self.embedding.size < self.pairs


@dataclass(frozen=True)
class GroupCosines:
    """Cosines between the tokens of groups.

    Attributes:
        groups: with their tokens.
        tokens: of all groups, int64 [n]; a token of two groups comes twice.
        raw, centred, signature: float64 [n, n].
    """

    groups: tuple[FoundGroup, ...]
    tokens: NDArray[np.int64]
    raw: NDArray[np.float64]
    centred: NDArray[np.float64]
    signature: NDArray[np.float64]


def units_of(comparison: Comparison, centre: bool) -> Units:
    """O(V d + nnz); 8 K d + 12 nnz bytes."""
    from ..alignment.gram.comparison import comparison as comparing
    from ..alignment.gram.rows import unit_rows

    with comparing(comparison.W, comparison.signature, 0, centre, None, "cpu") as found:
        compared = found.rows
    rows = unit_rows(compared.signature.parts, compared.tokens)
    return Units(compared.embedding.numpy(), rows, compared.tokens)


def pair_cosines(units: Units, settings: Settings) -> PairCosines:
    """Of all pairs where they are at most `most_pairs`, else of `sampled_pairs` different ones,
    each as likely as any other."""
    if units.pairs <= settings.most_pairs:
        return PairCosines(*_all_pairs(units), units.pairs)
    drawn = np.random.default_rng(settings.seed).integers(
        0, units.pairs, 2 * settings.sampled_pairs
    )
    # In order of drawing, so that which are kept does not depend on their number.
    chosen = np.sort(
        drawn[np.sort(np.unique(drawn, return_index=True)[1])][: settings.sampled_pairs]
    )
    return PairCosines(*_of_pairs(units, *_pair(chosen)), units.pairs)


def find_readable(
    comparison: Comparison, units: Sequence[Units], settings: Settings
) -> list[FoundGroup]:
    """The groups of which at least two tokens are compared; the user's own all."""
    among = np.intersect1d(units[0].tokens, units[1].tokens)
    found = find_groups(settings.groups, [comparison.signature], among)
    return found if settings.own_groups else [each for each in found if len(each.tokens) > 1]


def most_frequent(comparison: Comparison, units: Sequence[Units], settings: Settings) -> FoundGroup:
    """Those of largest support, ties by id; in an order in which like signatures are neighbours."""
    signature = comparison.signature
    among = np.intersect1d(units[0].tokens, units[1].tokens)
    order = np.argsort(-signature.support[among], kind="stable")[: settings.most_frequent]
    tokens = among[order]
    rows = units[0].signature[np.searchsorted(units[0].tokens, tokens)]
    tokens = tokens[_by_likeness((rows @ rows.T).toarray())]
    return FoundGroup(
        f"{tokens.size} {comparison.rows_are} of largest support", tuple(tokens.tolist())
    )


def group_cosines(raw: Units, centred: Units, groups: Sequence[FoundGroup]) -> GroupCosines:
    """O(n^2 d + n^2 x entries a row) for n tokens."""
    tokens = np.array([token for group in groups for token in group.tokens], np.int64)
    embedding = [each.embedding[np.searchsorted(each.tokens, tokens)] for each in (raw, centred)]
    rows = raw.signature[np.searchsorted(raw.tokens, tokens)]
    cosines = [each @ each.T for each in embedding]
    return GroupCosines(tuple(groups), tokens, cosines[0], cosines[1], (rows @ rows.T).toarray())


def _all_pairs(units: Units) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    size = units.tokens.size
    columns = units.signature.T.tocsr()
    found: tuple[list[Any], list[Any]] = ([], [])
    for begin in range(0, size, _ROWS_AT_ONCE):
        rows = slice(begin, begin + _ROWS_AT_ONCE)
        blocks = (
            units.embedding[rows] @ units.embedding[begin:].T,
            (units.signature[rows] @ columns[:, begin:]).toarray(),
        )
        above = np.triu_indices(blocks[0].shape[0], 1, blocks[0].shape[1])
        for kept, block in zip(found, blocks, strict=True):
            kept.append(block[above])
    embedding, signature = (np.concatenate([np.empty(0), *each]) for each in found)
    return embedding, signature


def _of_pairs(
    units: Units, first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    embedding, signature = np.empty((2, first.size))
    for begin in range(0, first.size, _PAIRS_AT_ONCE):
        part = slice(begin, begin + _PAIRS_AT_ONCE)
        i, j = first[part], second[part]
        embedding[part] = np.einsum("nd,nd->n", units.embedding[i], units.embedding[j])
        signature[part] = units.signature[i].multiply(units.signature[j]).sum(axis=1)
    return embedding, signature


def _pair(number: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs i < j are numbered (0, 1), (0, 2), (1, 2), (0, 3), ...: i + j (j - 1) / 2."""
    j = ((1 + np.sqrt(1 + 8 * number.astype(np.float64))) / 2).astype(np.int64)
    # The root is rounded: off by one, at most.
    j -= j * (j - 1) // 2 > number
    j += j * (j + 1) // 2 <= number
    return number - j * (j - 1) // 2, j


def _by_likeness(cosines: NDArray[np.float64]) -> NDArray[np.int64]:
    """An order of the rows in which like ones are neighbours: that of their average linkage."""
    size = len(cosines)
    if size < 3:
        return np.arange(size)
    from scipy.cluster.hierarchy import leaves_list, linkage

    distances = np.clip(1.0 - cosines[np.triu_indices(size, 1)], 0.0, None)
    order: NDArray[np.int64] = leaves_list(linkage(distances, "average", optimal_ordering=True))
    return order
