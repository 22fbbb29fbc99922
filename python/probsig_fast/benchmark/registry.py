"""All contenders in one order: peers, the first of each kind of task its baseline; our backends;
the machine's limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .contender import Contender
from .limits import limits
from .next_peers import next_peers
from .ours import ours
from .outside import outside_peers
from .set_peers import set_peers
from .tasks import Task
from .window_peers import prefix_peers, window_peers


@dataclass(frozen=True)
class Choice:
    """Which contenders are asked for.

    Attributes:
        backends: names; None: all but `reference`.
        threads: as many as "all" is.
        peers: whether others are timed, too.
        cooccur, kenlm: paths of programs.
    """

    backends: tuple[str, ...] | None
    threads: int
    peers: bool = True
    cooccur: Path | None = None
    kenlm: Path | None = None


def peers(choice: Choice) -> tuple[Contender, ...]:
    return (
        *next_peers(),
        *window_peers(),
        *prefix_peers(),
        *set_peers(),
        *outside_peers(choice.cooccur, choice.kenlm),
    )


def contenders(choice: Choice) -> tuple[Contender, ...]:
    """All of them, limits included."""
    others = peers(choice) if choice.peers else ()
    return (*others, *ours(choice.backends, choice.threads), *limits(choice.threads))


def of_task(task: Task, among: tuple[Contender, ...]) -> tuple[Contender, ...]:
    return tuple(each for each in among if task.kind in each.kinds)
