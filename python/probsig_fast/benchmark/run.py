"""One run: corpora, tasks and contenders in; a table, a figure and all seconds out."""

from __future__ import annotations

import json
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, EosNeverOccursWarning, MissingExtraError
from ..files import atomic_write
from ..plots import BenchmarkBar, benchmark_bars
from ..progress import progress_bar
from . import machine, table
from .contender import Contender
from .corpora import Corpus
from .measure import measure_memory, time_in_turn
from .registry import Choice, contenders, of_task
from .tasks import LIMITS, Task, limits_task
from .verify import Entry, entries, verify

#: What a run leaves in its folder.
TABLE, FIGURE, DATA = "benchmark.md", "benchmark.png", "benchmark.json"


@dataclass(frozen=True)
class Settings:
    """What is run.

    Attributes:
        corpora: functions that make them, as only one is in memory at a time.
        tasks: what is counted.
        choice: which contenders.
        rounds: timed calls of each.
        peer_seconds: about as long a peer may take, of all its rounds at one task.
        peak_memory: whether it is measured, which takes one more call of each.
        quick: leave out what takes long.
        command: what was typed, for the record.
    """

    corpora: Sequence[Callable[[], Corpus]]
    tasks: Sequence[Task]
    choice: Choice
    rounds: int = 5
    peer_seconds: float = 60.0
    peak_memory: bool = True
    quick: bool = False
    command: str = ""


@dataclass(frozen=True)
class Report:
    """What came out.

    Attributes:
        text: Markdown: machine, table and notes.
        fields: the same for JSON, with all seconds.
        without_figure: why there is none; None if there is one.
    """

    text: str
    fields: dict[str, Any]
    rows: list[table.Row]
    without_figure: str | None


def benchmark(
    settings: Settings,
    out: str | Path,
    progress: bool | None = None,
    among: tuple[Contender, ...] | None = None,
) -> Report:
    """Run it, and write `benchmark.md`, `.png` and `.json` to the folder `out`, which is made.

    Args:
        progress: None shows a bar if standard error is a terminal.
        among: contenders, instead of those of `settings.choice`.

    Raises:
        ArgumentError: no folder `out` can be made.
        BenchmarkError: contenders do not agree; nothing is written.
    """
    out = _folder(out)
    among = contenders(settings.choice) if among is None else among
    tasks = [limits_task(), *settings.tasks]
    calls = sum(len(of_task(task, among)) for task in tasks) * len(settings.corpora)
    told, date, rows = machine.machine(), time.strftime("%Y-%m-%d %H:%M %Z"), []
    steps = calls * (1 + settings.rounds + settings.peak_memory)
    with (
        tempfile.TemporaryDirectory(dir=out, prefix="work-") as work,
        progress_bar(steps, "call", progress, "benchmark", scaled=False) as advance,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", EosNeverOccursWarning)  # in the first tokens, say
        for make in settings.corpora:
            groups = _measured(make(), tasks, among, settings, Path(work), advance)
            rows += [row for group in groups for row in table.rows(group)]
    return _written(settings, out, told, date, rows)


def _folder(out: str | Path) -> Path:
    out = Path(out)
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        raise ArgumentError(
            f"out: expected a folder, or a new name in an existing one, got {str(out)!r}"
        ) from error
    return out


def _measured(
    corpus: Corpus,
    tasks: Sequence[Task],
    among: tuple[Contender, ...],
    settings: Settings,
    work: Path,
    advance: Callable[[int], object],
) -> list[list[Entry]]:
    groups = [
        entries(task, corpus, of_task(task, among), settings.choice.threads, work, settings.quick)
        for task in tasks
    ]
    for task, group in zip(tasks, groups, strict=True):
        verify(task, group, advance)
    time_in_turn(groups, settings.rounds, settings.peer_seconds, advance)
    for entry in (each for group in groups for each in group):
        entry.prepared = None
        if settings.peak_memory:
            if entry.job.task.kind != LIMITS:
                measure_memory(entry, settings.choice, work)
            advance(1)
    return groups


def _written(
    settings: Settings, out: Path, told: dict[str, Any], date: str, rows: list[table.Row]
) -> Report:
    text = "\n".join(
        [
            *("# Benchmark", "", date, "", f"    {settings.command}", "", *machine.lines(told), ""),
            f"{settings.rounds} rounds, contenders in turn; answers compared before timing. A slow "
            "peer has fewer rounds or tokens, as the table says.",
            *("", table.markdown(rows), ""),
            *(f"- {note}" for note in table.notes(rows)),
            "",
        ]
    )
    fields = {
        "date": date,
        "command": settings.command,
        "machine": told,
        "rows": [asdict(row) for row in rows],
    }
    for name, content in ((TABLE, text), (DATA, json.dumps(fields, indent=1) + "\n")):
        with atomic_write(out / name) as file:
            file.write(content.encode())
    return Report(text, fields, rows, _figure(rows, out / FIGURE))


def _figure(rows: list[table.Row], path: Path) -> str | None:
    """Draw it; or say why it cannot be drawn."""
    panels: dict[str, list[BenchmarkBar]] = {}
    for row in rows:
        if row.seconds:
            label = f"{row.contender}, {row.threads} thread{'s' * (row.threads > 1)}"
            bar = BenchmarkBar(label, row.rate, row.best, row.worst, row.is_ours)
            panels.setdefault(f"{row.task}: {row.corpus}", []).append(bar)
    try:
        benchmark_bars(panels, path)
    except MissingExtraError as error:
        return str(error)
    return None
