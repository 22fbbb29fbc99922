"""`count_steps`: the counts as of many steps, from one read of the corpus."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..arguments import integer
from ..boundaries import Boundaries
from ..errors import ArgumentError, ArgumentTypeError, EosNeverOccursWarning
from ..progress import progress_bar
from ..relations import Relation
from ..sources import Source, Stream, open_source
from ..steps import CountSteps, delta_name, write_steps
from ..work_dir import new_or_own
from .count import count
from .job import checked_vocab_size
from .plan import last_start

_SOURCE = ("dtype", "offsets", "join_files", "format")
_RULES = ("eos", "count_eos", "ignore_ids", "sequence_length")


def count_steps(
    tokens: Any,
    relation: Relation | None = None,
    *,
    cuts: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
    work_dir: str | Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
    **arguments: Any,
) -> CountSteps:
    """Count as of many steps, reading the tokens once: what lies between two steps is counted by
    itself, and `CountSteps` adds these deltas up on demand.

    Args:
        tokens, relation, arguments: as for `count`.
        cuts: numbers of tokens, rising; the counts as of a cut are those of the tokens before it.
            Each must lie between two sequences: 0, the end of a file, document or row, after an
            `eos` or an ignored id, or at a multiple of `sequence_length` in its sequence.
        steps: in place of cuts, steps of a source that knows them (`PythiaSource`).
        work_dir: a new or empty folder for the deltas, one folder each; `CountSteps.load` opens it.
        resume: take the deltas that are there, and go on with the one that was interrupted.
        progress: a bar of the steps.

    Raises:
        ArgumentError: cuts that do not rise, lie inside a sequence or beyond the tokens; neither or
            both of `cuts` and `steps`.
        Others: as `count`.

    Cost: that of one `count` for each delta; together one read, and about the time of one count of
    the whole where a delta has many more tokens than distinct pairs.
    """
    given = {name: arguments.pop(name) for name in _SOURCE if name in arguments}
    source = open_source(tokens, **given)
    names, positions = _checked_cuts(source, cuts, steps)
    vocab_size = checked_vocab_size(source, arguments.pop("vocab_size", None))
    rules = {name: arguments[name] for name in _RULES if name in arguments}
    reader = _Reader(source, Boundaries.checked(vocab_size, **rules))
    folder = None if work_dir is None else new_or_own(Path(work_dir), resume, "steps.json")
    deltas, never = [], True
    with progress_bar(len(names), "step", progress, scaled=False) as advance:
        for index, (begin, end) in enumerate(pairwise([0, *positions])):
            where = {} if folder is None else {"work_dir": folder / delta_name(index)}
            part = _Interval(reader, begin, end)
            more = {**arguments, **where, "resume": resume} if where else arguments
            with _eos_warning_held_back() as missed:
                deltas.append(count(part, relation, vocab_size=vocab_size, progress=False, **more))
            never = never and missed()
            reader.skip_to(end)  # where a finished delta was not counted again
            advance(1)
    if never:
        warnings.warn(
            f"eos: no token of {source.name} has id {rules['eos']}, so it closed no sequence",
            EosNeverOccursWarning,
            stacklevel=2,
        )
    if folder is not None:
        write_steps(folder, names, positions)
    return CountSteps(tuple(names), tuple(positions), tuple(deltas))


@contextmanager
def _eos_warning_held_back() -> Iterator[Callable[[], bool]]:
    """An eos may be missing between two cuts; the function says whether that was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", EosNeverOccursWarning)
        yield lambda: any(issubclass(each.category, EosNeverOccursWarning) for each in caught)
    for each in caught:
        if not issubclass(each.category, EosNeverOccursWarning):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)


class _Reader:
    """Reads a source once, from cut to cut."""

    def __init__(self, source: Source, boundaries: Boundaries) -> None:
        self.source = source
        self._streams, self._boundaries = source.streams(), boundaries
        self._rest: Stream | None = None
        self._position = 0

    def until(self, end: int) -> Iterator[Stream]:
        """What lies before `end` and was not read yet.

        Raises:
            ArgumentError: the tokens end before it, or a sequence goes on beyond it.
        """
        while self._position < end:
            stream = self._rest or next(self._streams, None)
            if stream is None:
                raise ArgumentError(
                    f"cuts: expected at most {self._position:,}, the tokens of "
                    f"{self.source.name}, got {end:,}"
                )
            size = min(len(stream), end - self._position)
            if size < len(stream):
                self._check_boundary(stream, size, end)
                self._rest = stream.between(size, len(stream))
                stream = stream.between(0, size)
            else:
                self._rest = None
            self._position += size
            yield stream

    def skip_to(self, end: int) -> None:
        for _ in self.until(end):
            pass

    def _check_boundary(self, stream: Stream, place: int, cut: int) -> None:
        rules = self._boundaries
        length = rules.sequence_length
        floor = 0 if length else place - 1
        start = last_start(stream, rules.specials(stream.dtype), floor, place)
        if start != place and not (length and (place - start) % length == 0):
            raise ArgumentError(
                f"cuts: expected places between two sequences, got {cut:,}, which is inside one: "
                "its counts as of there would not add up"
            )


class _Interval:
    """A source: the tokens between two cuts, to be read once and in order."""

    device = None

    def __init__(self, reader: _Reader, begin: int, end: int) -> None:
        self._reader, self._begin, self._end = reader, begin, end
        source = reader.source
        self.name = f"{source.name}, tokens {begin:,} to {end:,}"
        self.vocab_size, self.total = source.vocab_size, end - begin
        self.inputs_only = getattr(source, "inputs_only", False)
        self.device = getattr(source, "device", None)

    def streams(self) -> Iterator[Stream]:
        return self._reader.until(self._end)

    def describe(self) -> list[dict[str, Any]]:
        return [
            {**each, "part": [self._begin, self._end]} for each in self._reader.source.describe()
        ]

    def fingerprint(self) -> list[dict[str, Any]] | None:
        known = getattr(self._reader.source, "fingerprint", lambda: None)()
        return None if known is None else [*known, {"part": [self._begin, self._end]}]


def _checked_cuts(
    source: Source, cuts: Sequence[int] | None, steps: Sequence[int] | None
) -> tuple[list[int], list[int]]:
    """The steps, and how many tokens lie before each."""
    if (cuts is None) == (steps is None):
        raise ArgumentError("cuts: expected either cuts or steps, got both or neither")
    name, given = ("cuts", cuts) if steps is None else ("steps", steps)
    if isinstance(given, (str, bytes)) or not hasattr(given, "__iter__"):
        raise ArgumentTypeError(f"{name}: expected ints, got {type(given).__name__} {given!r}")
    numbers = [integer(name, each, 0) for each in given]  # type: ignore[union-attr]
    if not numbers:
        raise ArgumentError(f"{name}: expected at least one, got none")
    for before, after in pairwise(numbers):
        if after <= before:
            raise ArgumentError(f"{name}: expected them to rise, got {before} then {after}")
    if steps is None:
        return numbers, numbers
    place = getattr(source, "position_of_step", None)
    if place is None:
        raise ArgumentError(
            f"steps: expected a source that knows training steps, got {source.name}: give cuts"
        )
    return numbers, [place(step) for step in numbers]
