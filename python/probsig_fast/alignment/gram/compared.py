"""Which rows of an embedding and a signature are compared, and what became of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import ArgumentError
from ...pool import WorkerPool
from ..prepared import PreparedSignature
from .devices import runner_for
from .inputs import finite_rows
from .rows import mean_row, unit_embedding

#: With fewer rows there is one pair, and no correlation.
_FEWEST = 3


class TooFewRowsError(ArgumentError):
    """Fewer than three rows are left to compare."""


@dataclass(frozen=True)
class Dropped:
    """How many rows were not compared, by the first reason that holds.

    Attributes:
        unseen: those without a row in the signature, or with too little support.
        not_finite: those whose embedding holds NaN or infinity.
        zero: those whose embedding is zero (or the mean that was subtracted, up to rounding).
    """

    unseen: int = 0
    not_finite: int = 0
    zero: int = 0

    def __str__(self) -> str:
        return (
            f"{self.unseen:,} without support, {self.not_finite:,} not finite, "
            f"{self.zero:,} zero in the embedding"
        )


@dataclass(frozen=True)
class Compared:
    """The rows that are compared: enough support, finite, and zero in neither matrix.

    Attributes:
        embedding: float64 [K, d], unit rows, on the device.
        tokens: int64 [K], their ids, ascending; K at least 3.
        signature: without the rows that lack support.
        mean_rows: of how many rows the mean was that was subtracted; 0 if none was.
        dropped: the other rows.
    """

    embedding: torch.Tensor
    tokens: NDArray[np.int64]
    signature: PreparedSignature
    mean_rows: int
    dropped: Dropped

    def subset(self, chosen: NDArray[np.int64]) -> Compared:
        """Some of the rows, in rising order of their place: the mean subtracted stays."""
        there = torch.from_numpy(chosen).to(self.embedding.device)
        return Compared(
            self.embedding[there], self.tokens[chosen], self.signature, self.mean_rows, self.dropped
        )


def compared_rows(
    W: Any, signature: PreparedSignature, centre: bool, device: torch.device, pool: WorkerPool
) -> Compared:
    """What is left of a checked W and of a signature with its `min_support`.

    Args:
        centre: subtract the mean of all finite rows with enough support from W first.

    Raises:
        TooFewRowsError: fewer than three rows are left.
    """
    source = W.device if isinstance(W, torch.Tensor) else device
    runner = runner_for(device if source.type == "cpu" else source, pool)
    finite = finite_rows(W)
    mean, mean_rows = None, 0
    if centre:
        passing = np.flatnonzero(signature.supported() & finite).astype(np.int64)
        mean, mean_rows = mean_row(W, passing, device, runner), passing.size
    seen = signature.nonzero()
    usable = seen[finite[seen]]
    embedding, tokens = unit_embedding(W, usable, mean, device, runner)
    dropped = Dropped(W.shape[0] - seen.size, seen.size - usable.size, usable.size - tokens.size)
    _check_enough(tokens.size, signature, dropped)
    return Compared(embedding, tokens, signature, mean_rows, dropped)


def check_supported(signature: PreparedSignature, name: str | None = None) -> None:
    """Whatever the embedding.

    Raises:
        TooFewRowsError: fewer than three rows with enough support, of the signature so called.
    """
    seen = signature.nonzero().size
    if seen < _FEWEST:
        largest = int(signature.support.max(initial=0)) // signature.weight_scale
        raise TooFewRowsError(
            f"min_support: expected at least {_FEWEST} tokens that have it in "
            f"{name or signature.name}, got {seen} with {signature.min_support:,} or more; the "
            f"largest support is {largest:,}"
        )


def _check_enough(kept: int, signature: PreparedSignature, dropped: Dropped) -> None:
    check_supported(signature)
    if kept < _FEWEST:
        raise TooFewRowsError(
            f"W: expected at least {_FEWEST} rows that can be compared, got {kept} of "
            f"{signature.nonzero().size}: {dropped.not_finite} not finite, {dropped.zero} zero"
        )
