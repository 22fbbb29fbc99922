"""Next-token and window pairs: our backends beside `np.unique`, verified equal before timing.

PROBSIG_BENCH_TOKENS=corpus.u16.bin python -m pytest bench/bench_pairs.py
"""

from __future__ import annotations

import numpy as np
import pytest
from conftest import LIMIT, ROUNDS, peak_memory

import probsig_fast as ps
from probsig_fast.benchmark import corpora, peers
from probsig_fast.kernels.registry import BACKENDS

NEXT = ("numpy unique", *(b.name for b in BACKENDS if b.automatic and not b.missing()))
WINDOW = NEXT[1:]
THREADS = (None, 1)


@pytest.fixture(scope="session")
def corpus() -> corpora.Corpus:
    return corpora.load(LIMIT)


@pytest.fixture(scope="session")
def expected(corpus: corpora.Corpus) -> tuple[np.ndarray, np.ndarray]:
    return peers.numpy_unique(corpus.tokens)


@pytest.fixture(scope="session")
def verified(corpus: corpora.Corpus, expected: tuple[np.ndarray, np.ndarray]) -> None:
    """All contenders agree, and all are warm."""
    for backend in NEXT[1:]:
        rows, columns, data = ps.count(
            corpus.tokens, vocab_size=corpus.vocab_size, backend=backend
        ).to_coo()
        keys = rows.astype(np.uint32) << 16 | columns.astype(np.uint32)
        assert np.array_equal(keys, expected[0])
        assert np.array_equal(data, expected[1])


@pytest.fixture(scope="session")
def windows_verified(corpus: corpora.Corpus) -> None:
    """The backends agree with the definition on the first tokens, and with each other on all."""
    part = corpora.Corpus(corpus.name, corpus.tokens[:1_000_000], corpus.vocab_size, corpus.eos)
    reference = _window(part, "reference")
    assert all(_window(part, backend) == reference for backend in WINDOW)
    whole = _window(corpus, WINDOW[0])
    assert all(_window(corpus, backend) == whole for backend in WINDOW[1:])


@pytest.mark.parametrize("contender", NEXT)
@pytest.mark.parametrize("number", range(ROUNDS))
def test_next_pairs(timed, corpus, verified, contender, number):
    def run():
        if contender == "numpy unique":
            return peers.numpy_unique(corpus.tokens)
        return ps.count(corpus.tokens, vocab_size=corpus.vocab_size, backend=contender)

    size = corpus.tokens.size
    timed(f"next-token pairs, {size:,} tokens of {corpus.name}", contender, "tokens", size, run)


@pytest.mark.parametrize("contender", WINDOW)
@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("number", range(ROUNDS))
def test_window_10(timed, corpus, windows_verified, contender, threads, number):
    counts = timed(
        f"window 10, {corpus.tokens.size:,} tokens of {corpus.name}",
        f"{contender}, {threads or 'all'} threads",
        "pairs",
        10 * corpus.tokens.size,
        lambda: _window(corpus, contender, threads),
    )
    assert counts.total > 0


@pytest.mark.parametrize("relation", ["Next()", "Window(10)"])
@pytest.mark.parametrize("backend", WINDOW)
def test_peak_memory(corpus, note, relation, backend, tmp_path):
    """Resident memory beyond the tokens, in a process of its own."""
    beyond, result = peak_memory(corpus, relation, backend, tmp_path)
    note(
        f"peak memory, {relation}, {backend}: {beyond / 1e6:,.0f} MB beyond the tokens; bound "
        f"2 x tokens + result = {(2 * corpus.tokens.nbytes + result) / 1e6:,.0f} MB"
    )


def _window(corpus: corpora.Corpus, backend: str, threads: int | None = None) -> ps.Counts:
    return ps.count(
        corpus.tokens,
        ps.Window(10),
        vocab_size=corpus.vocab_size,
        eos=corpus.eos,
        backend=backend,
        threads=threads,
    )
