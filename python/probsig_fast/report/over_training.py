"""The section on a trajectory: figures over the checkpoints of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..plots.trajectory import trajectory_curves
from .blocks import Block, Cell, Picture, Section, Table, count, factor, number, percent, signed

if TYPE_CHECKING:
    from ..alignment import Trajectory, TrajectoryRow


def over_training(trajectory: Trajectory) -> Section:
    """One picture of all curves, and their numbers."""
    steps = trajectory.steps
    untrained = (
        "Step 0 is the untrained model, which is the null here: what it shows comes from the "
        "architecture and from chance."
        if trajectory.untrained
        else "There is no step 0 among them, so what an untrained model would show is not known."
    )
    lead = [
        f"The same figures for {len(steps):,} checkpoints, from step {steps[0]:,} to step "
        f"{steps[-1]:,}. {untrained}"
    ]
    rows = [row for name in trajectory.signatures for row in trajectory.curve(name, True)]
    rows = rows or list(trajectory.rows)
    first, last = rows[0], rows[-1]
    alt = (
        f"Curves of R_cos, debiased CKA, strong pairs and shared neighbours over {len(steps)} "
        f"checkpoints. R_cos with {first.signature} starts at {signed(first.r_cos)} (step "
        f"{first.step:,}); that with {last.signature} ends at {signed(last.r_cos)} (step "
        f"{last.step:,})."
    )
    caption = (
        "Figures over training steps; shaded: 95 % by the jackknife over tokens. A colour is a "
        "signature, dashed lines are the raw embedding, full lines the mean-centred one."
    )
    picture = Picture("trajectory.png", trajectory_curves(trajectory), alt, caption, wide=True)
    return Section(
        "trajectory", "Over training", lead, [Block("All curves", [], [picture], [_table(rows)])]
    )


def _table(rows: list[TrajectoryRow]) -> Table:
    head = [
        "step",
        "signature",
        "tokens",
        "R_cos ± error",
        "debiased CKA",
        "strong pairs: signature cosine",
        "lift",
        "neighbours in common",
        "by chance",
    ]
    kind = "mean-centred" if rows[0].centred else "raw"
    cells = [_cells(row) for row in rows]
    return Table(f"Checkpoints, {kind}", head, cells, words=frozenset({1}))


def _cells(row: TrajectoryRow) -> list[Cell]:
    return [
        count(row.step),
        row.signature,
        count(row.tokens),
        f"{signed(row.r_cos)} ± {number(row.r_cos_error)}",
        signed(row.debiased_cka),
        number(row.strong_signature_cosine),
        factor(row.strong_lift),
        percent(row.neighbour_overlap),
        percent(row.neighbour_chance),
    ]
