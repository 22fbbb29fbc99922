"""What a benchmark ran on: figures without it say nothing."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..budget import available, size_text
from ..kernels.registry import show_backends
from ..pool import thread_count
from ..version import __version__

_PACKAGES = ("numpy", "scipy", "numba", "polars", "duckdb", "torch", "scikit-learn", "tokengrams")


def machine() -> dict[str, Any]:
    """Processor, caches, memory, system, versions and backends, for JSON."""
    found = {name: _version(name) for name in _PACKAGES}
    return {
        "processor": _processor(),
        "processors": os.cpu_count(),
        "threads": thread_count(None),
        "caches": _caches(),
        "memory": _memory(),
        "available": available(),
        "system": platform.platform(),
        "versions": {
            "probsig_fast": __version__,
            "python": platform.python_version(),
            **{name: number for name, number in found.items() if number},
        },
        "backends": show_backends().splitlines(),
    }


def lines(told: dict[str, Any]) -> list[str]:
    """The same as a Markdown list."""
    memory = "" if told["memory"] is None else f"{size_text(told['memory'])}, of which "
    caches = f"; caches {told['caches']}" if told["caches"] else ""
    return [
        f"- {told['processor']}; {told['processors']} processors, {told['threads']} of them for "
        f"this process{caches}",
        f"- memory {memory}{size_text(told['available'])} free; {told['system']}",
        "- " + ", ".join(f"{name} {number}" for name, number in told["versions"].items()),
        *(f"- backend {' '.join(line.split())}" for line in told["backends"]),
    ]


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(re.findall(r"^(model name|cpu family|model)\s*: (.+)$", text, re.MULTILINE))
    name = fields.get("model name", platform.machine())
    numbers = [f"{key} {fields[key]}" for key in ("cpu family", "model") if key in fields]
    return ", ".join([name, *numbers])


def _caches(root: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> str:
    """Of the first processor: `L1d 32K, L2 1024K, L3 32768K`."""
    told = []
    for folder in sorted(root.glob("index*")):
        try:
            level, kind, size = (
                (folder / name).read_text().strip() for name in ("level", "type", "size")
            )
        except OSError:
            continue
        if kind != "Instruction":
            told.append(f"L{level}{'d' * (kind == 'Data')} {size}")
    return ", ".join(told)


def _memory() -> int | None:
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return None
    found = re.search(r"^MemTotal:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
