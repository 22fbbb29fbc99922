"""Predicted gradients against torch's: slopes of the residual, conservation laws, solved ODE."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import probsig_fast as ps
from probsig_fast.errors import ArgumentError, ArgumentTypeError

torch = pytest.importorskip("torch", reason="experiments need torch")

from probsig_fast.experiments.composite_addition import add, modular  # noqa: E402
from probsig_fast.experiments.gradient_flow import (  # noqa: E402
    ACTIVATIONS,
    Flow,
    exact_flow,
    incidence_matrix,
    leading_flow,
    predicted_flow,
    source_integers,
    source_matrix,
)

V, Q, D, N = 10, 7, 5, 200
UNSEEN = 9
INCIDENCES = ("presence", "multiplicity")
TORCH = {
    "linear": lambda a: a,
    "relu": torch.relu,
    "gelu": torch.nn.functional.gelu,
    "silu": torch.nn.functional.silu,
    "tanh": torch.tanh,
}
#: How fast the residual relative to the gradient falls with eps, for order 1, 2, 3 (THEORY,
#: section 1; the table there has the absolute residual, one power higher).
SLOPES = {
    "linear": (2, 2, 4),
    "gelu": (1, 2, 3),
    "silu": (1, 2, 3),
    "tanh": (2, 2, 2),
}


def samples(seed: int = 0, n: int = N) -> tuple[list[list[int]], np.ndarray[Any, Any]]:
    """Sequences of 2 to 6 of the tokens 0 .. 8, most with a repeat, and labels that depend on
    them."""
    rng = np.random.default_rng(seed)
    X = [rng.integers(0, UNSEEN, rng.integers(2, 7)).tolist() for _ in range(n)]
    y = [(row[0] + rng.integers(0, 3)) % Q for row in X]
    return X, np.array(y)


def counted(incidence: str = "presence", **options: Any) -> Any:
    X, y = samples()
    options = {"third_order": True, **options}
    return ps.count_labelled(X, y, vocab_size=V, n_labels=Q, incidence=incidence, **options)


def weights(scale: float, middle: bool, seed: int = 1) -> dict[str, Any]:
    """W of this scale; middle matrices of scale 1, not square."""
    rng = np.random.default_rng(seed)
    result = {"W_E": scale * rng.normal(size=(V, D)), "W_U": scale * rng.normal(size=(Q, D))}
    if middle:
        result["W_U"] = scale * rng.normal(size=(Q, 4))
        result["M1"] = rng.normal(size=(6, D)) / math.sqrt(D)
        result["M2"] = rng.normal(size=(4, 6)) / math.sqrt(6)
    return result


def autograd(activation: str, incidence: str, **given: Any) -> Flow:
    """-gradient of mean cross-entropy, written down as a model and differentiated by torch."""
    X, y = samples()
    tensors = {name: torch.tensor(value, requires_grad=True) for name, value in given.items()}
    rows = [sorted(set(row)) if incidence == "presence" else row for row in X]
    h = torch.stack([tensors["W_E"][row].sum(0) for row in rows])
    a = h @ tensors["M1"].T if "M1" in tensors else h
    hidden = TORCH[activation](a)
    out = hidden @ tensors["M2"].T if "M2" in tensors else hidden
    f = out @ tensors["W_U"].T
    torch.nn.functional.cross_entropy(f, torch.tensor(y)).backward()
    return Flow(**{name: -tensor.grad.numpy() for name, tensor in tensors.items()})


def relative(predicted: Flow, actual: Flow) -> float:
    """The larger of the residuals of W^E and W^U."""
    agreement = predicted.agreement(actual)
    return max(agreement.residual_E, agreement.residual_U)


# Exact


@pytest.mark.parametrize("middle", [False, True])
@pytest.mark.parametrize("incidence", INCIDENCES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_exact_flow_is_autograd(activation: str, incidence: str, middle: bool) -> None:
    X, y = samples()
    given = weights(0.7, middle)
    c = incidence_matrix(X, V, incidence)
    actual = autograd(activation, incidence, **given)
    for matrix in (c, c.toarray()):
        flow = exact_flow(matrix, y, activation=activation, **given)
        for name in given:
            np.testing.assert_allclose(getattr(flow, name), getattr(actual, name), atol=1e-14)


def test_exact_flow_of_mean_pooling() -> None:
    """Any real incidence: m / |X|, by finite differences of the loss."""
    X, y = samples()
    c = incidence_matrix(X, V, "multiplicity").toarray()
    c /= c.sum(axis=1, keepdims=True)
    given = weights(0.7, middle=False)

    def loss(W_E: np.ndarray[Any, Any]) -> float:
        f = np.tanh(c @ W_E) @ given["W_U"].T
        return float(np.mean(np.log(np.exp(f).sum(axis=1)) - f[np.arange(N), y]))

    flow = exact_flow(c, y, activation="tanh", **given)
    for x, k in ((0, 0), (5, 3)):
        step = np.zeros((V, D))
        step[x, k] = 1e-6
        slope = (loss(given["W_E"] + step) - loss(given["W_E"] - step)) / 2e-6
        assert flow.W_E[x, k] == pytest.approx(-slope, abs=1e-9)


def test_incidence_matrix() -> None:
    X = [[0, 0, 2], [1]]
    assert incidence_matrix(X, 3).toarray().tolist() == [[1, 0, 1], [0, 1, 0]]
    assert incidence_matrix(X, 3, "multiplicity").toarray().tolist() == [[2, 0, 1], [0, 1, 0]]
    X, y = samples()
    for incidence in INCIDENCES:
        c, Y = incidence_matrix(X, V, incidence).toarray(), np.eye(Q)[y]
        counts = counted(incidence)
        np.testing.assert_array_equal(counts.labels.to_scipy().toarray(), c.T @ Y)
        np.testing.assert_array_equal(counts.pairs.to_scipy().toarray(), c.T @ c)


# Predicted


def measured_slopes(activation: str, incidence: str, middle: bool) -> list[float]:
    counts = counted(incidence)
    residuals = np.empty((2, 3))
    for i, scale in enumerate((1e-2, 1e-3)):
        given = weights(scale, middle)
        actual = autograd(activation, incidence, **given)
        for order in (1, 2, 3):
            predicted = predicted_flow(counts, activation=activation, order=order, **given)
            residuals[i, order - 1] = relative(predicted, actual)
    return np.log10(residuals[0] / residuals[1]).tolist()


@pytest.mark.parametrize("middle", [False, True])
@pytest.mark.parametrize("incidence", INCIDENCES)
@pytest.mark.parametrize("activation", SLOPES)
def test_residual_slopes(activation: str, incidence: str, middle: bool) -> None:
    slopes = measured_slopes(activation, incidence, middle)
    assert slopes == pytest.approx(SLOPES[activation], abs=0.15)


@pytest.mark.parametrize("activation", SLOPES)
def test_middle_matrices_flow_too(activation: str) -> None:
    counts, given = counted(), weights(1e-3, middle=True)
    predicted = predicted_flow(counts, activation=activation, **given)
    actual = autograd(activation, "presence", **given)
    for name in ("M1", "M2"):
        expected = getattr(actual, name)
        error = np.linalg.norm(getattr(predicted, name) - expected) / np.linalg.norm(expected)
        assert error < 1e-4


@pytest.mark.parametrize("activation", ["linear", "silu"])
def test_the_wrong_incidence_is_wrong_at_leading_order(activation: str) -> None:
    given = weights(1e-4, middle=False)
    actual = autograd(activation, "multiplicity", **given)
    right = predicted_flow(counted("multiplicity"), activation=activation, **given)
    wrong = predicted_flow(counted("presence"), activation=activation, **given)
    assert relative(right, actual) < 1e-6
    assert relative(wrong, actual) > 0.05


def test_the_formulas_token_by_token() -> None:
    """The sums of THEORY, section 1, over signatures; the package has the matrix form."""
    counts, given = counted(), weights(0.3, middle=False)
    W_E, W_U = given["W_E"], given["W_U"]
    s1, s2, _ = ACTIVATIONS["silu"].at_zero
    phi_y, phi_X = (each.to_scipy().toarray() for each in (counts.phi_y(), counts.phi_X()))
    C = np.eye(Q) - 1 / Q
    expected = np.zeros((V, D))
    for x in range(UNSEEN):
        third = counts.third_order(x).toarray()
        given_y = third / np.maximum(counts.labels.to_scipy().toarray()[x], 1)[:, None]
        curved = sum(phi_y[x, nu] * (W_E.T @ given_y[nu]) * W_U[nu] for nu in range(Q))
        curved = curved - (W_E.T @ phi_X[x]) * W_U.mean(axis=0)
        bent = W_U.T @ C @ W_U @ W_E.T @ phi_X[x] / Q
        expected[x] = s1 * W_U.T @ (phi_y[x] - 1 / Q) + s2 * curved - s1**2 * bent
        expected[x] *= counts.n_in[x] / N
    flow = predicted_flow(counts, activation="silu", **given)
    np.testing.assert_allclose(flow.W_E, expected, atol=1e-14)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("activation", SLOPES)
def test_laws(activation: str, order: int) -> None:
    given = weights(0.5, middle=False)
    X, y = samples()
    c = incidence_matrix(X, V)
    predicted = predicted_flow(counted(), activation=activation, order=order, **given)
    for flow in (predicted, exact_flow(c, y, activation=activation, **given)):
        np.testing.assert_allclose(flow.W_U.sum(axis=0), 0, atol=1e-15)
        assert not flow.W_E[UNSEEN].any()
        if activation == "linear":  # d(W^E'W^E - W^U'W^U)/dt = 0
            growth = given["W_E"].T @ flow.W_E - given["W_U"].T @ flow.W_U
            np.testing.assert_allclose(growth + growth.T, 0, atol=1e-15)


def test_symmetric_relu_is_half_the_leading_term() -> None:
    """No function of the counts, but its mean over +-W^E is (1/2) S W^U."""
    X, y = samples()
    c, given = incidence_matrix(X, V), weights(1e-5, middle=False)
    both = [
        exact_flow(c, y, sign * given["W_E"], given["W_U"], activation="relu").W_E
        for sign in (1, -1)
    ]
    half = source_matrix(counted()) @ given["W_U"] / 2
    np.testing.assert_allclose(sum(both) / 2, half, atol=1e-4 * np.abs(half).max())


# The leading ODE


@pytest.mark.parametrize("activation", ["linear", "gelu"])
def test_leading_flow_solves_its_ode(activation: str) -> None:
    counts, given = counted(), weights(0.2, middle=False)
    solved = leading_flow(counts, activation)
    S, s1 = source_matrix(counts), ACTIVATIONS[activation].at_zero[0]
    W_E, W_U = given["W_E"].copy(), given["W_U"].copy()
    steps, time = 400, 3.0 / solved.rates[0]

    def flow(E: Any, U: Any) -> tuple[Any, Any]:
        return s1 * S @ U, s1 * S.T @ E

    h = time / steps
    for _ in range(steps):  # Runge and Kutta
        k1 = flow(W_E, W_U)
        k2 = flow(W_E + h / 2 * k1[0], W_U + h / 2 * k1[1])
        k3 = flow(W_E + h / 2 * k2[0], W_U + h / 2 * k2[1])
        k4 = flow(W_E + h * k3[0], W_U + h * k3[1])
        W_E = W_E + h / 6 * (k1[0] + 2 * k2[0] + 2 * k3[0] + k4[0])
        W_U = W_U + h / 6 * (k1[1] + 2 * k2[1] + 2 * k3[1] + k4[1])
    at_time = solved.at(time, given["W_E"], given["W_U"])
    np.testing.assert_allclose(at_time[0], W_E, atol=1e-9)
    np.testing.assert_allclose(at_time[1], W_U, atol=1e-9)


def test_leading_flow_at_the_start() -> None:
    counts, given = counted(), weights(0.2, middle=False)
    solved = leading_flow(counts)
    at_0 = solved.at(0.0, **given)
    np.testing.assert_array_equal(at_0[0], given["W_E"])
    np.testing.assert_array_equal(at_0[1], given["W_U"])
    first = predicted_flow(counts, order=1, **given)
    step = 1e-7
    moved = solved.at(step, **given)
    np.testing.assert_allclose((moved[0] - given["W_E"]) / step, first.W_E, atol=1e-7)
    np.testing.assert_allclose((moved[1] - given["W_U"]) / step, first.W_U, atol=1e-7)


def test_growth_rates_are_singular_values() -> None:
    counts = counted()
    singular = np.linalg.svd(source_matrix(counts), compute_uv=False)
    np.testing.assert_allclose(leading_flow(counts).rates, singular, atol=1e-15)
    np.testing.assert_allclose(leading_flow(counts, "silu").rates, singular / 2, atol=1e-15)
    solved = leading_flow(counts)
    W_E, W_U = solved.tokens[:, :1], solved.labels[:, :1]  # a mode grows and keeps its direction
    grown_E, grown_U = solved.at(2.0, W_E, W_U)
    factor = math.exp(2.0 * singular[0])
    np.testing.assert_allclose(grown_E, factor * W_E, atol=1e-13)
    np.testing.assert_allclose(grown_U, factor * W_U, atol=1e-13)


def test_full_grid_modulo_has_no_source() -> None:
    task = modular()
    counts = ps.count_labelled(
        task.X, task.y, vocab_size=task.vocab_size, n_labels=task.n_labels, third_order=True
    )
    assert not source_integers(counts).any()  # Q c'Y = n1', in integers
    assert not leading_flow(counts).rates.any()
    rng = np.random.default_rng(3)
    flow = predicted_flow(
        counts, 0.1 * rng.normal(size=(30, 4)), 0.1 * rng.normal(size=(10, 4)), order=1
    )
    assert max(np.abs(flow.W_E).max(), np.abs(flow.W_U).max()) < 1e-16
    other = add()
    assert source_integers(
        ps.count_labelled(other.X, other.y, vocab_size=30, n_labels=other.n_labels)
    ).any()


# Bad input


def test_bad_input() -> None:
    counts, given = counted(), weights(0.1, middle=False)
    W_E, W_U = given["W_E"], given["W_U"]

    def refused(match: str, *arguments: Any, kind: Any = ArgumentError, **options: Any) -> None:
        with pytest.raises(kind, match=match):
            predicted_flow(counts, *arguments, **options)

    relu = "expected one of linear, gelu, silu, tanh, got 'relu', which has no derivative at 0"
    refused(relu, W_E, W_U, activation="relu")
    refused(
        "activation: expected one of linear, relu, .* got 'swish'", W_E, W_U, activation="swish"
    )
    refused("order: expected from 1 to 3, got 4", W_E, W_U, order=4)
    refused("W_E: expected 10 rows, as the counts have, got shape \\(9, 5\\)", W_E[:9], W_U)
    refused("W_U: expected 7 rows, as the counts have, got shape \\(10, 5\\)", W_E, W_E)
    refused("W_U: expected weights for the 5 hidden units .*, got 4", W_E, W_U[:, :4])
    refused(
        "M1: expected 5 columns, as W_E has, got shape \\(3, 4\\)", W_E, W_U, M1=np.ones((3, 4))
    )
    refused("M2: expected 5 rows, as W_U has columns", W_E, W_U, M2=np.ones((4, 5)))
    refused("W_E: expected 2 dimensions, got shape \\(10,\\)", W_E[:, 0], W_U)
    refused("W_E: expected finite values, got NaN", W_E * np.nan, W_U)
    refused("W_E: expected a torch tensor .* got list", [1.0], W_U, kind=ArgumentTypeError)
    refused("W_U: expected .* got NumPy bool", W_E, W_U > 0, kind=ArgumentTypeError)
    with pytest.raises(ArgumentError, match=r"activation: expected one of .* 'relu'"):
        leading_flow(counts, "relu")


def test_third_order_is_asked_for_where_it_is_needed() -> None:
    given = weights(0.1, middle=False)
    message = r"third order of all 9 tokens that occur, got it for {}: .*third_order=True"
    for focus, found in ((None, 0), ([0, 4], 2)):
        options = {"third_order": False} if focus is None else {"focus": focus}
        counts = counted(**options)
        with pytest.raises(ArgumentError, match=message.format(found)):
            predicted_flow(counts, activation="gelu", **given)
        predicted_flow(counts, activation="gelu", order=1, **given)
        for activation in ("linear", "tanh"):  # s2 = 0
            predicted_flow(counts, activation=activation, **given)


def test_bad_samples() -> None:
    given = weights(0.1, middle=False)
    X, y = samples()
    c = incidence_matrix(X, V)
    for match, arguments in (
        (r"c: expected \[N, V\] = \(200, 10\) .*, got shape \(200, 9\)", (c[:, :9], y)),
        ("y: expected labels from 0 to 6, got 0 to 7", (c, np.where(y == 6, 7, y))),
    ):
        with pytest.raises(ArgumentError, match=match):
            exact_flow(*arguments, **given)
    with pytest.raises(ArgumentTypeError, match=r"y: expected integers \[N\], got float64"):
        exact_flow(c, y / 2, **given)
    with pytest.raises(ArgumentError, match="incidence: expected presence or multiplicity, got 'm"):
        incidence_matrix(X, V, "mean")
    with pytest.raises(ArgumentError, match="X: expected tokens from 0 to 4, got"):
        incidence_matrix(X, 5)
    with pytest.raises(ArgumentError, match="X: expected non-empty sequences of integers"):
        incidence_matrix([[]], 5)


def test_leading_flow_bad_input() -> None:
    given = weights(0.1, middle=False)
    solved = leading_flow(counted())
    with pytest.raises(ArgumentError, match=r"time: expected at most .* in size, as the fastest"):
        solved.at(1e6, **given)
    with pytest.raises(ArgumentError, match="W_E: expected 10 rows and 2 dimensions"):
        solved.at(1.0, given["W_U"], given["W_U"])
    with pytest.raises(ArgumentError, match="W_U: expected 5 columns"):
        solved.at(1.0, given["W_E"], given["W_U"][:, :2])


def test_agreement_of_no_flow_is_nan() -> None:
    zero, one = Flow(np.zeros((2, 2)), np.ones((2, 2))), Flow(np.ones((2, 2)), np.ones((2, 2)))
    agreement = one.agreement(zero)
    assert math.isnan(agreement.residual_E)
    assert math.isnan(agreement.cosine_E)
    assert (agreement.residual_U, agreement.cosine_U) == (0.0, pytest.approx(1.0))
