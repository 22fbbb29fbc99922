"""`count`: the public entry; the flow from a source to `Counts`, and nothing else."""

from __future__ import annotations

import datetime
import math
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..accumulator import Accumulator, add_blocks
from ..arguments import integer
from ..boundaries import Boundaries
from ..counts import Counts
from ..errors import ArgumentError, ArgumentTypeError, EosNeverOccursWarning
from ..kernels.contract import Block, Kernels
from ..kernels.registry import choose
from ..pool import WorkerPool, thread_count
from ..relations import Next, Relation, Window
from ..sources import MAX_VOCAB_SIZE, Source, open_source
from .plan import Chunk, Scanned, plan, scan_chunk

#: Tokens a chunk at most, by relation. Larger ones mean fewer merges but more work memory: 4
#: bytes a token, and for `Window` 12 for each of about half as many pairs.
CHUNK_TOKENS = {Next: 2**25, Window: 2**23}
#: Below so many tokens a further chunk costs more than a further thread gains.
SMALLEST_CHUNK = 2**20


def count(
    tokens: Any,
    relation: Relation | None = None,
    *,
    vocab_size: int | None = None,
    eos: int | None = None,
    count_eos: bool = True,
    ignore_ids: Iterable[int] = (),
    sequence_length: int | None = None,
    offsets: ArrayLike | None = None,
    join_files: bool = False,
    dtype: DTypeLike | None = None,
    backend: str | None = None,
    threads: int | None = None,
    chunk_tokens: int | None = None,
    progress: bool | None = None,
) -> Counts:
    """Count which tokens go together, exactly.

    Args:
        tokens: a 1-D or 2-D (rows are sequences) integer array: NumPy, memory map, torch CPU
            tensor, Arrow; the path of a flat token file or `.npy`, a glob, a list of paths; an
            iterable of sequences; or a source of `probsig_fast.sources`.
        relation: `Next()` (the default) or `Window(...)`.
        vocab_size: V; ids are 0..V-1. Required unless the source says it.
        eos: this id closes its sequence: (s, eos) counts, (eos, s') does not.
        count_eos: False: `eos` still cuts, but is absent from unigrams and pairs.
        ignore_ids: ids that are absent likewise, and cut (padding). They may lie outside V.
        sequence_length: cut each sequence into pieces of so many tokens; the tail is kept.
        offsets: int [sequences + 1] from 0 to the number of tokens, for a 1-D array or a file.
        join_files: read the files as one stream; otherwise each closes a sequence.
        dtype: the token type of flat files, little-endian.
        backend: `"native_cpu"`, `"numba_cpu"` or `"reference"`; None takes PROBSIG_BACKEND or the
            best that is there.
        threads: None takes the processors that this process may use.
        chunk_tokens: tokens that a worker takes at a time; bounds work memory. The counts do not
            depend on it.
        progress: a progress bar on standard error; None shows one if that is a terminal.

    Returns:
        `Counts`, the same for every backend, number of threads and chunk size.

    Raises:
        ArgumentError, ArgumentTypeError: an argument that cannot be used.
        SourceError, SourceNotFoundError: tokens that cannot be read.
        TokenRangeError: an id outside the vocabulary; names the lowest position.
        BackendError: an unknown or missing backend.
        CountOverflowError: a sum past 2^63 - 1.

    Warns:
        EosNeverOccursWarning: no token is `eos`.

    Cost: O(tokens) for `Next`, O(tokens x size) for `Window`; work memory of
    `threads x chunk_tokens x 4` bytes and about twice the result.
    """
    threads = thread_count(threads)
    job = _Job.checked(
        open_source(tokens, dtype=dtype, offsets=offsets, join_files=join_files),
        Next() if relation is None else relation,
        vocab_size,
        {
            "eos": eos,
            "count_eos": count_eos,
            "ignore_ids": ignore_ids,
            "sequence_length": sequence_length,
        },
        backend,
        chunk_tokens,
        threads,
    )
    started = time.perf_counter()
    with WorkerPool(threads) as pool, _bar(job.source, progress) as advance:
        block, tally = _run(job, pool, advance)
        block = _directed(block, job.relation, job.kernels, pool)
    if job.boundaries.eos is not None and tally.n_read and not tally.eos_seen:
        warnings.warn(
            f"eos: no token of {job.source.name} has id {job.boundaries.eos}, "
            "so it closed no sequence",
            EosNeverOccursWarning,
            stacklevel=2,
        )
    return Counts.from_arrays(
        job.relation,
        job.boundaries,
        block.indptr,
        block.indices,
        block.data,
        tally.unigram,
        tally.n_sequences,
        _provenance(job, pool.threads, time.perf_counter() - started),
        job.kernels,
    )


