"""The same labelled counts by every way: slices, files, sums, copies."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_cases import (
    INCIDENCES,
    Case,
    Q,
    V,
    X,
    Y,
    by_kind,
    case_of,
    cases,
    slices_of,
)
from oracle import (
    check_labelled,
    saved_bytes,
)

import probsig_fast as ps
from probsig_fast.errors import (
    ArgumentError,
    ArgumentTypeError,
    MergeError,
)

# By every way


@by_kind
@pytest.mark.parametrize(
    "way",
    [
        lambda counts, path: ps.LabelledCounts.load(counts.save(path)),
        lambda counts, path: ps.LabelledCounts.load(counts.save(path), verify=True),
        lambda counts, path: pickle.loads(pickle.dumps(counts)),
        lambda counts, path: pickle.loads(pickle.dumps(ps.LabelledCounts.load(counts.save(path)))),
        lambda counts, path: copy.deepcopy(counts),
        lambda counts, path: ps.LabelledCounts.merge([counts]),
        lambda counts, path: counts.with_provenance({}),
    ],
    ids=["loaded", "verified", "pickled", "pickled-map", "copied", "merged", "provenance"],
)
def test_every_way_to_the_same_counts(kind: dict[str, Any], way: Any, tmp_path: Path) -> None:
    case = case_of(kind)
    counts = case.count()
    other = way(counts, tmp_path / "c.safetensors")
    check_labelled(other, case.expected())
    assert other == counts
    assert repr(other) == repr(counts)


@by_kind
def test_the_same_counts_are_the_same_bytes(
    backend: str, kind: dict[str, Any], tmp_path: Path
) -> None:
    case = case_of(kind)
    first, second = case_of(kind, slice(0, 2)).count(), case_of(kind, slice(2, None)).count()
    nothing = case_of(kind, slice(0, 0)).count()
    expected = saved_bytes(case.count(backend="reference", threads=1), tmp_path)
    with slices_of(2):
        sliced = case.count(backend=backend, threads=3)
    for counts in (
        case.count(backend=backend, threads=2, memory="17 MB"),
        sliced,
        case.count(np.array(X[3:4])[:, ::1], Y[3:4]) + case_of(kind, slice(0, 3)).count()
        + case_of(kind, slice(4, 5)).count(),
        first + second,
        second + first,
        nothing + first + nothing + second,
        ps.LabelledCounts.merge([second, nothing, first], backend=backend),
    ):  # fmt: skip
        check_labelled(counts, case.expected())
        assert saved_bytes(counts, tmp_path) == expected


@given(case=cases(), data=st.data())
def test_shards_add_up(backend: str, case: Case, data: st.DataObject) -> None:
    shard = [data.draw(st.integers(0, 2)) for _ in case.X]
    parts = []
    for number in range(3):
        mine = [i for i, each in enumerate(shard) if each == number]
        part = dataclasses.replace(case, X=[case.X[i] for i in mine], y=[case.y[i] for i in mine])
        parts.append(part.count(backend=backend))
    whole = case.count(backend=backend)
    assert parts[0] + parts[1] + parts[2] == parts[2] + (parts[1] + parts[0]) == whole
    merged = ps.LabelledCounts.merge(parts, backend=backend)
    assert merged == whole
    check_labelled(merged, case.expected())


def test_provenance(tmp_path: Path) -> None:
    counts = case_of({}).count(backend="reference", threads=2)
    assert counts.provenance["sources"] == [{"name": "X", "samples": 5}]
    assert (counts.provenance["backend"], counts.provenance["threads"]) == ("reference", 2)
    assert counts.provenance["seconds"] >= 0
    loaded = ps.LabelledCounts.load(counts.save(tmp_path / "c.safetensors"))
    assert loaded.provenance == counts.provenance
    assert len((counts + counts + counts).provenance["merged"]) == 3


def test_equality_needs_the_same_rules_and_arrays() -> None:
    counts = case_of({}).count()
    assert counts == case_of({}).count(threads=1)
    assert counts != case_of({"incidence": "multiplicity"}).count()
    assert counts != case_of({"third_order": True}).count()
    assert case_of({"focus": [1]}).count() != case_of({"focus": [2]}).count()
    assert counts != Case(X, Y, V + 1, Q, {}).count()
    assert counts != Case(X, Y, V, Q + 1, {}).count()
    assert counts != Case(X, [0, *Y[1:4], 2], V, Q, {}).count()
    assert counts != ps.count(X, ps.SameSequence(), vocab_size=V)
    assert ps.count(X, ps.SameSequence(), vocab_size=V) != counts
    # No token repeats: multiplicities are ones, but mean something else.
    once = [Case([[0, 1]], [0], V, Q, {"incidence": each}).count() for each in INCIDENCES]
    assert once[0] != once[1]
    assert (once[0].pairs.data == once[1].pairs.data).all()
    with pytest.raises(TypeError, match="unhashable"):
        hash(counts)


def test_counts_cannot_be_changed(tmp_path: Path) -> None:
    counted = case_of({"third_order": True}).count()
    loaded = ps.LabelledCounts.load(counted.save(tmp_path / "c.safetensors"))
    for counts in (counted, loaded, pickle.loads(pickle.dumps(counted))):
        for name in ("labels", "pairs", "n_in", "n_out", "incidence", "third", "n_samples"):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(counts, name, getattr(counts, name))
        for array in (counts.n_in, counts.n_out, counts.labels.data, counts.pairs.row_sum):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1
        assert counts == counted


def test_repr() -> None:
    assert repr(case_of({"focus": [3, 0, 3]}).count()) == (
        "LabelledCounts(vocab_size=5, n_labels=4, samples=5, incidence='presence', "
        "token-label pairs=8, token pairs=10, focus=2 tokens)"
    )


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Case(X, Y, V + 1, Q, {}), "vocab_size: expected 5 throughout, as in the first counts, "
         "got 6 in number 2"),
        (Case(X, Y, V, Q + 1, {}), "n_labels: expected 4 throughout"),
        (Case(X, Y, V, Q, {"incidence": "multiplicity"}), "incidence: expected presence "),
        (Case(X, Y, V, Q, {"focus": [1]}), "focus: expected [] throughout"),
    ],
    ids=["vocab_size", "n_labels", "incidence", "focus"],
)  # fmt: skip
def test_counts_of_other_rules_do_not_add(other: Case, message: str) -> None:
    with pytest.raises(MergeError, match=f"^{re.escape(message)}"):
        case_of({}).count() + other.count()


def test_other_things_do_not_add() -> None:
    counts = case_of({}).count()
    with pytest.raises(TypeError, match="unsupported operand"):
        counts + 1
    stream = ps.count(X, ps.SameSequence(), vocab_size=V)
    with pytest.raises(TypeError, match="unsupported operand"):
        counts + stream
    with pytest.raises(ArgumentTypeError, match=r"^counts: expected LabelledCounts, got Counts$"):
        ps.LabelledCounts.merge([counts, stream])
    with pytest.raises(ArgumentTypeError, match=r"^counts: expected Counts, got LabelledCounts$"):
        ps.Counts.merge([stream, counts])
    with pytest.raises(ArgumentError, match=r"^counts: expected at least one, got none$"):
        ps.LabelledCounts.merge([])
