"""How kernels are compiled: without the GIL, for one thread, and kept on disk where that works."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]
from numba.core import caching

#: Numba's own annotations differ from version to version.
_numba: Any = numba
_FunctionCache: Any = caching.FunctionCache

if _numba.version_info.short < (0, 61):
    # Before, it took calls with long tuples for calls with other types (its pull request 9119).
    raise ImportError(f"Numba 0.61 or later is needed, and this is {numba.__version__}")

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """`function` compiled on its first call for the types of that call."""
    compiled = _numba.njit(nogil=True, _nrt=False)(function)
    cache = _disk_cache(function)
    if cache is not None:
        # What `cache=True` does too, but that fails where no folder can be written.
        compiled._cache = cache
    return cast(Function, compiled)


def _sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


#: Numba notices a change in a kernel's own file only, and kernels call those of other files.
_SOURCES = _sources()


class _Cache(_FunctionCache):  # type: ignore[misc]
    """A cache whose faults cost time, but never the count."""

    def _index_key(self, signature: Any, codegen: Any) -> tuple[Any, str]:
        return super()._index_key(signature, codegen), _SOURCES

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(signature, target_context)
        except Exception:  # a file cut short by a crash fails in whatever way unpickling does
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        with contextlib.suppress(Exception):  # a full disk, or an index cut short
            super().save_overload(signature, compiled)


def _disk_cache(function: Callable[..., Any]) -> _Cache | None:
    """A cache in a folder of Numba's choice, else in a temporary one; None if there is neither."""
    config = _numba.config
    if config.CACHE_DIR or _has_home():
        with contextlib.suppress(RuntimeError, OSError):  # RuntimeError: "no locator available"
            return _Cache(function)
    folder = None if config.CACHE_DIR else _temporary_folder()
    if folder is None:
        return None
    config.CACHE_DIR = folder
    try:
        return _Cache(function)
    except (RuntimeError, OSError):
        return None
    finally:
        config.CACHE_DIR = ""


def _has_home() -> bool:
    """Without a home, Numba would make a folder named `~` in the current one."""
    return bool(os.environ.get("XDG_CACHE_HOME")) or os.path.expanduser("~") != "~"


def _temporary_folder() -> str | None:
    """A folder of this user's own; None where there is none, or others can write to it."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    try:
        folder = os.path.join(tempfile.gettempdir(), f"probsig_fast-numba-{user}")
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        status = os.lstat(folder)
    except OSError:
        return None
    # What lies in it is run, and anybody may have made a folder of this name before.
    private = status.st_uid == user and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return folder if stat.S_ISDIR(status.st_mode) and (private or os.name == "nt") else None


def _trailing_zeros(typing_context: Any, word: Any) -> Any:
    """Zeros below the lowest one of `word`, an unsigned integer; its width if there is none."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return word(word), generate


trailing_zeros = _numba.extending.intrinsic(_trailing_zeros)


def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Start to load `array[index]`; an index outside the array does no harm."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer = ir.IntType(8).as_pointer()
        flag = ir.IntType(32)
        function = builder.module.declare_intrinsic(
            "llvm.prefetch", [pointer], ir.FunctionType(ir.VoidType(), [pointer, flag, flag, flag])
        )
        address = builder.bitcast(builder.gep(data, [arguments[1]]), pointer)
        # For reading, to be kept in all caches, data rather than code.
        builder.call(function, [address, flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return numba.types.void(array, index), generate


prefetch = _numba.extending.intrinsic(_prefetch)
