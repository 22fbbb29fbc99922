"""The picture of a language model's training."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from probsig_fast.errors import ArgumentError, MissingExtraError
from probsig_fast.plots.language_model import language_model_curves

pytest.importorskip("matplotlib")

FIGURES = (
    *("r_raw", "r_centred", "top_0_1_percent", "top_0_1_percent_lift", "top_1_percent"),
    *("top_1_percent_lift", "stratum_1", "stratum_2", "stratum_3", "stratum_4"),
    *("digits", "digits_near", "digits_far"),
)


@dataclasses.dataclass
class Run:
    """What the picture reads of a `LanguageModelRun`."""

    steps: Any
    log: dict[str, Any]
    sides: dict[str, Any]
    corpus: dict[str, Any]
    counts: Any


def made(null: bool = True, digits: float = 0.5) -> Any:
    steps = np.array([0, 1, 2, 4, 8, 50, 100])
    random = np.random.default_rng(0)
    log = {name: 5 - np.arange(7) / 2 for name in ("loss", "held_out_loss")}
    sides = {}
    for prefix, matrix, signature in (
        ("input", "W^E", "phi_next"),
        ("output", "W^U", "psi_pre"),
    ):
        log |= {f"{prefix}_{name}": random.uniform(-0.2, 0.9, 7) for name in FIGURES}
        sides[prefix] = SimpleNamespace(
            matrix=matrix,
            signature=signature,
            mean_signature_cosine=0.1,
            digits=SimpleNamespace(spearman=digits),
            null=SimpleNamespace(mean=0.0, deviation=0.01) if null else None,
        )
    return Run(steps, log, sides, {"origin": "a test"}, SimpleNamespace(total=1234))


def titles(figure: Any) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


def test_panels() -> None:
    run = made()
    figure = language_model_curves(run)
    loss, r_cos, strong, lift, digits, cosines, by_input, by_output = figure.axes
    assert loss.get_title() == "loss, nats a token"
    assert r_cos.get_title() == r"$R_{\cos}$; shaded: tokens permuted"
    np.testing.assert_array_equal(r_cos.lines[0].get_ydata(), run.log["input_r_centred"])
    np.testing.assert_array_equal(r_cos.lines[0].get_xdata(), run.steps)
    np.testing.assert_array_equal(strong.lines[0].get_ydata(), run.log["input_top_0_1_percent"])
    np.testing.assert_array_equal(lift.lines[3].get_ydata(), run.log["output_top_1_percent_lift"])
    np.testing.assert_array_equal(digits.lines[2].get_ydata(), run.log["output_digits"])
    assert digits.lines[1].get_ydata()[0] == 0.5  # the signature's own
    np.testing.assert_array_equal(cosines.lines[0].get_ydata(), run.log["input_digits_near"])
    np.testing.assert_array_equal(by_output.lines[3].get_ydata(), run.log["output_stratum_4"])
    assert "W^E" in by_input.get_title()
    assert "1,234 pairs of a test" in figure.get_suptitle()
    assert all(axes.get_xlabel() == "step" for axes in figure.axes)
    assert all(axes.get_legend() for axes in figure.axes)


def test_without_nulls_and_digits() -> None:
    run = made(null=False, digits=float("nan"))
    run.log["input_digits"][:] = np.nan
    figure = language_model_curves(run)
    assert r"$R_{\cos}$" in titles(figure)
    labels = [text.get_text() for text in figure.axes[4].get_legend().get_texts()]
    assert labels == ["$W^E$", "$W^U$"]


def test_file(tmp_path: Path) -> None:
    for name, begin in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml")):
        language_model_curves(made(), tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begin)
    with pytest.raises(ArgumentError, match="path: expected a name that ends in one of"):
        language_model_curves(made(), tmp_path / "a.doc")


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"language_model_curves\(\) needs matplotlib"):
        language_model_curves(made())
