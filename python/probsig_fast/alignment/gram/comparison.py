"""How every function of this package begins: checks, the device, the rows, threads to work with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ...kernels.contract import Kernels
from ...pool import WorkerPool, thread_count
from ..prepared import AnySignature, SignatureTerms, prepare
from .compared import Compared, compared_rows
from .devices import compute_device, kernels_for, memory_told, single_threaded_torch
from .inputs import check_flag, checked_embedding

#: What all functions take for W.
Matrix = torch.Tensor | NDArray[np.floating[Any]]


class Comparison(NamedTuple):
    """An embedding beside a signature, and what to compare them with."""

    rows: Compared
    kernels: Kernels
    pool: WorkerPool

    def terms(self) -> SignatureTerms:
        """The signature's, computed once for a prepared one."""
        return self.rows.signature.terms(self.rows.tokens, self.kernels, self.pool)


@contextmanager
def comparison(
    W: Matrix,
    signature: AnySignature,
    min_support: int,
    centre: bool,
    threads: int | None,
    device: torch.device | str | None,
    backend: str | None = None,
) -> Iterator[Comparison]:
    """The rows to compare, as `cosine_correlation` describes its arguments, and its errors."""
    prepared = prepare(signature, min_support)
    place = compute_device(device, W)
    with memory_told(place):
        W = checked_embedding(W, prepared)
        check_flag("centre", centre)
        kernels = kernels_for(backend, place)
        with single_threaded_torch(), WorkerPool(thread_count(threads)) as pool:
            yield Comparison(compared_rows(W, prepared, centre, place, pool), kernels, pool)
