"""`RowFiles` by itself, against matrices: dense and sparse ranges, written and read."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from folder_support import block_of, csr_of, dense, kinds, matrix

from probsig_fast import files, row_files
from probsig_fast.csr import Csr, in_ranges
from probsig_fast.errors import CountsFileError
from probsig_fast.kernels.contract import Block
from probsig_fast.row_files import RowFiles
from probsig_fast.row_range import RowRange

both_shapes = pytest.mark.parametrize("is_triangle", [True, False], ids=["triangle", "rectangle"])


@both_shapes
@pytest.mark.parametrize("largest", [9, 2**31 - 1, 2**31, 2**62])
@pytest.mark.parametrize("most", [1, 60, 10_000])
def test_entries_of_files_are_those_of_the_matrix(
    is_triangle: bool,
    largest: int,
    most: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(row_files, "_RANGE_ENTRIES", most)
    cells = matrix(is_triangle, largest)
    whole = csr_of(cells)
    entries = RowFiles.of(tmp_path, whole, is_triangle).finished()
    if most == 60:
        assert kinds(tmp_path) == {"dense", "sparse"}
    assert (entries.rows, entries.columns, entries.nnz) == (*cells.shape, whole.nnz)
    assert entries.largest() == largest
    assert entries.stored.dtype == (np.int32 if largest < 2**31 else np.int64)
    for name in ("indptr", "indices", "stored"):
        assert getattr(entries, name).tolist() == getattr(whole, name).tolist()
        assert not getattr(entries, name).flags.writeable
    assert np.array_equal(dense(entries.csr()), cells)
    rebuilt = np.concatenate([dense(piece) for _, piece in entries.pieces()])
    assert np.array_equal(rebuilt, cells)
    assert [begin for begin, _ in entries.pieces()] == entries.cuts[:-1].tolist()
    for row in range(0, entries.rows, 3):
        ids, counts = entries.row(row)
        assert (ids.dtype.name, counts.dtype.name) == ("int32", "int64")
        assert ids.tolist() == np.flatnonzero(cells[row]).tolist()
        assert counts.tolist() == cells[row, ids].tolist()
    for column in range(0, entries.columns, 7):
        rows, counts = entries.column(column)
        assert rows.tolist() == np.flatnonzero(cells[:, column]).tolist()
        assert counts.tolist() == cells[rows, column].tolist()
    if is_triangle:
        assert entries.diagonal().tolist() == np.diag(cells).tolist()


@pytest.mark.parametrize("largest", [1, 2**31])
def test_the_smaller_form_is_kept(largest: int, tmp_path: Path) -> None:
    """Of a file's arrays: their sizes around the point where both forms are equally large."""
    rows, columns, itemsize = 4, 30, 8 if largest == 2**31 else 4
    seen = set()
    for nnz in range(1, rows * columns + 1):
        cells = np.zeros((rows, columns), np.int64)
        cells.flat[:nnz] = 1
        cells[0, 0] = largest
        folder = tmp_path / str(nnz)
        folder.mkdir()
        (where,) = RowFiles.of(folder, csr_of(cells), False).ranges
        arrays, _ = files.read_arrays(where.path)
        size = sum(array.nbytes for array in arrays.values())
        sparse = nnz * (4 + itemsize) + 8 * (rows + 1)
        assert size == min(sparse, rows * columns * itemsize)
        assert ("dense" in arrays) == (rows * columns * itemsize < sparse)
        seen |= kinds(folder)
    assert seen == {"dense", "sparse"}


def test_a_triangle_is_dense_from_its_first_row_on(tmp_path: Path) -> None:
    where = RowRange(tmp_path / "r.safetensors", 90, 100, 100, is_triangle=True)
    assert where.width == 10
    assert where.is_dense(60, 4)
    assert not RowRange(where.path, 90, 100, 100, is_triangle=False).is_dense(60, 4)


@both_shapes
def test_a_range_is_replaced_by_a_later_sum(is_triangle: bool, tmp_path: Path) -> None:
    cells = matrix(is_triangle)
    parts = [(0, 7), (7, 30), (30, len(cells))]
    entries = RowFiles.create(tmp_path, parts, cells.shape[1], is_triangle)
    for index, (begin, end) in enumerate(parts):
        assert index not in entries
        entries.write(index, block_of(cells[begin:end]))
        assert index in entries
    entries.row(8)  # leaves a file open
    for index in (1, 0):
        begin, end = parts[index]
        block = entries.block(index)
        assert block.data.dtype == np.int64
        assert np.array_equal(
            dense(Csr(block.indptr, block.indices, block.data, 50)), cells[begin:end]
        )
        entries.write(index, Block(block.indptr, block.indices, 2**31 * block.data))
    factors = np.repeat([2**31, 1], [30, len(cells) - 30])[:, None]
    assert np.array_equal(dense(entries.finished().csr()), cells * factors)
    assert entries.row(8)[1].tolist() == (2**31 * cells[8][cells[8] > 0]).tolist()


def test_a_range_that_was_never_written(tmp_path: Path) -> None:
    entries = RowFiles.create(tmp_path, [(0, 2), (2, 5)], 3, False)
    entries.write(0, block_of(np.ones((2, 3), np.int64)))
    message = f"{entries.ranges[1].path}: expected the counts of rows 2 to 4, got none written"
    with pytest.raises(CountsFileError, match=f"^{re.escape(message)}$"):
        entries.finished()


@pytest.mark.parametrize("cuts", [[0, 50], [0, 1, 2, 50], [0, 20, 50], [*range(51)]])
def test_rows_in_other_ranges(
    cuts: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_files, "_RANGE_ENTRIES", 100)
    cells = matrix(True)
    entries = RowFiles.of(tmp_path, csr_of(cells), True)
    assert len(entries.ranges) > 4
    pieces = list(in_ranges(entries, np.array(cuts)))
    assert [piece.rows for piece in pieces] == np.diff(cuts).tolist()
    assert np.array_equal(np.concatenate([dense(piece) for piece in pieces]), cells)


def test_few_files_are_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = Path("/proc/self/fd")
    if not listing.is_dir():
        pytest.skip("open files can be counted on Linux only")
    monkeypatch.setattr(row_files, "_RANGE_ENTRIES", 1)
    cells = matrix(False)
    before = len(os.listdir(listing))
    entries = RowFiles.of(tmp_path, csr_of(cells), False)
    most = 0
    for _, piece in entries.pieces():
        entries.row(piece.rows)
        most = max(most, len(os.listdir(listing)))
    entries.column(0)
    assert most - before <= 10
    assert len(os.listdir(listing)) - before <= 7
