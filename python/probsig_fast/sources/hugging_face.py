"""Data sets of the library `datasets`: folders of `save_to_disk`, and the objects themselves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    ProbsigError,
    SourceError,
    SourceNotFoundError,
)
from .batches import Piece, streams_of
from .fingerprint import file_fingerprint
from .mapped import file_status, read_bytes
from .remote import is_address, lasting, open_remote
from .stream import Stream
from .tables import arrow, check_lists, check_mask, check_same, choose_column, piece_of

STATE, SPLITS = "state.json", "dataset_dict.json"
#: Rows that are asked of an object at a time.
_ROWS = 1000
#: A description of a data set; whatever is longer is none.
_MAX_STATE = 2**24


def is_dataset_folder(path: str | os.PathLike[str]) -> bool:
    """Whether `save_to_disk` wrote this folder: one data set, or one for each split."""
    return any(os.path.isfile(os.path.join(path, name)) for name in (STATE, SPLITS))


class HuggingFaceSource:
    """A data set of the library `datasets`; a row is a sequence.

    Folders are read with pyarrow alone, memory-mapped, a batch at a time as it was written;
    `datasets` itself is not needed.

    Args:
        dataset: a folder that `save_to_disk` wrote, or its fsspec address; a `datasets.Dataset`
            (with the rows that it selects, in its order), or an `IterableDataset`, which is read
            once for each count.
        column, inputs_only, and `attention_mask`: as for `ParquetSource`.

    Raises:
        MissingExtraError: pyarrow is not installed.
        ArgumentError: no such column; several splits, which are named.
        ArgumentTypeError: neither a folder nor a data set.
        SourceNotFoundError: a missing file.
        SourceError: no data set, or a damaged one; rows that are no lists of ids.
    """

    vocab_size = None
    device = None

    def __init__(self, dataset: Any, column: str | None = None, inputs_only: bool = False) -> None:
        self._column = column
        self.inputs_only = bool(inputs_only)
        self._data: _Folder | _Object
        if isinstance(dataset, (str, os.PathLike)):
            self._data = _Folder(lasting(os.fspath(dataset)), column)
        else:
            self._data = _Object(dataset, column)
        self.name, self.total = self._data.name, None

    def streams(self) -> Iterator[Stream]:
        return streams_of(self._data.pieces(), self.name)

    def describe(self) -> list[dict[str, Any]]:
        return self._data.describe()

    def fingerprint(self) -> list[dict[str, Any]] | None:
        found = self._data.fingerprint()
        if found is None:
            return None
        how = {"column": self._column, "inputs_only": self.inputs_only}
        return [{**each, **how} for each in found]


class _Folder:
    """A folder of Arrow files, as `save_to_disk` writes it."""

    def __init__(self, folder: str, column: str | None) -> None:
        self.name = folder
        self._paths = [_below(folder, name) for name in _data_files(folder)]
        self._status = [file_status(path) for path in self._paths]
        self._columns = []
        for path in self._paths:  # the last file's fault shows before hours on the first
            with _batches(path) as reader:
                self._columns.append(_columns(reader.schema, column, path))
        self._tokens = [0] * len(self._paths)

    def pieces(self) -> Iterator[Piece]:
        self._tokens = [0] * len(self._paths)
        for number, (path, (name, mask)) in enumerate(zip(self._paths, self._columns, strict=True)):
            row = 0
            with _batches(path) as reader:
                check_same(reader.schema, name, mask, path)
                for batch in reader:
                    ids = batch.column(name)
                    masks = batch.column(mask) if mask else None
                    # Offsets of a damaged file reach anywhere.
                    ids.validate(full=True)
                    if masks is not None:
                        masks.validate(full=True)
                    piece = piece_of(ids, masks, name, path, row)
                    self._tokens[number] += piece.tokens.size
                    row += batch.num_rows
                    yield piece

    def describe(self) -> list[dict[str, Any]]:
        return [
            {
                "path": path,
                "bytes": status.st_size,
                "modified": status.st_mtime,
                "tokens": tokens,
                "column": column,
            }
            for path, status, tokens, (column, _) in zip(
                self._paths, self._status, self._tokens, self._columns, strict=True
            )
        ]

    def fingerprint(self) -> list[dict[str, Any]]:
        return [file_fingerprint(path) for path in self._paths]


class _Object:
    """A data set in the hands of the user's own `datasets`."""

    def __init__(self, dataset: Any, column: str | None) -> None:
        if isinstance(dataset, dict):
            raise ArgumentError(
                f"dataset: expected one of the splits {', '.join(map(str, dataset))}, got all of "
                "them: take dataset[name]"
            )
        if not all(hasattr(dataset, name) for name in ("with_format", "column_names", "iter")):
            raise ArgumentTypeError(
                "dataset: expected a folder or a data set of `datasets`, got "
                f"{type(dataset).__name__}"
            )
        arrow("reading a data set", "datasets")
        self.name = "dataset"
        self._dataset, self._column = dataset, column
        if dataset.column_names is not None:  # else they are not known before the first row
            choose_column(list(dataset.column_names), column, self.name)
        self._rows = self._tokens = 0

    def pieces(self) -> Iterator[Piece]:
        self._rows = self._tokens = 0
        for table in self._dataset.with_format("arrow").iter(_ROWS):
            name, mask = _columns(table.schema, self._column, self.name)
            for batch in table.combine_chunks().to_batches():
                masks = batch.column(mask) if mask else None
                piece = piece_of(batch.column(name), masks, name, self.name, self._rows)
                self._rows += batch.num_rows
                self._tokens += piece.tokens.size
                yield piece

    def describe(self) -> list[dict[str, Any]]:
        return [{"name": self.name, "sequences": self._rows, "tokens": self._tokens}]

    def fingerprint(self) -> list[dict[str, Any]] | None:
        """What `datasets` itself keeps to tell data sets apart: of what they were made, and how.
        An iterable one has none: nobody knows what it gives before it does."""
        mark = getattr(self._dataset, "_fingerprint", None)
        if not isinstance(mark, str) or not hasattr(self._dataset, "num_rows"):
            return None
        return [{"name": self.name, "rows": self._dataset.num_rows, "fingerprint": mark}]


