"""The language-model experiment: digits, verdicts, the training and its report."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probsig_fast.errors import ArgumentError, MissingExtraError

pytest.importorskip("torch", reason="experiments need torch")
pytest.importorskip("tokenizers", reason="the corpus needs tokenizers")
with warnings.catch_warnings():
    # Of what transformers' own imports will drop.
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.simplefilter("ignore", FutureWarning)
    pytest.importorskip("transformers", reason="the model is transformers'")

import torch

from probsig_fast.alignment import cosine_correlation, permutation_null, strong_pairs
from probsig_fast.experiments.language_model import (
    LanguageModelRun,
    Setup,
    Texts,
    digit_order,
    find_digits,
    judge,
    make_setup,
    remove_checkpoints,
    reproduce,
    save_checkpoint,
)
from probsig_fast.experiments.language_model.digits import Digits
from probsig_fast.experiments.language_model.model import embeddings, loss_of, make_model
from probsig_fast.experiments.language_model.training import checkpoint_steps, learning_rate

SMALL: dict[str, Any] = {
    "vocab_size": 300,
    "width": 16,
    "layers": 1,
    "heads": 2,
    "key_value_heads": 1,
    "inner_width": 24,
    "sequence_length": 16,
    "batch": 4,
    "steps": 6,
    "warmup": 2,
    "loss_rows": 4,
    "min_support": 3,
}


def texts(digits: str = "0123456789") -> Texts:
    random = np.random.default_rng(2)
    words = ["let", "x", "be", "the", "sum", "of", "(", ")", "\n", *digits]
    gaps = ["", " ", " + "]
    documents = (
        "".join(word + random.choice(gaps) for word in random.choice(words, 40)) for _ in range(40)
    )
    return Texts(tuple(documents), "a test")


def kept(store: dict[int, Any]) -> Any:
    def keep(step: int, W_E: torch.Tensor, W_U: torch.Tensor) -> None:
        store[step] = (W_E.clone(), W_U.clone())

    return keep


@pytest.fixture(scope="module")
def matrices() -> dict[int, Any]:
    return {}


@pytest.fixture(scope="module")
def run(matrices: dict[int, Any]) -> LanguageModelRun:
    setup = make_setup("tiny", **SMALL)
    return reproduce(texts(), setup, seed=1, draws=3, threads=1, keep=kept(matrices))


# Digits


def brute_force_order(rows: Any, values: list[int]) -> tuple[float, float, float]:
    from scipy.stats import spearmanr

    pairs = [(i, j) for i in range(len(values)) for j in range(i)]
    cosines = [
        rows[i] @ rows[j] / np.sqrt(rows[i] @ rows[i]) / np.sqrt(rows[j] @ rows[j])
        for i, j in pairs
    ]
    apart = [abs(values[i] - values[j]) for i, j in pairs]
    near = [c for c, a in zip(cosines, apart, strict=True) if a == 1]
    far = [c for c, a in zip(cosines, apart, strict=True) if a >= 4]
    found = spearmanr(cosines, [-a for a in apart]).statistic
    return found, np.mean(near), np.mean(far)


@pytest.mark.parametrize("values", [list(range(10)), [0, 1, 5], [2, 3, 4, 9]])
def test_digit_order(values: list[int]) -> None:
    rows = np.random.default_rng(len(values)).normal(size=(len(values), 4)).astype(np.float32)
    rows[1] = 2 * rows[0]  # ties among the cosines too
    found = digit_order(rows, Digits(np.array(values), np.arange(len(values))))
    expected = brute_force_order(rows.astype(np.float64), values)
    assert (found.spearman, found.near, found.far) == pytest.approx(expected, abs=1e-9)
    assert found.pairs == len(values) * (len(values) - 1) // 2


def test_digits_on_a_line_are_in_order() -> None:
    angles = np.arange(10) * 0.1
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = digit_order(rows, Digits(np.arange(10), np.arange(10)))
    assert found.spearman == pytest.approx(1.0, abs=0.02)  # cosines of ties differ in last bits
    assert found.near == pytest.approx(np.cos(0.1))


def test_too_few_digits() -> None:
    strings = ("a", "7", " 1", "12", "3", "0")
    found = find_digits(strings, np.array([0, 1, 2, 3, 5]), 20)
    assert (found.values.tolist(), found.tokens.tolist()) == ([0, 7], [5, 1])
    assert found.missing == "no tokens: 1, 2, 4, 5, 6, 8, 9; seen fewer than 20 times: 3"
    order = digit_order(np.eye(2), found)
    assert np.isnan([order.spearman, order.near, order.far]).all()
    assert np.isnan(digit_order(np.zeros((3, 2)), Digits(np.arange(3), np.arange(3))).spearman)
    assert np.isnan(digit_order(np.ones((3, 2)), Digits(np.arange(3), np.arange(3))).spearman)


# Verdicts


@pytest.mark.parametrize(
    ("values", "words", "step", "most"),
    [
        ([0.0, 0.5, 1.0, 1.0, 1.0], "rises early, stays", 20, 20),
        ([0.0, 0.95, 1.0, 0.95, 0.91], "rises early, stays", 20, 10),
        ([0.0, 0.95, 1.0, 0.5, 0.2], "rises early, decays", 20, 10),
        ([0.0, 0.1, 0.2, 0.95, 1.0], "rises midway, stays", 100, 60),
        ([0.0, 0.1, 0.2, 0.3, 1.0], "rises late, stays", 100, 100),
        ([0.5, 0.5, 0.51, 0.5, 0.49], "does not rise", 20, 20),
        ([0.5, 0.4, 0.3, 0.2, 0.1], "falls", 0, 0),
        ([-0.5, -0.1, -0.1, -0.1, -0.1], "rises early, stays", 10, 10),
        ([np.nan, 0.1, 0.9, np.nan, 0.9], "rises early, stays", 20, 20),
        ([np.nan] * 4 + [0.3], "undefined", -1, -1),
    ],
)
def test_verdict(values: list[float], words: str, step: int, most: int) -> None:
    found = judge("R_cos", np.array([0, 10, 20, 60, 100]), np.array(values))
    assert (found.words, found.highest_step, found.most_step) == (words, step, most)


def test_verdict_figures() -> None:
    found = judge("x", np.array([0, 1, 2]), np.array([0.1, 0.5, 0.3]))
    assert (found.first, found.highest, found.last) == (0.1, 0.5, 0.3)
    assert found.last_over_highest == pytest.approx(0.6)
    assert found.left == pytest.approx(0.5)
    below = judge("x", np.array([0, 1]), np.array([-0.3, -0.1]))
    assert np.isnan(below.last_over_highest)
    digits = judge("digits", np.array([0, 1]), np.array([0.0, 0.2]), least=0.3)
    assert digits.words == "does not rise"


# The model and its training


def test_checkpoint_steps() -> None:
    assert checkpoint_steps(1) == (0, 1)
    assert checkpoint_steps(10) == tuple(range(11))
    assert checkpoint_steps(100, 4) == (0, 1, 2, 4, 8, 16, 25, 50, 75, 100)
    assert checkpoint_steps(1001, 10)[-3:] == (808, 909, 1001)
    assert checkpoint_steps(20, 2) == (0, 1, 2, 4, 8, 10, 20)


def test_learning_rate() -> None:
    setup = Setup(steps=100, warmup=10, learning_rate=1.0)
    rates = [learning_rate(step, setup) for step in range(100)]
    assert rates[:2] == pytest.approx([0.1, 0.2])
    assert max(rates) == rates[9] == rates[10] == 1.0
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_the_loss_asks_for_what_is_counted() -> None:
    model: Any = make_model(make_setup("tiny", **SMALL), 30, end=0, seed=0).eval()
    rows = torch.tensor([[5, 6, 0, 7, 8], [9, 0, 0, 9, 3]])
    logits = model(input_ids=rows[:, :-1]).logits.log_softmax(-1)
    asked = [(0, 0), (0, 1), (0, 3), (1, 0), (1, 3)]  # not what follows an end token
    expected = -torch.stack([logits[i, t, rows[i, t + 1]] for i, t in asked]).mean()
    found = loss_of(model, rows, end=0)
    assert found.item() == pytest.approx(expected.item(), abs=1e-6)


def test_the_architecture() -> None:
    model: Any = make_model(make_setup("tiny"), 100, end=0, seed=0)
    assert type(model).__name__ == "Qwen2ForCausalLM"
    W_E, W_U = embeddings(model)
    assert W_E.shape == W_U.shape == (100, 128)
    assert W_E.data_ptr() != W_U.data_ptr()
    attention = model.model.layers[0].self_attn
    assert attention.q_proj.bias is not None  # Qwen2's mark, with grouped keys and no bias at o
    assert attention.o_proj.bias is None
    assert attention.k_proj.weight.shape == (64, 128)


def test_weights_depend_on_the_seed_alone() -> None:
    setup = make_setup("tiny", **SMALL)
    state = torch.random.get_rng_state()
    first, same, other = (embeddings(make_model(setup, 30, 0, seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_log(run: LanguageModelRun, matrices: dict[int, Any]) -> None:
    assert run.steps.tolist() == list(range(7)) == list(matrices)
    assert all(values.shape == (7,) for values in run.log.values())
    assert run.log["loss"][0] == pytest.approx(np.log(run.corpus["vocab_size"]), abs=0.1)
    assert run.log["loss"][-1] < run.log["loss"][0]
    assert run.log["held_out_loss"][-1] < run.log["held_out_loss"][0]
    strings = run.counts.token_strings
    assert strings is not None
    digits = [strings.index(str(d)) for d in range(10)]
    for at in (0, 6):
        for prefix, signature, W in zip(
            ("input", "output"),
            (run.counts.phi_next(), run.counts.psi_pre()),
            matrices[at],
            strict=True,
        ):
            log = {name: values[at] for name, values in run.log.items()}
            for name, centre in (("raw", False), ("centred", True)):
                found = cosine_correlation(W, signature, 3, centre)
                assert log[f"{prefix}_r_{name}"] == pytest.approx(found.pearson, abs=1e-12)
            pairs = strong_pairs(W, signature, 0.01, 3, centre=True)
            assert log[f"{prefix}_top_1_percent"] == pairs.by_embedding.mean_signature_cosine
            assert log[f"{prefix}_top_1_percent_lift"] == pairs.signature_lift
            expected = brute_force_order(W[digits].double().numpy(), list(range(10)))
            assert log[f"{prefix}_digits"] == pytest.approx(expected[0], abs=1e-9)
            assert log[f"{prefix}_digits_near"] == pytest.approx(expected[1], abs=1e-9)
            assert log[f"{prefix}_digits_far"] == pytest.approx(expected[2], abs=1e-9)
    np.testing.assert_array_equal(run.W_E, matrices[6][0].numpy())


def test_what_is_told_once(run: LanguageModelRun) -> None:
    side = run.sides["output"]
    assert (side.matrix, side.signature) == ("W^U", "psi_pre")
    assert len(side.strata) == 4
    assert [s.pearson for s in side.strata] == [
        run.log[f"output_stratum_{i}"][-1] for i in range(1, 5)
    ]
    psi = run.counts.psi_pre()
    null = permutation_null(run.W_U, psi, 3, centre=True, draws=3, seed=1)
    assert side.null is not None
    assert side.null.values == pytest.approx(null.values)
    assert side.banded_null is not None
    assert side.banded_null.bands == 10
    strings = run.counts.token_strings
    rows = psi.to_scipy().toarray()[[strings.index(str(d)) for d in range(10)]]
    expected = brute_force_order(rows, list(range(10)))
    own = (side.digits.spearman, side.digits.near, side.digits.far)
    assert own == pytest.approx(expected, abs=1e-9)
    assert side.missing_digits == ""


def test_the_same_again(run: LanguageModelRun) -> None:
    again = reproduce(texts(), make_setup("tiny", **SMALL), seed=1, draws=0, threads=1)
    for name, values in run.log.items():
        np.testing.assert_array_equal(again.log[name], values, err_msg=name)
    assert again.sides["input"].null is None
    assert "tokens permuted" not in str(again)


def test_it_prints_answers(run: LanguageModelRun) -> None:
    told = str(run)
    assert "Does alignment rise early, and does it stay?" in told
    assert "What does the single number hide?" in told
    assert "Are the digits in order?" in told
    assert f"{run.counts.total:,} pairs" in told
    for verdict in run.verdicts:
        (line,) = (line for line in told.splitlines() if line.startswith(verdict.figure + "  "))
        assert line.endswith(verdict.words)
    assert max(map(len, told.splitlines())) <= 112


def test_it_becomes_json(run: LanguageModelRun) -> None:
    stored = json.loads(json.dumps(run.to_dict(), allow_nan=False))
    assert stored["log"]["loss"] == run.log["loss"].tolist()
    assert stored["sides"]["input"]["null"]["draws"] == 3
    assert len(stored["sides"]["input"]["strong"]) == 20 or run.sides["input"].pairs < 20_000
    assert stored["corpus"]["passes"] >= 1
    assert [each["words"] for each in stored["verdicts"]] == [v.words for v in run.verdicts]


def test_text_without_digits() -> None:
    found = reproduce(texts(digits=""), make_setup("tiny", **{**SMALL, "steps": 1}), draws=0)
    assert np.isnan(found.log["input_digits"]).all()
    assert "digits left out: seen fewer than 3 times: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in str(found)
    assert "undefined" in {verdict.words for verdict in found.verdicts}
    assert found.to_dict()["log"]["input_digits"] == [None, None]


def test_checkpoints(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    W_E, W_U = torch.randn(5, 3), torch.randn(5, 3).T.contiguous().T
    place = save_checkpoint(tmp_path, 12, W_E, W_U)
    assert place == tmp_path / "step12"
    stored = load_file(place / "model.safetensors")
    assert torch.equal(stored["model.embed_tokens.weight"], W_E)
    assert torch.equal(stored["lm_head.weight"], W_U)
    (tmp_path / "step12" / "mine.txt").write_text("mine")
    save_checkpoint(tmp_path, 2, W_E, W_U)
    remove_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["step12", "mine.txt"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"steps": 0}, "steps: expected at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate: expected above 0 and finite, got 0"),
        ({"megabytes": float("inf")}, "megabytes: expected above 0 and finite"),
        ({"heads": 3}, "heads: expected an even width a head .* got 3 for width = 128"),
        ({"key_value_heads": 3}, "heads: expected .* multiple of key_value_heads = 3"),
        ({"held_out_share": 1.0}, "held_out_share: expected below 1, got 1.0"),
    ],
)
def test_bad_setups(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ArgumentError, match=told):
        make_setup("tiny", **changes)


def test_bad_arguments() -> None:
    setup = make_setup("tiny", **SMALL)
    with pytest.raises(ArgumentError, match="size: expected tiny or small, got 'large'"):
        make_setup("large")
    with pytest.raises(ArgumentError, match="device: expected a torch device, got 'gpu'"):
        reproduce(texts(), setup, device="gpu")
    with pytest.raises(ArgumentError, match="draws: expected at least 0, got -1"):
        reproduce(texts(), setup, draws=-1)
    high = make_setup("tiny", **{**SMALL, "min_support": 10**6})
    with pytest.raises(
        ArgumentError, match=r"min_support: expected at least 3 tokens .* phi_next, got 0 \(the lar"
    ):
        reproduce(texts(), high)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_no_cuda_here() -> None:
    with pytest.raises(ArgumentError, match="device: expected one that is there, got 'cuda'"):
        reproduce(texts(), make_setup("tiny", **SMALL), device="cuda")


@pytest.mark.gpu
def test_cuda() -> None:
    setup = make_setup("tiny", **{**SMALL, "bfloat16": True})
    found = reproduce(texts(), setup, draws=2, device="cuda")
    assert found.device.startswith("cuda")
    assert found.log["loss"][-1] < found.log["loss"][0]


def test_without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"needs transformers.*probsig-fast\[experiments\]"):
        reproduce(texts(), make_setup("tiny", **SMALL))
