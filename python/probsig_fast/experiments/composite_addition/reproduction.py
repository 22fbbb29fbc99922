"""All of the controlled experiment at once, beside what was found before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...arguments import integer
from ...errors import ArgumentError, ArgumentTypeError
from ...progress import progress_bar
from .expected import ASSERTIONS, INITIAL, NOTES, ROWS, Row
from .results import Training, aligned, figure
from .tasks import TASKS, make_task
from .training import Setup, check_seeds, run_training


@dataclass(frozen=True)
class Result:
    """A row of the table: figures after the last step, mean over seeds, by the log's names.

    `lowest` and `highest` are over the seeds; `expected` is what THEORY, section 3 has of it.
    """

    task: str
    model: str
    mean: Mapping[str, float]
    lowest: Mapping[str, float]
    highest: Mapping[str, float]
    expected: Mapping[str, float]


@dataclass(frozen=True)
class Check:
    """One of THEORY's assertions: which figure, its value, what is wanted, whether it holds."""

    name: str
    value: float
    wanted: str
    holds: bool


@dataclass(frozen=True)
class Reproduction:
    """The table of the experiment and its assertions; prints as both.

    Attributes:
        seeds, steps: of every training.
        rows: one for each training.
        initial: before the first step, over all trainings but the XOR control's (of whose 8 tokens
            and 6 labels no correlation is near 0): the loss less log Q and R_cos farthest from 0,
            the mean near and far cosines. Empty without such trainings.
        checks: of the trainings that were run. They are about 1000 steps.
        trainings: in the order of the rows.
    """

    seeds: tuple[int, ...]
    steps: int
    rows: tuple[Result, ...]
    initial: Mapping[str, float]
    checks: tuple[Check, ...]
    trainings: tuple[Training, ...] = field(repr=False, compare=False)

    def __str__(self) -> str:
        seeds = f"{len(self.seeds)} seed{'s' if len(self.seeds) > 1 else ''}"
        title = f"{self.steps:,} steps, mean over {seeds}; in brackets: an earlier reimplementation"
        tables = [*self._table(), *self._xor_table()]
        return "\n".join([title, "", *tables, "", *self._check_lines()])

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON can hold them: one that is undefined is None."""
        fields: dict[str, Any] = _without_nan(
            {
                "experiment": "composite-addition",
                "seeds": self.seeds,
                "steps": self.steps,
                "rows": [vars(row) for row in self.rows],
                "initial": {"found": self.initial, "expected": INITIAL},
                "checks": [vars(check) for check in self.checks],
            }
        )
        return fields

    def _table(self) -> list[str]:
        names = ("loss", "r_embedding", "r_unembedding", *_COSINES["by value"])
        lines = [["task", "model", "loss", "R(W^E, phi^y)", "R(W^U, psi^X)", "near", "far"]]
        if not self.initial:
            return []
        first = [
            f"log Q {self.initial['loss_less_log_labels']:+.3f} (log Q)",
            *(f"{figure(self.initial[name], 3)} (< {INITIAL[name]:.2f})" for name in names[1:3]),
            *(_beside(self.initial, INITIAL, name) for name in names[3:]),
        ]
        lines.append(["any", "at first", *first])
        for row in self.rows:
            if row.task == "xor":
                continue
            cells = [_beside(row.mean, row.expected, name) for name in names]
            lines.append([row.task, row.model, *cells])
            if "cos_near_by_id" in row.expected:
                cells = [_beside(row.mean, row.expected, name) for name in _COSINES["by id"]]
                lines.append(["  by id", "", "", "", "", *cells])
        notes = [NOTES[row.task] for row in self.rows if row.task in NOTES]
        return [*aligned(lines, left=(0, 1)), *notes]

    def _xor_table(self) -> list[str]:
        rows = [row for row in self.rows if row.task == "xor"]
        if not rows:
            return []
        names = ("loss", "r_embedding", "r_unembedding", *_COSINES["classes"])
        lines = [["task", "model", "loss", "R(W^E, phi^y)", "R(W^U, psi^X)", "in class", "between"]]
        for row in rows:
            cells = [_beside(row.mean, row.expected, name) for name in names]
            lines.append([row.task, row.model, *cells])
        return [*([""] if self.initial else []), *aligned(lines, left=(0, 1))]

    def _check_lines(self) -> list[str]:
        holding = sum(check.holds for check in self.checks)
        lines = [f"{holding} of {len(self.checks)} assertions hold"]
        cells = [
            [
                "  ok    " if check.holds else "  FAILED",
                check.name,
                _told(check.value),
                f"expected {check.wanted}",
            ]
            for check in self.checks
        ]
        return [*lines, *(aligned(cells, left=(0, 1, 3)) if cells else [])]


_COSINES = {
    "by value": ("cos_near_by_value", "cos_far_by_value"),
    "by id": ("cos_near_by_id", "cos_far_by_id"),
    "classes": ("cos_within_class", "cos_between_classes"),
}


def reproduce(
    tasks: Sequence[str] | None = None,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = 1000,
    progress: bool | None = None,
) -> Reproduction:
    """Train every row of THEORY's table and the XOR control, and set them beside its values.

    Args:
        tasks: names of `TASKS`; all if None.
        seeds, steps: of every training. THEORY has seeds 0 to 2 and 1000 steps; its assertions
            are about those.
        progress: a progress bar on standard error; None shows one if that is a terminal.

    Raises:
        ArgumentError, ArgumentTypeError: an unknown task or none, no seeds, fewer than one step.

    Cost: eight trainings, together 20 to 50 s on one core; some 10 MB beside torch.
    """
    chosen, seeds = _rows(tasks), check_seeds(seeds)
    steps = integer("steps", steps, 1)
    trainings = []
    total, name = steps * len(chosen), "composite addition"
    with progress_bar(total, "step", progress, name, scaled=False) as advance:
        for row in chosen:
            task = make_task(row.task)
            trainings.append(run_training(task, row.model, seeds, steps, Setup(), advance))
    return Reproduction(
        seeds,
        steps,
        tuple(_result(row, run) for row, run in zip(chosen, trainings, strict=True)),
        _initial(trainings),
        _checks(trainings),
        tuple(trainings),
    )


def _rows(tasks: Any) -> list[Row]:
    if tasks is None:
        return list(ROWS)
    if isinstance(tasks, str) or not isinstance(tasks, Sequence):
        raise ArgumentTypeError(f"tasks: expected a sequence of names, got {type(tasks).__name__}")
    for name in tasks:
        if name not in TASKS:
            raise ArgumentError(f"tasks: expected some of {', '.join(TASKS)}, got {name!r}")
    if not tasks:
        raise ArgumentError(f"tasks: expected some of {', '.join(TASKS)}, got none")
    return [row for row in ROWS if row.task in tasks]


def _result(row: Row, training: Training) -> Result:
    last = {name: values[:, -1] for name, values in training.log.items()}
    return Result(
        row.task,
        row.model,
        {name: float(values.mean()) for name, values in last.items()},
        {name: float(values.min()) for name, values in last.items()},
        {name: float(values.max()) for name, values in last.items()},
        dict(row.expected),
    )


def _initial(trainings: Sequence[Training]) -> dict[str, float]:
    grids = [run for run in trainings if run.task.name != "xor"]
    if not grids:
        return {}

    def defined(name: str) -> list[float]:
        values = [run.mean(name, at=0) for run in grids]
        return [value for value in values if not math.isnan(value)]

    losses = [run.mean("loss", at=0) - math.log(run.task.n_labels) for run in grids]
    initial = {"loss_less_log_labels": max(losses, key=abs)}
    for name in ("r_embedding", "r_unembedding"):
        initial[name] = max(defined(name), key=abs, default=float("nan"))
    for name in _COSINES["by value"]:
        values = defined(name)
        initial[name] = sum(values) / len(values)
    return initial


def _checks(trainings: Sequence[Training]) -> tuple[Check, ...]:
    by_name = {(run.task.name, run.model): run for run in trainings}
    checks = []
    for each in ASSERTIONS:
        run = by_name.get((each.task, each.model))
        if run is not None:
            value = each.figure(run)
            name = f"{each.task}, {each.model}: {each.name}"
            checks.append(Check(name, value, each.wanted(), each.holds(value)))
    return tuple(checks)


def _beside(found: Mapping[str, float], expected: Mapping[str, float], name: str) -> str:
    """`0.952 (0.951)`; the figure alone where nothing is expected of it."""
    if name not in found:
        return ""
    text = _told(found[name])
    if name not in expected:
        return text
    digits = 3 if name.startswith("r_") else 2
    known = "undefined" if math.isnan(expected[name]) else f"{expected[name]:.{digits}f}"
    return f"{text} ({known})"


def _told(value: float) -> str:
    return "undefined" if math.isnan(value) else figure(value, 3)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
