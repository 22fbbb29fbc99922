"""What people count pairs with today, on the same tokens and the same task."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def numpy_unique(tokens: NDArray[np.uint16]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Next-token pairs of one stream by `np.unique` on packed uint32 keys, which are built here:
    sorted keys s << 16 | s' and their counts."""
    return np.unique((tokens[:-1].astype(np.uint32) << 16) | tokens[1:], return_counts=True)
