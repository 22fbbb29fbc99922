"""Streams of every form, as `count` takes them and as the oracle does."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from oracle import Expected, Relation, expect

import probsig_fast as ps
from probsig_fast.errors import EosNeverOccursWarning

UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
SIGNED = ("int8", "int16", "int32", "int64")
#: A stream that every rule of `CUTTING_RULES`, and these offsets, cut in other places.
CUT_TOKENS = [2, 0, 0, 1, 3, 0, 2, 1, 1, 0, 3, 3]
CUT_OFFSETS = [0, 0, 5, 5, 12, 12]
CUTTING_RULES: list[dict[str, Any]] = [
    {},
    {"eos": 1},
    {"eos": 1, "count_eos": False},
    {"ignore_ids": [2]},
    {"sequence_length": 3},
    {"eos": 1, "sequence_length": 2},
    {"eos": 1, "count_eos": False, "ignore_ids": [3], "sequence_length": 2},
]


@dataclass
class Case:
    """Tokens as `count` takes them, the same as documents for the oracle, and the rules."""

    tokens: Any
    documents: list[list[int]]
    vocab_size: int
    relation: Relation
    rules: dict[str, Any]
    offsets: list[int] | None = None
    focus: list[int] | None = None

    @property
    def size(self) -> int:
        return sum(map(len, self.documents))

    def count(self, **arguments: Any) -> ps.Counts:
        """Counts; warns of an eos that never occurs exactly where it must."""
        eos = self.rules.get("eos")
        never = eos is not None and self.size and all(eos not in d for d in self.documents)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            counts = ps.count(
                self.tokens,
                self.relation,
                vocab_size=self.vocab_size,
                offsets=self.offsets,
                focus=self.focus,
                **self.rules,
                **arguments,
            )
        assert [w.category for w in caught] == [EosNeverOccursWarning] * bool(never)
        return counts

    def expected(self) -> Expected:
        return expect(
            self.documents, self.relation, self.vocab_size, self.focus or (), **self.rules
        )


@st.composite
def cases(draw: st.DrawFn, relations: st.SearchStrategy[Relation]) -> Case:
    """A stream, documents by offsets, rows or sequences of any integer types; with `Prefix`, now
    and then a focus."""
    vocab_size = draw(st.integers(1, 6))
    ignored = draw(st.lists(st.integers(-3, vocab_size + 3), max_size=3))
    eos = draw(st.none() | st.integers(0, vocab_size - 1))
    rules = {
        "eos": eos,
        "count_eos": eos is None or draw(st.booleans()),
        "ignore_ids": ignored,
        "sequence_length": draw(st.none() | st.integers(1, 7)),
    }
    alphabet = st.sampled_from(
        [*range(vocab_size), *ignored, *([eos] * 2 if eos is not None else [])]
    )
    layout = draw(st.sampled_from(["stream", "offsets", "rows", "sequences"]))
    tokens: Any
    offsets = None
    if layout == "rows":
        width = draw(st.integers(1, 5))
        documents = draw(st.lists(st.lists(alphabet, min_size=width, max_size=width), max_size=8))
    elif layout == "stream":
        documents = [draw(st.lists(alphabet, max_size=40))]
    else:
        documents = draw(st.lists(st.lists(alphabet, max_size=9), max_size=8))
    negative = any(token < 0 for document in documents for token in document)
    dtype = draw(st.sampled_from(SIGNED if negative else SIGNED + UNSIGNED))
    if layout == "rows":
        tokens = np.array(documents, dtype).reshape(-1, width)
    elif layout == "sequences":
        tokens = [draw(st.sampled_from([list, tuple, np.array]))(d) for d in documents]
        tokens = [np.array(t, dtype) if isinstance(t, np.ndarray) else t for t in tokens]
    else:
        tokens = np.array([token for document in documents for token in document], dtype)
    if layout == "offsets":
        offsets = [0, *np.cumsum([len(d) for d in documents], dtype=int).tolist()]
    relation = draw(relations)
    focus = None
    if isinstance(relation, ps.Prefix):
        ids = st.integers(0, vocab_size - 1)
        focus = draw(st.none() | st.lists(ids, min_size=1, max_size=3))
    return Case(tokens, documents, vocab_size, relation, rules, offsets, focus)


def chunk_sizes(size: int) -> list[int]:
    return sorted({n for n in (1, 2, 3, size - 1, size, size + 1, 2**20) if n > 0})
