"""`distributed.count`: `probsig_fast.count` on the workers of a Dask cluster."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike, DTypeLike

from ..arguments import integer
from ..budget import memory_budget
from ..counting.job import Job
from ..counts import Counts
from ..errors import ArgumentError, ArgumentTypeError, BackendError, EosNeverOccursWarning
from ..progress import progress_bar
from ..relations import Next, Prefix, Relation
from ..row_files import new_folder
from ..sources import open_source
from .cluster import Client, Cluster, dask
from .result import Result, collected
from .run import Run

#: Parts that are merged at once.
FAN_IN = 8
#: Without chunks_per_task: chunks of a task at most, and tasks for each thread at least, if there
#: are tokens enough; but chunks are not made smaller than this for it.
_MOST_CHUNKS, _TASKS_PER_THREAD, _SMALLEST_CHUNK = 8, 4, 2**20


def count(
    tokens: Any,
    relation: Relation | None = None,
    *,
    client: Client,
    vocab_size: int | None = None,
    eos: int | None = None,
    count_eos: bool = True,
    ignore_ids: Iterable[int] = (),
    sequence_length: int | None = None,
    offsets: ArrayLike | None = None,
    join_files: bool = False,
    dtype: DTypeLike | None = None,
    backend: str | None = None,
    chunk_tokens: int | None = None,
    chunks_per_task: int | None = None,
    fan_in: int = FAN_IN,
    row_ranges: int | None = None,
    memory: int | str | None = None,
    work_dir: str | Path | None = None,
    focus: Iterable[int] | None = None,
    format: str | None = None,
    progress: bool | None = None,
) -> Counts:
    """Count on a Dask cluster: the same counts, byte for byte, as `probsig_fast.count`.

    Each task counts some consecutive chunks in one thread, and a worker runs as many tasks as it
    has threads. The parts are merged in trees, `fan_in` at a time; parts that grow large are cut in
    row ranges, each of which is merged for itself, so that no worker needs the whole table. Tasks
    are pure: those of a worker that is lost run again elsewhere, and nothing counts twice. The
    merged parts that it held are counted anew as well. Where there are no workers yet, it waits.

    Files are read by the workers, at the same paths as here (relative ones are made absolute): a
    file system that all machines share, or copies, which are compared with the client's by size and
    sampled pages. The client reads a little of each chunk, to plan. Arrays, iterables and sources
    that make tokens as they go (text, tables) are read by the client and sent through the
    scheduler, which holds what was sent until the end, 4 GiB at most: tokenise first, into files.

    Args:
        client: of any cluster: `LocalCluster`, SLURM, Kubernetes. The package and its versions must
            be the same on the client, the scheduler and the workers. Dask sends pickles: use it
            among machines that trust each other, or with TLS.
        backend: as for `probsig_fast.count`; all machines must have it. "native_cuda" is refused.
        chunk_tokens: as there; None suits the memory of a task.
        chunks_per_task: None: 8, or fewer where that gives each thread too few tasks. Tasks that
            find their memory too small are run again as two smaller ones.
        fan_in: how many parts are merged at once, at most.
        row_ranges: cut the counts of each task in about so many row ranges from the start; None:
            as they grow.
        memory: bytes (or a text as `"4GB"`) that each task may take; None: half of a worker's
            limit, shared among its threads (2 GB a worker where it has no limit).
        work_dir: a new or empty folder on the client, for the row ranges of counts that are too
            large for its memory; `Counts.load` opens it. None: the counts come to its memory.
        tokens, relation, vocab_size, eos, count_eos, ignore_ids, sequence_length, offsets,
        join_files, dtype, focus, format, progress: as for `probsig_fast.count`.

    Returns:
        `Counts`.

    Raises:
        ClusterError: the cluster is lost, its workers die, lack the package, or have another
            version of it.
        SourceNotFoundError, SourceError: also where a worker does not see the client's file.
        ArgumentError, TokenRangeError, CountOverflowError, ...: as `probsig_fast.count`; of several
            failures that of the first chunk.
        MemoryLimitError: a task of the smallest chunk passes its memory, or the counts pass the
            client's and there is no `work_dir`.

    Warns:
        EosNeverOccursWarning: no token is `eos`.

    Cost: work as for `probsig_fast.count`, and O(tasks) messages; each entry is sent about
    log(tasks) / log(fan_in) times. The tasks stay with the scheduler until the end: some kB each,
    with 8 bytes for each document in it. There is no `resume`: a client that dies loses the count.
    """
    cluster = _checked_client(client)
    chunks_per_task = _optional("chunks_per_task", chunks_per_task)
    fan_in = integer("fan_in", fan_in, 2)
    row_ranges = _optional("row_ranges", row_ranges) or 1
    task_memory = cluster.task_memory() if memory is None else memory_budget(memory)
    folder = None if work_dir is None else new_folder("work_dir", work_dir)
    source = open_source(tokens, dtype=dtype, offsets=offsets, join_files=join_files, format=format)
    if getattr(source, "device", None) is not None or backend == "native_cuda":
        raise BackendError("backend: a cluster counts tokens in host memory: pass tokens.cpu()")
    job = Job.checked(
        source,
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
        1,
        task_memory,
    )
    if chunk_tokens is None:
        job = _shared_out(job, cluster.threads)
    started = time.perf_counter()
    with progress_bar(source.total, "tok", progress) as advance:
        most = _task_tokens(job, chunks_per_task, cluster.threads)
        run = Run(client, job, task_memory, most, fan_in, row_ranges, advance)
        result = collected(job, run.parts(), run.totals, folder)
    if job.boundaries.eos is not None and result.tally.n_read and not result.tally.eos_seen:
        warnings.warn(
            f"eos: no token of {source.name} has id {job.boundaries.eos}, so it closed no sequence",
            EosNeverOccursWarning,
            stacklevel=2,
        )
    cluster = Cluster(client)  # as it is now
    provenance = job.provenance(cluster.threads, time.perf_counter() - started, result.tally.n_read)
    counts = _counts(job, result, {**provenance, "workers": cluster.workers})
    if folder is not None:
        counts.save(folder)  # the index, by which the folder is counts
    return counts


def _counts(job: Job, result: Result, provenance: dict[str, Any]) -> Counts:
    tally = result.tally
    return Counts.from_table(
        result.table,
        job.relation,
        job.boundaries,
        tally.counted,
        tally.n_sequences,
        provenance,
        label_count=tally.unigram - tally.starts if isinstance(job.relation, Prefix) else None,
        third=result.third,
    )


def _checked_client(client: Any) -> Cluster:
    if not isinstance(client, dask().Client):
        raise ArgumentTypeError(
            f"client: expected a dask.distributed.Client, got {type(client).__name__} {client!r}"
        )
    if client.asynchronous or client.status != "running":
        raise ArgumentError(
            "client: expected one that is connected, and not asynchronous, got "
            f"{'an asynchronous one' if client.asynchronous else client.status}"
        )
    return Cluster(client)


def _optional(name: str, value: int | None) -> int | None:
    return None if value is None else integer(name, value, 1)


def _shared_out(job: Job, threads: int) -> Job:
    """The job with smaller chunks, where otherwise threads would have nothing to do."""
    if job.source.total is None:
        return job
    fair = -(-job.source.total // (_TASKS_PER_THREAD * threads))
    return replace(job, chunk_tokens=min(job.chunk_tokens, max(fair, _SMALLEST_CHUNK)))


def _task_tokens(job: Job, chunks_per_task: int | None, threads: int) -> int:
    if chunks_per_task is None:
        chunks = -(-(job.source.total or 0) // job.chunk_tokens)
        chunks_per_task = min(max(chunks // (_TASKS_PER_THREAD * threads), 1), _MOST_CHUNKS)
    return job.chunk_tokens * chunks_per_task
