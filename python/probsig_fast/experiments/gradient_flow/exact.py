"""The exact gradient flow, from the samples: what the prediction from counts approximates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from ...arguments import integer
from ...errors import ArgumentError, ArgumentTypeError
from .activations import activation_named
from .weights import Array, Flow, Weights


def exact_flow(
    c: Any,
    y: Any,
    W_E: Any,
    W_U: Any,
    *,
    activation: str = "linear",
    M1: Any = None,
    M2: Any = None,
) -> Flow:
    """-gradient of mean cross-entropy of f_i = W^U M2 sigma(M1 h_i), in float64.

    With g_i = e_{y_i} - softmax(f_i), a_i = M1 h_i and r_i = sigma'(a_i) * (M2' W^U' g_i)
    (THEORY, section 1, "Exact"):

        dW^E_x = (1/N) sum_i c_ix M1' r_i         dM1 = (1/N) sum_i r_i h_i'
        dW^U = (1/N) sum_i g_i (M2 sigma(a_i))'   dM2 = (1/N) sum_i (W^U' g_i) sigma(a_i)'

    Args:
        c: [N, V] of real numbers, a NumPy array or a SciPy sparse matrix (`incidence_matrix`).
        y: [N], the labels, 0 .. Q - 1.
        W_E: [V, d]; W_U: [Q, e]; torch tensors or NumPy arrays.
        activation: linear, relu, gelu, silu or tanh; ReLU's derivative at 0 is taken as 0.
        M1: [m, d]; M2: [e, m]; the identity where it is None.

    Raises:
        ArgumentError, ArgumentTypeError: shapes that do not fit, labels out of range, values that
            are not finite, an unknown activation.

    Cost: O(nnz(c) m + N Q m) time, O(N (Q + m)) memory.
    """
    sigma = activation_named(activation)
    weights = Weights.checked(W_E, W_U, M1, M2)
    c, y = _checked_samples(c, y, weights)
    E, U = weights.inner()
    a = np.asarray(c @ E)
    hidden = sigma.value(a)
    g = -_softmax(hidden @ U.T)
    g[np.arange(y.size), y] += 1
    dE = np.asarray(c.T @ (sigma.derivative(a) * (g @ U))) / y.size
    return weights.outer(dE, g.T @ hidden / y.size)


def incidence_matrix(
    X: Iterable[Sequence[int] | NDArray[np.integer[Any]]],
    vocab_size: int,
    incidence: str = "presence",
) -> scipy.sparse.csr_array:
    """c [N, V] of sequences: whether ("presence") or how often ("multiplicity") each token occurs.

    Give it the `incidence` of the counts that it is compared with: the two differ at leading
    order wherever a token repeats (THEORY, section 0). O(sum of lengths).

    Raises:
        ArgumentError: a token outside the vocabulary, an empty sequence, an unknown incidence.
    """
    if incidence not in ("presence", "multiplicity"):
        raise ArgumentError(f"incidence: expected presence or multiplicity, got {incidence!r}")
    vocab_size = integer("vocab_size", vocab_size, 1)
    rows = [np.asarray(row) for row in X]
    for i, row in enumerate(rows):
        if row.ndim != 1 or not row.size or row.dtype.kind not in "iu":
            raise ArgumentError(f"X: expected non-empty sequences of integers, got {row!r} at {i}")
        if row.min() < 0 or row.max() >= vocab_size:
            raise ArgumentError(
                f"X: expected tokens from 0 to {vocab_size - 1}, got {row.min()} to {row.max()} "
                f"at {i}"
            )
    samples = np.repeat(np.arange(len(rows)), [row.size for row in rows])
    tokens = np.concatenate(rows) if rows else np.empty(0, np.int64)
    ones = np.ones(tokens.size)
    # Duplicates of a coordinate are added up.
    c = scipy.sparse.coo_array((ones, (samples, tokens)), shape=(len(rows), vocab_size)).tocsr()
    if incidence == "presence":
        c.data[:] = 1
    return c


def _checked_samples(c: Any, y: Any, weights: Weights) -> tuple[Any, NDArray[np.int64]]:
    if not scipy.sparse.issparse(c):
        c = np.asarray(c)
    if c.dtype.kind not in "fiub":
        raise ArgumentTypeError(f"c: expected real numbers, got {c.dtype}")
    y = np.asarray(y)
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise ArgumentTypeError(f"y: expected integers [N], got {y.dtype} of shape {y.shape}")
    expected = (y.size, weights.W_E.shape[0])
    if c.shape != expected or not y.size:
        raise ArgumentError(f"c: expected [N, V] = {expected} with N > 0, got shape {c.shape}")
    if y.min() < 0 or y.max() >= weights.W_U.shape[0]:
        raise ArgumentError(
            f"y: expected labels from 0 to {weights.W_U.shape[0] - 1}, got {y.min()} to {y.max()}"
        )
    return c.astype(np.float64), y


def _softmax(f: Array) -> Array:
    p = np.exp(f - f.max(axis=1, keepdims=True))
    result: Array = p / p.sum(axis=1, keepdims=True)
    return result
