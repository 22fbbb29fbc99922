"""Row ranges that threads join, in whatever order they have them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from probsig_fast import joined_rows
from probsig_fast.joined_rows import JoinedRows
from probsig_fast.kernels.contract import Block

LARGE = 2**31


def blocks(counts: list[list[int]]) -> list[Block]:
    """A range of two rows for each list: all of its entries in the first."""
    made = []
    for each in counts:
        size = len(each)
        dtype = np.int64 if max(each, default=0) >= LARGE else np.int32
        indices = np.arange(size, dtype=np.int32)
        made.append(Block(np.array([0, size, size]), indices, np.array(each, dtype)))
    return made


@pytest.mark.parametrize("room", [0, 3, 100])
@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
@pytest.mark.parametrize("largest", [LARGE - 1, LARGE])
def test_any_order(order: list[int], room: int, largest: int) -> None:
    counts = [[1, 2], [], [largest, 4, 5], [6]]
    ranges, joined, freed = blocks(counts), JoinedRows(8, room), []
    for index in order:
        joined.put(index, ranges[index], lambda index=index: freed.append(index))
    assert freed == [0, 1, 2, 3]  # each once all before it were there
    csr = joined.csr(3)
    assert csr.stored.tolist() == [count for each in counts for count in each]
    assert csr.stored.dtype == (np.int32 if largest < LARGE else np.int64)
    assert csr.indices.tolist() == [0, 1, 0, 1, 2, 0]
    assert csr.indptr.tolist() == [0, 2, 2, 2, 2, 5, 5, 6, 6]


@pytest.mark.parametrize("room", [0, 50_000])
def test_many_threads(room: int) -> None:
    random = np.random.default_rng(0)
    counts = [random.integers(1, 9, size).tolist() for size in random.integers(0, 500, 200)]
    counts[70][:1] = [LARGE]  # while others copy
    ranges, joined = blocks(counts), JoinedRows(400, room)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: joined.put(index, ranges[index]), range(200)))
    assert joined.nbytes == 12 * sum(map(len, counts))
    csr = joined.csr(500)
    assert csr.stored.tolist() == [count for each in counts for count in each]


def test_where_no_room_can_be_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = np.empty

    def refused(size: int, dtype: type) -> np.ndarray:
        if size > 2**20:
            raise MemoryError
        return empty(size, dtype)

    monkeypatch.setattr(joined_rows.np, "empty", refused)
    joined = JoinedRows(2, 2**40)
    joined.append(blocks([[1, 2]])[0])
    assert joined.csr(2).stored.tolist() == [1, 2]
