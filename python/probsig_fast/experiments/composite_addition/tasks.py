"""The labelled tasks: every combination of a key z and two anchors a1, a2, and the XOR control."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arguments import integer, read_only
from ...errors import ArgumentError, ArgumentTypeError

#: Values of a slot, and so anchors: the paper's and THEORY's setup.
N_VALUES = 10
#: Labels lie within so many of each other: beyond, W^U and the table of labels would be huge.
MOST_LABELS = 10_000

Pairs = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Task:
    """Samples (X, y) and the pairs of tokens whose embeddings are to be compared.

    Attributes:
        name: `"add"`, ...
        formula: what y is, for titles.
        X: int64 [N, L], tokens; y: int64 [N], labels 0 .. n_labels - 1.
        n_labels: Q.
        slots: the tokens of each part of X by its name; pictures show those of `"a1"`.
        values: int64 [V], what a token is worth in y where that is one thing, else its number.
        token_names: [V], for pictures.
        pairs: pairs [P, 2] of tokens by name: `"near by value"`, `"far by value"`, ...
        lowest: the value that label 0 stands for.

    Raises:
        ArgumentError: no slot `"a1"`.
    """

    name: str
    formula: str
    X: NDArray[np.int64]
    y: NDArray[np.int64]
    n_labels: int
    slots: Mapping[str, NDArray[np.int64]] = field(repr=False)
    values: NDArray[np.int64] = field(repr=False)
    token_names: tuple[str, ...] = field(repr=False)
    pairs: Mapping[str, Pairs] = field(repr=False)
    lowest: int = 0

    def __post_init__(self) -> None:
        for name in ("X", "y", "values"):
            object.__setattr__(self, name, read_only(getattr(self, name)))
        if "a1" not in self.slots:
            raise ArgumentError(f"slots: expected one named 'a1', got {sorted(self.slots)}")

    @property
    def n_samples(self) -> int:
        """N."""
        return self.y.size

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.values.size

    @property
    def lies_in_order(self) -> bool:
        """Whether the anchors' values are in the order of their ids."""
        return bool((np.diff(self.values[self.slots["a1"]]) == 1).all())


def add() -> Task:
    """y = z + a1 + a2 over 0 .. 9 each: N = 1000, V = 30 (each slot has its own tokens), Q = 28."""
    return _grid("add", "z + a1 + a2", lambda z, a, b: z + a + b)


def permuted(multiplier: int = 3) -> Task:
    """y = z + v(a1) + v(a2), v(a) = multiplier a mod 10: values are no longer in the ids' order.

    Raises:
        ArgumentError: a multiplier that shares a factor with 10, so that v is no permutation.
    """
    multiplier = integer("multiplier", multiplier, 1)
    values = multiplier * np.arange(N_VALUES) % N_VALUES
    if np.unique(values).size < N_VALUES:
        raise ArgumentError(f"multiplier: expected no factor in common with 10, got {multiplier}")
    return _grid(
        "permuted",
        f"z + v(a1) + v(a2), v(a) = {multiplier}a mod 10",
        lambda z, a, b: int(z + values[a] + values[b]),
        values,
    )


def random_table(seed: int = 0) -> Task:
    """y = z + T[a1, a2], T drawn uniformly from 0 .. 18, the range of a1 + a2: no order to find.

    Q = 28 as for `add`, whether or not T holds each value. What a model reaches depends on the
    table: for seeds 0 .. 3 the linear loss is 2.53 to 2.69.
    """
    table = np.random.default_rng(integer("seed", seed, 0)).integers(
        0, 2 * N_VALUES - 1, (N_VALUES, N_VALUES)
    )
    return _grid("random-table", "z + T[a1, a2]", lambda z, a, b: int(z + table[a, b]), n_labels=28)


def modular() -> Task:
    """y = (z + a1 + a2) mod 10: no token alone says anything of y, so S = 0 (THEORY, section 3)."""
    return _grid("modular", "(z + a1 + a2) mod 10", lambda z, a, b: (z + a + b) % N_VALUES)


