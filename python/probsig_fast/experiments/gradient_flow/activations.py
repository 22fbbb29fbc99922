"""The activations sigma, with what a small initialisation sees of them: derivatives at 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from ...errors import ArgumentError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Activation:
    """sigma with sigma(0) = 0.

    Attributes:
        name: as in the arguments.
        value, derivative: sigma and sigma', elementwise on float64 arrays.
        at_zero: (s1, s2, s3), the first three derivatives at 0; None where they do not exist.
    """

    name: str
    value: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    at_zero: tuple[float, float, float] | None


def _density(a: Array) -> Array:
    """Of the standard normal distribution."""
    result: Array = np.exp(-a * a / 2) / sqrt(2 * pi)
    return result


def _silu_derivative(a: Array) -> Array:
    gate: Array = expit(a)
    return gate * (1 + a * (1 - gate))


#: Every activation by its name. GELU is the exact one, a times the normal distribution function.
ACTIVATIONS: dict[str, Activation] = {
    each.name: each
    for each in (
        Activation("linear", lambda a: a, np.ones_like, (1.0, 0.0, 0.0)),
        Activation(
            "relu", lambda a: np.maximum(a, 0.0), lambda a: (a > 0).astype(np.float64), None
        ),
        Activation(
            "gelu",
            lambda a: a * ndtr(a),
            lambda a: ndtr(a) + a * _density(a),
            (0.5, sqrt(2 / pi), 0.0),
        ),
        Activation("silu", lambda a: a * expit(a), _silu_derivative, (0.5, 0.5, 0.0)),
        Activation("tanh", np.tanh, lambda a: 1 - np.tanh(a) ** 2, (1.0, 0.0, -2.0)),
    )
}


def activation_named(name: Any) -> Activation:
    """Raises ArgumentError: unknown."""
    if name not in ACTIVATIONS:
        raise ArgumentError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name]


def derivatives_at_zero(name: Any) -> tuple[float, float, float]:
    """(s1, s2, s3) of an activation that has them.

    Raises:
        ArgumentError: unknown, or ReLU.
    """
    derivatives = activation_named(name).at_zero
    if derivatives is None:
        smooth = [each.name for each in ACTIVATIONS.values() if each.at_zero is not None]
        raise ArgumentError(
            f"activation: expected one of {', '.join(smooth)}, got {name!r}, which has no "
            "derivative at 0: its gradient depends on which h_i > 0 and is no function of the "
            "counts"
        )
    return derivatives
