"""How much memory a count may take."""

from __future__ import annotations

import ctypes
import os
import re
from fractions import Fraction
from pathlib import Path

from .arguments import integer
from .errors import ArgumentError

#: What is left to everything else where nobody says how much may be taken.
_SHARE = 0.75
_FALLBACK = 4 * 10**9
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
#: Below this not even the work space of small counts fits.
SMALLEST = 2**24


def memory_budget(memory: int | str | None, argument: str = "memory") -> int:
    """Bytes from `4_000_000_000`, `"4GB"`, `"3.5 GiB"`; None: three quarters of what is free.

    Raises:
        ArgumentError: below 16 MiB, or a text that is no size.
        ArgumentTypeError: neither.
    """
    if memory is None:
        return max(int(available() * _SHARE), SMALLEST)
    if isinstance(memory, str):
        found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?i?)b?\s*", memory.lower())
        units = _UNITS | _BINARY
        if not found or found[2] not in units:
            raise ArgumentError(f"{argument}: expected bytes, or a text as '4GB', got {memory!r}")
        memory = int(Fraction(found[1]) * units[found[2]])
    return integer(argument, memory, SMALLEST)


def kept_memory(memory: int) -> int:
    """Bytes that may wait for their next use, of a count that may take so many: enough for the
    blocks of a few chunks, and little beside the rest."""
    return min(memory // 32, 2**27)


def size_text(size: int) -> str:
    """Bytes for a reader: `1.3 GB`."""
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size} B"


def available(root: Path = Path("/")) -> int:
    """Bytes that can be had: of the machine, and of the container's limit (cgroup v2, v1)."""
    free = [_meminfo(root), *(_cgroup(root, *names) for names in _CGROUP_FILES)]
    return min([each for each in free if each is not None], default=_FALLBACK)


def give_back() -> None:
    """Let the C library hand what was freed back to the system: it keeps much of it in the heaps of
    its threads. Where it knows no such call, nothing is done."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


_CGROUP_FILES = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)


def _meminfo(root: Path) -> int | None:
    try:
        text = (root / "proc/meminfo").read_text()
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _cgroup(root: Path, limit_name: str, usage_name: str) -> int | None:
    folder = root / "sys/fs/cgroup"
    try:
        limit = int((folder / limit_name).read_text())  # "max" is no number
        return max(limit - int((folder / usage_name).read_text()), 0)
    except (OSError, ValueError):
        return None
