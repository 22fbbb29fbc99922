"""Counts in a folder: files of row ranges (`RowFiles`), and an index that has all the rest.

The index is a counts file without `data` and `indices`, and with the digests of the ranges.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from . import counts_file, files, work_dir
from .counts_file import FOLDER_INDEX, Arrays, Layout, TableShape
from .csr import Entries
from .errors import ArgumentError, CountsFileError
from .row_files import RowFiles, new_folder
from .row_range import Digest, digest_of
from .table import Table

INDEX = work_dir.DONE


class Saved(Protocol):
    def save(self, path: str | Path) -> Path: ...


Kept = TypeVar("Kept", bound=Saved)


def is_folder(path: Path, entries: Entries) -> bool:
    """Whether counts saved at this path become a folder: where they are kept already, or at a name
    without a suffix."""
    return _keeps(path, entries) or not path.suffix


def write(
    folder: Path,
    table: Table,
    vectors: Arrays,
    rules: dict[str, Any],
    provenance: Mapping[str, Any],
) -> None:
    """The index, after the row ranges where they are not in that folder already.

    Args:
        vectors: the other arrays of the counts.

    Raises:
        ArgumentError: the folder holds something else, or cannot be made.
    """
    entries = table.entries
    if isinstance(entries, RowFiles) and _keeps(folder, entries):
        _write_index(folder, entries, table, vectors, rules, provenance)
        return
    written = RowFiles.of(new_folder("path", folder), entries, table.is_triangle)
    try:
        _write_index(folder, written, table, vectors, rules, provenance)
    except BaseException:
        (folder / INDEX).unlink(missing_ok=True)  # there already, if only its provenance failed
        written.remove()
        raise


def written_to(path: str | Path, make: Callable[[Path], Kept]) -> Kept:
    """Counts that `make` keeps in files of a folder, saved there; the folder is empty again where
    that fails.

    Raises:
        ArgumentError: it holds something already, or cannot be made.
    """
    folder = new_folder("folder", path)
    try:
        counts = make(folder)
        counts.save(folder)
    except BaseException:
        for each in folder.glob("*.safetensors"):
            each.unlink(missing_ok=True)
        raise
    return counts


def read(
    folder: Path, layout_of: Callable[[dict[str, Any]], Layout], verify: bool
) -> tuple[Arrays, dict[str, Any], dict[str, Any], RowFiles]:
    """As `counts_file.read`, and the row ranges.

    Raises:
        ArgumentError: a folder of something else.
        CountsFileError: damaged, or of a count that did not end.
    """
    path = folder / INDEX
    if not path.is_file():
        if any(folder.glob("rows-*.safetensors")):
            raise CountsFileError(
                f"{path}: expected the index of the row ranges, got no such file: "
                "what wrote them did not end"
            )
        raise ArgumentError(
            "path: expected a name ending in .safetensors, or a folder that Counts.save wrote, "
            f"got {str(folder)!r}"
        )
    arrays, rules = files.read_arrays(path)
    layout = counts_file.checked_layout(path, rules, FOLDER_INDEX, layout_of)
    shape = layout.tables.pop("")
    ranges = arrays["range_begin"].size if "range_begin" in arrays else 0
    counts_file.check_shapes(path, arrays, _index_layout(layout, shape, ranges))
    entries = _opened(path, arrays, shape)
    if verify:
        _verify(path, arrays, layout, shape, entries)
    del rules["kind"]
    return arrays, rules, counts_file.read_provenance(path), entries


def _keeps(path: Path, entries: Entries) -> bool:
    return isinstance(entries, RowFiles) and path.resolve() == entries.folder.resolve()


def _write_index(
    folder: Path,
    entries: RowFiles,
    table: Table,
    vectors: Arrays,
    rules: dict[str, Any],
    provenance: Mapping[str, Any],
) -> None:
    digests = entries.digests
    arrays = vectors | counts_file.table_vectors(table)
    arrays["range_begin"] = entries.cuts[:-1]
    arrays["range_total"] = np.array([digest.total for digest in digests])
    arrays["range_largest"] = np.array([digest.largest for digest in digests])
    if table.is_triangle:
        arrays["diagonal"] = entries.diagonal()
    counts_file.write(folder / INDEX, arrays, rules | {"kind": FOLDER_INDEX}, provenance)


def _index_layout(layout: Layout, shape: TableShape, ranges: int) -> Layout:
    """`layout`: without the table whose entries are in the ranges."""
    vectors = {
        "column_sum": shape.columns,
        "indptr": shape.rows + 1,
        "row_sum": shape.rows,
        "range_begin": ranges,
        "range_total": ranges,
        "range_largest": ranges,
    }
    if shape.is_triangle:
        vectors["diagonal"] = shape.rows
    return Layout(layout.tables, layout.vectors | vectors)


def _opened(path: Path, arrays: Arrays, shape: TableShape) -> RowFiles:
    indptr, begins = arrays["indptr"], arrays["range_begin"]
    counts_file.check_indptr(path, "indptr", indptr, int(indptr[-1]))
    cuts = np.append(begins, shape.rows)
    if cuts[0] != 0 or (np.diff(cuts) <= 0).any():
        raise CountsFileError(
            f"{path}: expected range_begin to rise from 0 to below {shape.rows}, "
            f"got {begins.tolist()[:5]}: damaged"
        )
    digests = []
    for begin, end, total, largest in zip(
        cuts[:-1], cuts[1:], arrays["range_total"], arrays["range_largest"], strict=True
    ):
        own = np.array(arrays["diagonal"][begin:end] if shape.is_triangle else [], np.int64)
        pointers = indptr[begin : end + 1] - indptr[begin]
        digests.append(Digest(pointers, int(total), int(largest), own))
    return RowFiles.opened(path.parent, cuts, shape.columns, shape.is_triangle, digests)


def _verify(
    path: Path, arrays: Arrays, layout: Layout, shape: TableShape, entries: RowFiles
) -> None:
    for prefix, third in layout.tables.items():
        counts_file.check_entries(path, counts_file.table_from(arrays, third, prefix), prefix)
    for where, digest, (_, piece) in zip(
        entries.ranges, entries.digests, entries.pieces(), strict=True
    ):
        got = digest_of(where, piece)
        for name in Digest._fields:
            if not np.array_equal(getattr(got, name), getattr(digest, name)):
                raise CountsFileError(
                    f"{where.path}: expected the {name} of the index, got another: damaged"
                )
    path_of = {where.begin: where.path for where in entries.ranges}
    table = counts_file.table_from(arrays, shape, entries=entries)
    counts_file.check_entries(path, table, path_of=path_of.__getitem__)
