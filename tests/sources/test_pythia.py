"""Pythia's rows over shards that are cut anywhere, written by hand."""

from __future__ import annotations

import pickle
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import check_counts, expect
from writers import megatron_index, pack, write_pythia

import probsig_fast as ps
from probsig_fast.errors import (
    ArgumentError,
    SourceError,
    SourceNotFoundError,
    TokenRangeError,
)
from probsig_fast.sources import PythiaSource

V = 300
ROWS = [[0, 1, 2], [2, 2, 299], [1, 0, 256], [4, 3, 2], [1, 1, 1]]
ROW = {"row_tokens": 3, "batch_rows": 2}


def check_rows(counts: ps.Counts, rows: Sequence[Sequence[int]]) -> None:
    """All pairs of rows; unigrams of all but each row's last token."""
    plain = expect(rows, ps.Next(), V)
    plain.unigram = dict(Counter(token for row in rows for token in row[:-1]))
    check_counts(counts, plain)
    assert counts.row_sum.tolist() == counts.unigram.tolist()


@st.composite
def sliced(draw: st.DrawFn) -> tuple[list[list[int]], int, list[int]]:
    """Rows, their length, and bytes at which their file is cut."""
    length = draw(st.integers(1, 4))
    row = st.lists(st.integers(0, V - 1), min_size=length, max_size=length)
    rows = draw(st.lists(row, max_size=6))
    cuts = draw(st.lists(st.integers(0, 2 * length * len(rows)), max_size=5).map(sorted))
    return rows, length, cuts


@given(made=sliced(), data=st.data())
def test_shards_are_one_stream(
    made: tuple[list[list[int]], int, list[int]], data: st.DataObject, tmp_path_factory: Any
) -> None:
    rows, length, cuts = made
    folder = tmp_path_factory.mktemp("pythia")
    paths = write_pythia(folder, rows, cuts, index=data.draw(st.booleans()))
    begin = data.draw(st.integers(0, len(rows)))
    end = data.draw(st.integers(begin, len(rows)))
    given = data.draw(st.sampled_from([folder, paths, paths[::-1], str(folder / "*.bin")]))
    source = PythiaSource(
        given, rows=data.draw(st.sampled_from([(begin, end), [begin, end]])), row_tokens=length
    )
    assert source.total == (end - begin) * length
    assert source.rows == (begin, end)
    counts = ps.count(source, vocab_size=V, chunk_tokens=data.draw(st.integers(1, 9)))
    check_rows(counts, rows[begin:end])
    every = PythiaSource(folder, row_tokens=length)
    (stream,) = every.streams() if rows else (None,)
    if stream is not None:
        flat = [token for row in rows for token in row]
        stream = pickle.loads(pickle.dumps(stream))
        assert stream.raw(0, len(flat)).tolist() == flat
        for position in range(len(flat)):
            assert stream.raw(position, position + 1).tolist() == [flat[position]]


@pytest.mark.parametrize("cuts", [[], [9], [9, 9, 10, 11], [1, 2, 3, 4], [12]], ids=str)
@pytest.mark.parametrize("index", [False, True], ids=["no index", "index"])
def test_all_rows(backend: str, tmp_path: Path, cuts: list[int], index: bool) -> None:
    write_pythia(tmp_path, ROWS, cuts, index)
    for path in [tmp_path, tmp_path / "document.idx"][: 1 + index]:
        source = PythiaSource(path, **ROW)
        check_rows(ps.count(source, vocab_size=V, backend=backend), ROWS)
        assert source.inputs_only
        assert (source.rows, source.step_tokens, source.total) == ((0, 5), 6, 15)
        first, *files = source.describe()
        assert first == {"rows": [0, 5], "row_tokens": 3}
        assert [Path(file["path"]).name for file in files] == [
            f"document-{i:05}-of-{len(cuts):05}.bin" for i in range(len(cuts) + 1)
        ]


def test_windows_too(tmp_path: Path) -> None:
    write_pythia(tmp_path, ROWS, [7])
    plain = expect(ROWS, ps.Window(2, "harmonic", "symmetric"), V)
    counts = ps.count(
        PythiaSource(tmp_path, **ROW), ps.Window(2, "harmonic", "symmetric"), vocab_size=V
    )
    plain.unigram = dict(Counter(token for row in ROWS for token in row[:-1]))
    check_counts(counts, plain)


def test_steps(tmp_path: Path) -> None:
    write_pythia(tmp_path, ROWS[:4], [7])
    for step in range(3):
        seen = PythiaSource(tmp_path, steps=(0, step), **ROW)
        check_rows(ps.count(seen, vocab_size=V), ROWS[: 2 * step])
    assert PythiaSource(tmp_path, steps=(1, 2), **ROW).rows == (2, 4)


