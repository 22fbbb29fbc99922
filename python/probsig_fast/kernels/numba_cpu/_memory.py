"""Arrays by their addresses: so a kernel takes any number of them, and is compiled once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
from numba.np import arrayobj
from numpy.typing import NDArray

_numba: Any = numba
_arrayobj: Any = arrayobj


def places(arrays: Sequence[NDArray[Any]]) -> list[tuple[int, int]]:
    """Address and size of each array, which the caller keeps alive."""
    return [(array.ctypes.data, array.size) for array in arrays]


def _array_at(typing_context: Any, address: Any, size: Any, like: Any) -> Any:
    """The array of `size` elements at `address`, of the type of `like`, one-dimensional."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, size, _ = arguments
        element = context.get_data_type(like.dtype)
        width = context.get_constant(_numba.types.intp, context.get_abi_sizeof(element))
        array = context.make_array(like)(context, builder)
        _arrayobj.populate_array(
            array,
            data=builder.inttoptr(address, element.as_pointer()),
            shape=[size],
            strides=[width],
            itemsize=width,
            meminfo=None,
        )
        return array._getvalue()

    return like(address, size, like), generate


array_at = _numba.extending.intrinsic(_array_at)
