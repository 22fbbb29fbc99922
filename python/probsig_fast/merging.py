"""Adding counts up: the checks, the tables, and where the parts came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import sums
from .accumulator import add_blocks
from .csr import Csr
from .errors import ArgumentError, ArgumentTypeError, CountsFileError, MergeError
from .kernels.contract import Kernels
from .pool import WorkerPool, thread_count
from .runs import merged_pieces, table_in_files
from .table import Table, table_of
from .third_order import ThirdOrder


def check_mergeable(counts: Sequence[Any], kind: type) -> None:
    """Check that counts can be added.

    Raises:
        ArgumentError: no counts.
        ArgumentTypeError: something else.
        MergeError: naming the first rule that differs.
    """
    for each in counts:
        if not isinstance(each, kind):
            raise ArgumentTypeError(f"counts: expected {kind.__name__}, got {type(each).__name__}")
    if not counts:
        raise ArgumentError("counts: expected at least one, got none")
    first = counts[0]._rules()
    for index, other in enumerate(counts[1:], 2):
        rules = other._rules()
        for rule in {**first, **rules}:
            if rules.get(rule) != first.get(rule):
                raise MergeError(
                    f"{rule}: expected {first.get(rule)} throughout, as in the first counts, "
                    f"got {rules.get(rule)} in number {index}"
                )


def merge_tables(tables: Sequence[Table], kernels: Kernels, folder: Path | None = None) -> Table:
    """The sum of tables of one shape, in memory or in files of a folder. O(sum of nnz) time, on
    all processors, and memory; with a folder a few row ranges are in memory at a time.

    Raises:
        CountOverflowError: a sum past 2^63 - 1.
        CountsFileError: entries that contradict their marginals (a damaged file).
    """
    columns, is_triangle = tables[0].shape[1], tables[0].is_triangle
    with WorkerPool(thread_count(None)) as pool:
        if folder is not None:
            entries = [table.entries for table in tables]
            pieces = merged_pieces(entries, columns, kernels, pool)
            merged = table_in_files(folder, pieces, columns, is_triangle)
        else:
            blocks = [table.entries.csr().block() for table in tables]
            block = add_blocks(blocks, columns, kernels, pool)
            csr = Csr(block.indptr, block.indices, block.data, columns)
            merged = table_of(csr, kernels, is_triangle, pool)
    for name in ("row_sum", "column_sum"):
        expected = sums.exact_sum([getattr(each, name) for each in tables])
        if not np.array_equal(getattr(merged, name), expected):
            raise CountsFileError(f"counts: entries do not add up to their {name}: damaged")
    return merged


def merge_third_order(parts: Sequence[ThirdOrder | None], kernels: Kernels) -> ThirdOrder | None:
    """The sum of third-order counts of the same focus, if there are any."""
    there = [part for part in parts if part is not None]
    if not there:
        return None
    return ThirdOrder(there[0].focus, merge_tables([part.table for part in there], kernels))


def merge_provenance(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What was merged, so that sums of sums stay flat."""
    merged: list[Any] = []
    for provenance in parts:
        before = provenance.get("merged")
        merged.extend(before if isinstance(before, list) else [provenance])
    return {"merged": merged}
