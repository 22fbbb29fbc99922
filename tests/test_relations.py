"""What relations accept, and the integer weights that windows make of it."""

from __future__ import annotations

import dataclasses
import math
import pickle
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import weights_of

import probsig_fast as ps
from probsig_fast.errors import ArgumentError, ArgumentTypeError
from probsig_fast.relations import MAX_WEIGHT_SCALE, relation_from_dict

lists = st.lists(
    st.integers(0, 1000) | st.fractions(0, 50, max_denominator=20), min_size=1, max_size=6
).filter(any)


@given(weighting=lists)
def test_weights_are_exact_over_the_least_common_denominator(weighting: list[Fraction]) -> None:
    window = ps.Window(len(weighting), weighting)
    assert [Fraction(w, window.weight_scale) for w in window.weights] == weighting
    assert window.weight_scale == math.lcm(*(Fraction(w).denominator for w in weighting))
    assert all(type(weight) is int for weight in window.weights)


@pytest.mark.parametrize(("size", "scale"), [(1, 1), (2, 2), (5, 60), (10, 2520), (22, 232792560)])
def test_harmonic_scale(size: int, scale: int) -> None:
    window = ps.Window(size, "harmonic")
    assert window.weight_scale == scale <= MAX_WEIGHT_SCALE
    assert [Fraction(w, scale) for w in window.weights] == weights_of(window)


def test_uniform_and_next_have_scale_one() -> None:
    assert ps.Window(3).weights == (1, 1, 1)
    assert ps.Window(3).weight_scale == ps.Next().weight_scale == 1
    assert ps.Next().weights == (1,)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0,), ArgumentError, "size: expected from 1 to 1048576, got 0"),
        ((-3,), ArgumentError, "size: expected from 1 to 1048576, got -3"),
        ((2**20 + 1,), ArgumentError, "size: expected from 1 to 1048576, got 1048577"),
        ((2.0,), ArgumentTypeError, "size: expected an int, got float 2.0"),
        ((True,), ArgumentTypeError, "size: expected an int, got bool True"),
        (
            (2, [1, 0.5]),
            ArgumentTypeError,
            "weighting: expected ints or fractions.Fraction (floats are inexact), "
            "got float 0.5 at distance 2",
        ),
        (
            (2, [True, 1]),
            ArgumentTypeError,
            "weighting: expected ints or fractions.Fraction (floats are inexact), "
            "got bool True at distance 1",
        ),
        (
            (2, np.array([1.0, 0.5])),
            ArgumentTypeError,
            "weighting: expected ints or fractions.Fraction (floats are inexact), got float64 ",
        ),
        ((2, 1), ArgumentTypeError, "weighting: expected 'uniform', 'harmonic' or a list of"),
        ((2, [1]), ArgumentError, "weighting: expected 2 weights, one a distance, got 1"),
        ((2, [1, -1]), ArgumentError, "weighting: expected weights >= 0, got -1 at distance 2"),
        ((2, [0, 0]), ArgumentError, "weighting: expected at least one weight above 0, got only"),
        ((2, "linear"), ArgumentError, "weighting: expected 'uniform', 'harmonic' or a list of"),
        (
            (23, "harmonic"),
            ArgumentError,
            "weighting: expected a common denominator of at most 2^28",
        ),
        (
            (10**6, "harmonic"),
            ArgumentError,
            "weighting: expected a common denominator of at most 2^28 = 268435456, got 5354228880 "
            "or more for 'harmonic' at size 1000000: give explicit integer weights instead",
        ),
        (
            (1, [Fraction(1, 2**28 + 1)]),
            ArgumentError,
            "weighting: expected a common denominator of at most 2^28 = 268435456, got 268435457",
        ),
        (
            (1, [2**31]),
            ArgumentError,
            "weighting: expected scaled weights of at most 2^31 - 1, got",
        ),
        ((2, "uniform", "both"), ArgumentError, "direction: expected 'forward', 'backward' or "),
    ],
    ids=str,
)
def test_unusable_windows(arguments: tuple[Any, ...], error: type, message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        ps.Window(*arguments)


@pytest.mark.parametrize("weight", [2**31 - 1, Fraction(1, 2**28), Fraction(2**31 - 1, 2**28)])
def test_the_finest_and_largest_weights_that_are_allowed(weight: int | Fraction) -> None:
    window = ps.Window(1, [weight])
    assert Fraction(window.weights[0], window.weight_scale) == weight


RELATIONS = [
    ps.Next(),
    ps.Window(3),
    ps.Window(10, "harmonic", "symmetric"),
    ps.Window(2, [1, Fraction(1, 3)], "backward"),
    ps.Prefix(1),
    ps.Prefix(7),
    ps.Prefix(2**20),
    ps.SameSequence(),
]


@pytest.mark.parametrize("relation", RELATIONS, ids=repr)
def test_relations_are_values(relation: Any) -> None:
    assert eval(repr(relation), {**vars(ps), "Fraction": Fraction}) == relation
    again = relation_from_dict(relation.to_dict())
    assert again == relation == pickle.loads(pickle.dumps(relation))
    assert hash(again) == hash(relation)
    assert again.weights == relation.weights
    assert again.weight_scale == relation.weight_scale
    assert [other == relation for other in RELATIONS].count(True) == 1
    with pytest.raises(AttributeError):
        relation.direction = "backward"


def test_equal_weights_are_equal_windows() -> None:
    assert ps.Window(2, [1, 2]) == ps.Window(2, (Fraction(1), Fraction(4, 2)))


def test_sets_know_presence_only() -> None:
    assert ps.Prefix(np.int64(3), incidence="presence") == ps.Prefix(3)
    assert ps.SameSequence(incidence="presence") == ps.SameSequence()
    assert type(ps.Prefix(np.int64(3)).length) is int
    assert dataclasses.replace(ps.Prefix(3), length=4) == ps.Prefix(4)
    assert [r.name for r in (ps.Prefix(3), ps.SameSequence())] == ["prefix", "same-sequence"]
    assert repr([ps.Prefix(3), ps.SameSequence()]) == "[Prefix(length=3), SameSequence()]"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": "prefix"},
        {"name": "prefix", "size": 3},
        {"name": "prefix", "length": 3, "incidence": "presence"},
        {"name": "same-sequence", "length": 3},
        {"name": "same_sequence"},
        {"name": "next", "size": 3},
        {"name": "window", "size": 3},
        {"name": "window", "size": 3, "weighting": "uniform", "direction": "forward", "more": 1},
        {"name": ["next"]},
    ],
    ids=str,
)
def test_unknown_relations(fields: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="relation: expected a known relation and its fields"):
        relation_from_dict(fields)
