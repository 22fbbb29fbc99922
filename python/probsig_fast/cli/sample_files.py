"""Samples (X, y) in files: arrays, and text with one sample a line."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError, SourceError, SourceNotFoundError, TokenRangeError

#: Characters of a bad line that an error shows.
_SHOWN = 40


def open_sequences(path: Path, vocab_size: int) -> NDArray[Any] | Iterable[list[int]]:
    """X: the array of a .npy, memory-mapped, or the lists of a .jsonl, read line by line.

    Raises:
        SourceNotFoundError: no such file.
        SourceError: no array; while the lines are read, the first that is no list of ids.
        TokenRangeError: likewise, an id that is not below `vocab_size`.
        ArgumentError: another kind of file.
    """
    _check_kind("X", path, ".npy", ".jsonl")
    return read_npy("X", path) if path.suffix == ".npy" else _lists(path, vocab_size)


def read_labels(path: Path) -> NDArray[Any]:
    """y: the array of a .npy, memory-mapped, or the integers of a .txt, one a line.

    Raises:
        SourceNotFoundError: no such file.
        SourceError: no array, or a line that is no integer.
        ArgumentError: another kind of file.
    """
    _check_kind("Y", path, ".npy", ".txt")
    if path.suffix == ".npy":
        return read_npy("Y", path)
    labels = array("q")
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                labels.append(int(line))
            except (ValueError, OverflowError):
                raise _bad_line("Y", "an integer", path, number, line) from None
    return np.frombuffer(labels, np.int64) if labels else np.empty(0, np.int64)


def read_npy(argument: str, path: Path) -> NDArray[Any]:
    """A .npy array, memory-mapped.

    Raises:
        SourceNotFoundError: no such file.
        SourceError: no array in it.
    """
    _check_there(argument, path)
    try:
        loaded: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, EOFError) as error:
        raise SourceError(f"{argument}: expected a .npy array in {str(path)!r}: {error}") from error
    return loaded


def _lists(path: Path, vocab_size: int) -> Iterator[list[int]]:
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            ids = _parsed(line)
            # Neither a bool nor a float is an id, though NumPy would take them along.
            if not isinstance(ids, list) or not ids or set(map(type, ids)) != {int}:
                raise _bad_line("X", "a JSON list of token ids", path, number, line)
            if min(ids) < 0 or max(ids) >= vocab_size:
                position = next(i for i, each in enumerate(ids) if not 0 <= each < vocab_size)
                where = f"line {number} of {str(path)!r}"
                raise TokenRangeError(ids[position], position, where, vocab_size)
            yield ids


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _bad_line(argument: str, expected: str, path: Path, number: int, line: bytes) -> SourceError:
    text = line.decode("utf-8", "replace").strip()
    shown = repr(text[:_SHOWN]) + (" ..." if len(text) > _SHOWN else "")
    return SourceError(
        f"{argument}: expected {expected} at line {number} of {str(path)!r}, "
        f"got {shown if text else 'an empty line'}"
    )


def _check_kind(argument: str, path: Path, *suffixes: str) -> None:
    if path.suffix not in suffixes:
        raise ArgumentError(
            f"{argument}: expected a {' or '.join(suffixes)} file, got {str(path)!r}"
        )
    _check_there(argument, path)


def _check_there(argument: str, path: Path) -> None:
    if not path.is_file():
        raise SourceNotFoundError(f"{argument}: expected a file, got {str(path)!r}: no such file")
