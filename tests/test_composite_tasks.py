"""The labelled tasks of the controlled experiment, built in and one's own."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import probsig_fast as ps
from probsig_fast.errors import ArgumentError, ArgumentTypeError

pytest.importorskip("torch", reason="experiments need torch")

from probsig_fast.experiments.composite_addition import (
    TASKS,
    Setup,
    Task,
    add,
    custom,
    make_task,
    modular,
    permuted,
    random_table,
    task_counts,
    train,
    xor,
)
from probsig_fast.plots import signature_cosines

SEED_0 = [0]


def test_add() -> None:
    task = add()
    assert (task.n_samples, task.vocab_size, task.n_labels) == (1000, 30, 28)
    np.testing.assert_array_equal(task.y, (task.X % 10).sum(axis=1))
    assert (task.X // 10 == [0, 1, 2]).all()  # each slot has its own tokens
    assert np.unique(task.X, axis=0).shape == task.X.shape
    assert task.lies_in_order
    near, far = task.pairs["near by value"], task.pairs["far by value"]
    assert near.tolist() == [[10 + i, 11 + i] for i in range(9)]
    assert len(far) == 6 + 5 + 4 + 3 + 2 + 1
    assert (far[:, 1] - far[:, 0] >= 4).all()


def test_permuted() -> None:
    task = permuted()
    v = 3 * (task.X % 10) % 10
    np.testing.assert_array_equal(task.y, task.X[:, 0] + v[:, 1] + v[:, 2])
    assert not task.lies_in_order
    assert task.values[10:20].tolist() == [0, 3, 6, 9, 2, 5, 8, 1, 4, 7]
    for kind, values in (("value", task.values), ("id", np.arange(30))):
        near = values[task.pairs[f"near by {kind}"]]
        assert (np.abs(near[:, 0] - near[:, 1]) == 1).all()
        assert len(near) == 9
    with pytest.raises(ArgumentError, match="multiplier: expected no factor in common with 10, g"):
        permuted(4)


def test_random_table() -> None:
    task = random_table()
    table = (task.y - task.X[:, 0]).reshape(10, 100)
    assert (table == table[0]).all()  # a function of the anchors
    assert table.min() >= 0
    assert table.max() <= 18
    assert task.n_labels == 28
    np.testing.assert_array_equal(random_table(0).y, task.y)
    assert (random_table(1).y != task.y).any()


def test_modular_has_no_signature() -> None:
    counts = task_counts(modular())
    labels = counts.labels.to_scipy().toarray()
    assert (10 * labels == counts.n_in[:, None]).all()  # Q c'Y = n1'


def test_xor() -> None:
    task = xor()
    assert (task.n_samples, task.vocab_size, task.n_labels) == (12, 8, 6)
    kind, bit, other = task.X[:, 0] // 2, task.X[:, 0] % 2, task.X[:, 1] - 6
    np.testing.assert_array_equal(task.y, 2 * kind + (bit ^ other))
    assert task.pairs["within class"].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert len(task.pairs["between classes"]) == 12
    phi_y = task_counts(task).phi_y().to_scipy().toarray()
    np.testing.assert_array_equal(phi_y[0:6:2], phi_y[1:6:2])  # which sees the class only


def test_own_function() -> None:
    task = custom(lambda z, a1, a2: z * a1 - a2, "mine")
    assert (task.name, task.formula) == ("mine", "mine(z, a1, a2)")
    assert (task.lowest, task.n_labels) == (-9, 91)
    z, a1, a2 = (task.X % 10).T
    np.testing.assert_array_equal(task.y + task.lowest, z * a1 - a2)
    assert custom(max).name == "max"
    assert custom(lambda *_: np.int8(7)).n_labels == 1
    result = train(task, steps=3, seeds=SEED_0)
    assert result.W_U.shape == (1, 91, 32)
    np.testing.assert_array_equal(custom(lambda z, a1, a2: z + a1 + a2).y, add().y)


def test_bad_functions() -> None:
    with pytest.raises(ArgumentTypeError, match="function: expected a callable, got int"):
        custom(3)  # type: ignore[arg-type]
    for value, told in ((1.0, "float 1.0"), (True, "bool True"), (None, "NoneType None")):
        with pytest.raises(ArgumentTypeError, match=rf"to give an int, got {told} for \(0, 0, 0\)"):
            custom(lambda *_, value=value: value)  # type: ignore[misc]
    with pytest.raises(ArgumentError, match="values less than 10,000 apart, got 0 to 9999000"):
        custom(lambda z, a1, a2: 1_111_000 * z)
    with pytest.raises(ArgumentError, match="expected values within 62 bits"):
        custom(lambda *_: 2**70)


def test_names() -> None:
    for name in TASKS:
        assert make_task(name).name == name
    with pytest.raises(ArgumentError, match=r"task: expected one of add, permuted, .*, got 'sum'"):
        make_task("sum")


@given(order=st.permutations(range(28)))
def test_permuting_labels_leaves_cosines_of_phi_unchanged(order: list[int]) -> None:
    task = add()

    def cosines(y: Any) -> Any:
        counts = ps.count_labelled(task.X, y, vocab_size=30, n_labels=28, progress=False)
        return signature_cosines(counts.phi_y(), range(30))

    np.testing.assert_allclose(cosines(np.array(order)[task.y]), cosines(task.y), atol=1e-14)


def test_a_task_of_ones_own() -> None:
    """`Task` is all that `train` needs: here with a token that repeats, and both incidences."""
    task = Task(
        "pairs",
        "a1",
        X=np.array([[0, 0], [0, 1], [1, 1], [2, 1]]),
        y=np.array([0, 0, 1, 2]),
        n_labels=3,
        slots={"a1": np.arange(3)},
        values=np.arange(3),
        token_names=("a", "b", "c"),
        pairs={"all": np.array([[0, 1], [0, 2]])},
    )
    for incidence in ("presence", "multiplicity"):
        result = train(task, steps=1, seeds=SEED_0, setup=Setup(incidence=incidence))
        assert result.counts.incidence == incidence
        assert result.log["flow_residual_E"][0, 0] < 1e-3  # the model and the counts agree
        assert result.log["cos_all"].shape == (1, 2)
    with pytest.raises(ArgumentError, match=r"slots: expected one named 'a1', got \['b'\]"):
        dataclasses.replace(task, slots={"b": np.arange(3)})
