"""Sets of tokens: `SameSequence` beside SciPy's A'A, and `Prefix`; verified before timing.

PROBSIG_BENCH_TOKENS=corpus.u16.bin python -m pytest bench/bench_sets.py
"""

from __future__ import annotations

import numpy as np
import pytest
from conftest import LIMIT, ROUNDS, peak_memory

import probsig_fast as ps
from probsig_fast.benchmark import corpora, peers
from probsig_fast.kernels.registry import BACKENDS

BACKEND_NAMES = tuple(b.name for b in BACKENDS if b.automatic and not b.missing())
#: As the Pile's rows for the Pythia models.
ROW = 2048
SETS = (*BACKEND_NAMES, *(f"{name}, 1 thread" for name in BACKEND_NAMES))
LENGTHS = (64, 1024)
#: What is counted at most: 41 M tokens hold 110 M distinct pairs already.
MOST = 41_000_000


@pytest.fixture(scope="session")
def corpus() -> corpora.Corpus:
    return corpora.load(min(LIMIT or MOST, MOST))


@pytest.fixture(scope="session")
def incidence(corpus: corpora.Corpus):
    return peers.incidence(corpus.tokens, corpus.vocab_size, ROW)


@pytest.fixture(scope="session")
def sets_verified(corpus: corpora.Corpus, incidence) -> None:
    """All agree with SciPy, entry by entry, and all are warm."""
    expected = peers.scipy_same_sequence(incidence)
    expected.sort_indices()
    for backend in BACKEND_NAMES:
        got = _sets(corpus, backend).to_scipy()
        assert np.array_equal(got.indptr, expected.indptr)
        assert np.array_equal(got.indices, expected.indices)
        assert np.array_equal(got.data, expected.data)


@pytest.fixture(scope="session")
def prefixes_verified(corpus: corpora.Corpus) -> dict[int, int]:
    """The backends agree with the definition on the first tokens, and with each other on all; how
    many incidences there are of a token and a label, by length."""
    part = corpora.Corpus(corpus.name, corpus.tokens[:300_000], corpus.vocab_size, corpus.eos)
    incidences = {}
    for length in LENGTHS:
        reference = _prefixes(part, length, "reference")
        assert all(_prefixes(part, length, backend) == reference for backend in BACKEND_NAMES)
        whole = _prefixes(corpus, length, BACKEND_NAMES[0])
        assert all(_prefixes(corpus, length, backend) == whole for backend in BACKEND_NAMES[1:])
        incidences[length] = whole.total
    return incidences


@pytest.mark.parametrize("contender", ["scipy A'A", *SETS])
@pytest.mark.parametrize("number", range(ROUNDS))
def test_same_sequence(timed, corpus, incidence, sets_verified, contender, number):
    name, _, one = contender.partition(", ")
    size = corpus.tokens.size

    def run():
        if contender == "scipy A'A":
            return peers.scipy_same_sequence(incidence)
        return _sets(corpus, name, 1 if one else None)

    group = f"same sequence, {size:,} tokens of {corpus.name} in rows of {ROW:,}"
    timed(group, contender, "tokens", size, run)


@pytest.mark.parametrize("contender", SETS)
@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("length", LENGTHS)
def test_prefix(timed, corpus, prefixes_verified, length, number, contender):
    name, _, one = contender.partition(", ")
    timed(
        f"prefix of {length:,}, {corpus.tokens.size:,} tokens of {corpus.name}",
        contender,
        "incidences",
        prefixes_verified[length],
        lambda: _prefixes(corpus, length, name, 1 if one else None),
    )


@pytest.mark.parametrize("memory", ["256MB", "1GB", "4GB"])
@pytest.mark.parametrize("relation", ["SameSequence()", "Prefix(64)", "Prefix(1024)"])
@pytest.mark.parametrize("backend", BACKEND_NAMES)
def test_peak_memory(corpus, note, relation, backend, memory, tmp_path):
    """Resident memory beyond the tokens, in a process of its own, with row ranges in files where
    `memory` asks for it."""
    beyond, result = peak_memory(corpus, relation, backend, tmp_path, memory)
    note(
        f"peak memory, {relation}, {backend}, memory={memory}: {beyond / 1e6:,.0f} MB beyond the "
        f"tokens; the counts alone take {result / 1e6:,.0f} MB"
    )


def _sets(corpus: corpora.Corpus, backend: str, threads: int | None = None) -> ps.Counts:
    return ps.count(
        corpus.tokens,
        ps.SameSequence(),
        vocab_size=corpus.vocab_size,
        sequence_length=ROW,
        backend=backend,
        threads=threads,
    )


def _prefixes(
    corpus: corpora.Corpus, length: int, backend: str, threads: int | None = None
) -> ps.Counts:
    return ps.count(
        corpus.tokens,
        ps.Prefix(length),
        vocab_size=corpus.vocab_size,
        eos=corpus.eos,
        backend=backend,
        threads=threads,
    )
