"""Pictures of alignment: their numbers, their labels, and figures that are undefined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_support import comparison

from probsig_fast.errors import ArgumentError

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from probsig_fast import plots
from probsig_fast.alignment import NeighbourOverlap, Null, PerToken, Stratum, strong_pairs

PNG = b"\x89PNG\r\n\x1a\n"


def null_of(values: list[float], bands: int | None = None, observed: float = 0.4) -> Null:
    drawn = np.array(values)
    return Null(
        draws=drawn.size,
        bands=bands,
        seed=0,
        observed=observed,
        mean=float(drawn.mean()),
        deviation=float(drawn.std()),
        exact_mean=0.0,
        exact_deviation=1.0,
        values=drawn,
        tokens=9,
        signature="phi_next",
        min_support=0,
        centred=True,
    )


def overlap_of(centred: bool, *overlap: float) -> NeighbourOverlap:
    k = (1, 5, 10)[: len(overlap)]
    return NeighbourOverlap(k, overlap, tuple(x / 99 for x in k), 100, "phi_next", 0, centred)


def stratum_of(least: float, most: float, pearson: float) -> Stratum:
    return Stratum(least, most, 10, 45, pearson, 0.1, 0.2)


def legend_of(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_density_counts_every_pair() -> None:
    rng = np.random.default_rng(0)
    g, h = rng.uniform(-1, 1, (2, 3000))
    axes, bar = plots.pair_density(g, h, name="psi_pre").axes
    hexagons = axes.collections[0]
    assert hexagons.get_array().sum() == 3000
    assert axes.get_ylabel() == "cosine of psi_pre"
    assert bar.get_ylabel() == "pairs in a hexagon"
    assert legend_of(axes) == ["mean signature cosine"]


def test_density_draws_the_means_of_slices_and_finer_ones_at_the_top() -> None:
    g = np.random.default_rng(1).permutation(np.arange(10_000.0))
    (line,) = plots.pair_density(g, 2 * g).axes[0].lines
    x, y = np.array(line.get_data())
    np.testing.assert_allclose(y, 2 * x)
    assert x[0] == np.arange(250).mean()
    assert x[-1] == np.arange(9995, 10_000).mean()
    assert x[-3] == np.arange(9950, 9990).mean()
    assert (np.diff(x) > 0).all()


@pytest.mark.parametrize("size", [1, 3])
def test_density_of_few_pairs(size: int) -> None:
    axes = plots.pair_density(np.linspace(0, 1, size), np.linspace(0, 1, size)).axes[0]
    assert axes.collections[0].get_array().sum() == size


def test_density_marks_where_strong_pairs_begin() -> None:
    case = comparison()
    strong = strong_pairs(case.W, case.signature, 0.05, threads=1)
    axes = plots.pair_density(np.array([0.0, 1.0]), np.array([0.0, 1.0]), strong).axes[0]
    _, vertical, horizontal = axes.lines
    assert list(vertical.get_xdata()) == [strong.by_embedding.least] * 2
    assert list(horizontal.get_ydata()) == [strong.by_signature.least] * 2
    assert legend_of(axes)[-1] == "top 0.05 of pairs"


def test_null_draws_every_value() -> None:
    free, banded = null_of([0.1, -0.1, 0.2]), null_of([0.3, 0.25], bands=7)
    (axes,) = plots.null_draws(0.4, free, banded).axes
    first, second, observed, _ = axes.lines
    assert list(first.get_xdata()) == [0.1, -0.1, 0.2]
    assert list(second.get_xdata()) == [0.3, 0.25]
    assert np.round(first.get_ydata()).tolist() == [0, 0, 0]
    assert np.round(second.get_ydata()).tolist() == [1, 1]
    assert list(observed.get_xdata()) == [0.4, 0.4]
    assert legend_of(axes) == ["permuted tokens", "observed, 0.4000"]
    names = [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()]
    assert names == ["among all tokens", "within 7 bands of support"]


def test_an_undefined_null_is_drawn_without_a_line() -> None:
    nan = float("nan")
    figure = plots.null_draws(nan, null_of([nan, nan], observed=nan))
    figure.canvas.draw()
    assert legend_of(figure.axes[0]) == ["permuted tokens"]


def test_neighbours_beside_chance() -> None:
    both = [overlap_of(False, 0.1, 0.2, 0.3), overlap_of(True, 0.2, 0.3, 0.4)]
    (axes,) = plots.neighbours_by_k(both).axes
    assert [list(line.get_ydata()) for line in axes.lines[:2]] == [[0.1, 0.2, 0.3], [0.2, 0.3, 0.4]]
    assert list(axes.lines[2].get_ydata()) == [1 / 99, 5 / 99, 10 / 99]
    assert legend_of(axes) == ["raw", "mean-centred", "chance, k / (K - 1)"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "5", "10"]
    assert axes.get_ylim()[0] == 0


def test_one_k_alone() -> None:
    plots.neighbours_by_k([overlap_of(True, 0.1)]).canvas.draw()


def test_strata_in_order_with_gaps_where_undefined() -> None:
    strata = [stratum_of(1, 9, 0.1), stratum_of(10, 2500, float("nan")), stratum_of(2501, 4e6, 0.3)]
    (axes,) = plots.correlation_by_support([(False, strata), (True, strata)]).axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [0.1, np.nan, 0.3])
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == ["1\nto 9", "10\nto 2,500", "2,501\nto 4M"]


def test_single_tokens_leave_undefined_ones_out() -> None:
    values = np.array([0.1, np.nan, 0.2, 0.3])
    figure = plots.token_correlations([(False, PerToken(np.arange(4), values))])
    (axes,) = figure.axes
    (median,) = axes.lines
    assert list(median.get_xdata()) == [0.2, 0.2]
    assert sum(patch.get_height() for patch in axes.containers[0]) == 3
    figure.canvas.draw()


def test_single_tokens_all_undefined() -> None:
    nothing = PerToken(np.arange(3), np.full(3, np.nan))
    plots.token_correlations([(True, nothing)]).canvas.draw()


def test_heatmaps_side_by_side() -> None:
    rng = np.random.default_rng(0)
    g, h = rng.uniform(-0.5, 0.9, (5, 5)), rng.uniform(0, 1, (5, 5))
    labels = [" a", "b", "\n", "$", "\u4e2d"]
    figure = plots.group_cosines(g, h, labels, {"few": 2, "more": 3}, ("left", "right"))
    left, right = figure.axes[:2]
    assert (left.get_title(), right.get_title()) == ("left", "right")
    for axes, cosines in ((left, g), (right, h)):
        shown = axes.images[0].get_array()
        off = ~np.eye(5, dtype=bool)
        np.testing.assert_array_equal(np.asarray(shown)[off], cosines[off])
        assert np.ma.getmaskarray(shown).diagonal().all()
        names = [label.get_text() for label in axes.get_yticklabels()]
        assert names == ["\N{OPEN BOX}a", "b", r"\n", r"\$", r"\u4e2d"]
        assert [label.get_text() for label in axes.get_xticklabels()] == ["few", "more"]
    low, high = left.images[0].get_clim()
    assert low == -high == -np.quantile(np.abs(g)[off], 0.995)
    assert right.images[0].get_clim() == (0, np.quantile(h[off], 0.995))
    figure.canvas.draw()


def test_heatmap_of_one_token_or_of_nothing_alike() -> None:
    one = np.ones((1, 1))
    plots.group_cosines(one, one, ["a"], {"one": 1}).canvas.draw()
    plots.group_cosines(np.eye(3), np.eye(3), list("abc"), {"few": 3}).canvas.draw()


@pytest.mark.parametrize(
    ("groups", "labels", "message"),
    [
        ({}, [], "at least one token, got none"),
        ({"a": 3}, ["a", "b"], "got 3 for cosines"),
        ({"a": 2}, ["a"], r"got 2 for cosines of shape \(2, 2\) and \(2, 2\) and 1 labels"),
    ],
)
def test_heatmap_sizes_must_fit(groups: dict[str, int], labels: list[str], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        plots.group_cosines(np.eye(2), np.eye(2), labels, groups)


def test_files(tmp_path: Path) -> None:
    plots.null_draws(0.4, null_of([0.1]), path=tmp_path / "a.png")
    plots.neighbours_by_k([overlap_of(True, 0.1)], tmp_path / "b.png")
    plots.correlation_by_support([(True, [stratum_of(1, 2, 0.1)])], tmp_path / "c.png")
    plots.token_correlations([(True, PerToken(np.arange(1), np.ones(1)))], tmp_path / "d.png")
    plots.pair_density(np.zeros(2), np.zeros(2), path=tmp_path / "e.png")
    plots.group_cosines(np.eye(2), np.eye(2), ["a", "b"], {"g": 2}, path=tmp_path / "f.png")
    assert [path.read_bytes()[:8] for path in sorted(tmp_path.iterdir())] == [PNG] * 6
    with pytest.raises(ArgumentError, match=r"ends in one of .*, got '.*a.xyz'"):
        plots.null_draws(0.4, null_of([0.1]), path=tmp_path / "a.xyz")
