"""What fuzzers share: one input for each seed, and the process that runs many of them."""

from __future__ import annotations

import contextlib
import json
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
#: An input that takes longer hangs: the process ends by this signal's default action.
MOST_SECONDS = 120
#: Names of the C++ address sanitizer's library, under which no address space can be bounded.
_SANITIZED = "asan"


class Finding(AssertionError):
    """What must not happen did."""


@dataclass(frozen=True)
class Fuzzer:
    """Inputs, each made of one seed.

    Attributes:
        name: as in `--only`.
        run: makes an input and tries it; whatever it raises is a finding. The folder is empty, and
            kept if there is one.
        memory: bytes that the process may come to take beyond what it has at its start; None: not
            bounded.
        needs: modules without which there is nothing to try.
        weight: how much of the time it gets, beside others.
    """

    name: str
    run: Callable[[Draw, Path], None]
    memory: int | None = None
    needs: tuple[str, ...] = ()
    weight: int = 1


class Draw:
    """Random choices, the same ones for a seed everywhere."""

    def __init__(self, name: str, seed: int) -> None:
        self.rng = np.random.default_rng([seed, *name.encode()])

    def below(self, end: int) -> int:
        return int(self.rng.integers(end))

    def between(self, low: int, high: int) -> int:
        """From `low` to `high`, both included."""
        return int(self.rng.integers(low, high, endpoint=True))

    def size(self, most: int) -> int:
        """From 0 to `most`; as often of two digits as of three."""
        return min(int(np.exp(self.rng.uniform(0.0, np.log(most + 2)))) - 1, most)

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def one_of(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def some_of(self, choices: Sequence[T], most: int) -> list[T]:
        return [self.one_of(choices) for _ in range(self.between(0, most))]

    def integers(self, low: int, high: int, size: int) -> NDArray[np.int64]:
        return self.rng.integers(low, high, size, endpoint=True, dtype=np.int64)


def work(fuzzer: Fuzzer, seed: int, inputs: int, seconds: float, folder: Path) -> int:
    """Try inputs until there are so many, or so much time (if any) has passed, or one is a finding.

    `folder/status` says which seed is tried, so that a crash is known by it; `folder/input` is what
    the input wrote. The last line printed is JSON: how many were tried, and the finding.
    """
    _bound_memory(fuzzer.memory)
    warnings.simplefilter("ignore", RuntimeWarning)  # of NumPy, about damaged numbers
    status, place = folder / "status", folder / "input"
    end, tried = time.monotonic() + (seconds or float("inf")), 0
    while tried < inputs and (tried == 0 or time.monotonic() < end):
        status.write_text(json.dumps({"inputs": tried, "seed": seed + tried}))
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        signal.alarm(MOST_SECONDS)
        try:
            fuzzer.run(Draw(fuzzer.name, seed + tried), place)
            _check_memory(fuzzer.memory)
        except BaseException:
            print(traceback.format_exc(), file=sys.stderr)
            return 1
        finally:
            signal.alarm(0)
        tried += 1
    status.write_text(json.dumps({"inputs": tried, "seed": None}))
    return 0


def is_sanitized() -> bool:
    """Whether the address sanitizer is loaded."""
    maps = Path("/proc/self/maps")
    return maps.is_file() and _SANITIZED in maps.read_text()


_at_start = 0


def _bound_memory(memory: int | None) -> None:
    global _at_start
    _at_start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if memory is None or is_sanitized():
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _check_memory(memory: int | None) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if memory is not None and peak > _at_start + memory:
        raise Finding(f"it took {peak - _at_start:,} bytes, but {memory:,} were expected at most")


@contextlib.contextmanager
def temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        yield Path(name)


def outcome(use: Callable[[], T], allowed: tuple[type[BaseException], ...]) -> T | str:
    """What `use` gives, or the text of an allowed error; it begins with the error's type."""
    try:
        return use()
    except allowed as error:
        return f"{type(error).__name__}: {error}"


def check(condition: Any, *told: object) -> None:
    if not condition:
        raise Finding(" ".join(map(str, told)))
