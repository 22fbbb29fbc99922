"""What commands share: aligned text, JSON, and the check of an output path."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError

if TYPE_CHECKING:
    from ..counts import Counts


def add_json(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")


def add_backend(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--backend", metavar="NAME", help="native_cpu, numba_cpu or reference (default: the best)"
    )


def add_threads(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--threads", type=int, metavar="N", help="default: the processors this process may use"
    )


def add_memory(parser: argparse._ActionsContainer, applies_to: str = "") -> None:
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        help=f"{applies_to}what the count may take, such as 4GB (default: 3/4 of what is free)",
    )


def add_progress(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="a progress bar (default: on a terminal)",
    )


def add_output(parser: argparse.ArgumentParser, told: str = "a *.safetensors file") -> None:
    parser.add_argument("--out", required=True, type=Path, metavar="PATH", help=told)
    parser.add_argument("--force", action="store_true", help="replace an existing file")


def is_folder(path: Path) -> bool:
    """Whether an output is a folder of row ranges: a name without a suffix."""
    return path.suffix == ""


def check_output(path: Path, force: bool) -> None:
    """Find out before hours of counting that the result could not be written.

    Raises:
        ArgumentError: a name that does not end in .safetensors (or, of a folder, has a suffix), no
            folder to write to, a file already there that `force` does not allow to replace, or a
            folder that is not empty: no command removes what it holds.
    """
    if path.suffix not in ("", ".safetensors"):
        raise ArgumentError(
            "--out: expected a name ending in .safetensors, or one of a folder, without a suffix, "
            f"got {str(path)!r}"
        )
    if (path.is_dir() and not is_folder(path)) or not path.parent.is_dir():
        raise ArgumentError(f"--out: expected a path in an existing folder, got {str(path)!r}")
    if not os.access(path if path.is_dir() else path.parent, os.W_OK):
        raise ArgumentError(f"--out: expected a folder that can be written, got {path.parent}")
    if is_folder(path):
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            begun = "; --resume goes on with the count in it" * (path / "plan.json").is_file()
            raise ArgumentError(f"--out: expected a new or empty folder, got {str(path)!r}{begun}")
        return
    # The provenance goes beside the counts: it must not take the place of, say, a tokenizer.
    for taken in (path, path.with_suffix(".json")):
        if taken.exists() and not force:
            raise ArgumentError(f"--out: {taken} exists already: give --force to replace it")


def check_file(path: Path, force: bool) -> None:
    """As `check_output`, for counts that are no folder of row ranges.

    Raises:
        ArgumentError: as there, and for a name without a suffix.
    """
    if is_folder(path):
        raise ArgumentError(f"--out: expected a name ending in .safetensors, got {str(path)!r}")
    check_output(path, force)


def say(text: str) -> None:
    """One line to the user that is no part of the output."""
    print(f"probsig: {' '.join(text.splitlines())}", file=sys.stderr)


def warn_of_repeats(files: Iterable[str | Path]) -> None:
    """A glob that overlaps another would count a file twice, which no one wants unknowingly."""
    for path, times in sorted(Counter(map(str, files)).items()):
        if times > 1:
            say(f"warning: {path} is given {times} times and counts as often")


def print_json(fields: dict[str, Any]) -> None:
    print(json.dumps(_finite(fields), indent=2, ensure_ascii=False))


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Lines of a name and its value, the values one below the other."""
    fields = list(fields)
    width = max(len(name) for name, _ in fields)
    for name, value in fields:
        print(f"{name:<{width}}  {value}")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: set[int]) -> None:
    """Columns aligned to the right, but for those whose numbers are in `left`."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for line in lines:
        cells = [
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def size_on_disk(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def show_written(path: Path) -> str:
    """A path and how large what it names is."""
    return f"{path} ({show_size(size_on_disk(path))})"


def show_size(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.4g} GB"


def rate(tokens: int, seconds: float) -> str:
    return f"{tokens / seconds / 1e6:,.1f} M tokens/s" if seconds > 0 else "too short to time"


def show_relation(counts: Counts) -> str:
    fields = counts.relation.to_dict()
    if fields["name"] == "next":
        return "next"
    if fields["name"] == "prefix":
        return f"prefix of {fields['length']}"
    if fields["name"] == "same-sequence":
        return "same sequence"
    weighting = fields["weighting"]
    weighting = weighting if isinstance(weighting, str) else ",".join(weighting)
    return f"window of {fields['size']}, {weighting}, {fields['direction']}"


def _finite(value: Any) -> Any:
    """JSON knows no NaN: an undefined figure is null."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
