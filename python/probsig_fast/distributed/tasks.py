"""What runs on workers: functions of their arguments alone, which can run again anywhere."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from ..counting.job import Job
from ..counting.part import count_part
from ..counting.plan import Slice
from ..errors import BackendError, ClusterError, SourceError, SourceNotFoundError
from ..kernels.contract import Kernels
from ..kernels.registry import choose
from ..pool import WorkerPool
from ..sources import Stream
from ..sources.fingerprint import file_fingerprint
from ..version import __version__
from .failures import not_found
from .rows import Rows, Sizes, added


@dataclass(frozen=True)
class Origin:
    """What a job says of its source where only chunks of it are at hand."""

    name: str
    total: int
    vocab_size: int
    inputs_only: bool
    device: None = None

    def streams(self) -> Iterator[Stream]:
        raise AssertionError("a task has chunks, and no source")

    def describe(self) -> list[dict[str, Any]]:
        return []

    def fingerprint(self) -> None:
        """None: a task does not resume."""


@dataclass(frozen=True)
class Task:
    """Some consecutive chunks to count.

    Attributes:
        memory: bytes that the count may take.
        files: the files that the chunks lie in, and what tells them from others of their name.
    """

    job: Job
    slices: tuple[Slice, ...]
    memory: int
    files: tuple[FileMark, ...] = ()


@dataclass(frozen=True)
class FileMark:
    """What is the same of a file on all machines: its size and sampled pages, not its time."""

    path: str
    bytes: int
    pages: str

    @classmethod
    def of(cls, path: str) -> FileMark:
        found = file_fingerprint(path)
        return cls(path, found["bytes"], found["pages"])


def packed(task: Task) -> bytes:
    """As it is sent; kernels are loaded where it arrives."""
    return pickle.dumps(task, protocol=5)


def count_task(packed_task: bytes, version: str) -> Rows:
    """The counts of a task.

    Raises:
        ClusterError: another version of this package made the task.
        SourceNotFoundError, SourceError: the worker finds no such file, or another one.
        BackendError: the worker lacks the backend.
        MemoryLimitError: more than `memory` is needed.
        TokenRangeError, ...: as `probsig_fast.count` does.
    """
    if version != __version__:
        raise ClusterError(
            f"client: expected probsig_fast {version} on all machines, as here, "
            f"got {__version__} on worker {worker_name()}"
        )
    try:
        task = pickle.loads(packed_task)
    except BackendError as error:
        raise BackendError(f"{error} (on worker {worker_name()})") from error
    try:
        for mark in task.files:
            _check_file(mark)
        with WorkerPool(1) as pool:
            part = count_part(task.job, task.slices, pool, task.memory)
    except SourceNotFoundError as error:
        raise not_found(error, worker_name()) from error
    return Rows.of(part.entries, part.tally, part.third)


def add_task(backend: str, *parts: Rows) -> Rows:
    """The sum of the same rows of several parts."""
    return added(parts, _kernels(backend))


def cut_task(part: Rows, begin: int, end: int) -> Rows:
    """Rows [begin, end) of a part."""
    return part.between(begin, end)


def size_task(part: Rows, most: int, parts: int) -> Sizes:
    return part.sizes(most, parts)


def worker_name() -> str:
    """The address of the worker that runs this."""
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except ValueError:  # outside a worker
        return "(none)"


@cache
def _kernels(backend: str) -> Kernels:
    return choose(backend).load()


def _check_file(mark: FileMark) -> None:
    """Another file of that name would be counted as if it were the caller's."""
    got = _mark_here(mark.path, os.stat(mark.path).st_mtime_ns if os.path.exists(mark.path) else 0)
    if got != mark:
        raise SourceError(
            f"tokens: expected {mark.path} to be the same file on all machines, got another "
            f"({got.bytes} bytes, where the client's has {mark.bytes}) on worker {worker_name()}"
        )


@cache
def _mark_here(path: str, modified_ns: int) -> FileMark:
    return FileMark.of(path)


def light(job: Job, slices: Iterable[Slice]) -> Job:
    """The job without its source, which may hold all tokens."""
    source = job.source
    total = sum(owned.core for owned in slices)
    inputs_only = bool(getattr(source, "inputs_only", False))
    return replace(job, source=Origin(source.name, total, job.vocab_size, inputs_only))
