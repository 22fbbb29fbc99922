"""Samples (X, y) to count, and the ways to count them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest
from hypothesis import strategies as st
from oracle import (
    ExpectedLabelled,
    expect_labelled,
)

import probsig_fast as ps
from probsig_fast.counting import labelled, ranges

INCIDENCES = ["presence", "multiplicity"]
TYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
incidences = st.sampled_from(INCIDENCES)


@dataclass
class Case:
    """Samples as lists, and how they are to be counted."""

    X: list[list[int]]
    y: list[int]
    vocab_size: int
    n_labels: int
    arguments: dict[str, Any]

    def count(self, X: Any = None, y: Any = None, **arguments: Any) -> ps.LabelledCounts:
        return ps.count_labelled(
            self.X if X is None else X,
            self.y if y is None else y,
            vocab_size=self.vocab_size,
            n_labels=self.n_labels,
            **self.arguments,
            **arguments,
        )

    def expected(self) -> ExpectedLabelled:
        focus = self.arguments.get("focus") or ()
        if self.arguments.get("third_order") and not focus:
            focus = range(self.vocab_size)
        return expect_labelled(
            self.X,
            self.y,
            self.vocab_size,
            self.n_labels,
            self.arguments.get("incidence", "presence"),
            focus,
        )


@st.composite
def cases(draw: st.DrawFn, width: int | None = None) -> Case:
    """Ragged samples, or all of `width` tokens."""
    vocab_size, n_labels = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    token = st.integers(0, vocab_size - 1)
    sequence = st.lists(token, min_size=width or 1, max_size=width or 8)
    X = draw(st.lists(sequence, max_size=9))
    y = [draw(st.integers(0, n_labels - 1)) for _ in X]
    order = draw(
        st.sampled_from([{}, {"third_order": True}, {"third_order": False}])
        | st.builds(dict, focus=st.lists(token, min_size=1, max_size=4))
    )
    return Case(X, y, vocab_size, n_labels, {"incidence": draw(incidences), **order})


@contextmanager
def slices_of(tokens: int | None) -> Iterator[None]:
    """Slices of about so many tokens, each a batch, and small row ranges; None: all in one go."""
    if tokens is None:
        yield
        return

    class Small(labelled._Sums):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.chunk_tokens = tokens

    with (
        mock.patch.multiple(ranges, _BATCH_SHARE=0.0, _RANGE_ENTRIES=3),
        mock.patch.object(labelled, "_Sums", Small),
    ):
        yield


#: Tokens repeat in a sequence, one label has no sample, one token stands nowhere.
X = [[0, 1, 1], [2], [0, 0, 0, 3], [1, 2, 3, 0], [3, 3]]
Y = [0, 2, 2, 0, 3]
V, Q = 5, 4
KINDS: dict[str, dict[str, Any]] = {
    "presence": {},
    "multiplicity": {"incidence": "multiplicity"},
    "third": {"third_order": True},
    "focus": {"incidence": "multiplicity", "focus": [3, 0]},
}
by_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def case_of(kind: dict[str, Any], samples: slice = slice(None)) -> Case:
    return Case(X[samples], Y[samples], V, Q, kind)
