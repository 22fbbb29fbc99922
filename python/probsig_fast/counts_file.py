"""The counts file: which arrays it holds, and the checks that a reader makes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import files, row_range
from .csr import Csr, Entries, check_columns
from .errors import ArgumentError, CountsFileError, SourceNotFoundError
from .files import INT32, INT64, Stream
from .sources.token_dtype import MAX_VOCAB_SIZE
from .table import Table

FORMAT_VERSION = files.FORMAT_VERSION
Arrays = dict[str, NDArray[Any]]
LABELLED, FOLDER_INDEX = "labelled", "index of row ranges"
#: What else a file may be, and what opens it.
_KINDS = {
    None: ("counts of a relation", "Counts.load(path)"),
    LABELLED: ("labelled counts", "LabelledCounts.load(path)"),
    FOLDER_INDEX: ("an index of row ranges", "Counts.load(folder)"),
    row_range.KIND: ("a row range", "Counts.load(folder)"),
}


@dataclass(frozen=True)
class TableShape:
    """What is known of a table before it is read."""

    rows: int
    columns: int
    is_triangle: bool = False


@dataclass(frozen=True)
class Layout:
    """The arrays of a file.

    Attributes:
        tables: by what stands before the names of their arrays.
        vectors: the sizes of int64 arrays, by name.
    """

    tables: dict[str, TableShape]
    vectors: dict[str, int]


def table_arrays(table: Table, prefix: str = "") -> Arrays:
    """The arrays of one table, named as in a file."""
    return table_vectors(table, prefix) | {
        f"{prefix}data": table.stored,
        f"{prefix}indices": table.indices,
    }


def table_vectors(table: Table, prefix: str = "") -> Arrays:
    """Those of them that are no longer than rows or columns."""
    return {
        f"{prefix}column_sum": table.column_sum,
        f"{prefix}indptr": table.indptr,
        f"{prefix}row_sum": table.row_sum,
    }


def table_streams(table: Table) -> dict[str, Stream]:
    """The other ones, a piece in memory at a time."""
    entries = table.entries
    return {
        "data": Stream(
            entries.nnz,
            files.count_type(entries.largest()),
            lambda: (piece.stored for _, piece in entries.pieces()),
        ),
        "indices": Stream(
            entries.nnz, INT32, lambda: (piece.indices for _, piece in entries.pieces())
        ),
    }


def table_from(
    arrays: Arrays, shape: TableShape, prefix: str = "", entries: Entries | None = None
) -> Table:
    """The inverse of `table_arrays`; of `table_vectors` where the entries are elsewhere."""
    if entries is None:
        indptr, indices, data = (arrays[prefix + name] for name in ("indptr", "indices", "data"))
        entries = Csr(indptr, indices, data, shape.columns)
    return Table(
        entries=entries,
        row_sum=arrays[prefix + "row_sum"],
        column_sum=arrays[prefix + "column_sum"],
        is_triangle=shape.is_triangle,
    )


def write(
    path: Path,
    arrays: Mapping[str, NDArray[Any] | Stream],
    rules: dict[str, Any],
    provenance: Mapping[str, Any],
) -> None:
    """The counts file at `path`, and the provenance beside it."""
    _check_name(path)
    streams = {
        name: array if isinstance(array, Stream) else Stream.of(array, _type_in_file(name, array))
        for name, array in arrays.items()
    }
    beside = _provenance_path(path)
    # Whenever this ends, no counts lie beside the provenance of others.
    with files.atomic_write(beside) as file:
        file.write(json.dumps(dict(provenance), indent=2, default=str).encode() + b"\n")
        files.write_arrays(path, streams, rules, outdates=beside)


def read(
    path: Path, kind: str | None, layout_of: Callable[[dict[str, Any]], Layout], verify: bool
) -> tuple[Arrays, dict[str, Any], dict[str, Any]]:
    """Memory-mapped arrays, rules and provenance, checked as `Counts.load` says.

    Args:
        kind: what the rules must say the file holds; None for counts of a relation.
        layout_of: the arrays that a file of these rules has; raises what `misread_as_damage`
            understands where the rules are not those of counts.
    """
    _check_is_file(path)
    arrays, rules = files.read_arrays(path)
    layout = checked_layout(path, rules, kind, layout_of)
    check_shapes(path, arrays, layout)
    if verify:
        for prefix, shape in layout.tables.items():
            check_entries(path, table_from(arrays, shape, prefix), prefix)
    return arrays, rules, read_provenance(path)


def checked_layout(
    path: Path, rules: Any, kind: str | None, layout_of: Callable[[dict[str, Any]], Layout]
) -> Layout:
    """The arrays that a file of these rules has; the arguments are those of `read`.

    Raises:
        CountsFileError: the rules are not those of counts of this kind.
    """
    version = rules.get("format_version") if isinstance(rules, dict) else None
    if version != FORMAT_VERSION:
        raise CountsFileError(f"{path}: expected format_version {FORMAT_VERSION}, got {version}")
    got = rules.get("kind")
    if got != kind:
        told = f"kind {got!r}"
        if got is None or (isinstance(got, str) and got in _KINDS):
            told = f"{_KINDS[got][0]}: open it with {_KINDS[got][1]}"
        raise CountsFileError(f"{path}: expected {_KINDS[kind][0]}, got {told}")
    _check_size(path, rules, "vocab_size")
    if kind == LABELLED:
        _check_size(path, rules, "n_labels")
    layout: Layout = misread_as_damage(path, rules, lambda: layout_of(rules))
    return layout


def misread_as_damage(path: Path, rules: Any, make: Callable[[], Any]) -> Any:
    """What `make` makes of the rules of a file.

    Raises:
        CountsFileError: it could make nothing of them.
    """
    try:
        return make()
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise CountsFileError(f"{path}: expected the rules of counts, got {rules}") from error


def kind_of(path: Path) -> str | None:
    """`"labelled"`, or None for counts of a relation (and for what is no counts file)."""
    if path.is_dir():
        return None
    _check_is_file(path)
    rules = files.read_arrays(path)[1]
    kind = rules.get("kind") if isinstance(rules, dict) else None
    return kind if isinstance(kind, str) else None


def _type_in_file(name: str, array: NDArray[Any]) -> np.dtype[Any]:
    last = name.rpartition(".")[2]
    small = last == "data" and (array.size == 0 or int(array.max()) < 2**31)
    return INT32 if small or last == "indices" else INT64


def _check_name(path: Path) -> None:
    if path.suffix != ".safetensors":
        raise ArgumentError(f"path: expected a name ending in .safetensors, got {str(path)!r}")


def _check_is_file(path: Path) -> None:
    _check_name(path)
    if not path.is_file():
        raise SourceNotFoundError(f"path: expected a counts file, got {str(path)!r}: no such file")


def _provenance_path(path: Path) -> Path:
    return path.with_suffix(".json")


def read_provenance(path: Path) -> dict[str, Any]:
    """What lies beside a counts file; the counts are good without it."""
    try:
        loaded = json.loads(_provenance_path(path).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _check_size(path: Path, rules: dict[str, Any], name: str) -> None:
    size = rules.get(name)
    if isinstance(size, bool) or not isinstance(size, int):
        raise CountsFileError(f"{path}: expected an int as {name}, got {size!r}")
    if not 1 <= size <= MAX_VOCAB_SIZE:
        raise CountsFileError(f"{path}: expected {name} from 1 to 2^31 - 1, got {size}")


def check_shapes(path: Path, arrays: Arrays, layout: Layout) -> None:
    expected = dict(layout.vectors)
    for prefix, shape in layout.tables.items():
        nnz = arrays[f"{prefix}indices"].size if f"{prefix}indices" in arrays else None
        expected |= {
            f"{prefix}column_sum": shape.columns,
            f"{prefix}data": nnz,  # type: ignore[dict-item]  # None is what no array's size is
            f"{prefix}indices": nnz,  # type: ignore[dict-item]
            f"{prefix}indptr": shape.rows + 1,
            f"{prefix}row_sum": shape.rows,
        }
    got = {name: array.size for name, array in arrays.items()}
    if got != expected:
        raise CountsFileError(f"{path}: expected arrays of sizes {expected}, got {got}")
    for prefix in layout.tables:
        check_indptr(path, f"{prefix}indptr", arrays[f"{prefix}indptr"], expected[f"{prefix}data"])
    narrow = {f"{prefix}indices" for prefix in layout.tables}
    either = {f"{prefix}data" for prefix in layout.tables}
    got_narrow = {name for name, array in arrays.items() if array.dtype != INT64}
    if not narrow <= got_narrow <= narrow | either:
        raise CountsFileError(
            f"{path}: expected int64 arrays but for indices and data, got {sorted(got_narrow)}"
        )


def check_indptr(path: Path, name: str, indptr: NDArray[Any], nnz: int) -> None:
    falling = (np.diff(indptr) < 0).any()
    if indptr[0] != 0 or indptr[-1] != nnz or falling:
        raise CountsFileError(
            f"{path}: expected {name} to rise from 0 to {nnz}, got {indptr[0]} to {indptr[-1]}"
            f"{', falling between' if falling else ''}: damaged"
        )


def check_entries(
    path: Path, table: Table, prefix: str = "", path_of: Callable[[int], Path] | None = None
) -> None:
    """Read all entries, a piece at a time, and compare them with the marginals.

    Args:
        path: of the marginals.
        path_of: the file of the piece that begins with a row; None: the same one.

    Raises:
        CountsFileError: they contradict, or are not canonical.
    """
    row_sum, column_sum = (np.zeros(size, np.int64) for size in table.shape)
    for begin, piece in table.entries.pieces():
        _check_piece(path_of(begin) if path_of else path, piece, begin, table.is_triangle)
        running = np.concatenate([[0], np.cumsum(piece.stored, dtype=np.int64)])
        row_sum[begin : begin + piece.rows] = running[piece.indptr[1:]] - running[piece.indptr[:-1]]
        np.add.at(column_sum, piece.indices, piece.stored)
    if table.is_triangle:
        row_sum = column_sum = row_sum + column_sum - table.entries.diagonal()
    for name, expected in (("row_sum", row_sum), ("column_sum", column_sum)):
        if not np.array_equal(getattr(table, name), expected):
            raise CountsFileError(f"{path}: expected entries to add up to {prefix}{name}: damaged")


def _check_piece(path: Path, piece: Csr, begin: int, is_triangle: bool) -> None:
    """`begin`: the table's row that is the piece's first."""
    indptr, indices, data = piece.indptr, piece.indices, piece.stored
    check_columns(indices, piece.columns, path)
    rising = np.diff(indices) > 0
    inner_ends = indptr[1:-1]
    rising[inner_ends[(inner_ends > 0) & (inner_ends < indices.size)] - 1] = True
    if not rising.all():
        raise CountsFileError(f"{path}: expected column ids to rise within each row: damaged")
    if data.size and data.min() <= 0:
        raise CountsFileError(f"{path}: expected counts above 0, got {data.min()}: damaged")
    rows = np.flatnonzero(np.diff(indptr))
    if is_triangle and (indices[indptr[rows]] < rows + begin).any():
        raise CountsFileError(f"{path}: expected no entry below the diagonal: damaged")
