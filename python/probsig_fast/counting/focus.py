"""Third order: N_{x,nu,x'} of a chosen x is N_{x',nu} over the samples that hold x.

So each token of the focus restricts the samples, and the restricted ones are counted as any others
are: row f V + x' of the result belongs to the f-th token of the focus and x'.
"""

from __future__ import annotations

import numpy as np

from ..accumulator import ENTRY_BYTES
from ..budget import size_text
from ..csr import stacked
from ..errors import MemoryLimitError
from ..kernels.contract import Kernels, Spans
from ..pool import WorkerPool
from ..sums import exact_sum
from ..table import Table
from ..third_order import ThirdOrder
from .checkpoints import Checkpoints
from .ranges import RangeSums

_ADVICE = "fewer tokens as focus=, or more memory="


class FocusSums:
    """The sum of N_{x',nu} over the samples that hold x, for each x of `focus`.

    Args:
        memory: bytes that all of it may take.
        fits: as `check_third_order` says.
        kept: where sums are saved.
    """

    def __init__(
        self,
        focus: tuple[int, ...],
        vocab_size: int,
        n_labels: int,
        kernels: Kernels,
        pool: WorkerPool,
        memory: int,
        fits: bool,
        kept: Checkpoints | None = None,
    ) -> None:
        self._focus = focus
        self._sums = [
            RangeSums(
                vocab_size,
                n_labels,
                False,
                kernels,
                pool,
                memory // len(focus),
                kept,
                f"focus-{token}",
                fits=fits,
                is_share=True,
                advice=_ADVICE,
            )
            for token in focus
        ]

    def restricted(self, spans: Spans, first: int = 0) -> list[Spans]:
        """The spans of all tokens x' over the labels of the samples that hold x, for each x;
        without the labels before `first`."""
        spans = spans.on_host()
        return [self.restrict(spans, token, first) for token in self._focus]

    @staticmethod
    def restrict(spans: Spans, token: int, first: int = 0) -> Spans:
        """The same spans over the labels that the spans of `token` cover, weighted as these are."""
        own = slice(spans.indptr[token], spans.indptr[token + 1])
        weights = spans.span_weights[own] if spans.span_weights.size else 1
        steps = np.zeros(spans.ids.size + 1, np.int64)
        np.add.at(steps, spans.bounds[own, 0], weights)
        np.subtract.at(steps, spans.bounds[own, 1], weights)
        cover = np.cumsum(steps[:-1])
        cover[:first] = 0
        covered = cover > 0
        place = np.concatenate([[0], np.cumsum(covered)]).astype(np.uint32)
        bounds = place[spans.bounds]
        kept = bounds[:, 0] < bounds[:, 1]
        running = np.concatenate([[0], np.cumsum(kept)])
        id_weights = cover[covered]
        return Spans(
            spans.ids[covered],
            id_weights if (id_weights > 1).any() else np.empty(0, np.int64),
            running[spans.indptr],
            bounds[kept],
            spans.span_weights[kept] if spans.span_weights.size else spans.span_weights,
        )

    def add(self, restricted: list[Spans]) -> None:
        """Take what `restricted` made of the spans of one chunk."""
        for sums, spans in zip(self._sums, restricted, strict=True):
            sums.add(spans)

    @property
    def sums(self) -> list[RangeSums]:
        """One for each token of the focus."""
        return self._sums

    def result(self) -> ThirdOrder:
        tables = [sums.table() for sums in self._sums]
        entries = stacked([table.entries.csr() for table in tables])
        row_sum = np.concatenate([table.row_sum for table in tables])
        column_sum = exact_sum([table.column_sum for table in tables])
        table = Table(entries=entries, row_sum=row_sum, column_sum=column_sum)
        return ThirdOrder(self._focus, table)


def check_third_order(
    focus: int, vocab_size: int, n_labels: int, additions: int | None, memory: int
) -> bool:
    """Estimate third-order counts before they are made: whether they fit for certain.

    Args:
        additions: a bound of their entries; None where only reading tells how many samples there
            are, and so whether they fit.

    Raises:
        MemoryLimitError: they may not fit.
    """
    dense = focus * vocab_size * n_labels
    entries = dense if additions is None else min(dense, additions)
    certain = focus * vocab_size * 8 * 3  # row pointers
    needed = entries * ENTRY_BYTES + certain
    if certain > memory or (needed > memory and additions is not None):
        raise MemoryLimitError(
            f"memory: expected room for third-order counts of {focus:,} tokens "
            f"(x {vocab_size:,} tokens x {n_labels:,} labels), up to {size_text(needed)}, "
            f"got {size_text(memory)} as their share: give {_ADVICE}"
        )
    return needed <= memory
