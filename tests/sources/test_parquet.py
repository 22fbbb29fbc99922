"""Parquet files of lists of ids."""

from __future__ import annotations

import pickle
import re
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracle import check_counts, expect
from text_support import sequences_of

import probsig_fast as ps
from probsig_fast.errors import (
    ArgumentError,
    ArgumentTypeError,
    MissingExtraError,
    SourceError,
    SourceNotFoundError,
)
from probsig_fast.sources import batches, parquet
from probsig_fast.sources.parquet import ParquetSource

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROWS = [[1, 2, 3], [], [4], [0, 0, 5, 1], [2]]
V = 6


def write(path: Path, row_group_size: int = 2, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return path


def lists(rows: Any, kind: Any = None) -> Any:
    return pa.array(rows, kind or pa.list_(pa.int32()))


KINDS = {
    "list of int32": (pa.list_(pa.int32()), "int32"),
    "list of uint16": (pa.list_(pa.uint16()), "uint16"),
    "list of int64": (pa.list_(pa.int64()), "int64"),
    "large list": (pa.large_list(pa.uint32()), "uint32"),
    "list of uint8": (pa.list_(pa.uint8()), "uint8"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("group", [1, 2, 100])
def test_rows_are_sequences(tmp_path: Path, kind: str, group: int, backend: str) -> None:
    arrow, dtype = KINDS[kind]
    path = write(tmp_path / "a.parquet", group, input_ids=lists(ROWS, arrow))
    source = ParquetSource(path)
    assert sequences_of(source) == ROWS
    assert {stream.dtype.name for stream in source.streams()} == {dtype}
    check_counts(ps.count(source, vocab_size=V, backend=backend), expect(ROWS, ps.Next(), V))


def test_fixed_size_lists(tmp_path: Path) -> None:
    rows = [[1, 2], [3, 4], [5, 0]]
    path = write(tmp_path / "a.parquet", token_ids=lists(rows, pa.list_(pa.uint16(), 2)))
    assert sequences_of(ParquetSource(path)) == rows


def test_the_mirror_of_pythia(tmp_path: Path) -> None:
    """Its columns are token_ids and batch_idx."""
    rows = np.random.default_rng(0).integers(0, V, (7, 9)).tolist()
    path = write(tmp_path / "a.parquet", 3, batch_idx=list(range(7)), token_ids=lists(rows))
    assert sequences_of(ParquetSource(path)) == rows
    assert not ParquetSource(path).inputs_only
    assert ParquetSource(path, inputs_only=True).inputs_only


def test_which_column(tmp_path: Path) -> None:
    columns = {"token_ids": lists([[1]]), "input_ids": lists([[2]]), "mine": lists([[3]])}
    path = write(tmp_path / "a.parquet", **columns)
    assert sequences_of(ParquetSource(path)) == [[2]]
    assert sequences_of(ParquetSource(path, "token_ids")) == [[1]]
    assert sequences_of(ParquetSource(path, "mine")) == [[3]]
    told = r"column: expected one of token_ids, input_ids, mine of .*a\.parquet, got 'ids'"
    with pytest.raises(ArgumentError, match=told):
        ParquetSource(path, "ids")
    with pytest.raises(ArgumentTypeError, match="column: expected a name, got int 3"):
        ParquetSource(path, 3)  # type: ignore[arg-type]
    path = write(tmp_path / "b.parquet", text=["a"], other=lists([[1]]))
    told = "which has no input_ids and no token_ids, got None: it has text, other"
    with pytest.raises(ArgumentError, match=told):
        ParquetSource(path)


def test_several_files_of_several_types(tmp_path: Path, monkeypatch: Any) -> None:
    first = write(tmp_path / "a.parquet", input_ids=lists(ROWS))
    second = write(tmp_path / "b.parquet", input_ids=lists([[5, 5]], pa.list_(pa.uint16())))
    for batch_tokens in (2, 2**24):
        monkeypatch.setattr(batches, "BATCH_TOKENS", batch_tokens)
        source = ParquetSource([first, second])
        assert sequences_of(source) == [*ROWS, [5, 5]]
        assert [(entry["rows"], entry["tokens"]) for entry in source.describe()] == [(5, 9), (1, 2)]
    assert sequences_of(ParquetSource(str(tmp_path / "*.parquet"))) == [*ROWS, [5, 5]]
    assert sequences_of(ParquetSource([second, first])) == [[5, 5], *ROWS]


# The mask


@pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.bool_()], ids=str)
def test_masked_tokens_are_dropped(tmp_path: Path, kind: Any) -> None:
    rows = [[1, 2, 0, 0], [0, 0, 3, 4], [5, 1, 2, 3], [0, 0, 0, 0], []]
    mask = [[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0], []]
    kept = pa.array(
        [[bool(m) if kind == pa.bool_() else m for m in row] for row in mask], pa.list_(kind)
    )
    path = write(tmp_path / "a.parquet", 100, input_ids=lists(rows), attention_mask=kept)
    source = ParquetSource(path)
    assert sequences_of(source) == [[1, 2], [3, 4], [5, 1, 2, 3], [], []]
    (stream,) = source.streams()
    assert stream.first_sequence == 0
    assert source.describe()[0]["tokens"] == 8


def test_a_hole_cuts(tmp_path: Path) -> None:
    """Its two sides are no neighbours in the text."""
    path = write(
        tmp_path / "a.parquet",
        input_ids=lists([[1, 2, 3, 4], [5], [1, 1]]),
        attention_mask=lists([[1, 0, 1, 1], [0], [1, 1]]),
    )
    counts = ps.count(ParquetSource(path), vocab_size=V, backend="reference")
    check_counts(counts, expect([[1], [3, 4], [1, 1]], ps.Next(), V))


def test_random_masks_against_a_loop(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [rng.integers(0, V, rng.integers(0, 6)).tolist() for _ in range(300)]
    mask = [rng.integers(0, 2, len(row)).tolist() for row in rows]
    expected: list[list[int]] = []
    for row, kept in zip(rows, mask, strict=True):
        text = "".join(str(t) if k else "." for t, k in zip(row, kept, strict=True))
        expected += [[int(t) for t in run] for run in text.split(".") if run]
    path = write(tmp_path / "a.parquet", 50, input_ids=lists(rows), attention_mask=lists(mask))
    found = [each for each in sequences_of(ParquetSource(path)) if each]
    assert found == expected


MASKS = [
    ([[1, 1]], "attention_mask as long as input_ids in row 0 of .*, got 2 and 3"),
    ([[1, 2, 1]], "expected 0 and 1 in column attention_mask, got 2 in row 0 of"),
    ([None], "expected a list in column attention_mask, got null in row 0 of"),
    ([[1, None, 1]], "expected numbers in column attention_mask, got null at position 1 of row 0"),
]


@pytest.mark.parametrize(("mask", "told"), MASKS, ids=["long", "value", "row", "item"])
def test_masks_that_do_not_fit(tmp_path: Path, mask: Any, told: str) -> None:
    path = write(tmp_path / "a.parquet", input_ids=lists([[1, 2, 3]]), attention_mask=lists(mask))
    with pytest.raises(SourceError, match=told):
        sequences_of(ParquetSource(path))


# What can go wrong


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (pa.array(["a"]), "expected lists of integers in column input_ids of .*, got string"),
        (pa.array([1]), "expected lists of integers in column input_ids of .*, got int64"),
        (pa.array([[1.0]]), r"expected lists of integers .*, got list<\w+: double>"),
        (pa.array([[[1]]]), "expected lists of integers .*, got list<.*list<"),
    ],
    ids=["string", "int", "float", "nested"],
)
def test_columns_of_other_types(tmp_path: Path, column: Any, told: str) -> None:
    path = write(tmp_path / "a.parquet", input_ids=column)
    with pytest.raises(SourceError, match=told):
        ParquetSource(path)


