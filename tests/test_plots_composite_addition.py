"""Pictures of the controlled experiment: their axes, their labels, their files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probsig_fast.errors import ArgumentError, MissingExtraError

pytest.importorskip("torch", reason="experiments need torch")

from probsig_fast.experiments.composite_addition import Training, custom, train
from probsig_fast.plots import (
    cosine_heatmaps,
    signature_distributions,
    training_curves,
)


@pytest.fixture(scope="module")
def trainings() -> list[Training]:
    return [
        train(task, model, steps=2, seeds=[4, 0])
        for task, model in (("add", "linear"), ("add", "relu"), ("permuted", "silu"))
    ]


@pytest.fixture(scope="module")
def modular() -> Training:
    return train("modular", steps=2, seeds=[0])


def texts(labels: Any) -> list[str]:
    return [label.get_text() for label in labels]


def test_distributions(trainings: list[Training]) -> None:
    pytest.importorskip("matplotlib")
    figure = signature_distributions(trainings)
    add, permuted = figure.axes  # a panel a task, not a training
    assert add.get_title() == "add: y = z + a1 + a2"
    assert permuted.get_title().startswith("permuted: y = z + v(a1)")
    assert add.get_xlabel() == "label y"
    assert len(add.lines) == 10
    np.testing.assert_array_equal(add.lines[3].get_xdata(), np.arange(28))
    expected = trainings[0].counts.phi_y().to_scipy().toarray()[13]
    np.testing.assert_array_equal(add.lines[3].get_ydata(), expected)
    assert texts(add.get_legend().get_texts())[3] == "a1=3"
    assert texts(permuted.get_legend().get_texts())[3] == "a1=1 (worth 3)"
    np.testing.assert_array_equal(permuted.lines[3].get_ydata(), expected)


def test_distributions_of_an_own_task() -> None:
    pytest.importorskip("matplotlib")
    run = train(custom(lambda z, a1, a2: z - a1, "less"), steps=1, seeds=[0])
    (axes,) = signature_distributions([run]).axes
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), np.arange(-9, 10))


def test_heatmaps(trainings: list[Training]) -> None:
    pytest.importorskip("matplotlib")
    figure = cosine_heatmaps(trainings[2])
    embedding, phi, unembedding, psi, bar = figure.axes
    assert embedding.get_title().startswith("cosines of $W^E$   ($R_{\\cos}$ ")
    assert phi.get_title() == r"cosines of $\phi^y$"
    assert psi.get_title() == r"cosines of $\psi^X$"
    assert [axes.images[0].get_array().shape[0] for axes in figure.axes[:4]] == [30, 30, 28, 28]
    assert all(axes.images[0].get_clim() == (-1, 1) for axes in figure.axes[:4])
    assert texts(embedding.get_yticklabels())[10:13] == ["a1=0", "a1=7", "a1=4"]  # by value
    assert texts(phi.get_xticklabels()) == ["z", *(f"a{i}, in order of value" for i in (1, 2))]
    W = trainings[2].W_E[0]
    cosine = W[10] @ W[17] / np.linalg.norm(W[10]) / np.linalg.norm(W[17])
    assert embedding.images[0].get_array()[10, 11] == pytest.approx(cosine)
    assert unembedding.get_ylabel() == "label y"
    assert bar.get_ylabel() == "cosine"
    assert "silu model, seed 4, after 2 steps" in figure.get_suptitle()


def test_undefined_is_said(modular: Training) -> None:
    pytest.importorskip("matplotlib")
    assert r"$R_{\cos}$ undefined" in cosine_heatmaps(modular).axes[0].get_title()
    (legend,) = training_curves([modular]).legends
    assert texts(legend.get_texts()) == [r"modular, linear ($R_{\cos}$ undefined)"]


def test_curves(trainings: list[Training]) -> None:
    pytest.importorskip("matplotlib")
    figure = training_curves(trainings)
    correlation, _, loss, residual = figure.axes
    assert correlation.get_title() == r"$R_{\cos}(W^E, \phi^y)$"
    assert {axes.get_xlabel() for axes in figure.axes} == {"step"}
    line = correlation.lines[1]
    np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2])
    np.testing.assert_array_equal(line.get_ydata(), trainings[1].log["r_embedding"].mean(axis=0))
    assert loss.lines[0].get_ydata()[0] == pytest.approx(
        trainings[0].mean("loss", at=0) / math.log(28)
    )
    assert residual.get_yscale() == "log"
    (legend,) = figure.legends
    assert texts(legend.get_texts()) == ["add, linear", "add, relu", "permuted, silu"]


@pytest.mark.parametrize("draw", [signature_distributions, training_curves])
def test_files(trainings: list[Training], tmp_path: Path, draw: Any) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    draw(trainings, tmp_path / "picture.png")
    cosine_heatmaps(trainings[0], tmp_path / "heatmap.svg")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "heatmap.svg").read_bytes()
    assert pyplot.get_fignums() == []  # no global state
    with pytest.raises(ArgumentError, match="trainings: expected at least one, got none"):
        draw([])
    with pytest.raises(ArgumentError, match="path: expected a name that ends in one of"):
        draw(trainings, tmp_path / "picture.doc")


def test_without_matplotlib(trainings: list[Training], monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    imported = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ImportError("No module named 'matplotlib'")
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    for draw in (signature_distributions, training_curves):
        with pytest.raises(MissingExtraError, match=r"matplotlib.*'probsig-fast\[plot\]'"):
            draw(trainings)
    with pytest.raises(MissingExtraError, match=r"cosine_heatmaps\(\) needs matplotlib"):
        cosine_heatmaps(trainings[0])
