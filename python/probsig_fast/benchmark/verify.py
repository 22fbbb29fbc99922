"""Before anything is timed: every contender does its task, and all answers are the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BenchmarkError
from . import limits
from .contender import Answer, Contender, Job
from .corpora import Corpus
from .ours import reference
from .tasks import LIMITS, Task


@dataclass
class Entry:
    """A contender at a task, and what was found.

    Attributes:
        skipped: why it was not timed; None if it was.
        first: seconds of the call that was verified.
        total, distinct: the sum of all counts, and how many are not zero.
        seconds: of each timed round.
        peak, result: bytes of memory beyond the tokens at most, and of what it returned.
    """

    contender: Contender
    job: Job
    prepared: Any = None
    skipped: str | None = None
    first: float = 0.0
    total: int = 0
    distinct: int | None = None
    seconds: list[float] = field(default_factory=list)
    peak: int | None = None
    result: int | None = None

    def run(self) -> Any:
        return self.contender.run(self.job, self.prepared)


def entries(
    task: Task,
    corpus: Corpus,
    contenders: tuple[Contender, ...],
    threads: int,
    folder: Path,
    without_slow: bool = False,
) -> list[Entry]:
    """The contenders of a task, in order; those that cannot run say why."""
    made = []
    for each in contenders:
        job = each.job(task, corpus, threads, folder)
        left_out = "takes too long for --quick" if without_slow and each.slow else None
        made.append(Entry(each, job, skipped=left_out or each.missing(job)))
    return made


def verify(task: Task, among: list[Entry], advance: Callable[[int], object]) -> None:
    """Compare our backends with the definition on the first tokens, and all contenders with the
    first of ours on all tokens that each is given; then they are warm, and what they need is made.
    A peer that fails is skipped.

    Raises:
        BenchmarkError: an answer differs; names the task and the contender.
    """
    expected = _Expected(task, among)
    for entry in sorted(among, key=lambda each: not each.contender.is_ours):
        # What is prepared for others takes memory, too.
        entry.skipped = entry.skipped or entry.contender.missing(entry.job)
        if entry.skipped is None:
            try:
                _verify(entry, expected)
            except BenchmarkError:
                raise
            except Exception as error:  # whatever a peer may raise
                if entry.contender.is_ours:
                    raise
                entry.skipped = f"failed: {type(error).__name__}: {error}"
                entry.prepared = None
        advance(1)


def _verify(entry: Entry, expected: _Expected) -> None:
    contender, job = entry.contender, entry.job
    task = job.task
    if contender.is_ours:
        small = Job(task, job.corpus.first(task.reference), job.threads, job.folder)
        _compare(
            _answer(contender, small), expected.of_prefix(small), contender, small, "reference"
        )
    entry.prepared = contender.prepare(job)
    began = time.perf_counter()
    result = entry.run()
    entry.first = time.perf_counter() - began
    got = contender.answer(job, result)
    del result
    _compare(got, expected.of_whole(job, contender, got), contender, job, expected.told_by)
    entry.total, entry.distinct = got.total, got.distinct


def _compare(got: Answer, expected: Answer, contender: Contender, job: Job, whose: str) -> None:
    if not got.agrees(expected):
        raise BenchmarkError(
            f"{job.task.name}, {job.tokens.size:,} tokens of {job.corpus.name}: "
            f"{contender.name} ({job.threads} threads): expected {expected} as {whose} has, "
            f"got {got}"
        )


class _Expected:
    """Answers to compare with, each made once."""

    def __init__(self, task: Task, among: list[Entry]) -> None:
        ready = [each.contender for each in among if each.skipped is None]
        mine = [each for each in ready if each.is_ours]
        self._first = next(iter(mine or ready), None)
        self._is_limit = task.kind == LIMITS
        self.told_by = "NumPy" if self._is_limit else getattr(self._first, "name", "")
        self._prefix: Answer | None = None
        self._whole: dict[int, Answer] = {}

    def of_prefix(self, job: Job) -> Answer:
        if self._prefix is None:
            self._prefix = _answer(reference(), job)
        return self._prefix

    def of_whole(self, job: Job, contender: Contender, got: Answer) -> Answer:
        """That of our first backend; `got` itself where it is the first to answer."""
        if self._is_limit:
            return limits.expected(job, contender.name)
        size = job.tokens.size
        if size not in self._whole:
            assert self._first is not None
            same = contender is self._first
            self._whole[size] = got if same else _answer(self._first, job)
        return self._whole[size]


def _answer(contender: Contender, job: Job) -> Answer:
    return contender.answer(job, contender.run(job, contender.prepare(job)))
