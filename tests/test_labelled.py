"""`count_labelled` and `LabelledCounts` against the oracle."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_cases import (
    INCIDENCES,
    TYPES,
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
    Cells,
    check_labelled,
    expect_labelled,
    saved_bytes,
)

import probsig_fast as ps
from probsig_fast.counting import labelled
from probsig_fast.errors import (
    ArgumentError,
    ArgumentTypeError,
    CountOverflowError,
)
from probsig_fast.kernels import registry
from probsig_fast.sources import arrays


@settings(max_examples=80)
@given(
    case=cases(),
    threads=st.integers(1, 3),
    tokens=st.sampled_from([None, 1, 3, 10]),
    types=st.lists(st.sampled_from([list, tuple, *TYPES]), min_size=1, max_size=3),
)
def test_ragged_samples(
    backend: str, case: Case, threads: int, tokens: int | None, types: list[Any]
) -> None:
    X = [
        np.array(sequence, kind) if isinstance(kind, str) else kind(sequence)
        for sequence, kind in zip(case.X, cycle(types), strict=False)
    ]
    with slices_of(tokens):
        counts = case.count(X, backend=backend, threads=threads)
        check_labelled(counts, case.expected())
        assert case.count(iter(X), backend=backend, threads=threads) == counts
    lengths = [len(sequence) for sequence in case.X]
    flat = np.array([token for sequence in case.X for token in sequence], np.uint16)
    with slices_of(tokens):
        by_offsets = case.count(flat, offsets=np.cumsum([0, *lengths]), backend=backend)
    assert by_offsets == counts


@given(
    case=st.integers(1, 5).flatmap(cases),
    tokens=st.sampled_from([None, 1, 7]),
    dtype=st.sampled_from(TYPES),
    label_dtype=st.sampled_from(TYPES),
)
def test_rows(backend: str, case: Case, tokens: int | None, dtype: str, label_dtype: str) -> None:
    X = np.array(case.X, dtype) if case.X else np.empty((0, 3), dtype)
    with slices_of(tokens):
        counts = case.count(X, np.array(case.y, label_dtype), backend=backend, threads=2)
    check_labelled(counts, case.expected())


@by_kind
@pytest.mark.parametrize("threads", [1, 3])
def test_every_slice(backend: str, kind: dict[str, Any], threads: int) -> None:
    case = case_of(kind)
    expected = case.expected()
    for tokens in (1, 2, 3, 4, 6, 9, 13):
        with slices_of(tokens):
            check_labelled(case.count(backend=backend, threads=threads), expected)


@by_kind
def test_torch_tensors(kind: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    case = case_of(kind)
    y = torch.tensor(case.y)
    check_labelled(case.count([torch.tensor(s) for s in case.X], y), case.expected())
    rows = Case([s[:1] * 2 for s in X], Y, V, Q, kind)
    check_labelled(rows.count(torch.tensor(rows.X, dtype=torch.int16), y), rows.expected())


@pytest.mark.parametrize("batch", [1, 4, 2**24])
def test_sequences_in_several_streams(
    backend: str, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "BATCH_TOKENS", batch)
    big = [[70_000, 0], *X, [70_000, 70_000, 3]]
    types = ["uint32", "uint16", "uint16", "int64", "int64", "uint8", "uint32"]
    case = Case(big, [1, *Y, 0], 70_001, Q, {"focus": [0, 70_000]})
    typed = (np.array(sequence, dtype) for sequence, dtype in zip(big, types, strict=True))
    check_labelled(case.count(typed, backend=backend, threads=2), case.expected())


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 100_000])
def test_sizes_around_16_bits(backend: str, size: int) -> None:
    top = size - 1
    case = Case([[top, 0, top], [0], [top - 1]], [top, top - 1, 0], size, size, {"focus": [top]})
    for incidence in INCIDENCES:
        case.arguments["incidence"] = incidence
        check_labelled(case.count(backend=backend), case.expected())


def test_a_dataset_like_the_reference(backend: str, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    rows = random.zipf(1.5, (1_500, 12)).clip(max=400) - 1
    y = random.integers(0, 30, 1_500)
    for incidence in INCIDENCES:
        arguments: dict[str, Any] = {
            "vocab_size": 400,
            "n_labels": 30,
            "incidence": incidence,
            "focus": [0, 7, 399],
        }
        reference = ps.count_labelled(rows, y, backend="reference", **arguments)
        with slices_of(4_000):
            counts = ps.count_labelled(rows, y, backend=backend, threads=2, **arguments)
        assert counts == reference
        assert saved_bytes(counts, tmp_path) == saved_bytes(reference, tmp_path)


def test_multiplicities_are_exact_beyond_32_bits(backend: str) -> None:
    times = 70_000
    counts = ps.count_labelled(
        np.zeros((1, times), np.uint16),
        [0],
        vocab_size=1,
        n_labels=1,
        incidence="multiplicity",
        third_order=True,
        backend=backend,
    )
    assert counts.n_in.tolist() == [times]
    assert counts.pairs.data.tolist() == [times**2]
    assert counts.third_order(0).toarray().tolist() == [[times**2]]
    assert counts.phi_X().row(0)[1].tolist() == [times]


def test_a_total_past_63_bits_is_refused_before_it_is_formed(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = registry.choose(backend).load()

    def repeated(*arguments: Any) -> Any:
        sets = kernels.sequence_sets(*arguments)
        return sets._replace(multiplicity=sets.multiplicity * 2**31)

    class Doubled:
        sequence_sets = staticmethod(repeated)

        def __getattr__(self, name: str) -> Any:
            return getattr(kernels, name)

    chosen = mock.Mock(load=Doubled)
    chosen.name = backend
    monkeypatch.setattr(labelled, "choose", lambda *arguments: chosen)
    arguments: dict[str, Any] = {"vocab_size": 2, "n_labels": 1, "incidence": "multiplicity"}
    with pytest.raises(CountOverflowError, match=r"expected a total of at most 2\^63 - 1, got 9"):
        ps.count_labelled([[0], [1]], [0, 0], **arguments)
    assert ps.count_labelled([[0]], [0], **arguments).pairs.total == 2**62


def test_nothing() -> None:
    for nothing in ([], np.empty((0, 3), np.int64), np.empty((0, 0), np.uint8), iter(())):
        counts = ps.count_labelled(nothing, [], vocab_size=3, n_labels=2, third_order=True)
        check_labelled(counts, expect_labelled([], [], 3, 2, focus=range(3)))
        for signature in (counts.phi_y(), counts.psi_X(), counts.phi_X(), counts.phi_X_given_y(2)):
            assert signature.tokens.size == 0


# Reading


def test_top() -> None:
    counts = case_of({}).count()
    assert counts.top(0) == [(0, 2, 2 / 3), (2, 1, 1 / 3)]
    assert counts.top(3) == [(0, 1, 1 / 3), (2, 1, 1 / 3), (3, 1, 1 / 3)]  # ties: lower id first
    assert counts.top(3, k=1) == [ps.Companion(0, 1, 1 / 3)]
    assert counts.top(0, side="token") == [(1, 2, 2 / 3), (3, 2, 2 / 3), (2, 1, 1 / 3)]
    assert counts.top(2, side="token", k=2) == [(0, 1, 1 / 2), (1, 1, 1 / 2)]
    assert counts.top(4) == counts.top(4, side="token") == []
    heavy = case_of({"incidence": "multiplicity"}).count()
    assert heavy.top(0, k=1) == [(2, 3, 3 / 5)]
    assert heavy.top(1, k=1, side="token") == [(0, 3, 3 / 3)]
    for line in heavy.top(np.int64(0)):
        assert [type(value) for value in line] == [int, int, float]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c: c.top(V), ArgumentError, "token: expected an id from 0 to 4, got 5"),
        (lambda c: c.top(0, k=0), ArgumentError, "k: expected at least 1, got 0"),
        (lambda c: c.top("a"), ArgumentTypeError, "token: expected an int, got str 'a'"),
        (
            lambda c: c.top(0, side="next"),
            ArgumentError,
            "side: expected 'label' or 'token', got 'next'",
        ),
        (
            lambda c: c.third_order(1),
            ArgumentError,
            "token: expected one of those counted with focus, [0, 3], got 1",
        ),
        (lambda c: c.phi_X_given_y(-1), ArgumentError, "token: expected one of those counted with"),
        (lambda c: c.third_order(True), ArgumentTypeError, "token: expected an int, got bool True"),
        (lambda c: c.third_order(0.0), ArgumentTypeError, "token: expected an int, got float 0.0"),
        (lambda c: c.phi_y(-1), ArgumentError, "min_support: expected at least 0, got -1"),
        (lambda c: c.psi_X(1.0), ArgumentTypeError, "min_support: expected an int, got float 1.0"),
    ],
)  # fmt: skip
def test_unusable_arguments(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        call(case_of({"focus": [3, 0]}).count())


def test_third_order_has_to_be_asked_for() -> None:
    counts = case_of({}).count()
    assert counts.focus == ()
    for method in ("third_order", "phi_X_given_y"):
        message = f"{method}(): expected counts made with third_order=True or focus=[tokens], got"
        with pytest.raises(ArgumentError, match=f"^{re.escape(message)}"):
            getattr(counts, method)(0)


def test_many_tokens_of_focus_are_not_all_listed() -> None:
    counts = Case([[19, 0]], [0], 20, 1, {"focus": range(19)}).count()
    message = "token: expected one of those counted with focus, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, "
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}...], got 19$"):
        counts.third_order(19)


def quotients(cells: Cells, support: dict[int, int]) -> Cells:
    return {(x, y): float(Fraction(n, support[x])) for (x, y), n in cells.items()}  # type: ignore[misc]


def cells(matrix: Any) -> Cells:
    coo = matrix.tocoo()
    keys = zip(coo.row.tolist(), coo.col.tolist(), strict=True)
    return dict(zip(keys, coo.data.tolist(), strict=True))


@given(case=cases(), least=st.integers(0, 4))
def test_signatures(backend: str, case: Case, least: int) -> None:
    counts, expected = case.count(backend=backend), case.expected()
    turned = {(nu, x): n for (x, nu), n in expected.labels.items()}
    found = [
        (counts.phi_y, "phi_y", expected.labels, expected.n_in, case.n_labels),
        (counts.psi_X, "psi_X", turned, expected.n_out, case.vocab_size),
        (counts.phi_X, "phi_X", expected.pairs, expected.n_in, case.vocab_size),
    ]
    for token, third in expected.third.items():
        own = {nu: n for (x, nu), n in expected.labels.items() if x == token}
        given_y = partial(counts.phi_X_given_y, token)
        found.append((given_y, "phi_X_given_y", third, own, case.vocab_size))
    for method, name, numbers, support, columns in found:
        signature = method()
        assert signature.name == name
        assert signature.shape == (signature.support.size, columns)
        assert cells(signature.to_scipy()) == quotients(numbers, support)
        assert {i: n for i, n in enumerate(signature.support.tolist()) if n} == support
        few = method(min_support=least)
        kept = {x: n for x, n in support.items() if n >= least}
        assert few.tokens.tolist() == sorted(kept)
        assert cells(few.to_scipy()) == {
            pair: value for pair, value in quotients(numbers, support).items() if pair[0] in kept
        }


def test_progress_is_shown_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    case_of({}).count(progress=True)
    assert "sample/s" in capsys.readouterr().err
    case_of({}).count()
    assert capsys.readouterr().err == ""