def test_the_place_of_a_step(tmp_path: Path) -> None:
    write_pythia(tmp_path, ROWS, [7])
    source = PythiaSource(tmp_path, **ROW)
    assert [source.position_of_step(step) for step in range(3)] == [0, 6, 12]
    source = PythiaSource(tmp_path, rows=(1, 5), **ROW)
    assert [source.position_of_step(step) for step in (1, 2)] == [3, 9]
    for step in (0, 3, -1):
        with pytest.raises(ArgumentError, match=f"^step: expected from 1 to 2, .* got {step}$"):
            source.position_of_step(step)


def test_rows_as_the_models_saw_them() -> None:
    source = PythiaSource.__init__.__defaults__
    assert source is not None
    assert source[-2:] == (2049, 1024)


def test_shards_put_together(tmp_path: Path) -> None:
    data = pack("H", [token for row in ROWS for token in row])
    (tmp_path / "document.bin").write_bytes(data)
    check_rows(ps.count(PythiaSource(tmp_path / "document.bin", **ROW), vocab_size=V), ROWS)
    (tmp_path / "document.idx").write_bytes(megatron_index([3] * 5, range(6)))
    for path in (tmp_path, tmp_path / "document.idx", tmp_path / "document.bin"):
        check_rows(ps.count(PythiaSource(path, **ROW), vocab_size=V), ROWS)
    (tmp_path / "document.idx").write_bytes(megatron_index([3] * 4, range(5)))
    with pytest.raises(SourceError, match=r"expected 24 bytes in .*document\.bin .*got 30"):
        PythiaSource(tmp_path / "document.bin", **ROW)


def test_slices_of_other_names_are_read_in_the_order_given(tmp_path: Path) -> None:
    data = pack("H", [token for row in ROWS for token in row])
    paths = [tmp_path / name for name in ("z.part", "a.part")]
    for path, piece in zip(paths, (data[:7], data[7:]), strict=True):
        path.write_bytes(piece)
    check_rows(ps.count(PythiaSource(paths, **ROW), vocab_size=V), ROWS)


def test_an_invalid_id_is_named_with_its_shard(tmp_path: Path) -> None:
    paths = write_pythia(tmp_path, ROWS, [8, 21])
    for first, bad, position in ((1, 299, 1), (2, 256, 4)):
        source = PythiaSource(tmp_path, rows=(first, 5), **ROW)
        message = f"got id {bad} at position {position} of {re.escape(str(paths[1]))}$"
        with pytest.raises(TokenRangeError, match=message):
            ps.count(source, vocab_size=bad)


def test_a_shard_that_is_missing(tmp_path: Path) -> None:
    """20 bytes, 20 bytes, 20 bytes: three rows and a third are in the first."""
    rows = ROWS * 2
    paths = write_pythia(tmp_path, rows, [20, 40], index=False)
    paths[1].unlink()
    name = re.escape(str(paths[1]))
    message = (
        f"^tokens: expected the shard '{name}', which holds rows from 3 on: no such file; pass"
    )
    arguments: list[dict[str, Any]] = [{}, {"rows": (0, 4)}, {"steps": (0, 2)}, {"rows": (9, 9)}]
    for more in arguments:
        with pytest.raises(SourceNotFoundError, match=message):
            PythiaSource(tmp_path, **ROW, **more)
    for rows_read in ((0, 3), (1, 2)):
        counts = ps.count(PythiaSource(tmp_path, rows=rows_read, **ROW), vocab_size=V)
        check_rows(counts, rows[slice(*rows_read)])
    (tmp_path / "document.idx").write_bytes(megatron_index([3] * 10, range(11)))
    with pytest.raises(SourceNotFoundError, match=message):
        PythiaSource(tmp_path, **ROW)
    with pytest.raises(
        ArgumentError, match=r"rows: expected at most the 10 rows there are, got \(0"
    ):
        PythiaSource(tmp_path, rows=(0, 11), **ROW)
    assert PythiaSource(tmp_path, rows=(0, 3), **ROW).total == 9


@pytest.mark.parametrize("missing", [0, 2])
def test_the_first_and_the_last_shard(tmp_path: Path, missing: int) -> None:
    paths = write_pythia(tmp_path, ROWS * 2, [20, 40], index=False)
    paths[missing].unlink()
    with pytest.raises(SourceNotFoundError, match=re.escape(f"the shard {str(paths[missing])!r}")):
        PythiaSource(tmp_path, **ROW)


def test_shards_that_are_numbered_up_to_their_number(tmp_path: Path) -> None:
    """0, 1 of 2: all are there if the index says so, and only then."""
    paths = write_pythia(tmp_path, ROWS, [20, 30])
    assert paths[2].stat().st_size == 0
    paths[2].unlink()
    check_rows(ps.count(PythiaSource(tmp_path, **ROW), vocab_size=V), ROWS)
    (tmp_path / "document.idx").unlink()
    with pytest.raises(SourceNotFoundError, match=r"the shard '.*document-00002-of-00002\.bin'"):
        PythiaSource(tmp_path, **ROW)
