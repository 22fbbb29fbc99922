"""Which parts are added up, and when: trees of merges over row ranges that divide as they grow.

Every part is of one row range. Parts of a range are merged a few at a time, level by level. A part
that has grown past a share of a worker's memory is cut in ranges of its own, and so is whatever of
the wider range comes after it: so no task ever holds more than a few such shares, however large
the whole is. This only decides; what it asks for is done elsewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, Protocol, TypeVar

Handle = TypeVar("Handle")


@dataclass(frozen=True)
class Part(Generic[Handle]):
    """Rows [begin, end) of the counts of some chunks, wherever they are.

    Attributes:
        level: of the merges that made it.
        cuts: rows at which to cut it, if it is too large (or was asked for so).
    """

    handle: Handle
    begin: int
    end: int
    level: int
    nbytes: int
    entries: int
    cuts: tuple[int, ...] = ()


class Work(Protocol[Handle]):
    """Who does the work."""

    def add(self, parts: Sequence[Part[Handle]], level: int) -> None:
        """Sum parts of the same rows; the sum is given to `Reduction.arrive` once it is there."""

    def cut(self, part: Part[Handle], begin: int, end: int) -> Handle:
        """Rows [begin, end) of a part, which need not be there yet."""


@dataclass
class _Range(Generic[Handle]):
    """A row range, the parts that wait in it by level, and the ranges that it is divided in."""

    begin: int
    end: int
    waiting: dict[int, list[Part[Handle]]] = field(default_factory=lambda: defaultdict(list))
    divided: list[_Range[Handle]] = field(default_factory=list)

    def taken(self) -> list[Part[Handle]]:
        """All that waits, the smallest first; nothing waits afterwards."""
        parts = [part for level in self.waiting.values() for part in level]
        self.waiting.clear()
        return sorted(parts, key=lambda part: part.nbytes)


class Reduction(Generic[Handle]):
    """All parts of one count.

    Args:
        rows: of the whole.
        fan_in: parts that are merged at once, at most.
        most: bytes that parts of one merge may take, more or less; two are merged whatever they
            take.
    """

    def __init__(self, rows: int, fan_in: int, most: int, work: Work[Handle]) -> None:
        self._fan_in, self._most, self._work = fan_in, most, work
        self._root: _Range[Handle] = _Range(0, rows)
        self._ranges = {(0, rows): self._root}

    def arrive(self, part: Part[Handle]) -> None:
        """A part that is there."""
        place = self._ranges[part.begin, part.end]
        if part.cuts:
            self._divide(place, part.cuts)
            self._hand_down(place, part)
            return
        level = place.waiting[part.level]
        level.append(part)
        is_much = sum(each.nbytes for each in level) >= self._most
        if len(level) >= self._fan_in or (len(level) > 1 and is_much):
            place.waiting[part.level] = []
            self._work.add(level, part.level + 1)

    def finish(self) -> bool:
        """When all has arrived: ask for what is still to do. Whether there was anything."""
        is_busy = False
        for place in self._all(self._root):
            if not place.divided and sum(map(len, place.waiting.values())) < 2:
                continue
            for group in self._groups(place):
                is_busy = True
                if place.divided:
                    self._hand_down(place, group[0])
                elif len(group) > 1:
                    self._work.add(group, max(part.level for part in group) + 1)
                else:
                    place.waiting[group[0].level].append(group[0])
        return is_busy

    def result(self) -> list[Part[Handle]]:
        """Once `finish` has nothing to do: one part for each row range, in order; no part where
        nothing was counted."""
        leaves = [place for place in self._all(self._root) if not place.divided]
        return [part for place in leaves for part in place.taken()]

    def dropped(self) -> list[Part[Handle]]:
        """All that waits: nothing is to come of it."""
        return [part for place in self._all(self._root) for part in place.taken()]

    def _groups(self, place: _Range[Handle]) -> Iterator[list[Part[Handle]]]:
        """What waits, in groups of which each is to be one part."""
        group: list[Part[Handle]] = []
        for part in place.taken():
            size = sum(each.nbytes for each in group) + part.nbytes
            if (
                place.divided
                or len(group) == self._fan_in
                or (len(group) > 1 and size > self._most)
            ):
                if group:
                    yield group
                group = []
            group.append(part)
        if group:
            yield group

    def _divide(self, place: _Range[Handle], cuts: Sequence[int]) -> None:
        if place.divided:
            return
        for begin, end in pairwise([place.begin, *cuts, place.end]):
            place.divided.append(_Range(begin, end))
            self._ranges[begin, end] = place.divided[-1]

    def _hand_down(self, place: _Range[Handle], part: Part[Handle]) -> None:
        share = len(place.divided)  # about: nobody waits to hear how large the parts became
        for each in place.divided:
            self.arrive(
                Part(
                    self._work.cut(part, each.begin, each.end),
                    each.begin,
                    each.end,
                    part.level,
                    part.nbytes // share,
                    part.entries // share,
                )
            )

    def _all(self, place: _Range[Handle]) -> Iterator[_Range[Handle]]:
        """Ranges in order of their rows, each before those that it is divided in."""
        yield place
        for each in place.divided:
            yield from self._all(each)
