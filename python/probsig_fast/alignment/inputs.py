"""What the functions of this package take: each fault reads the same everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..errors import ArgumentError, ArgumentTypeError
from ..signature import Signature

#: Elements of W looked at at a time, which bounds temporary memory.
BLOCK_ELEMENTS = 2**20


def rows_at_once(W: Any) -> int:
    return max(1, BLOCK_ELEMENTS // max(1, int(W.shape[1])))


def check_signature(signature: Any) -> None:
    """Check the type, and that the indices can be followed: a damaged file must not crash.

    Raises:
        ArgumentError, ArgumentTypeError: says what came.
    """
    if not isinstance(signature, Signature):
        hint = "; counts give one: counts.phi_next()" if hasattr(signature, "phi_next") else ""
        raise ArgumentTypeError(
            f"signature: expected a Signature, got {type(signature).__name__}{hint}"
        )
    indices = signature.indices
    if indices.size and not 0 <= indices.min() <= indices.max() < signature.n_columns:
        raise ArgumentError(
            f"signature: expected columns from 0 to {signature.n_columns - 1}, "
            f"got {indices.min()} to {indices.max()}"
        )


def checked_embedding(W: Any, signature: Signature) -> Any:
    """W, found to be a finite real [V, d] matrix with the signature's rows. O(V d).

    A tensor comes back without its gradient, and in float32 if it has 8 bits, for which torch
    lacks most functions.

    Raises:
        ArgumentError, ArgumentTypeError: it is not; says what came.
    """
    if isinstance(W, torch.Tensor):
        real = W.dtype.is_floating_point and W.layout == torch.strided
        kind = f"{W.dtype}" if W.layout == torch.strided else f"{W.dtype}, {W.layout}"
    elif isinstance(W, np.ndarray):
        real = np.issubdtype(W.dtype, np.floating)
        kind = f"NumPy {W.dtype}"
    else:
        real, kind = False, type(W).__name__
    if not real:
        raise ArgumentTypeError(
            f"W: expected a dense torch tensor or NumPy array of real floats, got {kind}"
        )
    if W.ndim != 2:
        raise ArgumentError(f"W: expected 2 dimensions [V, d], got shape {tuple(W.shape)}")
    expected, got = signature.shape[0], W.shape[0]
    if got != expected:
        hint = f"; rows beyond the tokenizer can be cut with W[:{expected}]"
        raise ArgumentError(
            f"W: expected {expected} rows, as {signature.name} has, got {got}"
            + (hint if got > expected else "")
        )
    if isinstance(W, torch.Tensor):
        W = W.detach()
        W = W.to(torch.float32) if W.element_size() == 1 else W
    _check_finite(W)
    return W


def _check_finite(W: Any) -> None:
    """In its own type and where it is: most of its rows may not be compared at all."""
    step = rows_at_once(W)
    for begin in range(0, W.shape[0], step):
        part = W[begin : begin + step]
        finite = np.isfinite(part) if isinstance(W, np.ndarray) else part.isfinite()
        if not finite.all():
            k = np.flatnonzero(~np.array(finite.all(1).tolist()))[0]
            value = next(value for value in part[k].tolist() if not np.isfinite(value))
            raise ArgumentError(f"W: expected finite values, got {value} in row {begin + k}")


def check_flag(name: str, value: Any) -> None:
    """Raises ArgumentTypeError: no bool."""
    if not isinstance(value, bool):
        raise ArgumentTypeError(f"{name}: expected a bool, got {type(value).__name__} {value!r}")
