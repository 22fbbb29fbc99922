"""`Trajectory`: the figures of every checkpoint as rows, and as files."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...files import atomic_write
from .files import plain, read_rows, write_csv, write_parquet
from .row import TrajectoryRow

__all__ = ["Trajectory", "TrajectoryRow"]

#: What is printed, and how its heading reads.
_SHOWN = {
    "step": "step",
    "as_of": "counts as of",
    "signature": "signature",
    "which": "embedding",
    "centred": "",
    "tokens": "tokens",
    "r_cos": "R_cos",
    "r_cos_error": "error",
    "debiased_cka": "debiased CKA",
    "strong_lift": "strong pairs' lift",
    "neighbour_overlap": "neighbours in common",
}
_LEFT = ("signature", "which", "centred")


@dataclass(frozen=True)
class Trajectory:
    """What `trajectory` gives; prints as a table.

    Attributes:
        rows: in order of step, signature and centring.
    """

    rows: tuple[TrajectoryRow, ...]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Trajectory:
        """What `to_csv`, `to_parquet` or `to_json` wrote, told apart by the suffix.

        Raises:
            SourceNotFoundError: no such file.
            SourceError: damaged, or a column is missing.
            ArgumentError: another suffix.
            MissingExtraError: pyarrow is not installed.
        """
        return cls(read_rows(Path(path)))

    @property
    def fraction(self) -> float | None:
        """Of pairs that count as strong; None if these figures were left out."""
        found = (row.strong_fraction for row in self.rows)
        return next((each for each in found if not math.isnan(each)), None)

    @property
    def neighbours(self) -> int | None:
        """Of how many those in common are told; None if they were left out."""
        return max((row.neighbours for row in self.rows), default=0) or None

    @property
    def steps(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(row.step for row in self.rows))

    @property
    def signatures(self) -> tuple[str, ...]:
        """Their names, in the order given."""
        return tuple(dict.fromkeys(row.signature for row in self.rows))

    @property
    def untrained(self) -> tuple[TrajectoryRow, ...]:
        """The rows of step 0: what the architecture and chance give. None if it is not there."""
        return tuple(row for row in self.rows if row.step == 0)

    def curve(self, signature: str, centred: bool) -> tuple[TrajectoryRow, ...]:
        """The rows of one signature and centring, in order of step."""
        return tuple(
            row for row in self.rows if row.signature == signature and row.centred == centred
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is undefined is None."""
        rows = [{name: plain(each) for name, each in asdict(row).items()} for row in self.rows]
        return {"fraction": self.fraction, "neighbours": self.neighbours, "rows": rows}

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """`to_dict` as a file. Raises ArgumentError: no folder to write to."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
        with atomic_write(Path(path)) as file:
            file.write(text.encode())

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """A line a row, its columns the fields of `TrajectoryRow`; what is undefined is empty.

        Raises:
            ArgumentError: no folder to write to.
        """
        write_csv(self.rows, Path(path))

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """The same columns, typed; `as_of` may be null, undefined figures are NaN.

        Raises:
            MissingExtraError: pyarrow is not installed.
            ArgumentError: no folder to write to.
        """
        write_parquet(self.rows, Path(path))

    def __str__(self) -> str:
        shown = [name for name in _SHOWN if self._varies(name)]
        lines = [[_SHOWN[name] for name in shown]]
        lines += [[_cell(row, name) for name in shown] for row in self.rows]
        return "\n".join(_aligned(lines, [name in _LEFT for name in shown]))

    def _varies(self, name: str) -> bool:
        """Whether a column says anything."""
        if name == "as_of":
            return any(row.as_of is not None for row in self.rows)
        if name == "strong_lift":
            return self.fraction is not None
        return name != "neighbour_overlap" or self.neighbours is not None


def _cell(row: TrajectoryRow, name: str) -> str:
    value = getattr(row, name)
    if name == "which":
        return f"{value} (tied)" if row.tied else str(value)
    if name == "centred":
        return "mean-centred" if value else "raw"
    if isinstance(value, float):
        return f"{value:.2f}" if name == "strong_lift" else f"{value:.4f}"
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else str(value)


def _aligned(lines: Sequence[Sequence[str]], left: Sequence[bool]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if to_left else cell.rjust(width)
            for cell, width, to_left in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in lines
    ]