def test_missing_rows_and_ids_are_told_with_their_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", 2, input_ids=lists([[1], [2], [3], None]))
    with pytest.raises(
        SourceError, match=r"expected a list in column input_ids, got null in row 3"
    ):
        sequences_of(ParquetSource(path))
    path = write(tmp_path / "b.parquet", 2, input_ids=lists([[1], [2], [], [3, 4, None]]))
    with pytest.raises(SourceError, match=r"got null at position 2 of row 3 of .*b\.parquet"):
        sequences_of(ParquetSource(path))


def test_an_id_outside_the_vocabulary_is_told_with_its_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", 2, input_ids=lists([[1], [2], [3, 99]]))
    with pytest.raises(ps.errors.TokenRangeError, match="got id 99 at position 1 of sequence 2"):
        ps.count(ParquetSource(path), vocab_size=V, backend="reference")


def test_damaged_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", 2, input_ids=lists(ROWS * 50))
    whole = path.read_bytes()
    for damaged in (b"", b"PAR1", whole[:-1], whole[:200], b"x" * 1000):
        path.write_bytes(damaged)
        with pytest.raises(SourceError, match=r"expected a Parquet file, got '.*a\.parquet': "):
            ParquetSource(path)
    with pytest.raises(SourceNotFoundError, match="no such file"):
        ParquetSource(tmp_path / "b.parquet")
    with pytest.raises(SourceError, match="got the folder"):
        ParquetSource(tmp_path)


