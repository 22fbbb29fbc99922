"""Pythia's pre-shuffled Pile: rows in the order in which the models saw them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments import integer
from ..errors import ArgumentError, ArgumentTypeError, SourceError, SourceNotFoundError
from .fingerprint import file_fingerprint
from .flat import expand
from .mapped import PathLike
from .megatron_checks import check_documents, check_sequences
from .megatron_index import MegatronIndex, damaged
from .remote import address_of
from .shards import TOKEN, Shards
from .stream import Stream

Range = tuple[int, int]


class PythiaSource:
    """`document-000NN-of-00020.bin`: slices of one file, cut anywhere, and read as one stream.

    A row is a sequence, of `row_tokens` `uint16` tokens: the model reads all but the last, and
    predicts all but the first. So the pairs of a row all count, and its last token is left out of
    unigrams (`inputs_only`): a token's unigram count is then the sum of its row.

    The checkpoint of step k saw the rows before `batch_rows` * k: `steps=(0, k)`.

    Args:
        paths: the folder, its `document.idx`, or the slices, in any order where they are
            numbered. One `document.bin` will do, too, if the slices were put together.
        rows: (begin, end): rows [begin, end) only. Slices beyond them need not be there.
        steps: (begin, end): the batches of training steps [begin, end) only.
        row_tokens, batch_rows: the tokens of a row, and the rows of a batch.

    Raises:
        ArgumentError: `rows` or `steps` that are not there; both.
        SourceNotFoundError: a slice that the rows need; with its name.
        SourceError: slices of several files; bytes that do not make whole rows (the last row has
            no tail to drop: a file that ends elsewhere is truncated); an index that says
            otherwise than the slices, with its byte.

    Cost: where `document.idx` lies beside the slices it is read once here, in blocks.
    """

    vocab_size = None
    device = None
    inputs_only = True

    def __init__(
        self,
        paths: PathLike | Sequence[PathLike],
        rows: Range | None = None,
        steps: Range | None = None,
        row_tokens: int = 2049,
        batch_rows: int = 1024,
    ) -> None:
        self.row_tokens = integer("row_tokens", row_tokens, 1, 2**31 - 1)
        self.batch_rows = integer("batch_rows", batch_rows, 1, 2**31 - 1)
        self.step_tokens = self.row_tokens * self.batch_rows
        self._shards = Shards.found(_listed(paths))
        known = self._checked_rows()
        self.rows = self._selected(rows, steps, known)
        self.total = (self.rows[1] - self.rows[0]) * self.row_tokens
        more = len(self._shards.paths) - 1
        self.name = str(self._shards.paths[0]) + f" and {more} more" * (more > 0)

    def streams(self) -> Iterator[Stream]:
        begin, end = (row * self.row_tokens for row in self.rows)
        if begin < end:
            whole = Stream(self._shards.parts(), None, self.row_tokens)
            yield whole.between(begin, end)

    def describe(self) -> list[dict[str, Any]]:
        shards = zip(self._shards.paths, self._shards.sizes, strict=True)
        files: list[dict[str, Any]] = [
            {"path": address_of(path) or str(path), "bytes": size} for path, size in shards
        ]
        return [{"rows": list(self.rows), "row_tokens": self.row_tokens}, *files]

    def fingerprint(self) -> list[dict[str, Any]]:
        files = [file_fingerprint(place) for place in self._shards.places]
        return [{"rows": list(self.rows), "row_tokens": self.row_tokens}, *files]

    def position_of_step(self, step: int) -> int:
        """How many of this source's tokens come before training step `step`: those that its
        checkpoint saw, if the rows begin with 0.

        Raises:
            ArgumentError: the step does not begin within the rows, nor at their end.
        """
        begin, end = self.rows
        row = integer("step", step) * self.batch_rows
        if not begin <= row <= end:
            raise ArgumentError(
                f"step: expected from {-(-begin // self.batch_rows)} to {end // self.batch_rows}, "
                f"as {self.name} is read from row {begin} to {end}, got {step}"
            )
        return (row - begin) * self.row_tokens

    def _checked_rows(self) -> int | None:
        """The rows of the whole file; None where a slice is missing and no index says."""
        shards, width = self._shards, TOKEN.itemsize * self.row_tokens
        if shards.index is not None:
            told = _rows_of_index(shards.index, self.row_tokens, shards.bytes)
            if shards.bytes == told * width:
                return told
            if shards.missing is None or shards.bytes > told * width:
                raise SourceError(
                    f"tokens: expected {told * width} bytes in {shards.paths[0]} and its other "
                    f"shards, {told} rows as {shards.index} says, got {shards.bytes}"
                )
            return told
        if shards.missing is not None:
            return None
        if shards.bytes % width:
            raise SourceError(
                f"tokens: expected a multiple of {width} bytes, a row of {self.row_tokens} tokens, "
                f"in {shards.paths[0]} and its other shards, got {shards.bytes} bytes: truncated"
            )
        return shards.bytes // width

    def _selected(self, rows: Range | None, steps: Range | None, known: int | None) -> Range:
        """The rows asked for, all of them there."""
        there = self._shards.bytes // (TOKEN.itemsize * self.row_tokens)
        if rows is not None and steps is not None:
            raise ArgumentError(f"steps: expected None where rows are given, got {steps}")
        if rows is None and steps is None:
            begin, end = 0, there + 1 if known is None else known
        elif rows is not None:
            begin, end = _range("rows", rows)
        else:
            assert steps is not None
            begin, end = (step * self.batch_rows for step in _range("steps", steps))
        if known is not None and end > known:
            what, got = ("steps", steps) if steps is not None else ("rows", rows)
            unit = f" ({known // self.batch_rows} whole steps)" * (steps is not None)
            raise ArgumentError(
                f"{what}: expected at most the {known} rows there are{unit}, got {got}"
            )
        if end > there:
            raise SourceNotFoundError(
                f"tokens: expected the shard {str(self._shards.missing)!r}, which holds rows from "
                f"{there} on: no such file; pass rows or steps that end before it to do without"
            )
        return begin, end


def _listed(paths: PathLike | Sequence[PathLike]) -> list[Path]:
    """The paths, globs of files expanded; a folder stays as it is."""
    several = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    if not several:
        raise ArgumentError("paths: expected a folder, an index or shards, got none")
    found: list[Path] = []
    for path in several:
        found += [Path(path)] if os.path.isdir(path) and len(several) == 1 else expand(path)
    return found


def _range(name: str, value: Range) -> Range:
    if not isinstance(value, (tuple, list, range)) or len(value) != 2:
        raise ArgumentTypeError(f"{name}: expected (begin, end), got {value!r}")
    begin = integer(name, value[0], 0, 2**62)
    return begin, integer(name, value[1], begin, 2**62)


def _rows_of_index(path: Path, row_tokens: int, data_bytes: int) -> int:
    """The rows that an index tells, each of `row_tokens`."""
    index = MegatronIndex.read(path)
    if index.dtype != TOKEN:
        raise damaged(path, 17, "the code 8 of uint16 tokens", index.dtype)
    for first, lengths in index.lengths():
        other = np.flatnonzero(lengths != row_tokens)
        if other.size:
            i = int(other[0])
            raise damaged(
                path,
                index.lengths_at + 4 * (first + i),
                f"{row_tokens} tokens in row {first + i}",
                int(lengths[i]),
            )
    check_sequences(index, data_bytes)
    check_documents(index)
    return index.sequences
