"""`trajectory`: its rows are what each function gives for each checkpoint; bad input."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import probsig_fast as ps

torch = pytest.importorskip("torch", reason="alignment needs torch")

from alignment_support import signature_of  # noqa: E402
from trajectory_support import STEPS, D, V, counts_of, model_at, write_training  # noqa: E402

from probsig_fast.alignment import (  # noqa: E402
    alignment_metrics,
    cosine_correlation,
    joint,
    prepare,
    strong_pairs,
)
from probsig_fast.alignment.neighbours import neighbour_overlap  # noqa: E402
from probsig_fast.alignment.trajectory import Trajectory, trajectory  # noqa: E402
from probsig_fast.errors import (  # noqa: E402
    ArgumentError,
    ArgumentTypeError,
    SourceError,
    SourceNotFoundError,
)

HOW: dict[str, Any] = {"threads": 1, "backend": "reference", "progress": False}
TENSORS = {"input": "gpt_neox.embed_in.weight", "output": "embed_out.weight"}


@pytest.fixture(scope="module")
def counts() -> ps.Counts:
    return counts_of()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_training(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def tracked(folder: Path, counts: ps.Counts) -> Trajectory:
    signatures = [counts.phi_next(), counts.psi_pre()]
    return trajectory(folder, signatures, min_support=5, fraction=0.1, neighbours=3, **HOW)


def test_rows_are_in_order(tracked: Trajectory) -> None:
    expected = [
        (step, name, which, centred)
        for step in STEPS
        for name, which in (("phi_next", "input"), ("psi_pre", "output"))
        for centred in (False, True)
    ]
    assert [(r.step, r.signature, r.which, r.centred) for r in tracked.rows] == expected
    assert tracked.steps == STEPS
    assert tracked.signatures == ("phi_next", "psi_pre")
    assert [row.checkpoint for row in tracked.curve("psi_pre", True)] == [
        "step0",
        "step1",
        "checkpoint-16",
        "epoch=0-step=128.ckpt",
    ]
    assert [row.rows_dropped for row in tracked.curve("psi_pre", True)] == [0, 0, 4, 0]
    assert {row.step for row in tracked.untrained} == {0}
    assert len(tracked.untrained) == 4


def test_figures_are_those_of_each_function(tracked: Trajectory, counts: ps.Counts) -> None:
    for row in tracked.rows:
        W = model_at(row.step, V + 4 if row.step == 16 else V)[TENSORS[row.which]][:V]
        signature = getattr(counts, row.signature)()
        metrics = alignment_metrics(W, signature, 5, row.centred, threads=1, backend="reference")
        strong = strong_pairs(W, signature, 0.1, 5, row.centred)
        common = neighbour_overlap(W, signature, 3, 5, row.centred)
        correlation = metrics.correlation
        assert (row.tokens, row.pairs) == (correlation.tokens, correlation.pairs)
        assert row.r_cos == correlation.pearson
        assert row.r_cos_error == metrics.interval.error
        assert row.mean_embedding_cosine == correlation.mean_embedding_cosine
        assert row.mean_signature_cosine == correlation.mean_signature_cosine
        assert (row.cka, row.debiased_cka) == (metrics.cka, metrics.debiased_cka)
        assert row.strong_pairs == strong.top > 0
        assert row.strong_signature_cosine == strong.by_embedding.mean_signature_cosine
        assert row.strong_lift == strong.signature_lift
        assert row.strong_overlap == strong.overlap_share
        assert (row.neighbours, row.neighbour_overlap) == (3, common.overlap[0])
        assert row.neighbour_chance == common.chance[0]
        assert (row.min_support, row.as_of, row.tied) == (5, None, False)


def test_it_learns(tracked: Trajectory) -> None:
    """Brute force of R_cos at the last step, which is far above that of the untrained one."""
    for name in tracked.signatures:
        first, *_, last = tracked.curve(name, True)
        assert last.r_cos > first.r_cos + 0.3
        W = model_at(128)[TENSORS[last.which]].double().numpy()
        passing = getattr(counts_of(), name)(5)
        kept = passing.tokens
        W = W[kept] - W[kept].mean(axis=0)
        cosines = []
        for x in (W, passing.to_scipy().toarray()[kept]):
            unit = x / np.linalg.norm(x, axis=1, keepdims=True)
            cosines.append((unit @ unit.T)[~np.eye(len(kept), dtype=bool)])
        assert last.r_cos == pytest.approx(np.corrcoef(*cosines)[0, 1], abs=1e-12)


def test_what_is_left_out(folder: Path, counts: ps.Counts) -> None:
    result = trajectory(
        folder, counts.phi_next(), fraction=None, neighbours=None, centre=True, **HOW
    )
    assert [row.centred for row in result.rows] == [True] * 4
    for row in result.rows:
        assert (row.strong_pairs, row.neighbours) == (0, 0)
        assert math.isnan(row.strong_lift)
        assert math.isnan(row.neighbour_overlap)
        assert not math.isnan(row.r_cos)
    assert "lift" not in str(result)
    assert "neighbours" not in str(result)
    # More neighbours than there are: all.
    all_of = trajectory({0: model_at(0)}, counts.phi_next(), neighbours=100, **HOW)
    assert [row.neighbours for row in all_of.rows] == [V - 1] * 2
    assert [row.neighbour_overlap for row in all_of.rows] == [1.0] * 2


def test_modules_and_other_embeddings(counts: ps.Counts) -> None:
    models = {step: torch.nn.Embedding(V, D) for step in (0, 7)}
    tied = joint(counts.phi_next(), counts.psi_pre())
    signatures = {"tied": prepare(tied), "mine": counts.phi_next(), "psi": counts.psi_pre()}
    result = trajectory(models, signatures, which={"mine": "output"}, **HOW)
    sides = {(row.signature, row.which, row.tied) for row in result.rows}
    assert sides == {("tied", "input", False), ("mine", "output", True), ("psi", "output", True)}
    assert {line.count("output (tied)") for line in str(result).splitlines()} == {0, 1}
    W = models[7].weight.detach()
    expected = cosine_correlation(W, tied, threads=1, backend="reference").pearson
    assert result.curve("tied", False)[1].r_cos == pytest.approx(expected, abs=1e-12)
    swapped = {"input": TENSORS["output"]}
    of_key = trajectory({0: model_at(5)}, counts.psi_pre(), "input", keys=swapped, **HOW)
    of_itself = trajectory({0: model_at(5)}, counts.psi_pre(), **HOW)
    assert [row.r_cos for row in of_key.rows] == [row.r_cos for row in of_itself.rows]
    everywhere = trajectory(models, counts.psi_pre(), which="input", **HOW)
    assert {(row.which, row.tied) for row in everywhere.rows} == {("input", False)}


def test_counts_as_of_a_step(folder: Path, counts: ps.Counts) -> None:
    early, late = counts_of(2, 300), counts_of(3, 900)
    phi, psi = counts.phi_next(), counts.psi_pre()
    at = {1: [early.phi_next(), early.psi_pre()], 100: late.phi_next()}
    result = trajectory(folder, [phi, psi], counts_at=at, **HOW)
    told = {(row.step, row.signature): row.as_of for row in result.rows}
    assert told == {
        **{(0, "phi_next"): None, (0, "psi_pre"): None},
        **{(1, "phi_next"): 1, (1, "psi_pre"): 1},
        **{(16, "phi_next"): 1, (16, "psi_pre"): 1},
        **{(128, "phi_next"): 100, (128, "psi_pre"): None},
    }
    used = {None: phi, 1: early.phi_next(), 100: late.phi_next()}
    for row in result.curve("phi_next", False):
        W = model_at(row.step)[TENSORS["input"]] if row.step != 16 else None
        if W is not None:
            expected = cosine_correlation(W, used[row.as_of], threads=1, backend="reference")
            assert row.r_cos == pytest.approx(expected.pearson, abs=1e-12)
    assert "counts as of" in str(result)

    asked = []

    def counts_at(step: int) -> ps.Signature | None:
        asked.append(step)
        return early.phi_next() if step else None

    of_function = trajectory(folder, phi, counts_at=counts_at, **HOW)
    assert asked == list(STEPS)
    assert [row.as_of for row in of_function.curve("phi_next", True)] == [None, 1, 16, 128]
    assert of_function.rows[2].r_cos == result.curve("phi_next", False)[1].r_cos


def test_undefined_checkpoints_stay_in_the_table(counts: ps.Counts) -> None:
    """Zeros before the first step, NaN after a divergence, too few counts as of a step."""
    good = model_at(16)
    bad = {name: torch.full_like(tensor, torch.nan) for name, tensor in good.items()}
    zero = {name: torch.zeros_like(tensor) for name, tensor in good.items()}
    some = {name: tensor.clone() for name, tensor in good.items()}
    some[TENSORS["input"]][4, 1] = torch.inf
    models = {0: zero, 1: good, 2: some, 3: bad}
    result = trajectory(models, counts.phi_next(), **HOW)
    rows = result.curve("phi_next", False)
    assert [row.tokens for row in rows] == [0, V, V - 1, 0]
    assert [row.not_finite for row in rows] == [0, 0, 1, 0]
    assert [math.isnan(row.r_cos) for row in rows] == [True, False, False, True]
    early = signature_of(np.eye(V)[:, :3], "phi_next")
    few = trajectory(models, counts.phi_next(), None, 5, counts_at={1: early}, **HOW)
    assert [row.tokens > 0 for row in few.curve("phi_next", True)] == [False] * 4
    assert [row.as_of for row in few.curve("phi_next", True)] == [None, 1, 1, 1]
    assert json.loads(json.dumps(result.to_dict()))["rows"][0]["r_cos"] is None


# Text


def test_it_prints_as_a_table(tracked: Trajectory) -> None:
    lines = str(tracked).splitlines()
    assert len(lines) == 1 + len(tracked.rows)
    assert lines[0].split()[:4] == ["step", "signature", "embedding", "tokens"]
    row = tracked.rows[3]
    assert lines[4].split()[:6] == [
        *("0", "psi_pre", "output", "mean-centred", "12", f"{row.r_cos:.4f}")
    ]


# Bad input


def test_bad_input(folder: Path, counts: ps.Counts, tmp_path: Path) -> None:
    phi = counts.phi_next()

    damaged = tmp_path / "a.pt"
    damaged.write_bytes(b"no tensors")

    def refused(error: type[Exception], match: str, *arguments: Any, **options: Any) -> None:
        with pytest.raises(error, match=match):
            trajectory(*arguments, **{**HOW, **options})

    refused(SourceNotFoundError, "named like step1000", tmp_path, phi)
    refused(ArgumentError, "signatures: expected at least one, got none", folder, [])
    refused(ArgumentError, "expected each name once, got 'phi_next' twice", folder, [phi, phi])
    refused(ArgumentTypeError, "expected a .*[sS]ignature", folder, counts)
    refused(ArgumentTypeError, "expected a .*[sS]ignature", folder, ["phi_next"])
    refused(ArgumentError, "at least 3 tokens that have it in phi_next", folder, phi, None, 10**6)
    refused(ArgumentError, "which: expected 'input' or 'output', got 'both'", folder, phi, "both")
    refused(ArgumentError, "expected names of phi_next, got 'x'", folder, phi, {"x": "input"})
    refused(ArgumentTypeError, "centre: expected a bool", folder, phi, centre=1)
    refused(ArgumentError, "centre: expected each way once", folder, phi, centre=[True, True])
    refused(ArgumentError, "neighbours: expected at least 1", folder, phi, neighbours=0)
    refused(ArgumentError, "fraction: expected above 0", folder, phi, fraction=0.0)
    refused(ArgumentTypeError, "counts_at: expected a function", folder, phi, counts_at=3)
    other = {0: counts.psi_pre()}
    refused(ArgumentError, "signatures of phi_next, got 'psi_pre'", folder, phi, counts_at=other)
    fewer = {0: signature_of(np.eye(4), "phi_next")}
    refused(ArgumentError, "expected 12 rows of phi_next, got 4", folder, phi, counts_at=fewer)
    wide = signature_of(np.eye(V + 1), "phi_next")
    refused(ArgumentError, "checkpoints: step 0: .* 13 rows, got 12 in .*step0", folder, wide)
    refused(ArgumentTypeError, "keys: expected a mapping, got str", folder, phi, keys="wte")
    refused(ArgumentError, "keys: .* got 3 for 'input'", folder, phi, keys={"input": 3})
    refused(ArgumentError, "keys: .* got 'a' for 'both'", folder, phi, keys={"both": "a"})
    names = "keys: step 0: expected one of 'embed_out.weight', 'gpt_neox.* of .*, got 'wte'"
    refused(ArgumentError, names, folder, phi, keys={"input": "wte"})
    refused(SourceError, "checkpoints: step 3: expected what torch", {3: damaged}, phi)
