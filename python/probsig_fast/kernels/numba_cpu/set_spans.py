"""Sets as suffixes: a token's pairs with all larger tokens of a set are one span."""

from __future__ import annotations

import numpy as np

from ..contract import Sets, Spans
from .spans import group_spans


def set_spans(sets: Sets, vocab_size: int) -> Spans:
    bounds = np.empty((sets.ids.size, 2), np.uint32)
    bounds[:, 0] = np.arange(sets.ids.size, dtype=np.uint32)
    bounds[:, 1] = np.repeat(sets.indptr[1:].astype(np.uint32), np.diff(sets.indptr))
    indptr, bounds = group_spans(sets.ids, bounds, vocab_size)
    none = np.empty(0, np.int64)
    return Spans(sets.ids, none, indptr, bounds, none)
