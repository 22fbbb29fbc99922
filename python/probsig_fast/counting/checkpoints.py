"""When the work of a count is saved in its `work_dir`, and what was saved there before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

from .. import files
from ..budget import give_back
from ..errors import WorkDirError
from ..files import INT64, Stream
from ..runs import Run, RunWriter, open_run
from ..work_dir import WorkDir
from .job import Tally
from .plan import Slice

#: Seconds of work that a crash may cost at most, where the user does not say.
SECONDS = 60.0
#: Saving may take such a share of all time at most: large counts are saved less often.
_SHARE = 0.1


class Chunks:
    """The chunks of a count, in turns: between two of them nothing is under way.

    Attributes:
        done: how many were given out so far.
        is_over: there are no more.
    """

    def __init__(
        self, slices: Iterable[Slice], done: int, advance: Callable[[int], object]
    ) -> None:
        self._slices = iter(slices)
        self.done = done
        self.is_over = False
        for owned in islice(self._slices, done):
            advance(owned.core)

    def turn(self, is_due: Callable[[], bool]) -> Iterator[Slice]:
        """At least one chunk, and more until something is due."""
        for owned in self._slices:
            self.done += 1
            yield owned
            if is_due():
                return
        self.is_over = True

    def look_ahead(self) -> None:
        """Find out whether the last chunk was the last."""
        following = next(self._slices, None)
        if following is None:
            self.is_over = True
        else:
            self._slices = chain([following], self._slices)


class Checkpoints:
    """What is saved of a count in its `work_dir`.

    Args:
        work: None: nothing is ever saved.
        seconds: between two of them, at least; 0: after every chunk.

    Attributes:
        work: the folder.
        chunks: how many chunks the saved work covers.
    """

    def __init__(self, work: WorkDir | None, seconds: float = SECONDS) -> None:
        self.work, self._seconds = work, seconds
        state = self._state()
        self.chunks = int(state.get("chunks", 0))
        self._number = int(state.get("number", 0))
        self._last, self._cost = time.monotonic(), 0.0

    @property
    def is_due(self) -> bool:
        if self.work is None:
            return False
        since = time.monotonic() - self._last
        return not self._seconds or since >= max(self._seconds, self._cost / _SHARE)

    def run(
        self,
        slices: Iterable[Slice],
        advance: Callable[[int], object],
        tally: Tally,
        count: Callable[[Iterator[Slice]], None],
        is_full: Callable[[], bool],
        save: Callable[[], dict[str, list[Run]]],
    ) -> None:
        """Count all chunks that were not saved before, and save in between.

        Args:
            advance: is told of the tokens that were saved before.
            tally: what `count` adds to.
            count: counts some chunks; nothing is under way when it returns.
            is_full: whether memory asks for saving.
            save: all sums so far as runs; raises where there is no folder for them.
        """
        chunks = Chunks(slices, self.chunks, advance)
        while not chunks.is_over:
            count(chunks.turn(lambda: self.is_due or is_full()))
            if self.work is None:  # then saving is an error, which the last chunk does not need
                chunks.look_ahead()
            if not chunks.is_over:
                began = time.monotonic()
                self.commit(chunks.done, tally, save(), began)

    def tally(self, vocab_size: int) -> Tally:
        """What was summed beside the counts.

        Raises:
            WorkDirError: a tally of another vocabulary.
        """
        tally = Tally.empty(vocab_size)
        state = self._state()
        if not state or self.work is None:
            return tally
        path = self.work.folder / state["tally"]
        arrays, _ = files.read_arrays(path)
        for name, array in tally.arrays().items():
            if name not in arrays or arrays[name].size != array.size:
                raise WorkDirError(f"{path}: expected {array.size} numbers as {name}: damaged")
            array[:] = arrays[name]
        tally.n_sequences, tally.n_read = int(state["n_sequences"]), int(state["n_read"])
        tally.eos_seen = bool(state["eos_seen"])
        return tally

    def runs(self, group: str) -> list[Run]:
        """The runs of one table, as they were saved."""
        names = self._state().get("runs", {}).get(group, [])
        return [open_run(self.work, name) for name in names] if self.work else []

    def writer(self, columns: int, is_triangle: bool) -> RunWriter:
        """For a run of a name of its own."""
        assert self.work is not None
        self._number += 1
        return RunWriter(self.work, f"run-{self._number:06}", columns, is_triangle)

    def commit(self, chunks: int, tally: Tally, runs: dict[str, list[Run]], began: float) -> None:
        """The work on the first `chunks` chunks is what these say.

        Args:
            began: `time.monotonic()` when saving began.
        """
        assert self.work is not None
        self._number += 1
        name = f"tally-{self._number:06}.safetensors"
        arrays = {key: Stream.of(array, INT64) for key, array in tally.arrays().items()}
        self.work.record({name: files.write_arrays(self.work.folder / name, arrays, {})})
        state = {
            "chunks": chunks,
            "number": self._number,
            "tally": name,
            "n_sequences": tally.n_sequences,
            "n_read": tally.n_read,
            "eos_seen": tally.eos_seen,
            "runs": {group: [run.name for run in each] for group, each in runs.items()},
        }
        self.work.commit(
            state, [name, *(f for each in runs.values() for r in each for f in r.files)]
        )
        give_back()
        self.chunks, self._last = chunks, time.monotonic()
        self._cost = self._last - began

    def _state(self) -> dict[str, Any]:
        return (self.work.state if self.work else None) or {}
