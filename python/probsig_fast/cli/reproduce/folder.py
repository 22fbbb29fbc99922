"""The folder that an experiment writes, and its tables."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ...errors import ArgumentError
from ...files import atomic_write


def add_folder(parser: argparse.ArgumentParser, experiment: str) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(f"probsig-{experiment}"),
        metavar="FOLDER",
        help=f"new, empty, or of an earlier run (default probsig-{experiment})",
    )


def check_folder(folder: Path, results: str) -> None:
    """Before the training, as `probsig demo` does.

    Args:
        results: a folder with this file is an earlier run's, which a new one may replace.

    Raises:
        ArgumentError: a folder that holds other things, cannot be written, or cannot be made.
    """
    if not folder.parent.is_dir() or (folder.exists() and not folder.is_dir()):
        raise ArgumentError(f"--out: expected a folder in an existing one, got {str(folder)!r}")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / results).is_file():
        raise ArgumentError(
            f"--out: expected a new folder, an empty one or an earlier run's, got {str(folder)!r}"
        )
    if not os.access(folder if folder.is_dir() else folder.parent, os.W_OK):
        raise ArgumentError(f"--out: expected a folder that can be written, got {str(folder)!r}")


def write_json(path: Path, fields: dict[str, Any]) -> None:
    write(path, json.dumps(fields, indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, lines: Iterable[Sequence[Any]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    write(path, text.getvalue())


def write(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode())
