"""Large chunks, which threads share: each looks through a part, and counts some of the rows."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import probsig_fast as ps
from probsig_fast.counting import pair_sums, plan
from probsig_fast.counting.job import Job
from probsig_fast.errors import MemoryLimitError, TokenRangeError
from probsig_fast.relations import Relation
from probsig_fast.sources import open_source


@pytest.fixture(autouse=True)
def _as_if_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds from which on a chunk is shared."""
    monkeypatch.setattr(plan, "_SHARED", 2)
    monkeypatch.setattr(pair_sums, "_SMALL", 2)


def text(dtype: type[np.unsignedinteger], size: int = 1500) -> np.ndarray[Any, Any]:
    return np.random.default_rng(3).zipf(1.3, size).clip(max=90).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("chunk_tokens", [7, 200, None])
@pytest.mark.parametrize(
    "relation",
    [ps.Window(1), ps.Window(5, direction="symmetric"), ps.Window(70, [*range(70, 0, -1)])],
    ids=repr,
)
def test_windows_are_those_of_the_reference(
    relation: ps.Window,
    chunk_tokens: int | None,
    threads: int,
    dtype: type[np.unsignedinteger],
    backend: str,
) -> None:
    rules: dict[str, Any] = {"vocab_size": 91, "eos": 1, "ignore_ids": [2]}
    counted = ps.count(
        text(dtype),
        relation,
        threads=threads,
        chunk_tokens=chunk_tokens,
        backend=backend,
        **rules,
    )
    assert counted == ps.count(text(dtype), relation, backend="reference", **rules)
    assert counted.stored.dtype == np.int32


@pytest.mark.parametrize("place", [0, 749, 750, 1499])
@pytest.mark.parametrize("threads", [2, 5])
def test_an_id_out_of_range_is_found_where_it_is(backend: str, threads: int, place: int) -> None:
    tokens = text(np.uint16)
    tokens[place] = 91
    tokens[min(place + 300, 1499) :] = 400  # not the first
    tokens[place] = 91
    with pytest.raises(TokenRangeError, match="91") as caught:
        ps.count(tokens, ps.Window(2), vocab_size=91, threads=threads, backend=backend)
    assert (caught.value.token_id, caught.value.position) == (91, place)


def test_fewer_tokens_than_threads(backend: str) -> None:
    tokens = np.array([3, 0, 3], np.uint16)
    counted = ps.count(tokens, ps.Window(2), vocab_size=4, threads=8, backend=backend)
    assert counted == ps.count(tokens, ps.Window(2), vocab_size=4, backend="reference")


@pytest.mark.parametrize("weight", [2**30 - 1, 2**30])
def test_counts_past_31_bits_are_kept_in_64(backend: str, weight: int) -> None:
    tokens = np.array([1, 0, 2, 1, 0, 2, 2], np.uint16)
    relation = ps.Window(2, [weight, 1])
    counted = ps.count(tokens, relation, vocab_size=3, eos=2, threads=2, backend=backend)
    assert counted.row(1)[1].tolist() == [2 * weight, 2]
    assert counted.stored.dtype == (np.int32 if 2 * weight < 2**31 else np.int64)


def chunk_of(relation: Relation, tokens: Any, memory: int) -> int:
    """Tokens a chunk, of a job whose chunks hold 100 before it looks whether one does."""
    job = Job.checked(open_source(tokens), relation, 91, {}, "reference", 100, None, 2, memory)
    return job.in_one_chunk(memory, 2).chunk_tokens


def test_one_chunk_where_all_pairs_fit() -> None:
    tokens, most = text(np.uint16, 5_000), 91**2 * 8  # V^2 pairs are fewer than 5,000 x 10
    needed = int((5_000 * 16 + most * 1.25) / 0.9) + 2
    assert chunk_of(ps.Window(10), tokens, needed) == 5_000
    assert chunk_of(ps.Window(10), tokens, needed - 4) == 100
    assert chunk_of(ps.Window(10, "harmonic"), tokens, needed) == 100  # counts may need 64 bits
    assert chunk_of(ps.Window(10, direction="symmetric"), tokens, needed) == 100  # made of copies
    assert chunk_of(ps.Window(10, direction="symmetric"), tokens, 4 * needed) == 5_000
    assert chunk_of(ps.Next(), tokens, 10**9) == 100
    assert chunk_of(ps.Window(10), text(np.uint16, 100), 10**9) == 100
    # Fewer pairs than V^2: 500 x 2.
    assert chunk_of(ps.Window(2), text(np.uint16, 500), int((500 * 16 + 10_000) / 0.9) + 2) == 500


def test_one_chunk_holds_one_stream() -> None:
    tokens = open_source(text(np.uint16, 3_000))
    job = Job.checked(tokens, ps.Window(3), 91, {}, "reference", 100, None, 2, 10**9)
    for streams in ([3_000], [1_500, 1_500]):
        source: Any = SimpleNamespace(total=3_000, streams=lambda: map(range, streams))  # noqa: B023
        one = replace(job, source=source).in_one_chunk(10**9, 2)
        assert one.chunk_tokens == (3_000 if len(streams) == 1 else 100)


def test_memory_that_is_full_after_the_last_chunk_is_no_error(
    monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setattr(pair_sums, "_SHARE", 0.0)
    tokens = text(np.uint16)
    for relation in (ps.Window(3), ps.Next()):
        counted = ps.count(tokens, relation, vocab_size=91, backend=backend)
        assert counted == ps.count(tokens, relation, vocab_size=91, backend="reference")


def test_memory_that_is_full_before_the_last_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_sums, "_SHARE", 0.0)
    tokens = text(np.uint16, 5_000)
    with pytest.raises(MemoryLimitError, match="give work_dir="):
        ps.count(tokens, ps.Window(3), vocab_size=91, chunk_tokens=100, backend="reference")
