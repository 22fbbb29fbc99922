"""Pictures of the controlled experiments: signatures, geometry side by side, and its growth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from .figures import new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..experiments.composite_addition import Task, Training

#: Okabe and Ito's colours, told apart by the colour-blind; with line styles, as curves coincide.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
_STYLES = ("-", "--", "-.", ":")
#: In order of value: even in lightness, without the palest end, which vanishes on white.
_ORDERED = "viridis"
#: Two hues that the colour-blind tell apart, white at 0: cosines have a sign.
_SIGNED = "PuOr_r"
_SMALL, _NORMAL = 7, 9


def signature_distributions(
    trainings: Sequence[Training], path: str | Path | None = None
) -> Figure:
    """phi_x^y, the distribution of the label given each token x of the slot a1: a panel a task.

    Lines are coloured by the token's value; tokens with the same signature share a line.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ArgumentError: no trainings, or a format that Matplotlib lacks.
    """
    of_task = {run.task.name: run for run in _some(trainings)}
    columns = min(len(of_task), 2)
    rows = math.ceil(len(of_task) / columns)
    figure = new_figure("signature_distributions()", 5.6 * columns, 3.0 * rows + 0.3)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, run in zip(panels, of_task.values(), strict=False):
        _draw_distributions(axes, run)
    for axes in panels[len(of_task) :]:
        axes.set_axis_off()
    figure.suptitle("Signatures of the first anchor: P(y | x in X)", fontsize=_NORMAL + 2)
    return _finished(figure, path)


def cosine_heatmaps(training: Training, path: str | Path | None = None) -> Figure:
    """Cosines of the embedding and of the signature that it follows, side by side.

    Above W^E beside phi^y, by tokens (those of a slot in order of value); below W^U beside psi^X,
    by labels. The model is that of the first seed, after the last step.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ArgumentError: a format that Matplotlib lacks.
    """
    figure = new_figure("cosine_heatmaps()", 8.6, 8.2)
    figure.set_layout_engine("constrained", hspace=0.06)
    panels = figure.subplots(2, 2)
    task, order = training.task, _by_value(training.task)
    phi = training.counts.phi_y().to_scipy().toarray()
    psi = training.counts.psi_X().to_scipy().toarray()
    everything = (
        ("W^E", training.W_E[0][order], "r_embedding"),
        (r"\phi^y", phi[order], None),
        ("W^U", training.W_U[0], "r_unembedding"),
        (r"\psi^X", psi, None),
    )
    for axes, (name, matrix, correlation) in zip(panels.ravel(), everything, strict=True):
        axes.imshow(_cosines(matrix), cmap=_SIGNED, vmin=-1, vmax=1)
        title = f"cosines of ${name}$"
        if correlation is not None:
            value = float(training.log[correlation][0, -1])
            told = "undefined" if math.isnan(value) else f"{value:.2f}"
            title += f"   ($R_{{\\cos}}$ {told})"
        axes.set_title(title, fontsize=_NORMAL)
    for axes in panels[0]:
        _mark_slots(axes, task, order)
    for axes in panels[1]:
        _mark_labels(axes, task)
    bar = figure.colorbar(panels[0, 0].images[0], ax=panels, shrink=0.5, aspect=30, pad=0.02)
    bar.set_label("cosine", fontsize=_NORMAL)
    bar.ax.tick_params(labelsize=_SMALL)
    figure.suptitle(
        f"{task.name}: y = {task.formula}\n{training.model} model, seed {training.seeds[0]}, "
        f"after {training.steps[-1]:,} steps",
        fontsize=_NORMAL + 1,
    )
    return _finished(figure, path)


def training_curves(trainings: Sequence[Training], path: str | Path | None = None) -> Figure:
    """R_cos, the loss and the error of the predicted gradient over the steps.

    Means over seeds; R_cos with the range of the seeds shaded. A curve that is undefined
    throughout is left out and the legend says so.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ArgumentError: no trainings, or a format that Matplotlib lacks.
    """
    figure = new_figure("training_curves()", 10.0, 7.2)
    panels = figure.subplots(2, 2)
    for i, run in enumerate(_some(trainings)):
        look = {"color": _COLOURS[i % len(_COLOURS)], "linestyle": _STYLES[i % len(_STYLES)]}
        _draw_training(panels, run, look)
    titles = (
        (r"$R_{\cos}(W^E, \phi^y)$", r"$R_{\cos}(W^U, \psi^X)$"),
        (r"loss / $\log Q$", r"predicted $dW^E$ through $\epsilon^3$: relative residual"),
    )
    for axes, title in zip(panels.ravel(), (each for row in titles for each in row), strict=True):
        _dress_steps(axes, title, int(max(run.steps[-1] for run in trainings)))
    for axes in panels[0]:
        axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        axes.set_ylim(top=1.05)
    panels[1, 0].set_ylim(bottom=0)
    panels[1, 1].set_yscale("log")
    panels[1, 1].axhline(1, color="0.8", linewidth=0.8, zorder=0)
    handles, labels = panels[1, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.suptitle("Geometry over training, mean over seeds", fontsize=_NORMAL + 2)
    return _finished(figure, path)


def _draw_distributions(axes: Axes, training: Training) -> None:
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator

    task = training.task
    tokens = task.slots["a1"][np.argsort(task.values[task.slots["a1"]], kind="stable")]
    phi = training.counts.phi_y().to_scipy().toarray()
    labels = np.arange(task.n_labels) + task.lowest
    for rank, token in enumerate(tokens):
        shade = 0.9 * rank / max(len(tokens) - 1, 1)
        axes.plot(
            labels,
            phi[token],
            color=colormaps[_ORDERED](shade),
            linestyle=_STYLES[rank % 3],
            marker="o",
            # Growing inwards, so that lines that coincide stay visible.
            markersize=4.5 - 2.5 * rank / len(tokens),
            linewidth=1.2,
            label=_name_with_value(task, int(token)),
        )
    axes.set_title(f"{task.name}: y = {task.formula}", fontsize=_NORMAL)
    axes.set_xlabel("label y", fontsize=_NORMAL)
    axes.set_ylabel(r"$\phi_x^y$", fontsize=_NORMAL)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=_SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        fontsize=_SMALL, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=3
    )


def _name_with_value(task: Task, token: int) -> str:
    name = task.token_names[token]
    return name if task.lies_in_order else f"{name} (worth {task.values[token]})"


def _draw_training(panels: NDArray[Any], run: Training, look: dict[str, Any]) -> None:
    name = f"{run.task.name}, {run.model}"
    if np.isnan(run.log["r_embedding"]).all():
        name += r" ($R_{\cos}$ undefined)"
    for axes, key in zip(panels[0], ("r_embedding", "r_unembedding"), strict=True):
        values = run.log[key]
        axes.plot(run.steps, values.mean(axis=0), **look)
        axes.fill_between(
            run.steps,
            values.min(axis=0),
            values.max(axis=0),
            color=look["color"],
            alpha=0.15,
            linewidth=0,
        )
    loss = run.log["loss"].mean(axis=0) / math.log(run.task.n_labels)
    panels[1, 0].plot(run.steps, loss, label=name, **look)
    residual = run.log["flow_residual_E"].mean(axis=0)
    panels[1, 1].plot(run.steps, residual, **look)


def _dress_steps(axes: Axes, title: str, last: int) -> None:
    axes.set_title(title, fontsize=_NORMAL)
    axes.set_xlabel("step", fontsize=_NORMAL)
    # Logarithmic beyond 10, with room for step 0: geometry forms within the first hundred.
    axes.set_xscale("symlog", linthresh=10, linscale=0.6)
    axes.set_xlim(0, last)
    axes.set_xticks([step for step in (0, 5, 10, 100, 1000, 10_000) if step <= last])
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.tick_params(labelsize=_SMALL)
    axes.spines[["top", "right"]].set_visible(False)


def _by_value(task: Task) -> NDArray[np.int64]:
    """All tokens slot by slot, within a slot by value."""
    return np.concatenate(
        [tokens[np.argsort(task.values[tokens], kind="stable")] for tokens in task.slots.values()]
    )


def _mark_slots(axes: Axes, task: Task, order: NDArray[np.int64]) -> None:
    ends = np.cumsum([tokens.size for tokens in task.slots.values()])
    for end in ends[:-1]:
        axes.axhline(end - 0.5, color="0.35", linewidth=0.8)
        axes.axvline(end - 0.5, color="0.35", linewidth=0.8)
    names = [task.token_names[token] for token in order]
    axes.set_yticks(range(len(names)), names, fontsize=_SMALL - 1)
    middles = ends - np.array([tokens.size for tokens in task.slots.values()]) / 2 - 0.5
    titles = [_slot_title(task, name) for name in task.slots]
    axes.set_xticks(middles, titles, fontsize=_SMALL)
    axes.tick_params(length=0)


def _slot_title(task: Task, name: str) -> str:
    values = task.values[task.slots[name]]
    return name if (np.diff(values) > 0).all() else f"{name}, in order of value"


def _mark_labels(axes: Axes, task: Task) -> None:
    step = max(1, math.ceil(task.n_labels / 14))
    at = np.arange(0, task.n_labels, step)
    axes.set_xticks(at, at + task.lowest, fontsize=_SMALL)
    axes.set_yticks(at, at + task.lowest, fontsize=_SMALL)
    axes.set_xlabel("label y", fontsize=_NORMAL)
    axes.set_ylabel("label y", fontsize=_NORMAL)


def _cosines(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """[K, K]; NaN, which is drawn as nothing, for rows of zeros."""
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit = matrix / np.where(norms > 0, norms, np.nan)
    cosines: NDArray[np.float64] = unit @ unit.T
    return cosines


def _some(trainings: Sequence[Training]) -> Sequence[Training]:
    if not trainings:
        raise ArgumentError("trainings: expected at least one, got none")
    return trainings


def _finished(figure: Figure, path: str | Path | None) -> Figure:
    if path is not None:
        save(figure, path)
    return figure
