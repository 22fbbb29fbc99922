"""The heatmap: its numbers, its labels, its file, and what it refuses."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import probsig_fast as ps
from probsig_fast.errors import ArgumentError, MissingExtraError
from probsig_fast.plots import signature_cosines, signature_heatmap

GROUPS = {"few": [1, 4], "more": [0, 2, 3]}
STRINGS = ["a", " b", "\n", "$", "e", "never"]


@pytest.fixture
def counts() -> ps.Counts:
    tokens = np.random.default_rng(5).integers(0, 5, 300).astype(np.uint16)
    return ps.count(tokens, vocab_size=6, backend="reference")


@pytest.fixture
def signature(counts: ps.Counts) -> ps.Signature:
    return counts.with_tokens(STRINGS).phi_next()


def test_cosines_are_those_of_dense_rows(signature: ps.Signature) -> None:
    tokens = [3, 0, 4]
    rows = signature.to_scipy().toarray()[tokens]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(signature_cosines(signature, tokens), unit @ unit.T, atol=1e-12)
    assert signature_cosines(signature, []).shape == (0, 0)


def test_a_token_without_a_row_is_refused(signature: ps.Signature) -> None:
    with pytest.raises(ArgumentError, match="tokens with a row in phi_next, got 5"):
        signature_cosines(signature, [0, 5])
    with pytest.raises(ArgumentError, match="from 0 to 5, got 6"):
        signature_cosines(signature, [6])


def test_axes(signature: ps.Signature) -> None:
    pytest.importorskip("matplotlib")
    figure = signature_heatmap(signature, GROUPS)
    axes, bar = figure.axes
    (image,) = axes.images
    assert image.get_array().shape == (5, 5)
    assert image.get_clim() == (0, 1)
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "\N{OPEN BOX}b",
        "e",
        "a",
        r"\n",
        r"\$",
    ]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["few", "more"]
    assert list(axes.get_xticks()) == [0.5, 3.0]  # the middle of each group
    assert [line.get_xdata()[0] for line in axes.lines[1::2]] == [1.5]  # between the groups
    assert axes.get_title() == "phi_next: P(next | token)"
    assert bar.get_ylabel() == "cosine of signatures"


def test_ids_where_no_strings_are(counts: ps.Counts) -> None:
    pytest.importorskip("matplotlib")
    axes = signature_heatmap(counts.phi_next(), GROUPS).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1", "4", "0", "2", "3"]


def test_file(counts: ps.Counts, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("matplotlib.image")
    path = tmp_path / "cosines.png"
    figure = signature_heatmap([counts.phi_next(), counts.psi_pre()], GROUPS, path)
    assert [axes.get_title() for axes in figure.axes[:2]] == [
        "phi_next: P(next | token)",
        "psi_pre: P(previous | token)",
    ]
    height, width, _ = image.imread(path).shape
    assert (width, height) == tuple(round(150 * inches) for inches in figure.get_size_inches())
    signature_heatmap(counts.phi_next(), GROUPS, tmp_path / "cosines.pdf")
    assert (tmp_path / "cosines.pdf").read_bytes().startswith(b"%PDF")


def test_no_global_state(signature: ps.Signature, tmp_path: Path) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    signature_heatmap(signature, GROUPS, tmp_path / "cosines.png")
    assert pyplot.get_fignums() == []


def test_bad_input(signature: ps.Signature, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(ArgumentError, match="at least one signature and one token, got none"):
        signature_heatmap(signature, {"empty": []})
    with pytest.raises(ArgumentError, match="at least one signature and one token, got none"):
        signature_heatmap([], GROUPS)
    with pytest.raises(ArgumentError, match=r"path: expected a name that ends in one of .*png"):
        signature_heatmap(signature, GROUPS, tmp_path / "cosines.doc")
    with pytest.raises(ArgumentError, match="path: expected a file in an existing folder"):
        signature_heatmap(signature, GROUPS, tmp_path / "none" / "cosines.png")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib(signature: ps.Signature, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ImportError("No module named 'matplotlib'")
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"matplotlib.*'probsig-fast\[plot\]'"):
        signature_heatmap(signature, GROUPS)
    assert signature_cosines(signature, [0, 1]).shape == (2, 2)  # needs no picture
