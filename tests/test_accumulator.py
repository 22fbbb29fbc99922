"""Sums made of many small merges and row ranges, as large counts make them."""

from __future__ import annotations

import numpy as np
import pytest

import probsig_fast as ps
from probsig_fast import accumulator
from probsig_fast.accumulator import Accumulator, add_blocks, empty_block
from probsig_fast.kernels import reference, registry
from probsig_fast.kernels.contract import Block
from probsig_fast.pool import WorkerPool


@pytest.fixture(autouse=True)
def _as_if_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds from which on a sum is cut into ranges and merged early."""
    monkeypatch.setattr(accumulator, "_LAZY", 3)
    monkeypatch.setattr(accumulator, "_SMALL", 20)


def blocks(number: int, rows: int) -> list[Block]:
    random = np.random.default_rng(number)
    made = []
    for _ in range(number):
        dense = random.integers(0, 3, (rows, rows)) * (random.random((rows, rows)) < 0.2)
        row, column = np.nonzero(dense)
        indptr = np.searchsorted(row, np.arange(rows + 1)).astype(np.int64)
        made.append(Block(indptr, column.astype(np.int32), dense[row, column].astype(np.int64)))
    return made


def assert_same(first: Block, second: Block) -> None:
    assert [first.indptr.dtype, first.indices.dtype] == [np.int64, np.int32]
    assert first.data.dtype == (np.int64 if (second.data >= 2**31).any() else np.int32)
    for name in ("indptr", "indices", "data"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize("rows", [1, 2, 7, 40, 300])
@pytest.mark.parametrize("number", [0, 1, 2, 3, 12])
@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_blocks(backend: str, rows: int, number: int, threads: int) -> None:
    kernels = registry.choose(backend).load()
    parts = blocks(number, rows)
    expected = reference.merge(parts, rows) if parts else empty_block(rows)
    with WorkerPool(threads) as pool:
        total = Accumulator(rows, kernels, pool)
        for part in parts:
            total.add(part)
        assert_same(total.result(), expected)
        if parts:
            assert_same(add_blocks(parts, rows, kernels, pool), expected)


@pytest.mark.parametrize("relation", [ps.Next(), ps.Window(3, "harmonic", "symmetric")], ids=repr)
@pytest.mark.parametrize("chunk_tokens", [1, 5, 64])
def test_counts_of_many_chunks(backend: str, relation: ps.Window, chunk_tokens: int) -> None:
    tokens = np.random.default_rng(1).zipf(1.4, 700).clip(max=60).astype(np.uint16)
    counts = ps.count(
        tokens, relation, vocab_size=61, eos=1, backend=backend, chunk_tokens=chunk_tokens
    )
    assert counts == ps.count(tokens, relation, vocab_size=61, eos=1, backend="reference")
    assert counts + counts == ps.Counts.merge([counts, counts], backend="reference")