def test_flipped_bytes_never_crash(tmp_path: Path) -> None:
    """Another count may come of it, or an error of ours; nothing else."""
    path = write(tmp_path / "a.parquet", 4, input_ids=lists(ROWS * 4))
    whole = bytearray(path.read_bytes())
    rng = np.random.default_rng(2)
    for position in rng.choice(len(whole), 150, replace=False).tolist():
        damaged = whole.copy()
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            sequences_of(ParquetSource(path))
        except (SourceError, ArgumentError):
            continue


def test_a_file_that_changes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", input_ids=lists(ROWS))
    source = ParquetSource(path)
    mark = source.fingerprint()
    assert pickle.loads(pickle.dumps(source)).fingerprint() == mark
    assert ParquetSource(path, "input_ids").fingerprint() == mark
    assert ParquetSource(path, inputs_only=True).fingerprint() != mark
    write(path, input_ids=lists(ROWS[:3]))
    assert source.fingerprint() != mark
    with pytest.raises(SourceError, match=r"expected 5 rows in .*, as when it was opened, got 3"):
        sequences_of(source)
    write(path, token_ids=lists(ROWS))
    with pytest.raises(
        SourceError, match=r"expected column input_ids in .*, as when it was opened"
    ):
        sequences_of(source)


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.parquet", input_ids=lists(ROWS))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    told = re.escape("reading a .parquet file needs pyarrow, which is not installed: pip install ")
    with pytest.raises(MissingExtraError, match=told):
        ParquetSource(path)


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_TOKENS", 2**14)
    monkeypatch.setattr(parquet, "_BATCH", 2**14)
    rows = np.random.default_rng(3).integers(0, V, (4000, 64), np.int32)
    array = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), 64)
    path = write(tmp_path / "a.parquet", 4000, input_ids=array)
    source = ParquetSource(path)
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    arrow_peak = total = 0
    for stream in source.streams():
        total += len(stream)
        assert len(stream) <= 2**14
        arrow_peak = max(arrow_peak, pa.total_allocated_bytes() - before)
    assert total == rows.size
    assert tracemalloc.get_traced_memory()[1] < 2**19
    tracemalloc.stop()
    assert arrow_peak < rows.nbytes  # not the whole column, decoded
