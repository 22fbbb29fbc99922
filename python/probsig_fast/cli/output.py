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


def add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", required=True, type=Path, metavar="FILE", help="the counts file, *.safetensors"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing output")


def check_output(path: Path, force: bool) -> None:
    """Find out before hours of counting that the result could not be written.

    Raises:
        ArgumentError: a name that does not end in .safetensors, no folder to write to, or a file
            already there that `force` does not allow to replace.
    """
    if path.suffix != ".safetensors":
        raise ArgumentError(f"--out: expected a name ending in .safetensors, got {str(path)!r}")
    if path.is_dir() or not path.parent.is_dir():
        raise ArgumentError(f"--out: expected a file in an existing folder, got {str(path)!r}")
    if not os.access(path.parent, os.W_OK):
        raise ArgumentError(f"--out: expected a folder that can be written, got {path.parent}")
    # The provenance goes beside the counts: it must not take the place of, say, a tokenizer.
    for taken in (path, path.with_suffix(".json")):
        if taken.exists() and not force:
            raise ArgumentError(f"--out: {taken} exists already: give --force to replace it")


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


def file_size(path: Path) -> str:
    size = float(path.stat().st_size)
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
