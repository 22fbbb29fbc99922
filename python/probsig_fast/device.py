"""Arrays on a CUDA device, and which tensors are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from ._build_info import missing_reason
from .errors import ArgumentTypeError, SourceError

if TYPE_CHECKING:
    from ._cuda import Array

#: DLPack's number for CUDA memory.
_CUDA = 2


def is_device_array(array: Any) -> TypeGuard[Array]:
    """Whether this is one of the package's own arrays on a device."""
    return type(array).__module__.startswith("probsig_fast._cuda")


def on_cuda(tensor: Any) -> bool:
    """Whether a tensor of any library lies in CUDA memory."""
    if not hasattr(tensor, "__dlpack_device__"):
        return False
    return bool(tensor.__dlpack_device__()[0] == _CUDA)


def from_tensor(tensor: Any, name: str, argument: str) -> tuple[Array, tuple[int, ...]]:
    """A CUDA tensor's elements as a 1-D array over the same memory, and the tensor's shape.

    What the caller's current stream still has to do to the tensor is waited for.

    Raises:
        ArgumentTypeError: no integers.
        SourceError: strides, another reason for which it cannot be shared, or an installation
            without CUDA kernels.
    """
    try:
        from . import _cuda
    except ImportError as error:
        raise SourceError(
            f"{argument}: expected CPU memory, as this installation has no CUDA kernels "
            f"({missing_reason('_cuda') or error}), got {name} on CUDA: pass tokens.cpu()"
        ) from error
    device = int(tensor.__dlpack_device__()[1])
    stream = _cuda.import_stream(device)
    try:
        return _cuda.from_dlpack(tensor.__dlpack__(stream=stream))
    except TypeError as error:
        raise ArgumentTypeError(
            f"{argument}: expected integers, got {getattr(tensor, 'dtype', 'others')} as {name} "
            f"({error})"
        ) from error
    except (RuntimeError, BufferError, ValueError) as error:
        raise SourceError(
            f"{argument}: expected a contiguous CUDA tensor of integers, got "
            f"{type(tensor).__name__} as {name} ({error})"
        ) from error
    finally:
        _cuda.finish_stream(stream)
