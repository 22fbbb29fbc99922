"""`count`: the public entry; the flow from a source to `Counts`, and nothing else."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike, DTypeLike

from ..budget import kept_memory, memory_budget
from ..counts import Counts
from ..errors import ArgumentError, ArgumentTypeError, EosNeverOccursWarning
from ..pool import WorkerPool, thread_count
from ..progress import progress_bar
from ..relations import Next, Prefix, Relation, SameSequence
from ..sources import open_source
from ..work_dir import WorkDir, planned
from .checkpoints import SECONDS, Checkpoints
from .job import Job, Tally
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
    resume: bool = False,
    checkpoint_seconds: float | None = None,
    focus: Iterable[int] | None = None,
    format: str | None = None,
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
        chunk_tokens: tokens that a worker takes at a time, or, for `Window`, all workers together;
            bounds work memory. The counts do not depend on it.
        memory: bytes (or a text as `"4GB"`) that the count may take beside the tokens that are
            mapped; None takes three quarters of what is free.
        work_dir: a new or empty folder, in which the count works where memory fills up, and in
            which the counts are in the end: row ranges (dense where that is smaller), which the
            result reads and `Counts.load` opens. It holds at most three times the counts and what
            memory held, and `plan.json`, which says what was counted.
        resume: go on with the count that was interrupted in `work_dir`; if there is none, begin,
            and if it is done, give its counts. The plan must be the same: relation, vocabulary,
            boundaries, focus, chunk_tokens (if given) and sources, of which path, size, time of
            modification and some pages are compared.
        checkpoint_seconds: save the work in `work_dir` about so often (60), so that a crash costs
            no more than that; less often where saving takes long. 0: after every chunk.
        focus: with `Prefix`, token ids for which third-order counts are made, too.
        format: how to read a path whose name does not say it; see `sources.open_source`.
        progress: a progress bar on standard error; None shows one if that is a terminal.

    Returns:
        `Counts`, the same for every backend, number of threads and chunk size.

    Raises:
        ArgumentError, ArgumentTypeError: an argument that cannot be used.
        SourceError, SourceNotFoundError: tokens that cannot be read.
        TokenRangeError: an id outside the vocabulary; names the lowest position.
        BackendError: an unknown or missing backend.
        CountOverflowError: a sum past 2^63 - 1.
        MemoryLimitError: counts that pass about half of `memory` without a `work_dir`;
            third-order counts that may not fit.
        WorkDirError: `work_dir` holds something else, is damaged, or another run is at work in it.

    Warns:
        EosNeverOccursWarning: no token is `eos`.

    Cost: O(tokens) for `Next`, O(tokens x size) for `Window`; work memory of
    `threads x chunk_tokens x 4` bytes, for `Window` an eighth of that beside a chunk's own result,
    and, without a `work_dir`, about twice the result; of one stream whose pairs fit the memory in
    any case, `Window` makes one chunk, and only the result. For
    `Prefix`, O(tokens x length) at most: one addition for each label and each different token
    before it. For `SameSequence`, O(sum of the squares of the sizes of the sequences' sets) / 2;
    its chunks reach to the end of their last sequence.
    """
    threads, budget = thread_count(threads), memory_budget(memory)
    folder = _checked_folder(work_dir, resume, checkpoint_seconds)
    if folder is not None and resume and chunk_tokens is None:
        chunk_tokens = planned(folder).get("chunk_tokens")
    job = Job.checked(
        open_source(
            tokens,
            dtype=dtype,
            offsets=offsets,
            join_files=join_files,
            **({} if format is None else {"format": format}),
        ),
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
        focus,
        threads,
        budget,
    )
    if folder is None and chunk_tokens is None:  # in a folder, chunks are what a crash may cost
        job = job.in_one_chunk(budget, threads)
    job.kernels.keep_memory(kept_memory(budget))
    try:
        if folder is None:
            counts, tally = _counted(job, threads, budget, Checkpoints(None), progress)
        else:
            with _opened(folder, job, resume) as work:
                if work.is_done:
                    return _finished(folder, job, threads, work)
                kept = Checkpoints(work, _seconds(checkpoint_seconds))
                counts, tally = _counted(job, threads, budget, kept, progress)
                counts.save(folder)  # the index, by which the folder is counts
                work.finish()
    finally:
        job.kernels.release()
    if job.boundaries.eos is not None and tally.n_read and not tally.eos_seen:
        warnings.warn(
            f"eos: no token of {job.source.name} has id {job.boundaries.eos}, "
            "so it closed no sequence",
            EosNeverOccursWarning,
            stacklevel=2,
        )
    return counts


def _counted(
    job: Job, threads: int, memory: int, kept: Checkpoints, progress: bool | None
) -> tuple[Counts, Tally]:
    started = time.perf_counter()
    third = None
    with (
        WorkerPool(threads) as pool,
        progress_bar(job.source.total, "tok", progress) as advance,
    ):
        if isinstance(job.relation, (Prefix, SameSequence)):
            table, third, tally = count_sets(job, job.slices(), pool, advance, memory, kept)
        else:
            table, tally = count_pairs(job, job.slices(), pool, advance, memory, kept)
    counts = Counts.from_table(
        table,
        job.relation,
        job.boundaries,
        tally.counted,
        tally.n_sequences,
        job.provenance(threads, time.perf_counter() - started, tally.n_read),
        label_count=tally.unigram - tally.starts if isinstance(job.relation, Prefix) else None,
        third=third,
    )
    return counts, tally


def _finished(folder: Path, job: Job, threads: int, work: WorkDir) -> Counts:
    """Of an earlier run, which may have ended just before it said where its counts are from."""
    counts = Counts.load(folder)
    if not counts.provenance:
        tokens_read = job.source.total or counts.n_tokens
        counts = replace(counts, provenance=job.provenance(threads, 0.0, tokens_read))
        counts.save(folder)
    work.finish()
    return counts


def _opened(folder: Path, job: Job, resume: bool) -> WorkDir:
    plan = job.plan()
    if resume and plan["sources"] is None:
        raise ArgumentError(
            f"resume: expected False for {job.source.name}, as nothing tells whether an iterable "
            "is the same as before, got True"
        )
    return WorkDir.opened(folder, plan, resume)


def _checked_folder(work_dir: Any, resume: Any, checkpoint_seconds: Any) -> Path | None:
    if work_dir is None:
        for name, given in (("resume", resume), ("checkpoint_seconds", checkpoint_seconds)):
            if given:
                raise ArgumentError(f"{name}: expected a work_dir with it, got {given!r} alone")
        return None
    if not isinstance(work_dir, (str, os.PathLike)):
        raise ArgumentTypeError(
            f"work_dir: expected the path of a folder, got {type(work_dir).__name__} {work_dir!r}"
        )
    _seconds(checkpoint_seconds)
    return Path(work_dir)


def _seconds(given: Any) -> float:
    if given is None:
        return SECONDS
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise ArgumentTypeError(
            f"checkpoint_seconds: expected a number, got {type(given).__name__} {given!r}"
        )
    if not 0 <= given < math.inf:
        raise ArgumentError(f"checkpoint_seconds: expected at least 0, got {given!r}")
    return float(given)
