"""Checks of plain arguments, so that the same fault reads the same everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import ArgumentError, ArgumentTypeError


def integer(argument: str, value: Any, low: int | None = None, high: int | None = None) -> int:
    """`value` as an int (NumPy's count as such) from `low` to `high`.

    Raises:
        ArgumentTypeError: no integer.
        ArgumentError: outside the bounds.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise ArgumentTypeError(
            f"{argument}: expected an int, got {type(value).__name__} {value!r}"
        )
    result = int(value)
    if low is not None and high is not None and not low <= result <= high:
        raise ArgumentError(f"{argument}: expected from {low} to {high}, got {result}")
    if low is not None and result < low:
        raise ArgumentError(f"{argument}: expected at least {low}, got {result}")
    return result


def check_id(argument: str, value: Any, size: int) -> None:
    """Raises ArgumentError, ArgumentTypeError: no id from 0 to `size` - 1."""
    if not 0 <= integer(argument, value) < size:
        raise ArgumentError(f"{argument}: expected an id from 0 to {size - 1}, got {value}")


def read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A view of `array` that cannot be written through."""
    view = array.view()
    view.flags.writeable = False
    return view
