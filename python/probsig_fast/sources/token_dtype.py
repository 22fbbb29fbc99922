"""The one place that decides token width.

Kernels read contiguous, native-endian `uint16` or `uint32`. `uint16`, `uint32` and `int32` arrays
reach them without a copy (`int32` as its bits: a negative id is then at or above 2^31, so above
every vocabulary); any other integer type is converted, a chunk at a time.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..device import is_device_array
from ..errors import ArgumentError, ArgumentTypeError

#: Column indices are int32.
MAX_VOCAB_SIZE = 2**31 - 1
#: Ids that may be ignored: whatever an int32 or a uint32 can hold, but for the marker below.
IGNORE_RANGE = (-(2**31) + 1, 2**32 - 1)
#: Stands for any id that 32 bits cannot hold; above every vocabulary, and never ignored.
OUT_OF_DOMAIN_SIGNED = np.uint32(2**31)
OUT_OF_DOMAIN_UNSIGNED = np.uint32(2**32 - 1)
#: What kernels ask of memory. A file's tokens may begin at an odd byte.
_KERNEL: tuple[Literal["C"], Literal["A"]] = ("C", "A")


def token_dtype(argument: str, dtype: DTypeLike) -> np.dtype[Any]:
    """`dtype` as a NumPy integer type.

    Raises:
        ArgumentTypeError: not an integer type (float, bool, object, ...), or no type at all.
    """
    try:
        result = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError):
        result = None
    if result is None or result.kind not in "iu":
        raise ArgumentTypeError(f"{argument}: expected an integer token type, got {dtype!s}")
    return result


def kernel_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type in which kernels see tokens of `dtype`."""
    return np.dtype(np.uint16 if dtype.kind == "u" and dtype.itemsize <= 2 else np.uint32)


def to_kernel(values: NDArray[Any]) -> NDArray[Any]:
    """1-D integer `values` as contiguous and aligned `uint16` or `uint32`; a view where the bits
    allow."""
    if is_device_array(values):
        return values.narrowed()  # type: ignore[return-value]
    target = kernel_dtype(values.dtype)
    if values.dtype.itemsize > 4:
        return _narrow_64(values)
    if values.dtype.kind == "i" and values.dtype != np.int32:
        values = values.astype(np.int32)
    if values.dtype == np.int32:
        return np.require(values, requirements=_KERNEL).view(np.uint32)
    return np.require(values, target, _KERNEL)


def kernel_ids(ids: NDArray[np.int64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Those of `ids` that an array of `dtype` can hold, as `to_kernel` would show them.

    Raises:
        ArgumentError: a 64-bit array could hold an id that its 32-bit form cannot.
    """
    info = np.iinfo(dtype)
    held = ids[(ids >= info.min) & (ids <= min(info.max, IGNORE_RANGE[1]))]
    if dtype.itemsize > 4:
        low, high, _ = _domain_64(dtype)
        outside = held[(held < low) | (held > high)]
        if outside.size:
            raise ArgumentError(
                f"ignore_ids: expected ids from {low} to {high} for {dtype} tokens, "
                f"got {outside[0]}"
            )
    return (held & 0xFFFFFFFF).astype(kernel_dtype(dtype))


def _domain_64(dtype: np.dtype[Any]) -> tuple[int, int, np.uint32]:
    """The 64-bit ids that keep a 32-bit form of their own, and the marker for all others."""
    if dtype.kind == "i":
        return -(2**31) + 1, 2**31 - 1, OUT_OF_DOMAIN_SIGNED
    return 0, 2**32 - 2, OUT_OF_DOMAIN_UNSIGNED


def _narrow_64(values: NDArray[Any]) -> NDArray[np.uint32]:
    """64-bit ids in 32 bits; those that do not fit become a marker, never a wrapped id."""
    low, high, marker = _domain_64(values.dtype)
    narrow = values.astype(np.uint32)
    if values.size and (int(values.min()) < low or int(values.max()) > high):
        narrow[(values < low) | (values > high)] = marker
    return narrow
