"""The rows of a trajectory in files: CSV, Parquet and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ...errors import ArgumentError, SourceError, SourceNotFoundError, missing_extra
from ...files import atomic_write
from .row import COLUMNS, TrajectoryRow

#: Of each column, as the class has it: "int", "float", "str", "bool" or "int | None".
_TYPES = {each.name: str(each.type) for each in fields(TrajectoryRow)}
_BOOLS = {"True": True, "False": False}


def plain(value: Any) -> Any:
    """What is undefined as None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_csv(rows: Iterable[TrajectoryRow], path: Path) -> None:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    lines.writerows([plain(getattr(row, name)) for name in COLUMNS] for row in rows)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def write_parquet(rows: Sequence[TrajectoryRow], path: Path) -> None:
    """Raises MissingExtraError: pyarrow is not installed."""
    pa, pq = _pyarrow("to_parquet()")
    kinds = {"int": pa.int64(), "str": pa.string(), "bool": pa.bool_(), "float": pa.float64()}
    schema = pa.schema([(name, kinds[kind.split(" ")[0]]) for name, kind in _TYPES.items()])
    columns = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
    with atomic_write(path) as file:
        pq.write_table(pa.table(columns, schema=schema), file)


def read_rows(path: Path) -> tuple[TrajectoryRow, ...]:
    """As `Trajectory.read` says."""
    readers = {".csv": _csv_lines, ".parquet": _parquet_lines, ".json": _json_lines}
    if path.suffix not in readers:
        raise ArgumentError(
            f"path: expected a file ending in {', '.join(readers)}, got {str(path)!r}"
        )
    if not path.is_file():
        raise SourceNotFoundError(f"path: expected a file, got {str(path)!r}: no such file")
    try:
        rows = tuple(_row(line) for line in readers[path.suffix](path))
    except KeyError as error:
        raise SourceError(
            f"path: expected the columns of a trajectory in {str(path)!r}, got none named {error}"
        ) from error
    except (ValueError, TypeError, RecursionError, csv.Error) as error:
        raise SourceError(f"path: expected a trajectory in {str(path)!r}: {error}") from error
    if not rows:
        raise SourceError(f"path: expected a trajectory in {str(path)!r}, got no rows")
    return rows


def _row(line: Mapping[str, Any]) -> TrajectoryRow:
    return TrajectoryRow(**{name: _value(name, line[name]) for name in COLUMNS})


def _value(name: str, value: Any) -> Any:
    """A cell, which is a text where the file has no types."""
    kind = _TYPES[name]
    if value is None or value == "":
        if kind == "float":
            return math.nan
        if kind == "int | None":
            return None
    elif kind == "str" and isinstance(value, str):
        return value
    elif kind == "bool" and (isinstance(value, bool) or value in _BOOLS):
        return _BOOLS.get(value, value)
    elif kind == "float":
        return float(value)
    elif kind in ("int", "int | None") and not isinstance(value, float):
        return int(value)
    raise ValueError(f"{name} is {value!r}")


def _csv_lines(path: Path) -> Iterable[Mapping[str, Any]]:
    with open(path, newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _json_lines(path: Path) -> Iterable[Mapping[str, Any]]:
    lines: list[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return lines


def _parquet_lines(path: Path) -> Iterable[Mapping[str, Any]]:
    _, pq = _pyarrow("reading a .parquet file")
    lines: list[Mapping[str, Any]] = pq.read_table(path).to_pylist()
    return lines


def _pyarrow(purpose: str) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise missing_extra("pyarrow", "parquet", purpose) from error
    return pyarrow, pyarrow.parquet
