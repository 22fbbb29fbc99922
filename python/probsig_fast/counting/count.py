"""`count`: the public entry; the flow from a source to `Counts`, and nothing else."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike, DTypeLike

from ..budget import memory_budget
from ..counts import Counts
from ..errors import ArgumentError, EosNeverOccursWarning
from ..pool import WorkerPool, thread_count
from ..progress import progress_bar
from ..relations import Next, Prefix, Relation, SameSequence
from ..row_files import RowFiles, checked_work_dir
from ..sources import open_source
from .job import Job
from .pairs import count_pairs
from .sets import count_sets


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
    memory: int | str | None = None,
    work_dir: str | Path | None = None,
    focus: Iterable[int] | None = None,
    progress: bool | None = None,
) -> Counts:
    """Count which tokens go together, exactly.

    Args:
        tokens: a 1-D or 2-D (rows are sequences) integer array: NumPy, memory map, torch
            tensor on CPU or CUDA (neither is copied), Arrow; the path of a flat token file or
            `.npy`, a glob, a list of paths; an iterable of sequences; or a source of
            `probsig_fast.sources`.
        relation: `Next()` (the default), `Window(...)`, `Prefix(...)` or `SameSequence()`.
        vocab_size: V; ids are 0..V-1. Required unless the source says it.
        eos: this id closes its sequence: (s, eos) counts, (eos, s') does not.
        count_eos: False: `eos` still cuts, but is absent from unigrams and pairs.
        ignore_ids: ids that are absent likewise, and cut (padding). They may lie outside V.
        sequence_length: cut each sequence into pieces of so many tokens; the tail is kept.
        offsets: int [sequences + 1] from 0 to the number of tokens, for a 1-D array or a file.
        join_files: read the files as one stream; otherwise each closes a sequence.
        dtype: the token type of flat files, little-endian.
        backend: `"native_cuda"`, `"native_cpu"`, `"numba_cpu"` or `"reference"`; None takes
            "native_cuda" for a CUDA tensor, else PROBSIG_BACKEND or the best for host memory.
        threads: None takes the processors that this process may use.
        chunk_tokens: tokens that a worker takes at a time; bounds work memory. The counts do not
            depend on it.
        memory: for `Prefix` and `SameSequence`, bytes (or a text as `"4GB"`) that the count may
            take beside the tokens and one chunk a thread; None takes three quarters of what is
            free.
        work_dir: for these, a new or empty folder: where the counts pass about half of `memory`,
            row ranges are kept there (dense where that is smaller), and the result reads them.
        focus: with `Prefix`, token ids for which third-order counts are made, too.
        progress: a progress bar on standard error; None shows one if that is a terminal.

    Returns:
        `Counts`, the same for every backend, number of threads and chunk size.

    Raises:
        ArgumentError, ArgumentTypeError: an argument that cannot be used.
        SourceError, SourceNotFoundError: tokens that cannot be read.
        TokenRangeError: an id outside the vocabulary; names the lowest position.
        BackendError: an unknown or missing backend.
        CountOverflowError: a sum past 2^63 - 1.
        MemoryLimitError: counts of sets that pass about half of `memory` without a `work_dir`;
            third-order counts that may not fit.

    Warns:
        EosNeverOccursWarning: no token is `eos`.

    Cost: O(tokens) for `Next`, O(tokens x size) for `Window`; work memory of
    `threads x chunk_tokens x 4` bytes and about twice the result. For `Prefix`, O(tokens x length)
    at most: one addition for each label and each different token before it. For `SameSequence`,
    O(sum of the squares of the sizes of the sequences' sets) / 2. Chunks of `SameSequence` reach to
    the end of their last sequence.
    """
    threads = thread_count(threads)
    relation = Next() if relation is None else relation
    job = Job.checked(
        open_source(tokens, dtype=dtype, offsets=offsets, join_files=join_files),
        relation,
        vocab_size,
        {
            "eos": eos,
            "count_eos": count_eos,
            "ignore_ids": ignore_ids,
            "sequence_length": sequence_length,
        },
        backend,
        chunk_tokens,
        focus,
        threads,
    )
    for_sets = isinstance(relation, (Prefix, SameSequence))
    for name, given in (("memory", memory), ("work_dir", work_dir)):
        if given is not None and not for_sets:
            raise ArgumentError(
                f"{name}: expected with Prefix(...) or SameSequence() only, as other counts are "
                f"kept in memory, got {relation!r}"
            )
    budget, folder = memory_budget(memory), checked_work_dir(work_dir)
    started = time.perf_counter()
    try:
        with (
            WorkerPool(threads) as pool,
            progress_bar(job.source.total, "tok", progress) as advance,
        ):
            if for_sets:
                table, third, tally = count_sets(job, pool, advance, budget, folder)
            else:
                table, tally = count_pairs(job, pool, advance)
                third = None
    finally:
        job.kernels.release()
    if job.boundaries.eos is not None and tally.n_read and not tally.eos_seen:
        warnings.warn(
            f"eos: no token of {job.source.name} has id {job.boundaries.eos}, "
            "so it closed no sequence",
            EosNeverOccursWarning,
            stacklevel=2,
        )
    counts = Counts.from_table(
        table,
        relation,
        job.boundaries,
        tally.unigram,
        tally.n_sequences,
        job.provenance(threads, time.perf_counter() - started),
        label_count=tally.unigram - tally.starts if isinstance(relation, Prefix) else None,
        third=third,
    )
    if isinstance(table.entries, RowFiles):
        counts.save(table.entries.folder)  # the index, by which the folder can be opened again
    return counts
