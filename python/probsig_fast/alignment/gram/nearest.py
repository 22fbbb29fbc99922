"""The k rows of largest cosine with each of K rows, in one pass over tiles."""

from __future__ import annotations

import math

import torch

from .cosines import Cosines
from .devices import Runner
from .work import Range, Tile, tiles


def nearest(cosines: Cosines, rows: int, k: int, elements: int, runner: Runner) -> torch.Tensor:
    """For each row the k other rows of largest cosine, largest first; ties: lower ones first.
    int64 [rows, k], on the device.

    Args:
        k: below `rows`.
        elements: of a tile, at most.

    Each tile of the upper triangle serves its rows and its columns. A row meets the others in
    ascending order so, and of equal ones those met first stay.

    Memory: some 50 bytes for each of rows x k, and a few tiles.
    """
    cut = tiles(rows, elements)
    blocks = {tile.rows: _Block(cosines, tile.rows, rows, k) for tile in cut}

    def candidates(tile: Tile) -> list[tuple[_Block, torch.Tensor, torch.Tensor]]:
        values = cosines.tile(tile)
        if tile.diagonal:
            values.fill_diagonal_(-math.inf)
            return [blocks[tile.rows].candidates(values, tile.columns)]
        return [
            blocks[tile.rows].candidates(values, tile.columns),
            blocks[tile.columns].candidates(values.T.contiguous(), tile.rows),
        ]

    for found in runner.map(candidates, cut):
        for block, ids, values in found:
            block.add(ids, values)
    return torch.cat([block.nearest() for block in blocks.values()])


class _Block:
    """Some rows, and those others seen so far that may be among their k nearest.

    Pairs are kept as (row in the block) x K + other, in the order seen. A pair needs to be kept
    only while its cosine, as a tile has it, is above its row's bar: the k-th largest seen less
    2 slack, for the reason that `top_pairs` gives. Without slack a pair that is just as large as
    the k-th loses to the k before it, whose ids are lower.
    """

    def __init__(self, cosines: Cosines, own: Range, rows: int, k: int) -> None:
        self._source, self._begin, self._all, self._k = cosines, own[0], rows, k
        self._rows = own[1] - own[0]
        self._bars: torch.Tensor | None = None
        self._ids: list[torch.Tensor] = []
        self._cosines: list[torch.Tensor] = []
        self._kept, self._enough = 0, self._rows * k

    def candidates(
        self, values: torch.Tensor, others: Range
    ) -> tuple[_Block, torch.Tensor, torch.Tensor]:
        """The pairs of these rows and `others` that are above the bars. Threads may call it at the
        same time: an old bar lets more through, and no pair is lost."""
        bars = self._bars
        reached = values > (-math.inf if bars is None else bars[:, None])
        # A tile's own k-th largest are bars, too; worth finding where the others let much through.
        if int(reached.sum()) > self._rows * self._k and values.shape[1] > self._k:
            reached &= self._largest_of(values)
        row, other = reached.nonzero(as_tuple=True)
        return self, row * self._all + (other + others[0]), values[row, other]

    def _largest_of(self, values: torch.Tensor) -> torch.Tensor:
        """Which are, or may be, among the k largest of their rows."""
        least = values.topk(self._k, dim=1, sorted=False).values.amin(1, keepdim=True)
        if self._source.slack:
            return values >= least - 2 * self._source.slack
        above, equal = values > least, values == least
        free = self._k - above.sum(1, keepdim=True)
        return above | (equal & (equal.cumsum(1) <= free))

    def add(self, ids: torch.Tensor, values: torch.Tensor) -> None:
        self._ids.append(ids)
        self._cosines.append(values)
        self._kept += len(ids)
        if self._kept >= self._enough:
            self._raise_bars()

    def _raise_bars(self) -> None:
        ids, values = self._sorted(torch.cat(self._ids), torch.cat(self._cosines))
        ids, values = self._may_be_nearest(ids, values)
        if self._source.slack and 2 * len(ids) > 3 * self._rows * self._k:
            # Many about equal ones: the largest must be told apart.
            ids, values = self._told_apart(ids, values)
            first = self._ranks(ids) < self._k
            ids, values = ids[first], values[first]
        self._ids, self._cosines, self._kept = [ids], [values], len(ids)
        self._enough = max(self._rows * self._k, len(ids)) * 3 // 2 + 1

    def _sorted(self, ids: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """By row, then cosine, the largest first; equal ones stay in order."""
        values, order = values.sort(descending=True, stable=True)
        ids = ids[order]
        order = (ids // self._all).sort(stable=True).indices
        return ids[order], values[order]

    def _ranks(self, ids: torch.Tensor) -> torch.Tensor:
        """The place of each pair in its row, of pairs sorted by row."""
        row = ids // self._all
        starts = torch.searchsorted(row, torch.arange(self._rows, device=row.device))
        return torch.arange(len(ids), device=row.device) - starts[row]

    def _may_be_nearest(
        self, ids: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of sorted pairs, without those below the bars, which rise."""
        row, ranks = ids // self._all, self._ranks(ids)
        bars = values.new_full((self._rows,), -math.inf)
        last = ranks == self._k - 1
        bars[row[last]] = values[last] - 2 * self._source.slack
        self._bars = bars
        kept = ranks < self._k
        if self._source.slack:
            kept |= values > bars[row]
        return ids[kept], values[kept]

    def _told_apart(
        self, ids: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Sorted pairs in their exact order: what tiles leave open is decided by exact cosines."""
        row = ids // self._all
        close = (row[1:] == row[:-1]) & (values[:-1] - values[1:] <= 2 * self._source.slack)
        no = close.new_zeros(1)
        unclear = torch.cat([close, no]) | torch.cat([no, close])
        pairs = ids[unclear]
        values[unclear] = self._source.exact(pairs // self._all + self._begin, pairs % self._all)
        ids, order = ids.sort()  # of equal cosines the lower id first
        return self._sorted(ids, values[order])

    def nearest(self) -> torch.Tensor:
        """int64 [rows of the block, k]."""
        ids, values = self._sorted(torch.cat(self._ids), torch.cat(self._cosines))
        ids, values = self._may_be_nearest(ids, values)
        if self._source.slack:
            ids, values = self._told_apart(ids, values)
        first = ids[self._ranks(ids) < self._k] % self._all
        return first.reshape(self._rows, self._k)
