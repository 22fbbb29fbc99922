"""Bad samples, labels and arguments of `count_labelled`: what is said, word for word."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from error_support import TOKENS, labelled, raises

import probsig_fast as ps
from probsig_fast.errors import (
    ArgumentError,
    ArgumentTypeError,
    BackendError,
    SourceError,
)

# Samples


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (
            np.zeros((2, 0), int),
            ArgumentError,
            "X: expected sequences of at least one token, got none at sample 0",
        ),
        (
            [[0], []],
            ArgumentError,
            "X: expected sequences of at least one token, got none at sample 1",
        ),
        (
            iter([[0], np.empty(0, np.int64)]),
            ArgumentError,
            "X: expected sequences of at least one token, got none at sample 1",
        ),
        (
            np.array([0, 1]),
            ArgumentError,
            "X: expected a 2-D array, an iterable of sequences, or a 1-D array with offsets, got a "
            "1-D array",
        ),
        (np.zeros((1, 2, 3), int), SourceError, "X: expected a 1-D or 2-D array, got 3-D as X"),
        (np.array(3), SourceError, "X: expected a 1-D or 2-D array, got 0-D as X"),
        (np.zeros((2, 2)), ArgumentTypeError, "X: expected integers, got float64 as X"),
        (np.zeros((2, 2), bool), ArgumentTypeError, "X: expected integers, got bool as X"),
        (
            np.ma.masked_array([[1, 2], [0, 1]], [[0, 1], [0, 0]]),
            ArgumentTypeError,
            "X: expected a plain array, got a masked one as X: its mask would be lost",
        ),
        ([[0.5], [1]], ArgumentTypeError, "X: expected integers, got float64 as sequence 0"),
        ([[0], ["a"]], ArgumentTypeError, "X: expected integers, got <U1 as sequence 1"),
        (
            ["ab", "c"],
            ArgumentTypeError,
            "X: expected sequences of token ids, got str as sequence 0",
        ),
        (
            [0, 1],
            ArgumentTypeError,
            "X: expected an integer array or a list of ids, got int as sequence 0",
        ),
        ([np.array(0)], SourceError, "X: expected a 1-D or 2-D array, got 0-D as sequence 0"),
        ([[[0]], [[1]]], SourceError, "X: expected 1-D sequences, got 2-D as sequence 0"),
        ([[0], [0, [1]]], SourceError, "X: expected a flat list of ids, got sequence 1: "),
        ([[0], [2**70]], SourceError, f"X: expected ids that int64 holds, got {2**70} at position"),
        (
            "ab",
            ArgumentTypeError,
            "X: expected a 2-D integer array or an iterable of sequences, got str",
        ),
        (
            5,
            ArgumentTypeError,
            "X: expected a 2-D integer array or an iterable of sequences, got int",
        ),
    ],
)
def test_unusable_X(X: Any, error: type, message: str) -> None:
    with raises(error, message):
        labelled(X)


def test_unusable_tensors() -> None:
    torch = pytest.importorskip("torch")
    for X, error, message in (
        (torch.zeros(2, 2), ArgumentTypeError, "X: expected integers, got float32 as X"),
        (torch.tensor([0, 1]), ArgumentError, "X: expected a 2-D array, an iterable of sequences"),
        (list(torch.tensor([0, 1])), SourceError, "X: expected a 1-D or 2-D array, got 0-D as seq"),
        (
            [torch.empty(0, dtype=torch.int64)],
            ArgumentError,
            "X: expected sequences of at least one token, got none at sample 0",
        ),
    ):
        with raises(error, message):
            labelled(X)
    for y, message in (
        (torch.tensor([0.0, 1.0]), "y: expected integer labels, got float32"),
        (torch.tensor([0, 1], dtype=torch.bfloat16), "y: expected integer labels, 1-D, got Tensor"),
        (torch.tensor([0.0, 1.0], requires_grad=True), "y: expected integer labels, 1-D, got Tens"),
    ):
        with raises(ArgumentTypeError, message):
            labelled(y=y)


@pytest.mark.parametrize(
    ("X", "offsets", "message"),
    [
        (
            np.array([0, 1]),
            [0, 1, 1, 2],
            "X: expected sequences of at least one token, got none at sample 1",
        ),
        (
            np.array([0, 1]),
            [0, 3],
            "offsets: expected the first to be 0 and the last 2, the number of tokens, got 0 and 3",
        ),
        (np.array([0, 1]), [0, 2, 1, 2], "offsets: expected never to fall, got 2 then 1 at index"),
        (np.zeros((2, 2), int), [0, 2, 4], "offsets: expected None for 2-D tokens, whose rows"),
        ([[0], [1]], [0, 1, 2], "offsets: expected None for an iterable of sequences, got list"),
    ],
)
def test_unusable_offsets(X: Any, offsets: Any, message: str) -> None:
    with raises(ArgumentError, message):
        labelled(X, [0, 1, 1], offsets=offsets)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        ([0, 3], ArgumentError, "y: expected labels from 0 to n_labels - 1 = 2, got 3 at sample 1"),
        ([-1, 9], ArgumentError, "y: expected labels from 0 to n_labels - 1 = 2, got -1 at sample"),
        (
            np.array([2**40, 0]),
            ArgumentError,
            f"y: expected labels from 0 to n_labels - 1 = 2, got {2**40} at sample 0",
        ),
        ([0.0, 1.0], ArgumentTypeError, "y: expected integer labels, got float64"),
        ([True, False], ArgumentTypeError, "y: expected integer labels, got bool"),
        (["a", "b"], ArgumentTypeError, "y: expected integer labels, got <U1"),
        ([2**70, 0], ArgumentTypeError, "y: expected integer labels, got object"),
        ([[0], [1]], ArgumentError, "y: expected one label a sequence, 1-D, got 2-D (list)"),
        ([[0], [1, 2]], ArgumentTypeError, "y: expected integer labels, 1-D, got list: "),
        (1, ArgumentError, "y: expected one label a sequence, 1-D, got 0-D (int)"),
        (None, ArgumentError, "y: expected one label a sequence, 1-D, got 0-D (NoneType)"),
        (iter([0, 1]), ArgumentError, "y: expected one label a sequence, 1-D, got 0-D (list_iter"),
        (
            np.ma.masked_array([0, 1], [0, 1]),
            ArgumentTypeError,
            "y: expected a plain array, got a masked one: its mask would be lost",
        ),
    ],
)
def test_unusable_y(y: Any, error: type, message: str) -> None:
    with raises(error, message):
        labelled(y=y)


ROWS = np.zeros((2, 3), np.int64)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (ROWS, [0], "2, got 1"),
        (ROWS, [0, 1, 2], "2, got 3"),
        (ROWS, [], "2, got 0"),
        ([[0], [1]], [0], "2 or more, got 1"),
        ([[0], [1]], [0, 1, 2], "2, got 3"),
        (lambda: iter([[0], [1]]), [], "2 or more, got 0"),
        ([], [0, 0], "0, got 2"),
        (np.empty((0, 4), int), [0], "0, got 1"),
    ],
)
def test_X_and_y_of_other_lengths(backend: str, X: Any, y: list[int], message: str) -> None:
    message = f"y: expected one label for each sequence of X, of which there are {message}"
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        labelled(X() if callable(X) else X, y, backend=backend, threads=2)


def test_many_more_sequences_than_labels_are_not_read(backend: str) -> None:
    def endless() -> Any:
        while True:
            yield np.zeros(2**20, np.uint16)

    with raises(ArgumentError, "y: expected one label for each sequence of X, of which there are "):
        labelled(endless(), [0, 1, 2], backend=backend, threads=1)


def test_lengths_are_said_with_separators() -> None:
    with pytest.raises(ArgumentError, match=r"there are 1,200, got 1,199$"):
        labelled(np.zeros((1_200, 1), int), [0] * 1_199)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"vocab_size": 0}, ArgumentError, "vocab_size: expected from 1 to 2147483647, got 0"),
        ({"vocab_size": None}, ArgumentTypeError, "vocab_size: expected an int, got NoneType None"),
        ({"n_labels": 0}, ArgumentError, "n_labels: expected from 1 to 2147483647, got 0"),
        ({"n_labels": 2.0}, ArgumentTypeError, "n_labels: expected an int, got float 2.0"),
        (
            {"incidence": "mean"},
            ArgumentError,
            "incidence: expected 'presence' or 'multiplicity', got 'mean'",
        ),
        ({"incidence": None}, ArgumentError, "incidence: expected 'presence' or 'multiplicity', "),
        ({"third_order": 1}, ArgumentTypeError, "third_order: expected a bool, got int 1"),
        ({"memory": 5}, ArgumentError, "memory: expected at least 16777216, got 5"),
        ({"memory": "much"}, ArgumentError, "memory: expected bytes, or a text as '4GB', got "),
        ({"threads": 0}, ArgumentError, "threads: expected at least 1, got 0"),
        (
            {"backend": "abacus"},
            BackendError,
            "backend: expected one of 'native_cuda', 'native_cpu'",
        ),
    ],
    ids=str,
)
def test_unusable_arguments(arguments: dict[str, Any], error: type, message: str) -> None:
    with raises(error, message):
        labelled(**arguments)


def test_missing_sizes() -> None:
    with pytest.raises(TypeError, match="vocab_size"):
        ps.count_labelled([[0]], [0], n_labels=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="n_labels"):
        ps.count_labelled([[0]], [0], vocab_size=1)  # type: ignore[call-arg]
    with raises(ArgumentError, "vocab_size: expected the number of token ids, as tokens does not"):
        ps.count(TOKENS, ps.Prefix(2))
