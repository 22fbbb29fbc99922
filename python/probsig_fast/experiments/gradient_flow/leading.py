"""The closed linear ODE that a small initialisation follows at first, solved exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ArgumentError
from ...labelled import LabelledCounts
from .activations import derivatives_at_zero
from .weights import Array, as_matrix

#: exp beyond this leaves float64's range.
_LARGEST_EXPONENT = 700.0


@dataclass(frozen=True)
class LeadingFlow:
    """dW^E/dt = s1 S W^U, dW^U/dt = s1 S' W^E, by the singular vectors of S = P diag(r / s1) R'.

    Each pair of singular vectors is a mode that grows as exp(rate t) (in P'W^E + R'W^U) and
    shrinks as exp(-rate t) (in P'W^E - R'W^U); what is orthogonal to all of them stays.

    Attributes:
        rates: [r] growth rates, s1 times the singular values of S, descending.
        tokens: P [V, r]; labels: R [Q, r]; orthonormal columns.
    """

    rates: Array
    tokens: Array
    labels: Array

    def at(self, time: float, W_E: Any, W_U: Any) -> tuple[Array, Array]:
        """W^E(time) [V, d] and W^U(time) [Q, d] from W^E(0) and W^U(0).

            W^E(t) = W^E(0) + P ((cosh - 1)(r t) P'W^E(0) + sinh(r t) R'W^U(0))

        and W^U with P and R exchanged. O((V + Q) r d).

        Raises:
            ArgumentError: matrices that do not fit; a time at which the solution leaves float64.
        """
        W_E = as_matrix("W_E", W_E, self.tokens.shape[0])
        W_U = as_matrix("W_U", W_U, self.labels.shape[0])
        if W_E.shape[1] != W_U.shape[1]:
            raise ArgumentError(f"W_U: expected {W_E.shape[1]} columns, got shape {W_U.shape}")
        fastest = float(self.rates.max(initial=0.0))
        if not abs(time) * fastest <= _LARGEST_EXPONENT:
            raise ArgumentError(
                f"time: expected at most {_LARGEST_EXPONENT / fastest:.4g} in size, as the fastest "
                f"rate is {fastest:.4g}, got {time}"
            )
        x = (self.rates * time)[:, None]
        # 2 sinh^2(x/2) is cosh(x) - 1 without its cancellation.
        cosh_1, sinh = 2 * np.sinh(x / 2) ** 2, np.sinh(x)
        e, u = self.tokens.T @ W_E, self.labels.T @ W_U
        return (
            W_E + self.tokens @ (cosh_1 * e + sinh * u),
            W_U + self.labels @ (cosh_1 * u + sinh * e),
        )


def leading_flow(counts: LabelledCounts, activation: str = "linear") -> LeadingFlow:
    """The flow of order eps, solved: `LeadingFlow` (THEORY, section 1, "Consequences").

    Raises:
        ArgumentError: ReLU or an unknown activation; counts of no samples.

    Cost: one singular value decomposition of S, O(V Q min(V, Q)) time, O(V Q) memory.
    """
    s1 = derivatives_at_zero(activation)[0]
    tokens, values, labels = np.linalg.svd(source_matrix(counts), full_matrices=False)
    return LeadingFlow(s1 * values, tokens, labels.T)


def source_matrix(counts: LabelledCounts) -> Array:
    """S = (1/N)(c'Y - n1'/Q), float64 [V, Q], dense: drives both flows at leading order.

    Its rows are N_x/N (phi_x^y - 1/Q), its columns (N_nu psi_nu^X - n/Q)/N. O(V Q).

    Raises:
        ArgumentError: counts of no samples.
    """
    if not counts.n_samples:
        raise ArgumentError("counts: expected at least one sample, got none")
    return source_integers(counts) / (counts.n_samples * counts.n_labels)


def source_integers(counts: LabelledCounts) -> NDArray[np.int64]:
    """N Q S = Q c'Y - n1', int64 [V, Q], exact: all 0 where no token says anything of the label."""
    labels: NDArray[np.int64] = counts.labels.to_scipy().toarray()
    return counts.n_labels * labels - counts.n_in[:, None]
