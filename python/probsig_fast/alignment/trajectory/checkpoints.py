"""The checkpoints of a training in order of step: found in a folder by name, or given."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ...arguments import integer
from ...errors import ArgumentError, ArgumentTypeError, SourceNotFoundError
from ..embeddings.folder import could_be_model

#: step1000 (Pythia), step-1000, checkpoint-1000 (transformers), global_step1000 (DeepSpeed),
#: iter_0001000 (Megatron), epoch=0-step=1000 (Lightning)
_STEP = re.compile(
    r"(?:^|[^a-z])(?:(?:global[-_]?)?step|checkpoint|ckpt|iter(?:ation)?)[-_=]?(\d+)(?![0-9a-z])",
    re.IGNORECASE,
)
_FORMS = "step1000, step-1000, step_1000, checkpoint-1000, global_step1000, iter_0001000, step=1000"
#: Names that a message shows.
_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A state of a model in training.

    Attributes:
        step: how many steps of training it has had; 0 is untrained.
        source: what `load_embedding` takes.
        name: for tables and messages.
    """

    step: int
    source: Any
    name: str


def step_of(name: str) -> int | None:
    """The step that a name tells, or None."""
    steps = {int(number) for number in _STEP.findall(name)}
    return steps.pop() if len(steps) == 1 else None


def find_checkpoints(folder: str | os.PathLike[str]) -> tuple[Checkpoint, ...]:
    """The checkpoints in a folder, in order of step: its subfolders and files of models whose names
    tell a step (step1000, step-1000, step_1000, checkpoint-1000, global_step1000, iter_0001000,
    epoch=0-step=1000.ckpt). Of a model in the cache of the Hugging Face hub, those of the revisions
    (Pythia's are step0 to step143000) that were downloaded.

    Raises:
        SourceNotFoundError: no such folder, or no checkpoint in it.
        ArgumentError: two of the same step.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SourceNotFoundError(
            f"checkpoints: expected a folder, got {str(folder)!r}: no such folder"
        )
    found = steps_in(folder, could_be_model) or _revisions(folder)
    if not found:
        names = sorted(path.name for path in folder.iterdir())
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        shown = ", ".join(map(repr, names[:_SHOWN])) + more if names else "nothing"
        raise SourceNotFoundError(
            f"checkpoints: expected folders or files of models named like {_FORMS} in "
            f"{str(folder)!r}, got {shown}"
        )
    return ordered(found)


def steps_in(folder: Path, wanted: Callable[[Path], bool]) -> list[Checkpoint]:
    """The subfolders whose names tell a step, and the files for which `wanted(path)` also holds."""
    found = []
    for path in sorted(folder.iterdir()):
        step = step_of(path.name)
        if step is not None and (path.is_dir() or wanted(path)):
            found.append(Checkpoint(step, path, path.name))
    return found


def _revisions(folder: Path) -> list[Checkpoint]:
    """Of the hub's cache: `refs/step1000` is a text with the name of a folder in `snapshots`."""
    refs, found = folder / "refs", []
    for ref in sorted(refs.iterdir()) if refs.is_dir() else []:
        step = step_of(ref.name)
        if step is not None and ref.is_file():
            commit = ref.read_text(encoding="utf-8", errors="replace").strip()
            found.append(Checkpoint(step, folder / "snapshots" / commit, ref.name))
    return found


def given_checkpoints(checkpoints: Any) -> tuple[Checkpoint, ...]:
    """The checkpoints of a folder, a mapping from steps to sources, or pairs of both.

    Raises:
        ArgumentTypeError, ArgumentError, SourceNotFoundError: none of these, none at all, a step
            that is negative or there twice.
    """
    if isinstance(checkpoints, (str, os.PathLike)):
        return find_checkpoints(checkpoints)
    if not isinstance(checkpoints, (Mapping, Iterable)):
        raise ArgumentTypeError(
            "checkpoints: expected a folder, a mapping from steps to models, or pairs of both, "
            f"got {type(checkpoints).__name__}"
        )
    pairs = checkpoints.items() if isinstance(checkpoints, Mapping) else checkpoints
    found = [_given(pair) for pair in pairs]
    if not found:
        raise ArgumentError("checkpoints: expected at least one, got none")
    return ordered(found)


def _given(pair: Any) -> Checkpoint:
    if isinstance(pair, Checkpoint):
        return pair
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise ArgumentTypeError(
            f"checkpoints: expected pairs (step, model), got {type(pair).__name__}"
        )
    step = integer("checkpoints: step", pair[0], 0)
    is_path = isinstance(pair[1], (str, os.PathLike))
    return Checkpoint(step, pair[1], Path(pair[1]).name if is_path else f"step{step}")


def ordered(found: Sequence[Checkpoint], argument: str = "checkpoints") -> tuple[Checkpoint, ...]:
    """By step.

    Raises:
        ArgumentError: two of the same.
    """
    result = sorted(found, key=lambda each: each.step)
    for one, other in pairwise(result):
        if one.step == other.step:
            raise ArgumentError(
                f"{argument}: expected one of each step, got {one.name!r} and {other.name!r} of "
                f"step {one.step}"
            )
    return tuple(result)
