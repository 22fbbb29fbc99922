"""CUDA tensors for tests: torch's on a GPU; in the emulator's memory, one that speaks DLPack."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from cuda_module import EMULATED
from numpy.typing import NDArray

_CODES = {"i": 0, "u": 1, "f": 2}
_CUDA = 2


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    )


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class EmulatedTensor:
    """What a library's tensor on CUDA shows of itself.

    Attributes:
        dropped: how many who took its memory have let it go.
    """

    def __init__(self, array: NDArray[Any], strides: tuple[int, ...] | None = None) -> None:
        from probsig_fast import _cuda

        self.dtype, self.dropped = array.dtype, 0
        flat = np.ascontiguousarray(array).reshape(-1)
        kept = flat if array.dtype.kind in "iu" else flat.view(np.int32)
        self._memory = _cuda.from_host(kept, 0)
        self._shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        self._strides = (ctypes.c_int64 * array.ndim)(*strides) if strides else None
        self._deleter = _Deleter(self._drop)
        self._tensors: list[_Tensor] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return _CUDA, 0

    def __dlpack__(self, stream: int) -> Any:
        tensor = _Tensor(
            self._memory.__cuda_array_interface__["data"][0],
            *(_CUDA, 0, len(self._shape)),
            *(_CODES[self.dtype.kind], 8 * self.dtype.itemsize, 1),
            ctypes.cast(self._shape, ctypes.POINTER(ctypes.c_int64)),
            ctypes.cast(self._strides, ctypes.POINTER(ctypes.c_int64)) if self._strides else None,
            0,
            None,
            ctypes.cast(self._deleter, ctypes.c_void_p),
        )
        self._tensors.append(tensor)
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = (
            ctypes.py_object,
            (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p),
        )
        return new(ctypes.addressof(tensor), b"dltensor", None)

    def _drop(self, _: Any) -> None:
        self.dropped += 1


def on_device(array: NDArray[Any]) -> Any:
    """The array on the device that tests count on."""
    if EMULATED:
        return EmulatedTensor(array)
    import torch

    return torch.from_numpy(array).cuda()
