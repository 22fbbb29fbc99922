"""What a training measured, as arrays and as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...labelled import LabelledCounts
from .tasks import Task

Log = Mapping[str, NDArray[np.float64]]

_HEADINGS = {
    "loss": "loss",
    "r_embedding": "R(W^E, phi^y)",
    "r_unembedding": "R(W^U, psi^X)",
    "flow_residual_E": "residual dW^E",
    "flow_cosine_E": "cosine dW^E",
}


@dataclass(frozen=True, eq=False)
class Training:
    """One model, trained on one task from R seeds; prints as a table of means over the seeds.

    Attributes:
        task, model, seeds.
        steps: int64 [T], after how many steps of the optimiser the log was taken.
        log: float64 [R, T] by name:
            `loss`, mean cross-entropy;
            `r_embedding`, R_cos(W^E, phi^y), and `r_unembedding`, R_cos(W^U, psi^X); NaN where
            undefined (see `alignment.cosine_correlation`);
            `cos_near_by_value`, ...: mean cosine of W^E over a set of the task's pairs;
            `flow_residual_E`, `_U`, `flow_cosine_E`, `_U`: the gradient predicted from counts
            through eps^3 beside the actual one (see `gradient_flow.Agreement`); NaN for ReLU.
        W_E: [R, V, d]; W_U: [R, Q, d]: after the last step, float64.
        counts: of the task.
    """

    task: Task
    model: str
    seeds: tuple[int, ...]
    steps: NDArray[np.int64]
    log: Log = field(repr=False)
    W_E: NDArray[np.float64] = field(repr=False)
    W_U: NDArray[np.float64] = field(repr=False)
    counts: LabelledCounts = field(repr=False)

    def mean(self, name: str, at: int = -1) -> float:
        """The mean over seeds of a figure of the log, after the last step or at an index [T]."""
        return float(self.log[name][:, at].mean())

    def __str__(self) -> str:
        cosines = {name: name[4:].replace("_", " ") for name in self.log if name.startswith("cos_")}
        if self.task.lies_in_order:
            cosines = {name: text for name, text in cosines.items() if not name.endswith("_id")}
        shown = {**_HEADINGS, **cosines}
        lines = [["step", *shown.values()]]
        for at, step in enumerate(self.steps):
            lines.append([str(step), *(figure(self.mean(name, at), 3) for name in shown)])
        seeds = f"{len(self.seeds)} seed{'s' if len(self.seeds) > 1 else ''}"
        title = f"{self.task.name}: y = {self.task.formula}; {self.model}, mean over {seeds}"
        return "\n".join([title, *aligned(lines)])


def figure(value: float, digits: int) -> str:
    """Fixed digits; scientific notation where these would show 0, or more than anyone reads."""
    if value != 0 and not 10.0**-digits <= abs(value) < 1000:
        return f"{value:.1e}"
    return f"{value:.{digits}f}"


def aligned(lines: Sequence[Sequence[str]], left: Iterable[int] = ()) -> list[str]:
    """The cells of lines below each other, to the right but for the columns in `left`."""
    left = set(left)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
