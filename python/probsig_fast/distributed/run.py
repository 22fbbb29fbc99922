"""One count on a cluster: tasks out, sizes in, parts to the reduction, failures to the caller."""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import Any

from ..counting.job import Job
from ..version import __version__
from .cluster import Client, Future
from .failures import told
from .landing import Landing, landing
from .reduction import Part, Reduction
from .rows import Sizes
from .sending import Chunk, Sender, grouped
from .tasks import add_task, count_task, cut_task, size_task

#: Tasks that wait for a thread of the cluster, and tasks at least: the client looks so far ahead.
_AHEAD, _AHEAD_LEAST = 2, 32
#: Seconds after which the client asks again how many threads there are.
_ASK_AGAIN = 5.0
#: Shares of a task's memory: what the parts of one merge may take (in 32 bits; 64 while they are
#: added), and a part before it is cut.
_MERGE_SHARE, _PART_SHARE = 1 / 6, 1 / 12
#: Chunks are not made smaller than this where memory is short.
SMALLEST_CHUNK = 2**12
#: What frees memory goes first.
_PRIORITIES = {"count": 0, "add": 1, "cut": 2, "size": 3}


@dataclass
class Totals:
    """What is summed beside the counts and is no array."""

    n_sequences: int = 0
    n_read: int = 0
    eos_seen: bool = False

    def add(self, sizes: Sizes) -> None:
        self.n_sequences += sizes.n_sequences
        self.n_read += sizes.n_read
        self.eos_seen |= sizes.eos_seen


@dataclass
class _Flight:
    """A task whose size is awaited.

    Attributes:
        chunks: what it counts; empty for a merge.
    """

    handle: Future
    begin: int
    end: int
    level: int
    chunks: list[Chunk] = field(default_factory=list)

    @property
    def place(self) -> tuple[float, int]:
        """Where its first chunk stands among all."""
        return self.chunks[0].place if self.chunks else (inf, 0)


