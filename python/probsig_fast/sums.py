"""Sums of counts that are exact, or an error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .errors import CountOverflowError


def checked_total(data: NDArray[np.int64]) -> int:
    """The sum of counts, none negative. Raises CountOverflowError: past 2^63 - 1."""
    if data.size and int(data.max()) < 2**63 // data.size:
        return int(data.sum())
    # In halves of 32 bits, which cannot wrap.
    total = (int((data >> 32).sum()) << 32) + int((data & 0xFFFFFFFF).sum())
    if total >= 2**63:
        raise CountOverflowError(f"counts: expected a total of at most 2^63 - 1, got {total}")
    return total


def exact_sum(arrays: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The sum of arrays of one shape, none negative. Raises CountOverflowError: past 2^63 - 1."""
    total = np.zeros_like(arrays[0])
    for array in arrays:
        total = total + array
        if (total < 0).any():
            raise CountOverflowError("counts: a sum passed 2^63 - 1")
    return total
