"""`CountSteps`: the counts as of many steps of one corpus, kept as deltas that add up."""

from __future__ import annotations

import json
import os
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from .counts import Counts
from .errors import ArgumentError, CountsFileError, SourceNotFoundError
from .files import atomic_write

#: What tells a folder of steps, beside one folder of counts for each delta.
STEPS = "steps.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class CountSteps:
    """Counts as of steps s_0 < s_1 < ...: of the first c_i tokens, for each i.

    Exact, as counts of parts of a corpus add up where no sequence is cut: N as of s_i is the sum of
    the deltas 0..i.

    Attributes:
        steps: what the user calls them: training steps, or the cuts themselves.
        cuts: the number of tokens c_i before each, rising.
        deltas: the counts of tokens [c_{i-1}, c_i), with c_{-1} = 0.
    """

    steps: tuple[int, ...]
    cuts: tuple[int, ...]
    deltas: tuple[Counts, ...]

    def __repr__(self) -> str:
        relation = self.deltas[0].relation
        return f"CountSteps({relation!r}, {len(self.steps)} steps, {self.steps[0]} to {self.last})"

    @property
    def last(self) -> int:
        return self.steps[-1]

    def delta(self, step: int) -> Counts:
        """The counts between the step before this one (or the beginning) and this one."""
        return self.deltas[self.index_of(step)]

    def as_of(self, step: int, folder: str | Path | None = None) -> Counts:
        """The counts of all that comes before this step. O(sum of the deltas' nnz).

        Args:
            folder: as for `Counts.merge`: where the sum is made, if memory cannot hold it.

        Raises:
            ArgumentError: no such step.
        """
        return self._sum(0, self.index_of(step) + 1, folder)

    def between(self, begin: int, end: int, folder: str | Path | None = None) -> Counts:
        """The counts from one step to a later one.

        Raises:
            ArgumentError: no such step, or not a later one.
        """
        low, high = self.index_of(begin, "begin"), self.index_of(end, "end")
        if low >= high:
            raise ArgumentError(f"end: expected a step after {begin}, got {end}")
        return self._sum(low + 1, high + 1, folder)

    def save(self, folder: str | Path) -> Path:
        """Write a folder with one folder of counts for each delta.

        Raises:
            ArgumentError: it exists already, or its own folder does not.
        """
        folder = Path(folder)
        if folder.exists() or not folder.parent.is_dir():
            raise ArgumentError(
                f"folder: expected a new one in an existing folder, got {str(folder)!r}"
            )
        folder.mkdir()
        for index, delta in enumerate(self.deltas):
            delta.save(folder / delta_name(index))
        write_steps(folder, self.steps, self.cuts)
        return folder

    @classmethod
    def load(cls, folder: str | Path, verify: bool = False) -> CountSteps:
        """Open a folder that `save` or `count_steps` wrote; `verify`: as `Counts.load`.

        Raises:
            SourceNotFoundError: no such folder, or one of a count that did not end.
            CountsFileError: damaged.
        """
        folder = Path(folder)
        path = folder / STEPS
        if not path.is_file():
            raise SourceNotFoundError(
                f"folder: expected one of counts at steps, got {os.fspath(folder)!r}, which has no "
                f"{STEPS}"
            )
        steps, cuts = _read_steps(path)
        names = [folder / delta_name(index) for index in range(len(steps))]
        return cls(steps, cuts, tuple(Counts.load(name, verify) for name in names))

    def _sum(self, low: int, high: int, folder: str | Path | None) -> Counts:
        if high - low == 1 and folder is None:
            return self.deltas[low]
        return Counts.merge(self.deltas[low:high], folder=folder)

    def index_of(self, step: int, argument: str = "step") -> int:
        """Which of the steps it is.

        Raises:
            ArgumentError: none.
        """
        index = bisect_left(self.steps, step)
        if index == len(self.steps) or self.steps[index] != step:
            near = self.steps[max(index - 2, 0) : index + 2]
            raise ArgumentError(
                f"{argument}: expected one of the {len(self.steps)} steps that were counted "
                f"(near it: {', '.join(map(str, near))}), got {step}"
            )
        return index


def delta_name(index: int) -> str:
    return f"delta-{index:05}"


def write_steps(folder: Path, steps: Sequence[int], cuts: Sequence[int]) -> None:
    """The file by which a folder of deltas can be opened."""
    body = {"format_version": FORMAT_VERSION, "steps": list(steps), "cuts": list(cuts)}
    with atomic_write(folder / STEPS) as file:
        file.write(json.dumps(body, indent=1).encode() + b"\n")


def _read_steps(path: Path) -> tuple[tuple[int, ...], tuple[int, ...]]:
    try:
        body: Any = json.loads(path.read_bytes())
        version, steps, cuts = (body[name] for name in ("format_version", "steps", "cuts"))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CountsFileError(f"{path}: expected JSON of steps, got {error!r}: damaged") from error
    if version != FORMAT_VERSION:
        raise CountsFileError(f"{path}: expected format_version {FORMAT_VERSION}, got {version}")
    for name, numbers in (("steps", steps), ("cuts", cuts)):
        if not _rises(numbers) or len(numbers) != len(steps):
            raise CountsFileError(
                f"{path}: expected as many {name} as steps, rising, got {numbers}: damaged"
            )
    return tuple(steps), tuple(cuts)


def _rises(numbers: Any) -> bool:
    if not isinstance(numbers, list) or not numbers:
        return False
    if not all(type(each) is int and each >= 0 for each in numbers):
        return False
    return all(a < b for a, b in pairwise(numbers))
