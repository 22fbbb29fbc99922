"""The weights of a model as checked float64 matrices, flows of them, and how far two agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import ArgumentError, ArgumentTypeError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Flow:
    """dW/dt = -gradient of the loss, float64.

    Attributes:
        W_E: [V, d]; W_U: [Q, e].
        M1: [m, d]; M2: [e, m]; None for a model without them.
    """

    W_E: Array
    W_U: Array
    M1: Array | None = None
    M2: Array | None = None

    def agreement(self, actual: Flow) -> Agreement:
        """How far this flow is from the actual one. O((V + Q) d)."""
        return Agreement(
            _residual(self.W_E, actual.W_E),
            _residual(self.W_U, actual.W_U),
            _cosine(self.W_E, actual.W_E),
            _cosine(self.W_U, actual.W_U),
        )


@dataclass(frozen=True)
class Agreement:
    """A predicted flow beside the actual one; NaN where a figure is undefined (a zero flow).

    Attributes:
        residual_E, residual_U: |predicted - actual| / |actual|, Frobenius norms.
        cosine_E, cosine_U: of the two flows as vectors.
    """

    residual_E: float
    residual_U: float
    cosine_E: float
    cosine_U: float


@dataclass(frozen=True)
class Weights:
    """W^E, W^U and the middle matrices of f = W^U M2 sigma(M1 h), float64, of shapes that fit."""

    W_E: Array
    W_U: Array
    M1: Array | None
    M2: Array | None

    @classmethod
    def checked(cls, W_E: Any, W_U: Any, M1: Any, M2: Any) -> Weights:
        """Raises ArgumentError, ArgumentTypeError: no finite real matrices that fit together."""
        W_E, W_U = as_matrix("W_E", W_E), as_matrix("W_U", W_U)
        M1 = None if M1 is None else as_matrix("M1", M1)
        M2 = None if M2 is None else as_matrix("M2", M2)
        if M1 is not None and M1.shape[1] != W_E.shape[1]:
            raise ArgumentError(
                f"M1: expected {W_E.shape[1]} columns, as W_E has, got shape {M1.shape}"
            )
        if M2 is not None and M2.shape[0] != W_U.shape[1]:
            raise ArgumentError(
                f"M2: expected {W_U.shape[1]} rows, as W_U has columns, got shape {M2.shape}"
            )
        before = W_E.shape[1] if M1 is None else M1.shape[0]
        after = W_U.shape[1] if M2 is None else M2.shape[1]
        if before != after:
            raise ArgumentError(
                f"W_U: expected weights for the {before} hidden units that W_E (and M1) feed, "
                f"got {after}"
            )
        return cls(W_E, W_U, M1, M2)

    def inner(self) -> tuple[Array, Array]:
        """E = W^E M1' [V, m] and U = W^U M2 [Q, m]: then f = U sigma(sum_x c_ix E_x)."""
        E = self.W_E if self.M1 is None else self.W_E @ self.M1.T
        U = self.W_U if self.M2 is None else self.W_U @ self.M2
        return E, U

    def outer(self, dE: Array, dU: Array) -> Flow:
        """The flow of the weights from that of E and U: the chain rule."""
        return Flow(
            dE if self.M1 is None else dE @ self.M1,
            dU if self.M2 is None else dU @ self.M2.T,
            None if self.M1 is None else dE.T @ self.W_E,
            None if self.M2 is None else self.W_U.T @ dU,
        )


def as_matrix(name: str, value: Any, rows: int | None = None) -> Array:
    """A float64 matrix of finite values, with `rows` rows.

    Raises:
        ArgumentTypeError: no array or tensor of real numbers.
        ArgumentError: other dimensions or rows, or a value that is not finite.
    """
    if isinstance(value, torch.Tensor):
        value = value.detach().to("cpu", torch.float64).numpy()
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise ArgumentTypeError(
            f"{name}: expected a torch tensor or NumPy array of real numbers, got "
            f"{f'NumPy {value.dtype}' if isinstance(value, np.ndarray) else type(value).__name__}"
        )
    if value.ndim != 2 or (rows is not None and value.shape[0] != rows):
        wanted = "2 dimensions" if rows is None else f"{rows} rows and 2 dimensions"
        raise ArgumentError(f"{name}: expected {wanted}, got shape {value.shape}")
    if not np.isfinite(value).all():
        raise ArgumentError(f"{name}: expected finite values, got NaN or infinity")
    return value.astype(np.float64, copy=False)


def _residual(predicted: Array, actual: Array) -> float:
    size = float(np.linalg.norm(actual))
    return float(np.linalg.norm(predicted - actual)) / size if size else float("nan")


def _cosine(predicted: Array, actual: Array) -> float:
    size = float(np.linalg.norm(predicted) * np.linalg.norm(actual))
    return float(np.vdot(predicted, actual)) / size if size else float("nan")
