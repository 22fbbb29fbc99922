"""The gradient flow of a model with a small initialisation, from counts alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...arguments import integer
from ...errors import ArgumentError
from ...labelled import LabelledCounts
from .activations import derivatives_at_zero
from .weights import Array, Flow, Weights


def predicted_flow(
    counts: LabelledCounts,
    W_E: Any,
    W_U: Any,
    *,
    activation: str = "linear",
    order: int = 3,
    M1: Any = None,
    M2: Any = None,
) -> Flow:
    """dW^E, dW^U (and dM1, dM2) of mean cross-entropy through eps^`order`, W ~ eps.

    With E = W^E M1', U = W^U M2, C = I - 11'/Q and s_k the derivatives of the activation at 0
    (THEORY, section 1, "Matrix form"; arXiv 2509.20124):

        dE = s1 S U  + s2 sum_{nu,x'} T[x,nu,x'] U_nu * E_x'       - s1^2 K E (U' C U)
        dU = s1 S' E + (s2/2) sum_{x,x'} T[x,nu,x'] E_x * E_x'     - s1^2 C U (E' K E)

        S = (1/N)(c'Y - n1'/Q)    K = c'c / (N Q)    T[x,nu,x'] = (1/N)(N_{x,nu,x'} - N_{x,x'}/Q)

    The three terms are eps, eps^2 and eps^3. **The eps^3 term in s3 is not there**: it needs the
    co-occurrence of three tokens, which no signature holds; so tanh (s3 = -2, s2 = 0) is no better
    after eps^3 than after eps. The residual, for weights ~ eps:

        model        after eps   after eps^2   after eps^3
        linear       eps^3       eps^3         eps^5
        gelu, silu   eps^2       eps^3         eps^4
        tanh         eps^3       eps^3         eps^3

    Args:
        counts: of (X, y) with the incidence that the model uses: sums h_i over distinct tokens
            ("presence") or over all ("multiplicity"). For gelu and silu with order >= 2 with
            third order of every token that occurs (`count_labelled(..., third_order=True)`).
        W_E: [V, d]; W_U: [Q, e]; torch tensors or NumPy arrays.
        activation: linear, gelu, silu or tanh.
        order: 1, 2 or 3.
        M1: [m, d]; M2: [e, m]; the identity where it is None. Of any size: only W is small.

    Raises:
        ArgumentError, ArgumentTypeError: ReLU, which has no derivative at 0; counts without the
            third order needed or without samples; matrices that do not fit the counts.

    Cost: O((nnz of the pairs and labels, and of the third order where it is used) m) time. T is
    used token by token, O(Q (V + m)) memory at a time.
    """
    s1, s2, _ = derivatives_at_zero(activation)
    order = integer("order", order, 1, 3)
    weights = Weights.checked(W_E, W_U, M1, M2)
    _check_counts(counts, weights)
    E, U = weights.inner()
    labels = counts.labels.to_scipy()
    n_samples, n_labels = counts.n_samples, counts.n_labels
    dE = s1 / n_samples * (labels @ U - np.outer(counts.n_in, U.mean(axis=0)))
    dU = s1 / n_samples * (labels.T @ E - counts.n_in @ E / n_labels)
    if order >= 2 and s2:
        curved_E, curved_U = _contract(counts, E, U)
        dE += s2 * curved_E
        dU += s2 / 2 * curved_U
    if order >= 3:
        saturated_E, saturated_U = _saturation(counts, E, U)
        dE -= s1**2 * saturated_E
        dU -= s1**2 * saturated_U
    return weights.outer(dE, dU)


def _contract(counts: LabelledCounts, E: Array, U: Array) -> tuple[Array, Array]:
    """sum_{nu,x'} T[x,nu,x'] U_nu * E_x' [V, m] and sum_{x,x'} T[x,nu,x'] E_x * E_x' [Q, m]."""
    present = np.flatnonzero(counts.n_in)
    missing = np.setdiff1d(present, counts.focus)
    if missing.size:
        raise ArgumentError(
            f"counts: expected third order of all {present.size:,} tokens that occur, got it for "
            f"{present.size - missing.size:,}: count_labelled(..., third_order=True), or order=1"
        )
    beside = counts.pairs.to_scipy() @ E / counts.n_labels
    dE, dU = np.zeros_like(E), np.zeros_like(U)
    for x in present:
        # N T[x] E, of which one token's [Q, m] at a time suffices: T itself is V Q V.
        row = counts.third_order(int(x)) @ E - beside[x]
        dE[x] = np.einsum("qm,qm->m", row, U)
        dU += row * E[x]
    return dE / counts.n_samples, dU / counts.n_samples


def _saturation(counts: LabelledCounts, E: Array, U: Array) -> tuple[Array, Array]:
    """K E (U' C U) [V, m] and C U (E' K E) [Q, m]: the softmax leaves its linear range."""
    KE = counts.pairs.to_scipy() @ E / (counts.n_samples * counts.n_labels)
    CU = U - U.mean(axis=0)
    return KE @ (U.T @ CU), CU @ (E.T @ KE)


def _check_counts(counts: LabelledCounts, weights: Weights) -> None:
    if not counts.n_samples:
        raise ArgumentError("counts: expected at least one sample, got none")
    for name, matrix, rows in (
        ("W_E", weights.W_E, counts.vocab_size),
        ("W_U", weights.W_U, counts.n_labels),
    ):
        if matrix.shape[0] != rows:
            raise ArgumentError(
                f"{name}: expected {rows} rows, as the counts have, got shape {matrix.shape}"
            )
