"""The backends in order of preference, and the one place that chooses among them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from .._build_info import missing_reason
from ..errors import BackendError
from .contract import Kernels

#: Forces a backend for every count that does not name one itself.
VARIABLE = "PROBSIG_BACKEND"


class Unavailable(Exception):
    """Raised by a loader; its text is the reason."""


@dataclass(frozen=True)
class Backend:
    """A set of kernels and how to get it.

    Attributes:
        name: as in `backend=`.
        description: one line.
        load: gives the kernels or raises `Unavailable` with the reason.
        automatic: whether it may be chosen without being named.
        load_on: the same for a CUDA device's number; None where the kernels read host memory.
    """

    name: str
    description: str
    load: Callable[[], Kernels]
    automatic: bool = True
    load_on: Callable[[int], Kernels] | None = None

    def missing(self) -> str | None:
        """Why this backend cannot run here; None if it can."""
        try:
            self.load()
        except Unavailable as reason:
            return str(reason)
        return None


def _load_native_cpu() -> Kernels:
    try:
        from . import native_cpu
    except ImportError as error:
        raise Unavailable(missing_reason("_cpu") or str(error)) from error
    if native_cpu.MISSING:
        raise Unavailable(
            f"the native module is older than the package (no {', '.join(native_cpu.MISSING)}): "
            "install again"
        )
    return cast(Kernels, native_cpu)


def _load_numba_cpu() -> Kernels:
    try:
        from . import numba_cpu
    except ImportError as error:
        raise Unavailable(f"Numba cannot be imported: {error}") from error
    return cast(Kernels, numba_cpu)


def _load_reference() -> Kernels:
    from . import reference

    return cast(Kernels, reference)


def _load_native_cuda(device: int | None = None) -> Kernels:
    try:
        from .. import _cuda
        from . import native_cuda
    except ImportError as error:
        raise Unavailable(missing_reason("_cuda") or str(error)) from error
    if native_cuda.MISSING:
        raise Unavailable(
            f"the CUDA module is older than the package (no {', '.join(native_cuda.MISSING)}): "
            "install again"
        )
    reason = _cuda.fault(0 if device is None else device)
    if reason:
        raise Unavailable(reason)
    kernels = native_cuda.kernels_on(
        _cuda.current_device() if device is None else device, _host_kernels()
    )
    kernels.set_budget()
    return cast(Kernels, kernels)


def _host_kernels() -> Kernels:
    """What adds up blocks that are on the host."""
    host = next(each for each in BACKENDS if each.automatic and not each.missing())
    return host.load()


BACKENDS: tuple[Backend, ...] = (
    Backend(
        "native_cuda",
        "CUDA kernels",
        _load_native_cuda,
        automatic=False,
        load_on=_load_native_cuda,
    ),
    Backend("native_cpu", "C++ kernels", _load_native_cpu),
    Backend("numba_cpu", "the same kernels compiled by Numba", _load_numba_cpu),
    Backend("reference", "plain NumPy: the definition, slow", _load_reference, automatic=False),
)


def choose(name: str | None = None, device: int | None = None) -> Backend:
    """The backend of that name; else the one in PROBSIG_BACKEND; else the first that runs here.

    Args:
        device: where the tokens are; None: in host memory. Only native_cuda reads those of a
            device, so that it need not be named for them.

    Raises:
        BackendError: an unknown name, a backend that this machine lacks, or one that cannot read
            the device's memory.
    """
    if device is not None:
        return _choose_for_device(name, device)
    argument = "backend"
    if name is None:
        name, argument = os.environ.get(VARIABLE) or None, VARIABLE
    if name is None:
        for backend in BACKENDS:
            if backend.automatic and not backend.missing():
                return backend
        reasons = "; ".join(f"{b.name}: {b.missing()}" for b in BACKENDS if b.automatic)
        raise BackendError(f"no backend is available here: {reasons}")
    for backend in BACKENDS:
        if backend.name == name:
            reason = backend.missing()
            if reason:
                raise BackendError(f"{argument}: {name!r} is not available here: {reason}")
            return backend
    known = ", ".join(repr(backend.name) for backend in BACKENDS)
    raise BackendError(f"{argument}: expected one of {known}, got {name!r}")


def _choose_for_device(name: str | None, device: int) -> Backend:
    if name not in (None, "native_cuda"):
        raise BackendError(
            f"backend: expected 'native_cuda' for tokens on cuda:{device}, got {name!r}, which "
            "reads host memory: pass tokens.cpu()"
        )
    found = choose("native_cuda")
    assert found.load_on is not None
    return replace(found, load=partial(found.load_on, device))


def show_backends() -> str:
    """A table of the backends: the one chosen, those available, and why each other one is not."""
    try:
        chosen, fault = choose(), None
    except BackendError as error:  # the very moment at which one wants to read the reasons
        chosen, fault = None, str(error)
    lines = []
    for backend in BACKENDS:
        reason = backend.missing()
        if backend is chosen:
            status = "chosen"
        elif reason:
            status = f"missing: {reason}"
        elif backend.automatic:
            status = "available"
        else:
            status = "available by name only"
        lines.append(f"{backend.name:<12} {backend.description:<36} {status}")
    return "\n".join([*lines, fault] if fault else lines)
