"""The controlled experiment: its training, its log, and what THEORY asserts of it."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from probsig_fast.errors import ArgumentError, ArgumentTypeError

torch = pytest.importorskip("torch", reason="experiments need torch")

from probsig_fast.alignment import cosine_correlation  # noqa: E402
from probsig_fast.experiments.composite_addition import (  # noqa: E402
    MODELS,
    Reproduction,
    Setup,
    Training,
    add,
    random_table,
    reproduce,
    train,
)
from probsig_fast.experiments.composite_addition.expected import (  # noqa: E402
    ASSERTIONS,
    Assertion,
)
from probsig_fast.experiments.composite_addition.models import initial_weights  # noqa: E402
from probsig_fast.experiments.gradient_flow import exact_flow, incidence_matrix  # noqa: E402

LOG_2 = math.log(2)
SEED_0 = [0]


def cosine_matrix(W: Any) -> np.ndarray[Any, Any]:
    W = np.asarray(W, np.float64)
    unit = W / np.linalg.norm(W, axis=1, keepdims=True)
    return unit @ unit.T


def near_less_far(training: Training, kind: str = "value") -> np.ndarray[Any, Any]:
    """[R], a seed each, after the last step."""
    log = training.log
    return (log[f"cos_near_by_{kind}"] - log[f"cos_far_by_{kind}"])[:, -1]


# Training


@pytest.fixture(scope="module")
def short() -> Training:
    """Enough steps for the geometry, far fewer than for the loss."""
    return train("add", steps=200, seeds=SEED_0, progress=False)


def test_training_is_that_of_a_plain_loop() -> None:
    task = add()
    result = train(task, "silu", steps=4, seeds=[5, 3], setup=Setup(width=8, init_std=0.1))
    generator = torch.Generator().manual_seed(3)
    W_E, W_U = (
        (torch.randn(rows, 8, generator=generator, dtype=torch.float64) * 0.1).requires_grad_()
        for rows in (30, 28)
    )
    optimiser = torch.optim.Adam([W_E, W_U], lr=5e-3)
    X, y = torch.tensor(task.X), torch.tensor(task.y)
    for step in range(5):
        h = W_E[X].sum(dim=1)
        loss = torch.nn.functional.cross_entropy(torch.nn.functional.silu(h) @ W_U.T, y)
        at = result.steps.tolist().index(step)
        assert result.log["loss"][1, at] == pytest.approx(loss.item(), abs=1e-12)
        if step < 4:
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    np.testing.assert_allclose(result.W_E[1], W_E.detach(), atol=1e-10)
    np.testing.assert_allclose(result.W_U[1], W_U.detach(), atol=1e-10)


def test_same_seeds_same_result() -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    first, again = (train("xor", "gelu", steps=30, seeds=[0, 7]) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)  # left alone
    assert torch.get_num_threads() == threads
    np.testing.assert_array_equal(first.W_E, again.W_E)
    for name in first.log:
        np.testing.assert_array_equal(first.log[name], again.log[name])
    assert (first.W_E[0] != first.W_E[1]).all()
    alone = train("xor", "gelu", steps=30, seeds=[7])  # what is trained beside it does not matter
    np.testing.assert_allclose(alone.W_E[0], first.W_E[1], atol=1e-10)


def test_log_is_of_the_weights(short: Training) -> None:
    W_E, W_U, counts = short.W_E[0], short.W_U[0], short.counts
    off = ~np.eye(30, dtype=bool)
    g, h = cosine_matrix(W_E), cosine_matrix(counts.phi_y().to_scipy().toarray())
    assert short.log["r_embedding"][0, -1] == pytest.approx(np.corrcoef(g[off], h[off])[0, 1])
    expected = cosine_correlation(W_U, counts.psi_X()).pearson
    assert short.log["r_unembedding"][0, -1] == expected
    near = np.mean([g[10 + i, 11 + i] for i in range(9)])
    assert short.log["cos_near_by_value"][0, -1] == pytest.approx(near)
    assert short.steps[[0, 1, -1]].tolist() == [0, 1, 200]
    assert short.mean("loss") == short.log["loss"][0, -1] < short.mean("loss", at=0)


@pytest.mark.parametrize("model", ["linear", "gelu", "tanh"])
def test_log_holds_predicted_beside_actual_gradients(model: str) -> None:
    task = add()
    result = train(task, model, steps=1, seeds=SEED_0)
    # As exact as the slopes of THEORY say at eps = 0.03, and the actual one is the flow.
    assert result.log["flow_residual_E"][0, 0] < 5e-3
    assert result.log["flow_cosine_U"][0, 0] == pytest.approx(1, abs=1e-5)
    W_E, W_U = (each[0].detach() for each in initial_weights(30, 28, 32, 0.03, SEED_0))
    flow = exact_flow(incidence_matrix(task.X, 30), task.y, W_E, W_U, activation=model)
    # Adam's first step is the sign of the gradient times the learning rate.
    large = np.abs(flow.W_E) > 1e-5
    step = 5e-3 * np.sign(flow.W_E)
    np.testing.assert_allclose(
        result.W_E[0][large], (W_E.numpy() + step)[large], atol=1e-5, rtol=1e-3
    )


def test_relu_has_no_prediction() -> None:
    result = train("add", "relu", steps=1, seeds=SEED_0)
    for name in ("flow_residual_E", "flow_residual_U", "flow_cosine_E", "flow_cosine_U"):
        assert np.isnan(result.log[name]).all()
    assert np.isfinite(result.log["loss"]).all()


def test_at_initialisation() -> None:
    """Loss log Q, and no geometry yet."""
    for task in (add(), random_table()):
        result = train(task, steps=1, seeds=range(6))
        assert result.mean("loss", at=0) == pytest.approx(math.log(28), abs=0.01)
        assert abs(result.mean("r_embedding", at=0)) < 0.09
        assert abs(result.mean("r_unembedding", at=0)) < 0.10
        assert abs(result.mean("cos_near_by_value", at=0)) < 0.1
        assert abs(result.mean("cos_far_by_value", at=0)) < 0.1


def test_geometry_forms_early(short: Training) -> None:
    assert short.mean("r_embedding") > 0.80
    assert short.mean("r_unembedding") > 0.70
    assert near_less_far(short) > 0.7


def test_a_constant_signature_is_undefined_not_0() -> None:
    result = train("modular", steps=20, seeds=SEED_0)
    assert np.isnan(result.log["r_embedding"]).all()
    assert np.isnan(result.log["r_unembedding"]).all()
    assert np.isfinite(result.log["cos_near_by_value"]).all()
    assert result.mean("loss") == pytest.approx(math.log(10), abs=0.01)


def test_xor_linear_cannot() -> None:
    result = train("xor", "linear")
    np.testing.assert_allclose(result.log["loss"][:, -1], LOG_2, atol=0.01)
    assert (result.log["cos_within_class"][:, -1] > 0.95).all()


@pytest.mark.parametrize("model", [model for model in MODELS if model != "linear"])
def test_xor_ffn_can(model: str) -> None:
    result = train("xor", model)
    assert (result.log["loss"][:, -1] < 0.01).all()
    assert (result.log["cos_within_class"][:, -1] < 0.5).all()


def test_training_prints_its_log(short: Training) -> None:
    lines = str(short).splitlines()
    assert lines[0] == "add: y = z + a1 + a2; linear, mean over 1 seed"
    assert lines[1].split()[:2] == ["step", "loss"]
    assert lines[1].endswith("near by value  far by value")  # by id is the same here
    assert lines[2].split()[:2] == ["0", "3.332"]
    assert len(lines) == 2 + short.steps.size
    assert "near by id" in str(train("permuted", steps=1, seeds=SEED_0))
    assert "nan" in str(train("modular", steps=1, seeds=SEED_0))
    assert "within class" in str(train("xor", steps=1, seeds=SEED_0))


def test_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    train("xor", steps=5, seeds=SEED_0)
    assert capsys.readouterr().err == ""  # no terminal
    train("xor", steps=5, seeds=SEED_0, progress=True)
    assert "xor, linear" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "match"),
    [
        (("sum",), {}, ArgumentError, "task: expected one of add, .*, got 'sum'"),
        (("add", "mlp"), {}, ArgumentError, "model: expected one of linear, relu, .*, got 'mlp'"),
        (("add",), {"steps": 0}, ArgumentError, "steps: expected at least 1, got 0"),
        (("add",), {"steps": 2.5}, ArgumentTypeError, "steps: expected an int, got float 2.5"),
        (("add",), {"seeds": []}, ArgumentError, "seeds: expected at least one, got none"),
        (("add",), {"seeds": [-1]}, ArgumentError, "seeds: expected from 0 to"),
        (("add",), {"seeds": 3}, ArgumentTypeError, "seeds: expected a sequence of ints, got int"),
    ],
)
def test_bad_training(arguments: Any, options: Any, kind: Any, match: str) -> None:
    with pytest.raises(kind, match=match):
        train(*arguments, **options)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"width": 0}, "width: expected at least 1, got 0"),
        ({"init_std": 0.0}, "init_std: expected above 0 and finite, got 0.0"),
        ({"learning_rate": math.inf}, "learning_rate: expected above 0 and finite, got inf"),
        ({"learning_rate": math.nan}, "learning_rate: expected above 0 and finite, got nan"),
    ],
)
def test_bad_setup(options: Any, match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        Setup(**options)


# All of it


def test_reproduction_of_few_steps() -> None:
    result = reproduce(["xor", "modular"], seeds=SEED_0, steps=2)
    assert [(row.task, row.model) for row in result.rows] == [
        ("modular", "linear"),
        ("xor", "linear"),
        ("xor", "gelu"),
    ]
    assert {check.name.split(",")[0] for check in result.checks} == {"modular", "xor"}
    told = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert told["steps"] == 2
    assert told["rows"][0]["mean"]["r_embedding"] is None
    text = str(result)
    assert "2 steps, mean over 1 seed" in text
    assert "undefined (undefined)" in text
    assert "FAILED" in text  # two steps are not enough for XOR
    assert reproduce(["xor"], seeds=SEED_0, steps=1).initial == {}


def test_bad_reproduction() -> None:
    with pytest.raises(ArgumentError, match=r"tasks: expected some of add, .*, got 'sum'"):
        reproduce(["add", "sum"])
    with pytest.raises(ArgumentError, match=r"tasks: expected some of add, .*, got none"):
        reproduce([])
    with pytest.raises(ArgumentTypeError, match="tasks: expected a sequence of names, got str"):
        reproduce("add")
    with pytest.raises(ArgumentError, match="steps: expected at least 1, got 0"):
        reproduce(steps=0)


def test_assertions_read_well() -> None:
    def wanted(low: float, high: float) -> str:
        return Assertion("add", "linear", "loss", lambda _: 0.0, low, high).wanted()

    assert wanted(0.8, math.inf) == "above 0.8"
    assert wanted(-math.inf, 0.1) == "below 0.1"
    assert wanted(0, 0) == "0"
    assert wanted(0.25, 0.5) == "0.250 to 0.500"
    assert wanted(math.nan, math.nan) == "undefined"
    undefined = Assertion("add", "linear", "R", lambda _: 0.0, math.nan, math.nan)
    assert undefined.holds(math.nan)
    assert not undefined.holds(0.0)


@pytest.fixture(scope="module")
def reproduction() -> Reproduction:
    return reproduce()


def training_of(reproduction: Reproduction, task: str, model: str = "linear") -> Training:
    (found,) = (
        each for each in reproduction.trainings if (each.task.name, each.model) == (task, model)
    )
    return found


@pytest.mark.slow
@pytest.mark.parametrize("model", ["linear", "relu"])
def test_trained_add(reproduction: Reproduction, model: str) -> None:
    result = training_of(reproduction, "add", model)
    assert (result.log["r_embedding"][:, -1] > 0.80).all()
    assert (near_less_far(result) > 0.7).all()
    if model == "linear":
        assert (result.log["r_unembedding"][:, -1] > 0.70).all()


@pytest.mark.slow
def test_trained_permutation(reproduction: Reproduction) -> None:
    result = training_of(reproduction, "permuted")
    assert (near_less_far(result, "id") < 0.1).all()
    assert (near_less_far(result, "value") > 0.7).all()


@pytest.mark.slow
def test_trained_modulo(reproduction: Reproduction) -> None:
    result = training_of(reproduction, "modular")
    np.testing.assert_allclose(result.log["loss"][:, -1], math.log(10), atol=0.01)
    assert np.isnan(result.log["r_embedding"]).all()


@pytest.mark.slow
def test_the_table_is_theorys(reproduction: Reproduction) -> None:
    """To what another initialisation changes; the random table's row is of another table."""
    compared = 0
    for row in reproduction.rows:
        if row.task == "random-table":
            continue
        for name, expected in row.expected.items():
            if name.endswith("_by_id"):
                continue
            if math.isnan(expected):
                assert math.isnan(row.mean[name])
            else:
                near_0 = row.task == "modular" and name.startswith("cos_")
                allowed = 0.1 if near_0 else 0.05
                assert row.mean[name] == pytest.approx(expected, abs=allowed), (row.task, name)
            compared += 1
    assert compared == 26


@pytest.mark.slow
def test_all_assertions_hold(reproduction: Reproduction) -> None:
    assert len(reproduction.checks) == len(ASSERTIONS) == 14
    assert [check.name for check in reproduction.checks if not check.holds] == []
    assert "14 of 14 assertions" in str(reproduction)
    assert abs(reproduction.initial["r_embedding"]) < 0.09
    assert abs(reproduction.initial["r_unembedding"]) < 0.10