def xor() -> Task:
    """a1 = (class of 3, bit), a2 = a bit, y = 2 class + (bit xor a2): N = 12, V = 8, Q = 6.

    Each a1 has both labels of its class equally often, so phi^y sees its class only; which of
    them is which needs the pair (a1, a2), that is phi^{X|y}.
    """
    rows = list(product(range(3), range(2), range(2)))
    X = np.array([(2 * kind + bit, 6 + other) for kind, bit, other in rows])
    y = np.array([2 * kind + (bit ^ other) for kind, bit, other in rows])
    a1 = np.arange(6)
    pairs = {
        "within class": _pairs(a1, lambda i, j: i // 2 == j // 2),
        "between classes": _pairs(a1, lambda i, j: i // 2 != j // 2),
    }
    names = (*(f"{'ABC'[token // 2]}{token % 2}" for token in a1), "a2=0", "a2=1")
    return Task(
        "xor",
        "2 class + (bit xor a2)",
        X,
        y,
        6,
        {"a1": a1, "a2": np.array([6, 7])},
        np.array([*a1, 0, 1]),
        names,
        pairs,
    )


def custom(function: Callable[[int, int, int], int], name: str | None = None) -> Task:
    """y = function(z, a1, a2) over 0 .. 9 each; label 0 is the least value that it gives.

    Args:
        function: of three ints, gives an int. Called 1,000 times.
        name: for titles; the function's own if None.

    Raises:
        ArgumentTypeError: no function, or one that gives something else than an integer.
        ArgumentError: values that lie 10,000 or more apart.
    """
    if not callable(function):
        raise ArgumentTypeError(f"function: expected a callable, got {type(function).__name__}")
    name = name or str(getattr(function, "__name__", "custom"))
    return _grid(name, f"{name}(z, a1, a2)", function)


#: The tasks by name, as `make_task` and `probsig reproduce` know them.
TASKS: dict[str, Callable[[], Task]] = {
    "add": add,
    "permuted": permuted,
    "random-table": random_table,
    "modular": modular,
    "xor": xor,
}


def make_task(name: Any) -> Task:
    """The task of this name.

    Raises:
        ArgumentError: unknown.
    """
    if name not in TASKS:
        raise ArgumentError(f"task: expected one of {', '.join(TASKS)}, got {name!r}")
    return TASKS[name]()


def _grid(
    name: str,
    formula: str,
    function: Callable[[int, int, int], int],
    values: NDArray[np.int64] | None = None,
    n_labels: int | None = None,
) -> Task:
    """All z, a1, a2 in 0 .. 9; tokens z, 10 + a1, 20 + a2. `values`: what an anchor is worth."""
    rows = list(product(range(N_VALUES), repeat=3))
    y = np.array([_label(function(*row), row) for row in rows], np.int64)
    lowest = int(y.min()) if n_labels is None else 0
    spread = int(y.max()) - lowest + 1
    if spread > MOST_LABELS:
        raise ArgumentError(
            f"function: expected values less than {MOST_LABELS:,} apart, got {lowest} to {y.max()}"
        )
    ids = np.arange(N_VALUES)
    worth = ids if values is None else values
    slots = {name: k * N_VALUES + ids for k, name in enumerate(("z", "a1", "a2"))}
    return Task(
        name,
        formula,
        np.array(rows) + N_VALUES * np.arange(3),
        y - lowest,
        n_labels or spread,
        slots,
        np.concatenate([ids, worth, worth]),
        tuple(f"{name}={i}" for name in slots for i in ids),
        {
            **_near_and_far("by value", slots["a1"], worth),
            **_near_and_far("by id", slots["a1"], ids),
        },
        lowest,
    )


def _label(value: Any, row: tuple[int, ...]) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise ArgumentTypeError(
            f"function: expected it to give an int, got {type(value).__name__} {value!r} for {row}"
        )
    if not -(2**62) < value < 2**62:
        raise ArgumentError(f"function: expected values within 62 bits, got {value} for {row}")
    return int(value)


def _near_and_far(kind: str, slot: Pairs, values: Pairs) -> dict[str, Pairs]:
    """Pairs whose values differ by 1, and by 4 or more."""
    return {
        f"near {kind}": _pairs(slot, lambda i, j: abs(int(values[i] - values[j])) == 1),
        f"far {kind}": _pairs(slot, lambda i, j: abs(int(values[i] - values[j])) >= 4),
    }


def _pairs(slot: Pairs, belong: Callable[[int, int], bool]) -> Pairs:
    chosen = [(i, j) for i, j in combinations(range(slot.size), 2) if belong(i, j)]
    return slot[np.array(chosen, np.int64).reshape(-1, 2)]
