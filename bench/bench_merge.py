"""Sums of sorted CSR blocks: our backends beside SciPy's `+` and one sort in NumPy; verified equal
before timing.

PROBSIG_BENCH_TOKENS=corpus.u16.bin python -m pytest bench/bench_merge.py

Rates are entries read a second, of all blocks together. Blocks are counts of parts of the corpus,
so that they overlap as such blocks do.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse
from conftest import LIMIT, ROUNDS

import probsig_fast as ps
from probsig_fast.accumulator import add_blocks
from probsig_fast.benchmark import corpora, peers
from probsig_fast.kernels.contract import Block
from probsig_fast.kernels.registry import BACKENDS, choose
from probsig_fast.pool import WorkerPool, thread_count

BACKEND_NAMES = tuple(b.name for b in BACKENDS if b.automatic and not b.missing())
CASES = ("2 halves", "8 eighths", "16 of 8 eighths", "all and 8 eighths", "2 halves, next")
#: SciPy adds two at a time, which costs k / 2 passes over the sum; NumPy needs 40 bytes an entry.
PEERS = {"scipy +": 9, "numpy sort": 2}
CONTENDERS = (*PEERS, *BACKEND_NAMES, *(f"{name}, int32" for name in BACKEND_NAMES))


class Case(NamedTuple):
    name: str
    blocks: list[Block]
    columns: int

    @property
    def entries(self) -> int:
        return sum(block.data.size for block in self.blocks)


@pytest.fixture(scope="session")
def corpus() -> corpora.Corpus:
    return corpora.load(LIMIT)


@pytest.fixture(scope="session", params=CASES)
def case(request, corpus) -> Case:
    halves, eighths = (np.array_split(corpus.tokens, k) for k in (2, 8))
    parts, relation = {
        "2 halves": (halves, ps.Window(4)),
        "8 eighths": (eighths, ps.Window(4)),
        "16 of 8 eighths": (eighths, ps.Window(4)),
        "all and 8 eighths": ([corpus.tokens, *eighths], ps.Window(4)),
        "2 halves, next": (halves, ps.Next()),
    }[request.param]
    blocks = [
        ps.count(part, relation, vocab_size=corpus.vocab_size).entries.csr().block()
        for part in parts
    ]
    blocks *= 2 if request.param.startswith("16") else 1
    made = Case(request.param, blocks, corpus.vocab_size)
    _verify(made)
    return made


def _verify(case: Case) -> None:
    """All contenders agree, and all are warm."""
    expected = _ours(case, BACKEND_NAMES[0])
    for name in BACKEND_NAMES:
        for blocks in (case.blocks, _narrow(case)):
            got = _ours(case._replace(blocks=blocks), name)
            for array in ("indptr", "indices", "data"):
                assert np.array_equal(getattr(got, array), getattr(expected, array))
    theirs = peers.scipy_sum(_matrices(case))
    assert np.array_equal(theirs.indptr, expected.indptr)
    assert np.array_equal(theirs.indices, expected.indices)
    assert np.array_equal(theirs.data, expected.data)
    if len(case.blocks) <= PEERS["numpy sort"]:
        keys, values = peers.numpy_sum(case.blocks, case.columns)
        rows = np.repeat(np.arange(case.columns), np.diff(expected.indptr))
        assert np.array_equal(keys, rows * case.columns + expected.indices)
        assert np.array_equal(values, expected.data)


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("number", range(ROUNDS))
def test_merge(timed, case, contender, number):
    if len(case.blocks) > PEERS.get(contender, len(case.blocks)):
        pytest.skip("as many blocks are not its business")
    group = f"sum of {case.name}: {len(case.blocks)} blocks, {case.entries:,} entries"
    name, _, narrow = contender.partition(", ")
    matrices = _matrices(case) if name == "scipy +" else []
    chosen = case._replace(blocks=_narrow(case)) if narrow else case

    def run():
        if name == "scipy +":
            return peers.scipy_sum(matrices)
        if name == "numpy sort":
            return peers.numpy_sum(case.blocks, case.columns)
        return _ours(chosen, name)

    timed(group, contender, "entries", case.entries, run)


def _ours(case: Case, backend: str) -> Block:
    kernels = choose(backend).load()
    with WorkerPool(thread_count(None)) as pool:
        return add_blocks(case.blocks, case.columns, kernels, pool)


def _narrow(case: Case) -> list[Block]:
    """Counts of 32 bits, as files have them where all fit."""
    return [Block(each.indptr, each.indices, each.data.astype(np.int32)) for each in case.blocks]


def _matrices(case: Case) -> list[scipy.sparse.csr_array]:
    shape = (case.columns, case.columns)
    return [
        scipy.sparse.csr_array((each.data, each.indices, each.indptr), shape=shape)
        for each in case.blocks
    ]