class Run:
    """A count under way.

    Args:
        memory: bytes that a task may take.
        task_tokens: that a task counts, at most.
        fan_in: parts that are merged at once, at most.
        row_ranges: in which each task's counts are cut from the start; 1: as they grow.
        advance: told of tokens that were counted.

    Attributes:
        totals: complete once `parts` has returned.
    """

    def __init__(
        self,
        client: Client,
        job: Job,
        memory: int,
        task_tokens: int,
        fan_in: int,
        row_ranges: int,
        advance: Callable[[int], object],
    ) -> None:
        self._client, self._job, self._advance = client, job, advance
        self._task_tokens, self._row_ranges = task_tokens, row_ranges
        self._sender = Sender(job, memory)
        self._rows = job.vocab_size * (1 + len(job.focus))
        self._most = int(memory * _PART_SHARE)
        self._reduction: Reduction[Future] = Reduction(
            self._rows, fan_in, int(memory * _MERGE_SHARE), self
        )
        self._name, self._number = f"probsig-{uuid.uuid4().hex}", 0
        self._flying: dict[Future, _Flight] = {}
        self._landing: Landing | None = None
        self._failed: tuple[tuple[float, int], BaseException] | None = None
        self._threads, self._asked = 0, -inf
        self.totals = Totals()

    def parts(self) -> list[Part[Future]]:
        """Count; the sums, in ranges of rows in order, as the workers hold them.

        Raises:
            ClusterError: the cluster failed.
            ProbsigError: what the tasks raised; of several, that of the first chunk.
        """
        try:
            with landing() as self._landing:
                return self._parts(self._landing)
        except BaseException:
            self._cancel(self._flying)
            self._drop([part.handle for part in self._reduction.dropped()])
            raise

    # What the reduction asks for

    def add(self, parts: Sequence[Part[Future]], level: int) -> None:
        first = parts[0]
        handles = [part.handle for part in parts]
        handle = self._submit("add", add_task, self._job.backend, *handles)
        self._await(_Flight(handle, first.begin, first.end, level))

    def cut(self, part: Part[Future], begin: int, end: int) -> Future:
        return self._submit("cut", cut_task, part.handle, begin, end)

    # Inside

    def _parts(self, landing: Landing) -> list[Part[Future]]:
        chunks = grouped(self._sender.chunks(), lambda: self._task_tokens, self._job)
        while True:
            self._count_more(chunks)
            if self._failed and not any(self._before_failure()):
                raise self._failed[1]
            if self._flying:
                for future, result in landing.next():
                    self._land(future, result)
            elif not self._reduction.finish():
                return self._reduction.result()

    def _count_more(self, chunks: Iterator[list[Chunk]]) -> None:
        """Keep the workers busy, and no more than that: what is planned is held."""
        while not self._failed and self._counting() < self._ahead():
            try:
                group = next(chunks, None)
                if group is None:
                    return
                self._count(group)
            except Exception as error:  # of the source; an earlier chunk may fail yet
                self._fail((inf, 0), error)

    def _count(self, group: list[Chunk]) -> None:
        handle = self._submit("count", count_task, self._sender.packed(group), __version__)
        self._await(_Flight(handle, 0, self._rows, 0, group))

    def _await(self, flight: _Flight) -> None:
        parts = self._row_ranges if flight.chunks else 1
        future = self._submit("size", size_task, flight.handle, self._most, parts)
        self._flying[future] = flight
        assert self._landing is not None
        self._landing.expect(future)

    def _land(self, future: Future, result: Sizes | Exception) -> None:
        flight = self._flying.pop(future, None)
        if flight is None:  # cancelled
            return
        if isinstance(result, Exception):
            self._drop([future, flight.handle])
            if isinstance(result, MemoryError):  # MemoryLimitError among them
                self._count_smaller(flight, result)
            else:
                self._fail(flight.place, told(result))
            return
        if flight.chunks:
            self.totals.add(result)
            self._advance(result.n_read)
        self._reduction.arrive(
            Part(
                flight.handle,
                flight.begin,
                flight.end,
                flight.level,
                result.nbytes,
                result.entries,
                result.cuts,
            )
        )

    def _count_smaller(self, flight: _Flight, error: MemoryError) -> None:
        """Count the same chunks, and all others, in tasks of half as many tokens."""
        tokens = sum(chunk.core for chunk in flight.chunks)
        if self._failed or tokens < 2 * SMALLEST_CHUNK:
            self._fail(flight.place, error)
            return
        self._task_tokens = min(self._task_tokens, tokens // 2)
        for group in grouped(flight.chunks, lambda: self._task_tokens, self._job):
            self._count(group)

    def _fail(self, place: tuple[float, int], error: BaseException) -> None:
        """What comes after the failure is not needed any more."""
        if self._failed is None or place < self._failed[0]:
            self._failed = (place, error)
        needed = set(self._before_failure())
        self._cancel([future for future in self._flying if future not in needed])

    def _before_failure(self) -> Iterator[Future]:
        """Counts of chunks before the one that failed: they may fail, too."""
        assert self._failed is not None
        for future, flight in self._flying.items():
            if flight.chunks and flight.place < self._failed[0]:
                yield future

    def _cancel(self, futures: Iterable[Future]) -> None:
        futures = list(futures)
        self._drop([*futures, *(self._flying.pop(future).handle for future in futures)])

    def _drop(self, futures: Sequence[Future]) -> None:
        """Whoever keeps an error keeps all this; the cluster must not keep the parts as long."""
        with suppress(Exception):  # the cluster may be gone, and why is being told already
            self._client.cancel(futures)

    def _counting(self) -> int:
        return sum(bool(flight.chunks) for flight in self._flying.values())

    def _ahead(self) -> int:
        now = time.monotonic()
        if now - self._asked > _ASK_AGAIN:
            self._threads, self._asked = sum(self._client.nthreads().values()), now
        return max(_AHEAD * self._threads, _AHEAD_LEAST)

    def _submit(self, kind: str, function: Callable[..., Any], *arguments: Any) -> Future:
        self._number += 1
        with warnings.catch_warnings():
            # Tokens in memory are sent with their task, of which the user was told the price.
            warnings.filterwarnings("ignore", "Sending large graph")
            future: Future = self._client.submit(
                function,
                *arguments,
                key=f"{self._name}-{kind}-{self._number}",
                priority=_PRIORITIES[kind],
                pure=True,
            )
        return future
