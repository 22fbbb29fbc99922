"""Columns of lists of token ids, as Parquet files and Hugging Face data sets hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError, ArgumentTypeError, SourceError, missing_extra
from .batches import Piece

#: Columns looked for where none is named, in this order.
COLUMNS = ("input_ids", "token_ids")
MASK = "attention_mask"


def arrow(purpose: str, extra: str = "parquet") -> Any:
    """pyarrow.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise missing_extra("pyarrow", extra, purpose) from error
    return pyarrow


def choose_column(names: list[str], column: str | None, where: str) -> tuple[str, str | None]:
    """The column of token ids, and that of the attention mask where there is one.

    Raises:
        ArgumentError: not there; names those that are.
        ArgumentTypeError: no name.
    """
    if column is not None and not isinstance(column, str):
        raise ArgumentTypeError(f"column: expected a name, got {type(column).__name__} {column!r}")
    if column is not None and column not in names:
        raise ArgumentError(
            f"column: expected one of {', '.join(names)} of {where}, got {column!r}"
        )
    found = column or next((name for name in COLUMNS if name in names), None)
    if found is None:
        raise ArgumentError(
            f"column: expected the name of the column of token ids in {where}, which has no "
            f"{' and no '.join(COLUMNS)}, got None: it has {', '.join(names)}"
        )
    return found, MASK if MASK in names and found != MASK else None


def check_lists(kind: Any, column: str, where: str) -> np.dtype[Any]:
    """The NumPy type of the items of a column of lists.

    Raises:
        SourceError: no lists of integers.
    """
    import pyarrow.types as types

    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    if not lists or not types.is_integer(kind.value_type):
        raise SourceError(
            f"tokens: expected lists of integers in column {column} of {where}, got {kind}"
        )
    dtype: np.dtype[Any] = np.dtype(kind.value_type.to_pandas_dtype())
    return dtype


def check_mask(kind: Any, where: str) -> None:
    """Raises SourceError: a mask that holds no lists of integers or truth values."""
    import pyarrow.types as types

    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    if not lists or not (types.is_integer(kind.value_type) or types.is_boolean(kind.value_type)):
        raise SourceError(
            f"tokens: expected lists of 0 and 1 in column {MASK} of {where}, got {kind}"
        )


def check_same(schema: Any, column: str, mask: str | None, where: str) -> None:
    """Raises SourceError: a schema that has not the columns that were found before."""
    there = MASK if MASK in schema.names and column != MASK else None
    if column not in schema.names or there != mask:
        raise SourceError(
            f"tokens: expected column {column}{f' and {mask}' * bool(mask)} in {where}, as when it "
            f"was opened, got {', '.join(schema.names)}: changed while it was counted"
        )
    check_lists(schema.field(column).type, column, where)
    if mask is not None:
        check_mask(schema.field(mask).type, where)


def piece_of(ids: Any, mask: Any, column: str, where: str, first_row: int) -> Piece:
    """The rows of an Arrow array of lists, without what `mask` leaves out.

    Args:
        mask: an array of lists of as many 0 and 1; None: all tokens are there.
        where: the file; for errors.
        first_row: the number of the first row in it; likewise.

    Raises:
        SourceError: a missing row or id; a mask of another length, or of other values.
    """
    tokens, lengths = _flat(ids, column, where, first_row)
    if mask is None:
        return Piece(tokens, lengths, lengths.size)
    kept, kept_lengths = _flat(mask, MASK, where, first_row)
    other = np.flatnonzero(kept_lengths != lengths)
    if other.size:
        row = int(other[0])
        raise SourceError(
            f"tokens: expected {MASK} as long as {column} in row {first_row + row} of {where}, got "
            f"{kept_lengths[row]} and {lengths[row]}"
        )
    wrong = np.flatnonzero((kept != 0) & (kept != 1))
    if wrong.size:
        row = int(np.searchsorted(np.cumsum(lengths), wrong[0], side="right"))
        raise SourceError(
            f"tokens: expected 0 and 1 in column {MASK}, got {kept[wrong[0]]} in row "
            f"{first_row + row} of {where}"
        )
    return _masked(tokens, lengths, kept.astype(bool))


def _flat(
    array: Any, column: str, where: str, first_row: int
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The items of all rows, without a copy (but of truth values), and how many each row has."""
    import pyarrow.compute as compute

    if array.null_count:
        row = int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
        raise SourceError(
            f"tokens: expected a list in column {column}, got null in row {first_row + row} of "
            f"{where}"
        )
    lengths = compute.list_value_length(array).to_numpy(zero_copy_only=False).astype(np.int64)
    items = array.flatten()
    if items.null_count:
        position = int(np.flatnonzero(items.is_null().to_numpy(zero_copy_only=False))[0])
        row = int(np.searchsorted(np.cumsum(lengths), position, side="right"))
        raise SourceError(
            f"tokens: expected numbers in column {column}, got null at position "
            f"{position - int(lengths[:row].sum())} of row {first_row + row} of {where}"
        )
    return items.to_numpy(zero_copy_only=False), lengths


def _masked(tokens: NDArray[Any], lengths: NDArray[np.int64], kept: NDArray[np.bool_]) -> Piece:
    """What is kept; a hole inside a row cuts it, as its two sides are no neighbours."""
    if kept.all():
        return Piece(tokens, lengths, lengths.size)
    ends = np.cumsum(lengths)
    begins = kept.copy()  # where a run of kept tokens begins
    begins[1:] &= ~kept[:-1]
    first = (ends - lengths)[lengths > 0]
    begins[first] = kept[first]
    runs = _sums(begins, lengths, ends)
    if runs.max(initial=0) <= 1:  # padding at the ends alone: a row stays one sequence
        return Piece(tokens[kept], _sums(kept, lengths, ends), lengths.size)
    edges = np.append(np.flatnonzero(begins[kept]), np.count_nonzero(kept))
    return Piece(tokens[kept], edges[1:] - edges[:-1], lengths.size)


def _sums(
    flags: NDArray[np.bool_], lengths: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many are set in each row."""
    sums = np.concatenate([[0], np.cumsum(flags, dtype=np.int64)])
    counted: NDArray[np.int64] = sums[ends] - sums[ends - lengths]
    return counted