def _columns(schema: Any, column: str | None, where: str) -> tuple[str, str | None]:
    name, mask = choose_column(schema.names, column, where)
    check_lists(schema.field(name).type, name, where)
    if mask is not None:
        check_mask(schema.field(mask).type, where)
    return name, mask


def _data_files(folder: str) -> list[str]:
    """The names of the Arrow files of a folder, in order."""
    if not is_address(folder) and not os.path.isdir(folder):
        raise SourceError(f"dataset: expected a folder of save_to_disk, got {folder!r}")
    splits, place = _json(_below(folder, SPLITS)), _below(folder, STATE)
    if splits is not None:
        names = splits.get("splits")
        told = ", ".join(map(str, names)) if isinstance(names, list) else names
        raise ArgumentError(
            f"dataset: expected the folder of one split, got {folder!r}, which holds several: "
            f"give a folder below it, of {told}"
        )
    state = _json(place)
    if state is None:
        raise SourceError(
            f"dataset: expected {STATE}, as save_to_disk writes it, in {folder!r}: none"
        )
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise SourceError(
            f"dataset: expected rows in their order, got an index over them in {place}: load it "
            "with `datasets` and give the data set itself, or save it after flatten_indices()"
        )
    files = state.get("_data_files")
    given = files if isinstance(files, list) else []
    names = [file.get("filename") if isinstance(file, dict) else None for file in given]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise SourceError(f"dataset: expected _data_files in {place}, got {files!r}")
    for name in names:
        if os.path.basename(name) != name or name in (".", ".."):
            raise SourceError(
                f"dataset: expected names of files in the folder in _data_files of {place}, got "
                f"{name!r}"
            )
    return names


def _below(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if is_address(folder) else os.path.join(folder, name)


def _json(path: str) -> dict[str, Any] | None:
    """The object that a file holds; None where there is no such file."""
    try:
        size = file_status(path).st_size
    except SourceNotFoundError:
        return None
    if size > _MAX_STATE:
        raise SourceError(f"dataset: expected a short JSON text in {path}, got {size} bytes")
    try:
        value = json.loads(read_bytes(path, 0, size))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"dataset: expected JSON in {path}: {error}") from error
    if not isinstance(value, dict):
        raise SourceError(f"dataset: expected a JSON object in {path}, got {type(value).__name__}")
    return value


@contextmanager
def _batches(path: str) -> Iterator[Any]:
    """A reader of an Arrow stream; what pyarrow raises of it names it."""
    pa = arrow("reading an Arrow file", "datasets")
    try:
        with open_remote(path) if is_address(path) else pa.memory_map(path) as file:
            yield pa.ipc.open_stream(file)
    except ProbsigError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SourceError(f"tokens: expected an Arrow file, got {path!r}: {error}") from error
