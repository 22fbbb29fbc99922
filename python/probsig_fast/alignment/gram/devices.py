"""Where the dense products run: the device, its memory, and the threads that drive it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch

from ...errors import ArgumentError, ArgumentTypeError, BackendError, DeviceMemoryError
from ...kernels.contract import Kernels
from ...kernels.registry import choose
from ...pool import WorkerPool

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Elements of a dense block: 32 MiB of float64 in host memory, 256 MiB on a device, which needs
#: long products to be busy.
_HOST_BLOCK, _DEVICE_BLOCK = 2**22, 2**25
#: Blocks that one step holds at a time, at most: factors, their product, what is made of it.
_BLOCKS_AT_ONCE = 4


class Runner(Protocol):
    """Calls a function for each item and gives the results in order."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """`function` of each item."""


class _CallersThread:
    """Work for a CUDA device is begun in the caller's thread: on the caller's stream, where W may
    still be written, and one block after the other, as they share the device's memory."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        return map(function, items)


def runner_for(device: torch.device, pool: WorkerPool) -> Runner:
    return pool if device.type == "cpu" else _CallersThread()


def compute_device(device: Any, W: Any) -> torch.device:
    """`device`, or None for that of W if this is CUDA, and else the CPU; CUDA with its number.

    Raises:
        ArgumentTypeError: no torch device nor the name of one.
        ArgumentError: neither the CPU nor CUDA, or a CUDA device that torch does not see.
    """
    if device is None:
        return W.device if isinstance(W, torch.Tensor) and W.is_cuda else torch.device("cpu")
    if not isinstance(device, (str, torch.device)):
        raise ArgumentTypeError(
            "device: expected None, a torch.device or its name, "
            f"got {type(device).__name__} {device!r}"
        )
    try:
        found = torch.device(device)
    except RuntimeError:  # torch knows no such name
        found = None
    if found is None or found.type not in ("cpu", "cuda"):
        raise ArgumentError(f"device: expected 'cpu', 'cuda' or 'cuda:N', got {str(device)!r}")
    if found.type == "cpu":
        return torch.device("cpu")
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not seen:
        raise ArgumentError(
            f"device: expected 'cpu', as torch {torch.__version__} sees no CUDA device here, "
            f"got {str(device)!r}"
        )
    index = torch.cuda.current_device() if found.index is None else found.index
    if index >= seen:
        raise ArgumentError(f"device: expected 'cuda:0' to 'cuda:{seen - 1}', got {str(device)!r}")
    return torch.device("cuda", index)


def kernels_for(backend: str | None, device: torch.device) -> Kernels:
    """The backend asked for. None on a CUDA device: native_cuda where it runs.

    Raises:
        BackendError: an unknown or missing backend.
    """
    if device.type == "cuda" and backend in (None, "native_cuda"):
        try:
            return choose(backend, device.index).load()
        except BackendError:  # the kernels of the CPU do, where they were not ruled out
            if backend is not None:
                raise
    return choose(backend).load()


def block_elements(device: torch.device) -> int:
    """Elements of a dense block; fewer where a device's memory is short."""
    if device.type == "cpu":
        return _HOST_BLOCK
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    elements = _DEVICE_BLOCK
    while elements > _HOST_BLOCK and _BLOCKS_AT_ONCE * 8 * elements > free:
        elements //= 2
    return elements


def tile_elements(device: torch.device) -> int:
    """Elements of a tile of K x K, which several are made of at a time."""
    return block_elements(device) // 4


@contextmanager
def memory_told(device: torch.device) -> Iterator[None]:
    """Torch's word for a full device becomes the package's.

    Raises:
        DeviceMemoryError
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise DeviceMemoryError(
            f"device: expected room in the memory of {device}, got {str(error).splitlines()[0]} "
            "Pass device='cpu', or free memory"
        ) from error


_lock = threading.Lock()
_users = 0
_threads = 1


@contextmanager
def single_threaded_torch() -> Iterator[None]:
    """Torch uses one thread a product, in threads begun inside: the pool's do the rest.

    Both because a product's rounding depends on its threads, and because they would be too many.
    The number of threads is the process's, so concurrent users share the change.
    """
    global _users, _threads
    with _lock:
        if _users == 0:
            _threads = torch.get_num_threads()
            torch.set_num_threads(1)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                torch.set_num_threads(_threads)
