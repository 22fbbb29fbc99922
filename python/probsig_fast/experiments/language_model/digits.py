"""Whether the cosines of the ten digits follow how far apart their values are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FAR = 4
_NAN = float("nan")


@dataclass(frozen=True)
class DigitOrder:
    """Of the pairs a < b of digits.

    Attributes:
        spearman: the rank correlation of cos(a, b) with -|a - b|: 1 if nearer values are always
            nearer; NaN for fewer than three digits, or cosines that are all the same.
        near, far: the mean cosine of pairs with |a - b| = 1 and of those with |a - b| >= 4.
        pairs: 45 for all ten.
    """

    spearman: float = _NAN
    near: float = _NAN
    far: float = _NAN
    pairs: int = 0


@dataclass(frozen=True)
class Digits:
    """The digits among the tokens.

    Attributes:
        values: int64 [k], ascending; tokens: their ids, int64 [k].
        missing: why others are not among them, in words; empty if all ten are.
    """

    values: NDArray[np.int64]
    tokens: NDArray[np.int64]
    missing: str = ""


def find_digits(strings: Sequence[str], compared: NDArray[np.int64], least: int) -> Digits:
    """The digits that are tokens and among those compared (of support `least` at least)."""
    ids = {string: token for token, string in enumerate(strings)}
    present = set(compared.tolist())
    kept = [(d, ids[str(d)]) for d in range(10) if ids.get(str(d)) in present]
    absent = [str(d) for d in range(10) if str(d) not in ids]
    rare = [str(d) for d in range(10) if str(d) in ids and ids[str(d)] not in present]
    reasons = [f"no tokens: {', '.join(absent)}"] if absent else []
    reasons += [f"seen fewer than {least} times: {', '.join(rare)}"] if rare else []
    values, tokens = (np.array([pair[i] for pair in kept], np.int64) for i in range(2))
    return Digits(values, tokens, "; ".join(reasons))


def digit_order(rows: NDArray[Any], digits: Digits) -> DigitOrder:
    """Of matrix rows [k, d], one for each of the digits; those of zeros make figures NaN."""
    if digits.values.size < 3:
        return DigitOrder()
    rows = rows.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(norms > 0, norms, np.nan)
    first, second = np.triu_indices(digits.values.size, 1)
    cosines = np.einsum("pd,pd->p", unit[first], unit[second])
    apart = np.abs(digits.values[first] - digits.values[second])
    near, far = cosines[apart == 1], cosines[apart >= _FAR]
    return DigitOrder(
        _spearman(cosines, -apart),
        float(near.mean()) if near.size else _NAN,
        float(far.mean()) if far.size else _NAN,
        cosines.size,
    )


def _spearman(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Pearson's correlation of the ranks, ties sharing theirs."""
    if not np.isfinite(x).all() or np.ptp(x) == 0 or np.ptp(y) == 0:
        return _NAN
    return float(np.corrcoef(_ranks(x), _ranks(y))[0, 1])


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """From 0; the mean of the ranks of equal ones."""
    _, inverse, occurrences = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(occurrences) - (occurrences + 1) / 2)[inverse]
