"""`Contender`: one way to do a task, and `Answer`: what all of them must agree on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..budget import available, size_text
from .corpora import Corpus
from .tasks import Task


@dataclass(frozen=True)
class Answer:
    """A table of counts, or as much of it as a contender tells.

    Attributes:
        total: the sum of all counts.
        distinct: how many are not zero; None: not told.
        digest: of the sorted table; None: not told. Two tables at once would be too much memory.
    """

    total: int
    distinct: int | None = None
    digest: str | None = None

    def agrees(self, other: Answer) -> bool:
        """Whether nothing that both tell differs."""
        pairs = (
            (self.total, other.total),
            (self.distinct, other.distinct),
            (self.digest, other.digest),
        )
        return all(a == b or a is None or b is None for a, b in pairs)

    def __str__(self) -> str:
        distinct = "" if self.distinct is None else f"{self.distinct:,} distinct pairs, "
        digest = "" if self.digest is None else f" (table {self.digest[:8]})"
        return f"{distinct}{self.total:,} in all{digest}"


def answer(indptr: NDArray[Any], indices: NDArray[Any], counts: NDArray[Any]) -> Answer:
    """Of a CSR table with sorted columns and no zeros, whatever its integer types."""
    digest = hashlib.blake2b(digest_size=16)
    for array, dtype in ((indptr, np.int64), (indices, np.int32), (counts, np.int64)):
        for begin in range(0, array.size, 2**24):
            part = array[begin : begin + 2**24]
            digest.update(np.ascontiguousarray(part, dtype).data)
    return Answer(int(counts.sum(dtype=np.int64)), indices.size, digest.hexdigest())


def answer_of_keys(keys: NDArray[Any], counts: NDArray[Any], base: int, vocab_size: int) -> Answer:
    """Of counts by the key row * base + column, in any order."""
    if keys.size and (keys[1:] <= keys[:-1]).any():
        order = np.argsort(keys)
        keys, counts = keys[order], counts[order]
    rows, columns = np.divmod(keys, keys.dtype.type(base))
    per_row = np.bincount(rows.astype(np.int64), minlength=vocab_size)
    return answer(np.concatenate([[0], np.cumsum(per_row)]), columns, counts)


@dataclass(frozen=True)
class Job:
    """What a contender is given: a task, the tokens, how many threads, and a folder to write to."""

    task: Task
    corpus: Corpus
    threads: int
    folder: Path

    @property
    def tokens(self) -> NDArray[Any]:
        return self.corpus.tokens


def _nothing(job: Job) -> None:
    return None


@dataclass(frozen=True)
class Contender:
    """One way to do a task.

    Attributes:
        name: as in the table.
        kinds: of the tasks that it does: names of relations.
        run: of the job and what `prepare` gave; the timed part.
        answer: of the job and what `run` gave.
        prepare: what it is given beside the tokens; not timed.
        threads: 1, or None for all that it is allowed.
        package: that it needs, and that may not be installed.
        reason: why it cannot run, whatever the task; None if it can.
        bytes_needed: beside the tokens, about; of the job.
        most: pairs (tokens times the task's reach) that it is given at most: more take minutes.
        slow: left out of a quick run.
        is_ours: a backend of this package.
        is_outside: another program does the work, so that its memory is its own.
    """

    name: str
    kinds: tuple[str, ...]
    run: Callable[[Job, Any], Any]
    answer: Callable[[Job, Any], Answer]
    prepare: Callable[[Job], Any] = _nothing
    threads: int | None = 1
    package: str | None = None
    reason: str | None = None
    bytes_needed: Callable[[Job], float] = lambda job: 0
    most: int | None = None
    slow: bool = False
    is_ours: bool = False
    is_outside: bool = False

    def missing(self, job: Job) -> str | None:
        """Why it cannot do this job here; None if it can."""
        if self.reason is not None:
            return self.reason
        if self.package is not None and find_spec(self.package) is None:
            return f"{self.package} is not installed: pip install 'probsig-fast[peers]'"
        needed, there = self.bytes_needed(job), available()
        if needed > there:
            return f"needs {size_text(int(needed))} of memory, {size_text(there)} is free"
        return None

    def job(self, task: Task, corpus: Corpus, threads: int, folder: Path) -> Job:
        """The task on as many tokens as this contender is given."""
        own = None if self.most is None else -(-self.most // task.reach)
        limits = [each for each in (task.most, own) if each is not None]
        part = corpus.first(min(limits, default=None))
        return Job(task, part, self.threads or threads, folder)
