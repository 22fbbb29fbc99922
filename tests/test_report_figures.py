"""The cosines that a report draws, against brute force, and the tokens that it chooses."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from report_support import STRINGS, V, comparison, settings

pytest.importorskip("torch")

from probsig_fast.alignment import align, joint, prepare
from probsig_fast.report import Comparison, measure
from probsig_fast.report.cosines import (
    Units,
    _by_likeness,
    _pair,
    find_readable,
    group_cosines,
    most_frequent,
    pair_cosines,
    units_of,
)


def unit(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix / lengths


def brute_force(case: Comparison, centre: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Cosines of the tokens compared, [K, K]."""
    tokens = case.signature.tokens
    W = np.asarray(case.W, np.float64)
    if centre:
        W = W - W[tokens].mean(axis=0)
    rows = np.hstack([unit(part.to_scipy().toarray()[tokens]) for part in case.signature.parts])
    e, p = unit(W[tokens]), unit(rows)
    return e @ e.T, p @ p.T


@pytest.mark.parametrize("centre", [False, True])
def test_all_pairs(centre: bool) -> None:
    case = comparison()
    found = pair_cosines(units_of(case, centre), settings())
    g, h = brute_force(case, centre)
    above = np.triu_indices(len(g), 1)
    assert found.pairs == found.embedding.size == math.comb(len(g), 2)
    assert not found.sampled
    np.testing.assert_allclose(found.embedding, g[above], atol=1e-12)
    np.testing.assert_allclose(found.signature, h[above], atol=1e-12)


