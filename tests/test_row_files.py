"""`RowFiles` by itself, against matrices: dense and sparse ranges, written and read."""

from __future__ import annotations

import os
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from folder_support import csr_of, dense, kinds, matrix

from probsig_fast import files, row_files
from probsig_fast.csr import Csr, in_ranges
from probsig_fast.row_files import RowFiles, RowWriter
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
    entries = RowFiles.of(tmp_path, whole, is_triangle)
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
@pytest.mark.parametrize("most", [1, 60, 300, 10_000])
@pytest.mark.parametrize("pieces", [[], [1, 2, 3], [7, 30], [*range(1, 50)]])
def test_the_same_files_whatever_the_pieces(
    pieces: list[int],
    most: int,
    is_triangle: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pieces lie in memory that is used again; their counts are wider than the files'."""
    monkeypatch.setattr(row_files, "_RANGE_ENTRIES", most)
    whole = csr_of(matrix(is_triangle))
    (tmp_path / "whole").mkdir()
    expected = RowFiles.of(tmp_path / "whole", whole, is_triangle)
    writer = RowWriter(tmp_path, whole.columns, is_triangle, "run-1-")
    for begin, end in pairwise([0, *pieces, whole.rows]):
        piece = whole.between(begin, end)
        indices, stored = piece.indices.copy(), piece.stored.copy()
        writer.append(Csr(piece.indptr, indices, stored, whole.columns))
        indices[:], stored[:] = 0, -1
    written = writer.finished()
    assert written.cuts.tolist() == expected.cuts.tolist()
    lengths = np.diff(written.indptr)
    for begin, end in pairwise(written.cuts.tolist()):
        assert end == begin + 1 or lengths[begin:end].sum() <= most
        assert end == whole.rows or lengths[begin : end + 1].sum() > most  # as many as fit
    assert set(writer.written) == {each.name for each in tmp_path.glob("run-1-rows-*")}
    for mine, theirs in zip(written.ranges, expected.ranges, strict=True):
        assert mine.path.name == f"run-1-{theirs.path.name}"
        assert mine.path.read_bytes() == theirs.path.read_bytes()
        assert writer.written[mine.path.name] == files.written_of(mine.path)
        assert files.written_of(mine.path).crc32 == zlib.crc32(mine.path.read_bytes())
    writer.remove()
    assert not list(tmp_path.glob("run-1-*"))


@both_shapes
@pytest.mark.parametrize("most", [1, 60, 10_000])
def test_rows_between(
    most: int, is_triangle: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_files, "_RANGE_ENTRIES", most)
    cells = matrix(is_triangle)
    entries = RowFiles.of(tmp_path, csr_of(cells), is_triangle)
    for begin, end in [(0, len(cells)), (0, 1), (3, 29), (10, 11), (len(cells) - 1, len(cells))]:
        assert np.array_equal(dense(entries.between(begin, end)), cells[begin:end])


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
