"""The picture of a trajectory: its curves are the rows' figures, its panels those measured."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="alignment needs torch")
pytest.importorskip("matplotlib")

from trajectory_support import counts_of, model_at  # noqa: E402

from probsig_fast.alignment.trajectory import Trajectory, trajectory  # noqa: E402
from probsig_fast.errors import ArgumentError  # noqa: E402
from probsig_fast.plots.trajectory import trajectory_curves  # noqa: E402

STEPS = (0, 2, 30, 1000)


@pytest.fixture(scope="module")
def tracked() -> Trajectory:
    counts = counts_of()
    models = {step: model_at(step) for step in STEPS}
    signatures = [counts.phi_next(), counts.psi_pre()]
    return trajectory(models, signatures, fraction=0.1, neighbours=3, threads=1)


def test_curves(tracked: Trajectory) -> None:
    figure = trajectory_curves(tracked)
    assert [axes.get_title() for axes in figure.axes] == [
        r"$R_{\cos}$, raw",
        r"$R_{\cos}$, mean-centred",
        "debiased CKA",
        "top 10 % of pairs: signature cosine over the mean",
        "top 10 % of pairs: share at the top by both",
        "share of the 3 nearest in common",
    ]
    panels = dict(
        zip(("raw", "centred", "cka", "lift", "overlap", "near"), figure.axes, strict=True)
    )
    for axes, centred in ((panels["raw"], False), (panels["centred"], True)):
        for i, name in enumerate(tracked.signatures):
            rows = tracked.curve(name, centred)
            line = axes.lines[2 * i]  # after each, the line of the untrained model
            np.testing.assert_array_equal(line.get_xdata(), STEPS)
            np.testing.assert_array_equal(line.get_ydata(), [row.r_cos for row in rows])
            assert set(axes.lines[2 * i + 1].get_ydata()) == {rows[0].r_cos}
            band = axes.collections[i].get_paths()[0].vertices[:, 1]
            assert band.max() == pytest.approx(max(r.r_cos + 1.96 * r.r_cos_error for r in rows))
            assert band.min() == pytest.approx(min(r.r_cos - 1.96 * r.r_cos_error for r in rows))
    assert panels["raw"].get_ylim() == panels["centred"].get_ylim()
    raw, centred, *_ = panels["near"].lines
    assert (raw.get_linestyle(), centred.get_linestyle()) == ("--", "-")
    expected = [row.neighbour_overlap for row in tracked.curve("phi_next", False)]
    np.testing.assert_array_equal(raw.get_ydata(), expected)
    chances = [panels[name].lines[-1].get_ydata()[0] for name in ("lift", "overlap", "near")]
    assert chances == [1.0, 0.1, 3 / 11]


def test_steps_and_legend(tracked: Trajectory) -> None:
    figure = trajectory_curves(tracked)
    axes = figure.axes[0]
    assert axes.get_xscale() == "symlog"
    left, right = axes.get_xlim()
    assert left < 0 < 1000 < right
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == ["0", "2", "10", "100", "1k"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "phi_next (input embedding)",
        "psi_pre (output embedding)",
        "raw",
        "mean-centred",
        "untrained, or chance",
    ]


def test_what_was_left_out(tracked: Trajectory, tmp_path: Path) -> None:
    phi = counts_of().phi_next()
    models = {step: model_at(step) for step in (143_000, 512, 1)}
    result = trajectory(models, phi, centre=True, fraction=None, neighbours=None, threads=1)
    figure = trajectory_curves(result, tmp_path / "t.png")
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    assert [axes.get_title() for axes in figure.axes] == [
        r"$R_{\cos}$, mean-centred",
        "debiased CKA",
    ]
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks == ["1", "10", "100", "1k", "10k", "100k"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["phi_next (input embedding)"]


@pytest.mark.parametrize("steps", [(0,), (5,), (0, 1), (1000, 1001)])
def test_few_steps(tmp_path: Path, steps: tuple[int, ...]) -> None:
    models = {step: model_at(step) for step in steps}
    trajectory_curves(trajectory(models, counts_of().psi_pre(), threads=1), tmp_path / "t.png")


def test_undefined_figures_are_gaps(tracked: Trajectory, tmp_path: Path) -> None:
    undefined = {
        field.name: math.nan
        for field in dataclasses.fields(tracked.rows[0])
        if field.type == "float"
    }
    for gone in (lambda row: row.step == 30, lambda row: True, lambda row: row.step == 0):
        rows = tuple(
            dataclasses.replace(row, **undefined) if gone(row) else row for row in tracked.rows
        )
        figure = trajectory_curves(dataclasses.replace(tracked, rows=rows), tmp_path / "t.svg")
        drawn = np.isnan(figure.axes[0].lines[0].get_ydata())
        assert drawn.tolist() == [gone(row) for row in tracked.curve("phi_next", False)]


def test_bad_input(tracked: Trajectory, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="expected at least one row, got none"):
        trajectory_curves(Trajectory(()))
    with pytest.raises(ArgumentError, match="path: expected a name that ends in"):
        trajectory_curves(tracked, tmp_path / "t.xyz")