@dataclass(frozen=True)
class _Job:
    """What to count, all arguments checked."""

    source: Source
    relation: Relation
    vocab_size: int
    boundaries: Boundaries
    backend: str
    kernels: Kernels
    chunk_tokens: int

    @classmethod
    def checked(
        cls,
        source: Source,
        relation: Relation,
        vocab_size: int | None,
        rules: dict[str, Any],
        backend: str | None,
        chunk_tokens: int | None,
        threads: int,
    ) -> _Job:
        if not isinstance(relation, (Next, Window)):
            raise ArgumentTypeError(f"relation: expected Next() or Window(...), got {relation!r}")
        vocab_size = _checked_vocab_size(source, vocab_size)
        chosen = choose(backend)
        return cls(
            source,
            relation,
            vocab_size,
            Boundaries.checked(vocab_size, **rules),
            chosen.name,
            chosen.load(),
            _checked_chunk_tokens(relation, chunk_tokens, source.total, threads),
        )


@dataclass
class _Tally:
    """What is summed beside the pairs."""

    unigram: NDArray[np.int64]
    n_sequences: int = 0
    n_read: int = 0
    eos_seen: bool = False

    def add(self, scanned: Scanned) -> None:
        self.unigram += scanned.histogram
        self.n_sequences += scanned.n_sequences
        self.n_read += scanned.core
        self.eos_seen |= scanned.eos_seen


def _run(job: _Job, pool: WorkerPool, advance: Callable[[int], object]) -> tuple[Block, _Tally]:
    accumulator = Accumulator(job.vocab_size, job.kernels, pool)
    tally = _Tally(np.zeros(job.vocab_size, np.int64))

    def work(chunk: Chunk) -> tuple[Scanned, Block]:
        look_ahead = len(job.relation.weights)
        scanned = scan_chunk(chunk, job.boundaries, job.kernels, job.vocab_size, look_ahead)
        return scanned, _pairs(job, scanned, pool.cancel)

    for scanned, block in pool.map(work, _chunks(job)):
        tally.add(scanned)
        accumulator.add(block)
        advance(scanned.core)
        del scanned, block  # else they would live until the next result is there
    return accumulator.result(), tally


def _chunks(job: _Job) -> Iterator[Chunk]:
    for stream in job.source.streams():
        if len(stream):
            yield from plan(stream, job.boundaries, job.chunk_tokens)


def _pairs(job: _Job, scanned: Scanned, cancel: NDArray[np.uint8]) -> Block:
    runs = scanned.runs
    chunk = (scanned.tokens, scanned.core, runs.starts, runs.ends, scanned.histogram)
    if isinstance(job.relation, Next):
        return job.kernels.next_pairs(*chunk, cancel)
    weights = np.array(job.relation.weights, np.int64)
    return job.kernels.window_pairs(*chunk, weights, cancel)


def _directed(block: Block, relation: Relation, kernels: Kernels, pool: WorkerPool) -> Block:
    """Kernels count forward; the other directions are made of the sum, once."""
    if relation.direction == "forward":
        return block
    from ..signature import scipy_csr

    rows = block.indptr.size - 1
    by_column = scipy_csr(block.indptr, block.indices, block.data, (rows, rows)).tocsc()
    backward = Block(
        by_column.indptr.astype(np.int64),
        by_column.indices.astype(np.int32, copy=False),
        by_column.data,
    )
    if relation.direction == "backward":
        return backward
    return add_blocks([block, backward], kernels, pool)


def _checked_vocab_size(source: Source, vocab_size: int | None) -> int:
    known = source.vocab_size
    if vocab_size is None:
        if known is None:
            raise ArgumentError(
                f"vocab_size: expected the number of token ids, as {source.name} does not say it, "
                "got None"
            )
        return known
    return integer("vocab_size", vocab_size, 1, MAX_VOCAB_SIZE)


def _checked_chunk_tokens(
    relation: Relation, chunk_tokens: int | None, total: int | None, threads: int
) -> int:
    """Small enough that no count of one chunk can pass 63 bits."""
    if chunk_tokens is None:
        chunk_tokens = CHUNK_TOKENS[type(relation)]
        if total is not None:  # equally many for each thread
            rounds = max(math.ceil(total / (threads * chunk_tokens)), 1)
            chunk_tokens = max(math.ceil(total / (threads * rounds)), SMALLEST_CHUNK)
    chunk_tokens = integer("chunk_tokens", chunk_tokens, 1, 2**31)
    return min(chunk_tokens, max((2**63 - 1) // sum(relation.weights), 1))


@contextmanager
def _bar(source: Source, progress: bool | None) -> Iterator[Callable[[int], object]]:
    """A function that advances the progress bar by so many tokens."""
    shown = sys.stderr is not None and sys.stderr.isatty() if progress is None else progress
    if not shown:
        yield lambda tokens: None
        return
    from tqdm import tqdm

    with tqdm(total=source.total, unit="tok", unit_scale=True, desc="counting", leave=False) as bar:
        yield bar.update


def _provenance(job: _Job, threads: int, seconds: float) -> dict[str, Any]:
    from ..version import __version__

    return {
        "sources": job.source.describe(),
        "backend": job.backend,
        "threads": threads,
        "seconds": round(seconds, 3),
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "versions": {
            "probsig_fast": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        "machine": platform.platform(),
    }