def test_all_pairs_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of blocks, but each pair once."""
    units = units_of(comparison(), True)
    whole = pair_cosines(units, settings())
    monkeypatch.setattr("probsig_fast.report.cosines._ROWS_AT_ONCE", 7)
    cut = pair_cosines(units, settings())
    for name in ("embedding", "signature"):
        np.testing.assert_allclose(getattr(cut, name), getattr(whole, name), atol=1e-12)


def test_a_joint_signature_has_the_mean_of_its_parts() -> None:
    first, second = comparison(), comparison("psi_pre")
    both = joint(first.signature.signature, second.signature.signature)
    case = replace(first, signature=prepare(both))
    _, h = brute_force(case, False)
    found = pair_cosines(units_of(case, False), settings())
    np.testing.assert_allclose(found.signature, h[np.triu_indices(len(h), 1)], atol=1e-12)
    tokens = case.signature.tokens
    parts = [unit(part.to_scipy().toarray()[tokens]) for part in both.parts]
    np.testing.assert_allclose(h, sum(part @ part.T for part in parts) / 2, atol=1e-12)


def test_sampled_pairs_are_different_and_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probsig_fast.report.cosines._PAIRS_AT_ONCE", 13)
    case = comparison()
    units = units_of(case, True)
    found = pair_cosines(units, settings(most_pairs=0, sampled_pairs=100))
    assert (found.embedding.size, found.pairs) == (100, units.pairs)
    assert found.sampled
    g, h = brute_force(case, True)
    index = {(round(g[i, j], 9), round(h[i, j], 9)) for i in range(len(g)) for j in range(i)}
    drawn = {
        (round(a, 9), round(b, 9)) for a, b in zip(found.embedding, found.signature, strict=True)
    }
    assert len(drawn) == 100  # no pair twice
    assert drawn <= index
    again = pair_cosines(units, settings(most_pairs=0, sampled_pairs=100))
    np.testing.assert_array_equal(again.embedding, found.embedding)


def test_every_pair_is_as_likely() -> None:
    """5 tokens have 10 pairs; 2 of them are drawn, often."""
    times = np.zeros(10)
    units = units_of(comparison(), False)
    five = Units(units.embedding[:5], units.signature[:5], units.tokens[:5])
    g = (five.embedding @ five.embedding.T)[np.tril_indices(5, -1)]
    draws = 2000
    for seed in range(draws):
        options = settings(most_pairs=0, sampled_pairs=2)
        options = replace(options, align={**options.align, "seed": seed})
        for value in pair_cosines(five, options).embedding:
            times[np.abs(g - value).argmin()] += 1
    share = times / times.sum()
    assert abs(share - 0.1).max() < 5 * np.sqrt(0.1 * 0.9 / (2 * draws))


def test_pairs_are_numbered_without_gaps() -> None:
    i, j = _pair(np.arange(math.comb(60, 2)))
    assert list(zip(i, j, strict=True)) == [(a, b) for b in range(60) for a in range(b)]


@pytest.mark.parametrize("size", [2**20, 2**31])
def test_pairs_of_many_tokens(size: int) -> None:
    """Where roots of float64 are rounded."""
    first = size * (size - 1) // 2
    numbers = np.array([first - 1, first, first + 1, first + size - 1], np.int64)
    i, j = _pair(numbers)
    assert j.tolist() == [size - 1, size, size, size]
    assert i.tolist() == [size - 2, 0, 1, size - 1]


def test_groups_are_those_compared() -> None:
    case = comparison()
    units = [units_of(case, centre) for centre in (False, True)]
    found = {group.name: group for group in find_readable(case, units, settings())}
    names = [STRINGS[token] for token in found["digits"].tokens]
    assert names == [text for text in "0123456789" if STRINGS.index(text) in case.signature.tokens]
    assert "def" in [STRINGS[token] for token in found["keywords"].tokens]  # for " def"
    assert "months" not in found
    own = settings(groups={"mine": [" w0", "absent"], "none": ["absent"]}, own_groups=True)
    mine, none = find_readable(case, units, own)
    assert (mine.missing, none.tokens, none.missing) == (("absent",), (), ("absent",))


def test_group_cosines_against_brute_force() -> None:
    case = comparison()
    raw, centred = units_of(case, False), units_of(case, True)
    groups = find_readable(case, [raw, centred], settings())
    found = group_cosines(raw, centred, groups)
    at = np.searchsorted(case.signature.tokens, found.tokens)
    for centre, got in ((False, found.raw), (True, found.centred)):
        g, h = brute_force(case, centre)
        np.testing.assert_allclose(got, g[np.ix_(at, at)], atol=1e-12)
        np.testing.assert_allclose(found.signature, h[np.ix_(at, at)], atol=1e-12)


def test_most_frequent_tokens() -> None:
    case = comparison()
    units = [units_of(case, centre) for centre in (False, True)]
    group = most_frequent(case, units, settings(most_frequent=7))
    support, tokens = case.signature.support, case.signature.tokens
    assert group.name == "7 tokens of largest support"
    expected = sorted(tokens.tolist(), key=lambda token: (-support[token], token))[:7]
    assert sorted(group.tokens) == sorted(expected)
    everything = most_frequent(case, units, settings(most_frequent=1000))
    assert sorted(everything.tokens) == tokens.tolist()


def test_like_rows_become_neighbours() -> None:
    kinds = np.array([0, 1, 2, 0, 1, 2, 0])
    cosines = (kinds[:, None] == kinds).astype(np.float64)
    ordered = kinds[_by_likeness(cosines)]
    assert np.count_nonzero(np.diff(ordered)) == 2
    for size in (1, 2):
        assert sorted(_by_likeness(np.eye(size))) == list(range(size))


def test_measure_gives_what_align_gives() -> None:
    case, options = comparison(), settings()
    found = measure(case, options)
    for kind, centre in (("raw", False), ("mean-centred", True)):
        expected = align(case.W, case.signature, centre=centre, **options.align)
        got = found.kinds[kind]
        assert got.metrics.correlation == expected.metrics.correlation
        np.testing.assert_array_equal(got.null.values, expected.null.values)
        r = np.corrcoef(found.pairs[centre].embedding, found.pairs[centre].signature)[0, 1]
        assert r == pytest.approx(got.metrics.correlation.pearson, abs=1e-10)


def test_rows_that_only_one_kind_compares() -> None:
    """A zero row is compared when a mean is taken off, and a row at the mean when none is."""
    case = comparison()
    W = np.array(case.W)
    zero = case.signature.tokens[3]
    W[zero] = 0.0
    case = replace(case, W=W)
    raw, centred = units_of(case, False), units_of(case, True)
    assert zero not in raw.tokens
    assert zero in centred.tokens
    found = measure(case, settings(most_frequent=V))
    assert zero not in found.frequent.tokens
    assert found.raw.metrics.correlation.dropped.zero == 1
