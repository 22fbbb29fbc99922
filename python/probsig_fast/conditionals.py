"""From integer counts to the conditional probabilities of arXiv 2509.20124: one way for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .csr import Csr
from .signature import Signature, check_min_support


def conditional(
    name: str,
    condition: str,
    rows: Csr,
    support: NDArray[np.int64],
    min_support: int,
    weight_scale: int = 1,
    token_strings: Sequence[str] | None = None,
) -> Signature:
    """P(column | row) = N[row, column] / support[row]; shares the arrays of `rows`.

    Raises:
        ArgumentError: `min_support` below 0.
    """
    check_min_support(min_support)
    signature = Signature(
        name,
        condition,
        rows.indptr,
        rows.indices,
        rows.stored,
        support,
        rows.columns,
        weight_scale,
        token_strings=token_strings,
    )
    return signature.with_min_support(min_support)
