"""A command, and what it takes, seen from outside: time, resident memory, disk."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_POLL, _POLL_DISK = 0.01, 0.1


@dataclass
class Taken:
    """Of one run of a command; bytes at most, as polled.

    Attributes:
        seconds: from start to end.
        resident: VmHWM, the kernel's own high-water mark: all below together, at one moment.
        anonymous, mapped: RssAnon, and RssFile (libraries, and files that it maps).
        disk: blocks of the files in the folder.
        disk_left: likewise, once it has ended.
        output: what it printed.
    """

    seconds: float = 0.0
    resident: int = 0
    anonymous: int = 0
    mapped: int = 0
    disk: int = 0
    disk_left: int = 0
    output: str = ""


def watched(command: list[str], folder: Path) -> Taken:
    """Run a command that writes to `folder`.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    taken = Taken()
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    status, looked = Path(f"/proc/{process.pid}/status"), 0.0
    while process.poll() is None:
        _look(status, taken)
        if time.perf_counter() - looked > _POLL_DISK:
            looked = time.perf_counter()
            taken.disk = max(taken.disk, disk_bytes(folder))
        time.sleep(_POLL)
    taken.seconds = time.perf_counter() - began
    taken.output, errors = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {errors}")
    taken.disk_left = disk_bytes(folder)
    taken.disk = max(taken.disk, taken.disk_left)
    return taken


def _look(status: Path, taken: Taken) -> None:
    try:
        lines = status.read_text().splitlines()
    except OSError:  # it has ended
        return
    found = {line.partition(":")[0]: line.split()[1:2] for line in lines}
    fields = {"resident": "VmHWM", "anonymous": "RssAnon", "mapped": "RssFile"}
    for name, field in fields.items():
        if found.get(field):  # none of a process that is ending
            value = int(found[field][0]) * 1024
            setattr(taken, name, max(getattr(taken, name), value))


def disk_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512
        except OSError:  # removed meanwhile
            continue
    return total
