"""`Stream.between` against the tokens and boundaries it should have; pickled and on disk."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from probsig_fast.sources import ArraySource, FileSource, Part, SequencesSource, Stream

Ints = list[int]


@st.composite
def streams(draw: st.DrawFn) -> tuple[Stream, Ints, set[int], int | None]:
    """A stream; and its tokens, starts and row length in plain Python."""
    sizes = draw(st.lists(st.integers(0, 5), max_size=5))
    tokens = [draw(st.integers(0, 99)) for _ in range(sum(sizes))]
    parts, at = [], 0
    for i, size in enumerate(sizes):
        parts.append(Part.of_array(f"part {i}", np.array(tokens[at : at + size], np.uint16)))
        at += size
    starts = draw(st.none() | st.lists(st.integers(0, len(tokens)), max_size=4).map(sorted))
    row_length = draw(st.none() | st.integers(1, 6))
    known = None if starts is None else np.array(starts, np.int64)
    return Stream(tuple(parts), known, row_length), tokens, set(starts or ()), row_length


@given(made=streams(), data=st.data())
def test_tokens_and_boundaries(
    made: tuple[Stream, Ints, set[int], int | None], data: st.DataObject
) -> None:
    stream, tokens, starts, row_length = made
    begin = data.draw(st.integers(0, len(tokens)))
    end = data.draw(st.integers(begin, len(tokens)))
    part = stream.between(begin, end)
    if data.draw(st.booleans()):
        part = pickle.loads(pickle.dumps(part))
    assert len(part) == end - begin
    if begin < end:  # an empty stream has no type
        assert part.raw(0, end - begin).tolist() == tokens[begin:end]
    rows = set(range(0, len(tokens), row_length)) if row_length else set()
    expected = sorted({p - begin for p in starts | rows if begin < p < end} | {0} - {end - begin})
    assert part.starts_within(0, end - begin).tolist() == expected
    for position in range(end - begin):
        assert part.last_start(position) == max(p for p in expected if p <= position)
        assert part.locate(position) == stream.locate(begin + position)
    assert part.row_length in (row_length, None)
    if row_length and begin % row_length == 0:
        assert part.row_length == row_length


@given(made=streams(), data=st.data())
def test_a_part_of_a_part(
    made: tuple[Stream, Ints, set[int], int | None], data: st.DataObject
) -> None:
    stream, tokens, _, _ = made
    cuts = sorted(data.draw(st.lists(st.integers(0, len(tokens)), min_size=4, max_size=4)))
    begin, low, high, end = cuts
    once = stream.between(low, high)
    twice = stream.between(begin, end).between(low - begin, high - begin)
    inside = slice(1, None)  # their first tokens start sequences in any case
    assert once.starts_within(0, high - low)[inside].tolist() == (
        twice.starts_within(0, high - low)[inside].tolist()
    )
    for position in range(high - low):
        assert twice.raw(position, position + 1)[0] == tokens[low + position]
        assert twice.locate(position) == stream.locate(low + position)


@given(sizes=st.lists(st.integers(0, 3), min_size=1, max_size=6).filter(any), data=st.data())
def test_numbered_sequences(sizes: Sequence[int], data: st.DataObject) -> None:
    (stream,) = SequencesSource([np.zeros(size, np.uint16) for size in sizes]).streams()
    place = [(f"sequence {i}", j) for i, size in enumerate(sizes) for j in range(size)]
    begin = data.draw(st.integers(0, len(place)))
    end = data.draw(st.integers(begin, len(place)))
    middle = data.draw(st.integers(begin, end))
    for part, first in (
        (stream.between(begin, end), begin),
        (stream.between(begin, end).between(middle - begin, end - begin), middle),
    ):
        assert [part.locate(p) for p in range(len(part))] == place[first:end]


@pytest.mark.parametrize(("begin", "end"), [(-1, 2), (2, 1), (0, 4)])
def test_a_range_that_is_not_there(begin: int, end: int) -> None:
    (stream,) = ArraySource(np.arange(3)).streams()
    with pytest.raises(ValueError, match=r"expected a range within 3 tokens, got \["):
        stream.between(begin, end)


def test_an_array_is_pickled_as_far_as_it_is_needed() -> None:
    (stream,) = ArraySource(np.zeros(10**6, np.uint16)).streams()
    part = stream.between(500, 600)
    assert np.shares_memory(part.raw(0, 100), stream.raw(0, 10**6))
    assert len(pickle.dumps(part)) < 2000


def test_a_file_is_pickled_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may have another working folder."""
    np.arange(10**5, dtype="<u2").tofile(tmp_path / "t.bin")
    np.save(tmp_path / "t.npy", np.arange(6).reshape(2, 3))
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps((FileSource(["t.bin"], "uint16"), FileSource(["t.npy"])))
    assert len(data) < 4000
    monkeypatch.chdir("/")
    flat, rows = (list(source.streams()) for source in pickle.loads(data))
    assert flat[0].raw(70, 72).tolist() == [70, 71]
    assert rows[0].raw(0, 6).tolist() == list(range(6))
    assert rows[0].row_length == 3


def _misaligned(values: NDArray[Any]) -> NDArray[Any]:
    data = b"\0" + values.tobytes()
    return np.frombuffer(data, values.dtype, offset=1)


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "int32", "int64"])
def test_kernels_get_aligned_tokens(dtype: str) -> None:
    values = np.arange(5, dtype=dtype)
    tokens = _misaligned(values)
    assert not tokens.flags.aligned
    stream = Stream((Part.of_array("odd", tokens),))
    read = stream.read(0, 5)
    assert read.flags.aligned
    assert read.flags.c_contiguous
    assert read.tolist() == values.tolist()
