"""What the functions of this package take: each fault reads the same everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import ArgumentError, ArgumentTypeError
from ...signature import Signature
from ..joint import JointSignature, parts_of

#: Elements of W looked at at a time, which bounds temporary memory.
BLOCK_ELEMENTS = 2**20


def rows_at_once(W: Any) -> int:
    return max(1, BLOCK_ELEMENTS // max(1, int(W.shape[1])))


def check_signature(signature: Any) -> None:
    """Check the type, and that the indices can be followed: a damaged file must not crash.

    Raises:
        ArgumentError, ArgumentTypeError: says what came.
    """
    if not isinstance(signature, (Signature, JointSignature)):
        hint = "; counts give one: counts.phi_next()" if hasattr(signature, "phi_next") else ""
        raise ArgumentTypeError(
            f"signature: expected a Signature, got {type(signature).__name__}{hint}"
        )
    for part in parts_of(signature):
        indices = part.indices
        if indices.size and not 0 <= indices.min() <= indices.max() < part.n_columns:
            raise ArgumentError(
                f"signature: expected columns from 0 to {part.n_columns - 1}, "
                f"got {indices.min()} to {indices.max()}"
            )


def checked_embedding(W: Any, signature: Any) -> Any:
    """W, found to be a real [V, d] matrix with the signature's rows.

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
    return W


def finite_rows(W: Any) -> NDArray[np.bool_]:
    """Which rows of W hold neither NaN nor infinity, [V]. In its own type, where it is. O(V d)."""
    step = rows_at_once(W)
    finite = np.empty(W.shape[0], bool)
    for begin in range(0, W.shape[0], step):
        part = W[begin : begin + step]
        if isinstance(part, np.ndarray):
            finite[begin : begin + step] = np.isfinite(part).all(1)
        else:
            finite[begin : begin + step] = part.isfinite().all(1).cpu().numpy()
    return finite


def check_flag(name: str, value: Any) -> None:
    """Raises ArgumentTypeError: no bool."""
    if not isinstance(value, bool):
        raise ArgumentTypeError(f"{name}: expected a bool, got {type(value).__name__} {value!r}")
