"""From a source's chunks to tasks that can be sent."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..budget import size_text
from ..counting.job import Job
from ..counting.plan import Slice
from ..errors import ArgumentError
from ..sources import Part
from ..sources.remote import lasting
from .excerpt import excerpt, halved
from .tasks import FileMark, Task, light, packed

#: Bytes of tokens in memory that may be sent: the scheduler holds them until the end, as a task may
#: have to run again.
MOST_SENT = 2**32


@dataclass(frozen=True)
class Chunk:
    """A chunk of the plan, or a part of one.

    Attributes:
        number: of the chunk in the plan.
    """

    number: int
    owned: Slice

    @property
    def core(self) -> int:
        return self.owned.core

    @property
    def place(self) -> tuple[float, int]:
        return self.number, self.owned.begin


def grouped(chunks: Iterable[Chunk], most: Callable[[], int], job: Job) -> Iterator[list[Chunk]]:
    """Consecutive chunks for one task each, of `most()` tokens; larger ones are halved.

    Where `chunks` fails, those before it come first: one of them may fail, too.
    """
    group: list[Chunk] = []
    tokens = 0
    failed: Exception | None = None
    source = iter(chunks)
    while True:
        try:
            chunk = next(source, None)
        except Exception as error:
            chunk, failed = None, error
        if chunk is None:
            break
        for each in _small(chunk, most(), job):
            if group and tokens + each.core > most():
                yield group
                group, tokens = [], 0
            group.append(each)
            tokens += each.core
    if group:
        yield group
    if failed is not None:
        raise failed


def _small(chunk: Chunk, most: int, job: Job) -> Iterator[Chunk]:
    if chunk.core <= max(most, 1):
        yield chunk
        return
    for half in halved(chunk.owned, job.boundaries, job.chunk_tokens):
        yield from _small(Chunk(chunk.number, half), most, job)


class Sender:
    """Makes the tasks of one count."""

    def __init__(self, job: Job, memory: int) -> None:
        self._job, self._memory = job, memory
        self._files = {str(entry["path"]) for entry in job.source.describe() if "path" in entry}
        self._marks: dict[str, FileMark] = {}
        self._sent = 0

    def chunks(self) -> Iterator[Chunk]:
        """The chunk plan."""
        for number, owned in enumerate(self._job.slices()):
            yield Chunk(number, owned)

    def packed(self, chunks: list[Chunk]) -> bytes:
        """A task that counts these.

        Raises:
            ArgumentError: too many tokens are held in memory, or the source cannot be sent.
        """
        job = self._job
        slices = tuple(excerpt(each.owned, job.relation, job.boundaries) for each in chunks)
        parts = [part for owned in slices for part in owned.stream.parts]
        names = {part.name for part in parts if not _is_held(part)}
        marks = tuple(self._mark(name) for name in sorted(names & self._files))
        self._check_sent(parts)
        return self._packed(Task(light(job, slices), slices, self._memory, marks))

    def _packed(self, task: Task) -> bytes:
        try:
            return packed(task)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ArgumentError(
                "tokens: expected a source that can be sent to workers, got "
                f"{self._job.source.name}: {error}"
            ) from error

    def _check_sent(self, parts: list[Part]) -> None:
        self._sent += sum(part.size * part.dtype.itemsize for part in parts if _is_held(part))
        if self._sent > MOST_SENT:
            raise ArgumentError(
                f"tokens: expected at most {size_text(MOST_SENT)} that are no files (the scheduler "
                f"holds them until the end), got more from {self._job.source.name}: write them to "
                "files that all machines see (probsig tokenize, numpy.save), and count these"
            )

    def _mark(self, name: str) -> FileMark:
        if name not in self._marks:
            self._marks[name] = FileMark.of(lasting(name))
        return self._marks[name]


def _is_held(part: Part) -> bool:
    """Whether the tokens lie in memory, and so in the task."""
    opened = part.open
    return isinstance(opened, partial) and any(isinstance(a, np.ndarray) for a in opened.args)
