"""The pairs of largest cosine among all K (K - 1) / 2, in one pass over tiles."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from .cosines import Cosines
from .devices import Runner
from .work import Tile


class Pairs(NamedTuple):
    """Pairs i < j of rows: int64 [n] each, and their cosines, float64 [n], on the device."""

    first: torch.Tensor
    second: torch.Tensor
    cosines: torch.Tensor


def top_pairs(cosines: Cosines, rows: int, count: int, tiles: list[Tile], runner: Runner) -> Pairs:
    """The `count` pairs of largest cosine, largest first; ties: lower i first, then lower j.

    Args:
        tiles: of the upper triangle of [rows, rows].

    Memory: 16 bytes for each of at most 2 `count` pairs and of those in a few tiles; while they are
    sorted several times that.
    """
    best = _Best(cosines, rows, count)
    for ids, found in runner.map(best.candidates, tiles):
        best.add(ids, found)
    return best.sorted()


class _Best:
    """Those of the pairs seen so far that may be among the `count` largest.

    Their ids are i rows + j: in order of them, ties are in order. A pair needs to be kept only
    while its cosine, as a tile has it, reaches the `bar`. If v is the count-th largest seen, as
    tiles have it, then at least `count` exact cosines are v - slack or more; so a pair among the
    exact largest has v - slack exactly, and v - 2 slack in a tile, or more.
    """

    def __init__(self, cosines: Cosines, rows: int, count: int) -> None:
        self._source, self._rows, self._count = cosines, rows, count
        self._ids: list[torch.Tensor] = []
        self._cosines: list[torch.Tensor] = []
        self._kept = 0
        self._bar = -math.inf

    def candidates(self, tile: Tile) -> tuple[torch.Tensor, torch.Tensor]:
        """The ids and cosines of pairs in a tile that reach the bar. Threads may call it at the
        same time: an old bar lets more through, and no pair is lost."""
        cosines = self._source.tile(tile)
        reached = cosines >= self._bar
        if tile.diagonal:
            reached.triu_(1)
        i, j = reached.nonzero(as_tuple=True)
        return (i + tile.rows[0]) * self._rows + (j + tile.columns[0]), cosines[i, j]

    def add(self, ids: torch.Tensor, cosines: torch.Tensor) -> None:
        self._ids.append(ids)
        self._cosines.append(cosines)
        self._kept += len(ids)
        if self._kept > 2 * self._count:
            self._raise_bar()

    def _raise_bar(self) -> None:
        ids, cosines = self._taken()
        self._bar = self._lowest(cosines) - 2 * self._source.slack
        reached = cosines >= self._bar
        ids, cosines = ids[reached], cosines[reached]
        if 2 * len(ids) > 3 * self._count:  # many about equal ones: the largest must be told apart
            ids, cosines = self._largest(ids, cosines)
        self._ids, self._cosines, self._kept = [ids], [cosines], len(ids)

    def _taken(self) -> tuple[torch.Tensor, torch.Tensor]:
        """All that is kept, which is then kept no more: memory that the next step needs."""
        ids = torch.cat(self._ids)
        self._ids = []
        cosines = torch.cat(self._cosines)
        self._cosines = []
        return ids, cosines

    def _lowest(self, cosines: torch.Tensor) -> float:
        """The count-th largest."""
        return float(cosines.topk(self._count, sorted=False).values.min())

    def _largest(
        self, ids: torch.Tensor, cosines: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The first `count` by exact cosine, then id."""
        ids, order = ids.sort()
        if self._source.slack:
            cosines = self._source.exact(ids // self._rows, ids % self._rows)
        else:
            cosines = cosines[order]
        cosines, order = cosines.sort(descending=True, stable=True)
        return ids[order[: self._count]], cosines[: self._count]

    def sorted(self) -> Pairs:
        if self._kept > self._count:
            self._raise_bar()
        ids, cosines = self._largest(*self._taken())
        return Pairs(ids // self._rows, ids % self._rows, cosines)
