"""What the times of two commits say, as a Markdown table."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

GAIN, LOSS, NO_CLAIM = "gain", "loss", "no claim"

HEADER = """\
| task | old best s | median | worst | new best s | median | worst | old / new | verdict |
|---|---|---|---|---|---|---|---|---|"""


class Spread(NamedTuple):
    """Of seconds."""

    best: float
    median: float
    worst: float


def spread(seconds: Sequence[float]) -> Spread:
    return Spread(min(seconds), statistics.median(seconds), max(seconds))


def verdict(old: Spread, new: Spread) -> str:
    """A claim only where every run of one commit beat every run of the other."""
    if new.worst < old.best:
        return GAIN
    if new.best > old.worst:
        return LOSS
    return NO_CLAIM


@dataclass(frozen=True)
class Row:
    """A task: its times, or why there are none.

    Attributes:
        trouble: in place of a verdict.
        is_fault: of the new commit; otherwise the old one only lacks something.
    """

    task: str
    old: Spread | None = None
    new: Spread | None = None
    trouble: str = ""
    is_fault: bool = False

    @property
    def verdict(self) -> str:
        if self.old is None or self.new is None:
            return self.trouble
        return verdict(self.old, self.new)

    def __str__(self) -> str:
        if self.old is None or self.new is None:
            return f"| {self.task} |{' |' * 7} {_in_a_cell(self.trouble)} |"
        cells = [f"{seconds:.4f}" for seconds in (*self.old, *self.new)]
        ratio = f"{self.old.median / self.new.median:.3f}"
        return f"| {' | '.join([self.task, *cells, ratio, self.verdict])} |"


def _in_a_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def failed(rows: Iterable[Row], losses_fail: bool) -> bool:
    return any(row.is_fault or (losses_fail and row.verdict == LOSS) for row in rows)
