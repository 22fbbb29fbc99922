"""Neighbour overlap against brute force: every token's neighbours from whole cosine matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from probsig_fast.errors import ArgumentError, ArgumentTypeError

torch = pytest.importorskip("torch", reason="alignment needs torch")

from alignment_support import random_counts, signature_of  # noqa: E402
from strong_pairs_support import embedding_cosines, signature_cosines  # noqa: E402

import probsig_fast.alignment.neighbours as neighbours_module  # noqa: E402
from probsig_fast.alignment import (  # noqa: E402
    joint,
    prepare,
)
from probsig_fast.alignment.gram import (  # noqa: E402
    devices,
    sparse,
)
from probsig_fast.alignment.gram.nearest import _Block, nearest  # noqa: E402
from probsig_fast.alignment.neighbours import NeighbourOverlap, neighbour_overlap  # noqa: E402
from probsig_fast.pool import WorkerPool  # noqa: E402


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20250920)


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 7 x 7, so that neighbours come in pieces and bars are raised often."""
    monkeypatch.setattr(devices, "_HOST_BLOCK", 4 * 7 * 7)


def neighbours(cosines: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Ties: the lower id first, as the sort is stable."""
    others = cosines.copy()
    np.fill_diagonal(others, -np.inf)
    return np.argsort(-others, axis=1, kind="stable")[:, :k]


def brute_force(
    W: NDArray[Any], counts: NDArray[Any], k: int, min_support: int = 0, centre: bool = False
) -> tuple[float, int]:
    """The overlap, and how many tokens are compared."""
    W = np.asarray(W, np.float64)
    passing = counts.sum(axis=1) >= min_support
    if centre:
        wide = W.astype(np.longdouble)
        W = (wide - wide[passing].mean(axis=0)).astype(np.float64)
    kept = np.flatnonzero(passing & (counts != 0).any(axis=1) & (W != 0).any(axis=1))
    pairs = zip(
        neighbours(embedding_cosines(W[kept]), k),
        neighbours(signature_cosines(counts[kept]), k),
        strict=True,
    )
    common = sum(len(set(g.tolist()) & set(h.tolist())) for g, h in pairs)
    return common / (kept.size * k), kept.size


def check(
    W: Any,
    counts: NDArray[Any],
    k: Any = (1, 2, 5),
    min_support: int = 0,
    centre: bool = False,
    **options: Any,
) -> NeighbourOverlap:
    """`neighbour_overlap` agrees with brute force, to the last bit."""
    options = {"threads": 1} | options
    result = neighbour_overlap(W, signature_of(counts), k, min_support, centre, **options)
    for each, overlap, chance in zip(result.k, result.overlap, result.chance, strict=True):
        expected, tokens = brute_force(W, counts, each, min_support, centre)
        assert (overlap, result.tokens) == (expected, tokens)
        assert chance == each / (tokens - 1)
    asked = {int(each) for each in np.atleast_1d(k)}
    assert result.k == tuple(sorted(each for each in asked if each < result.tokens))
    return result


@st.composite
def small_cases(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rows, d, columns = draw(st.integers(3, 9)), draw(st.integers(1, 4)), draw(st.integers(1, 5))
    values = st.integers(-2, 2)
    W = draw(st.lists(values, min_size=rows * d, max_size=rows * d))
    counts = draw(st.lists(st.integers(0, 2), min_size=rows * columns, max_size=rows * columns))
    W = np.array(W, np.float64).reshape(rows, d) / 8
    counts = np.array(counts, np.int64).reshape(rows, columns)
    W[:3, 0], counts[:3, 0] = 1.0, 1  # three tokens at least are compared
    return W, counts


@given(small_cases(), st.integers(1, 9))
def test_small_cases(case: tuple[Any, Any], k: int) -> None:
    """With many ties, equal rows and zero rows; k up to K - 1 and beyond."""
    check(*case, k=(1, 2, k))


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize(("rows", "d"), [(11, 2), (30, 7), (90, 33)])
def test_random_cases(rng: np.random.Generator, rows: int, d: int, centre: bool) -> None:
    W = rng.standard_normal((rows, d)) + 2 * rng.standard_normal(d)
    counts = random_counts(rng, rows, 30) + np.eye(rows, 30, dtype=np.int64)
    check(W, counts, (1, 5, 10, 50), 0, centre)
    check(W, counts, (1, 3), 200, centre)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("k", [1, (2, 5), (1, 20), 60])
@pytest.mark.parametrize("threads", [1, 3])
def test_several_tiles(rng: np.random.Generator, k: Any, threads: int) -> None:
    counts = random_counts(rng, 61, 12) + np.eye(61, 12, dtype=np.int64)
    counts[:, 0] += 1
    check(rng.standard_normal((61, 9)), counts, k, threads=threads)
    check(rng.integers(-1, 2, (61, 3)) / 8 + 1, counts // 20 + np.eye(61, 12, 1, int), 5)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("k", [1, 3, 39])
def test_rows_all_alike(rng: np.random.Generator, k: int) -> None:
    """Every pair ties: the lowest ids win, in both."""
    W = np.repeat(rng.standard_normal((1, 11)), 40, axis=0)
    counts = rng.integers(1, 5, 6) * rng.integers(1, 9, (40, 1))
    assert check(W, counts, k).overlap == (1.0,)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("k", [1, 4, 12])
def test_equal_rows(rng: np.random.Generator, k: int) -> None:
    """Groups of eight whose cosine is the same with every other row."""
    W = np.repeat(rng.standard_normal((7, 5)), 8, axis=0)[rng.permutation(56)]
    counts = np.repeat(random_counts(rng, 7, 9) + 1, 8, axis=0)[rng.permutation(56)]
    check(W, counts, k)


@pytest.mark.usefixtures("small_tiles")
def test_cosines_that_differ_in_the_last_bits(rng: np.random.Generator) -> None:
    """A tile cannot tell which is larger."""
    W = np.repeat(rng.standard_normal((1, 20)), 50, axis=0)
    W *= 1 + rng.integers(-2, 3, W.shape) * 2.0**-52
    check(W, random_counts(rng, 50, 5) + 1, (1, 5, 20))


@pytest.mark.usefixtures("small_tiles")
def test_signatures_that_share_nothing(rng: np.random.Generator) -> None:
    """All others of a row are at 0: the lowest ids are its neighbours."""
    W = rng.standard_normal((40, 4))
    result = check(W, np.eye(40, dtype=np.int64), (1, 10, 39))
    lowest = neighbours(np.zeros((40, 40)), 10)
    own = neighbours(embedding_cosines(W), 10)
    shared = sum(len(set(a) & set(b)) for a, b in zip(own.tolist(), lowest.tolist(), strict=True))
    assert result.overlap[1:] == (shared / 400, 1.0)


@pytest.mark.usefixtures("small_tiles")
def test_counts_whose_products_are_rounded(rng: np.random.Generator) -> None:
    """Equal rows tie all the same: which is why each has all others' equals before it."""
    counts = rng.integers(2**29, 2**31, (40, 9))
    counts = np.repeat(counts[:20], 2, axis=0)
    W = np.repeat(rng.standard_normal((20, 6)), 2, axis=0)
    assert neighbour_overlap(W, signature_of(counts), 1).overlap == (1.0,)


@pytest.mark.usefixtures("small_tiles")
def test_neighbours_are_in_order(rng: np.random.Generator) -> None:
    """Of `nearest`, whose order the overlap at smaller k rests on."""

    class Dense:
        slack = 0.1

        def __init__(self, cosines: NDArray[np.float64], noise: NDArray[np.float64]) -> None:
            self._exact = torch.from_numpy(cosines)
            self._tiles = torch.from_numpy(cosines + noise)

        def tile(self, tile: Any) -> Any:
            return self._tiles[slice(*tile.rows), slice(*tile.columns)].clone()

        def exact(self, first: Any, second: Any) -> Any:
            return self._exact[first, second]

    for _ in range(20):
        half = rng.integers(-8, 9, (37, 37)) / 8
        cosines, noise = half + half.T, rng.uniform(-0.1, 0.1, (37, 37))
        for k in (1, 6, 36):
            with WorkerPool(2) as pool:
                found = nearest(Dense(cosines, noise), 37, k, 49, pool)
            np.testing.assert_array_equal(found.numpy(), neighbours(cosines, k))


@pytest.mark.parametrize("alike", ["zero", "rounded"])
def test_ties_do_not_pile_up(monkeypatch: pytest.MonkeyPatch, alike: str) -> None:
    """Of cosines that are all equal, no more are kept than the result needs, or about."""
    kept: dict[Any, list[int]] = {}
    original = _Block.add

    def add(block: Any, ids: Any, values: Any) -> None:
        kept.setdefault(block, []).append(len(ids))
        original(block, ids, values)
        assert block._kept <= 2 * 7 * 3

    class Equal:
        slack = 0.0 if alike == "zero" else 1e-9

        def tile(self, tile: Any) -> Any:
            sides = [end - begin for begin, end in (tile.rows, tile.columns)]
            return torch.zeros(sides, dtype=torch.float64)

        def exact(self, first: Any, second: Any) -> Any:
            return torch.zeros(len(first), dtype=torch.float64)

    class InOrder:
        def map(self, function: Any, items: Any) -> Any:
            return map(function, items)

    monkeypatch.setattr(_Block, "add", add)
    found = nearest(Equal(), 70, 3, 49, InOrder())
    np.testing.assert_array_equal(found.numpy(), neighbours(np.zeros((70, 70)), 3))
    if alike == "zero":  # those of the first tile that are needed, and none after
        assert {sum(each) for each in kept.values()} == {7 * 3}


def test_the_same_geometry(rng: np.random.Generator) -> None:
    """An embedding that is the signature itself has all neighbours in common."""
    counts = random_counts(rng, 40, 30) + 1
    assert check(counts.astype(np.float64), counts, (1, 5, 39)).overlap == (1.0, 1.0, 1.0)


def test_k_as_it_may_be_given(rng: np.random.Generator) -> None:
    W, counts = rng.standard_normal((12, 4)), random_counts(rng, 12, 9) + 1
    assert check(W, counts, [5, 1, 5, 500]).k == (1, 5)
    assert check(W, counts, np.int64(11)).k == (11,)
    assert check(W, counts, 11).overlap == (1.0,)
    assert neighbour_overlap(W, signature_of(counts)).k == (1, 5, 10)


@pytest.mark.parametrize(
    ("k", "error", "message"),
    [
        (12, ArgumentError, r"k: expected one below the 12 tokens compared, got \(12,\)"),
        ((50, 40), ArgumentError, r"k: expected one below the 12 tokens .* got \(40, 50\)"),
        ((1, 0), ArgumentError, "k: expected at least 1, got 0"),
        ((), ArgumentError, "k: expected an int or several, got none"),
        (2.5, ArgumentTypeError, "k: expected an int or several, got float 2.5"),
        ("5", ArgumentTypeError, "k: expected an int or several, got str '5'"),
        ((1, 2.0), ArgumentTypeError, "k: expected an int, got float 2.0"),
        (True, ArgumentTypeError, "k: expected an int, got bool True"),
    ],
)
def test_k_that_cannot_be_used(
    rng: np.random.Generator, k: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        neighbour_overlap(np.eye(12) + 0.5, signature_of(random_counts(rng, 12, 9) + 1), k)


def test_rows_are_those_of_the_correlation(rng: np.random.Generator) -> None:
    W, counts = rng.standard_normal((30, 5)), random_counts(rng, 30, 12)
    W[[0, 5]] = 0
    counts[[5, 9, 29]] = 0
    for centre in (False, True):
        result = check(W, counts, (1, 4), 40, centre)
        assert (result.min_support, result.centred) == (40, centre)
        assert 3 < result.tokens < 27


@pytest.mark.usefixtures("small_tiles")
def test_threads_change_nothing(rng: np.random.Generator) -> None:
    W, counts = rng.integers(-2, 3, (80, 9)) / 8, random_counts(rng, 80, 30) // 10 + 1
    results = {
        neighbour_overlap(W, signature_of(counts), centre=True, threads=threads)
        for threads in (1, 2, 3)
    }
    assert len(results) == 1


def test_blocks_change_nothing(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    W, counts = rng.standard_normal((80, 9)), random_counts(rng, 80, 30) + 1
    results = set()
    for side in (1, 5, 33, 1000):
        monkeypatch.setattr(devices, "_HOST_BLOCK", 4 * side * side)
        results.add(neighbour_overlap(W, signature_of(counts), (1, 7, 50), threads=2))
    assert len(results) == 1


def test_prepared_and_joint_signatures(rng: np.random.Generator) -> None:
    W = rng.standard_normal((40, 6))
    first, second = random_counts(rng, 40, 20) + 1, random_counts(rng, 40, 31) // 10
    second[:, 0] += 1
    signatures = signature_of(first), signature_of(second, "psi_test")
    alone = check(W, first, (1, 6))
    assert neighbour_overlap(W, prepare(signatures[0]), (1, 6)) == alone
    result = neighbour_overlap(W, joint(*signatures), (1, 6))
    assert result.signature == "phi_test+psi_test"
    h = (signature_cosines(first) + signature_cosines(second)) / 2
    own = neighbours(embedding_cosines(W), 6), neighbours(h, 6)
    for k, overlap in zip(result.k, result.overlap, strict=True):
        pairs = zip(*(each[:, :k].tolist() for each in own), strict=True)
        assert overlap == sum(len(set(a) & set(b)) for a, b in pairs) / (40 * k)


def test_a_prepared_signature_keeps_its_neighbours(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For another W, and not for another k or other tokens. (Centred, no row of W is zero.)"""
    counts, embeddings = random_counts(rng, 40, 20) + 1, rng.standard_normal((4, 40, 6))
    embeddings[3, np.argmax(counts.sum(axis=1))] = 0.0
    kept, searched = prepare(signature_of(counts), 150), []
    original = neighbours_module.nearest
    monkeypatch.setattr(
        neighbours_module, "nearest", lambda *of: searched.append(of) or original(*of)
    )
    ks, expected = (6, 6, 3, 6, 6, 6), (2, 1, 2, 1, 2, 1)
    for W, k, new in zip(embeddings[[0, 1, 1, 2, 3, 0]], ks, expected, strict=True):
        searched.clear()
        for centre in (False, True):
            found = neighbour_overlap(W, kept, (1, k), centre=centre)
            if not centre:
                assert len(searched) == new
            assert found == neighbour_overlap(W, signature_of(counts), (1, k), 150, centre)


def test_it_prints_as_a_table() -> None:
    result = NeighbourOverlap((1, 50), (0.25, 0.5), (0.001, 0.05), 1001, "phi_next", 2000, True)
    assert str(result).splitlines() == [
        "neighbours(W, phi_next)  in common, chance",
        "W                        centred",
        "min_support              2,000",
        "tokens                   1,001",
        "k = 1                    0.250000, 0.001000",
        "k = 50                   0.500000, 0.050000",
    ]


# On a device


@pytest.mark.parametrize("centre", [False, True])
def test_as_on_a_device(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, centre: bool
) -> None:
    """What runs on a CUDA device, on the CPU: torch's sparse products, in the caller's thread."""
    cpu = torch.device("cpu")
    monkeypatch.setattr(sparse, "HostRows", lambda matrix: sparse.DeviceRows(matrix, cpu))
    monkeypatch.setattr(devices.WorkerPool, "map", lambda pool, *of: map(*of))
    monkeypatch.setattr(devices, "_HOST_BLOCK", 4 * 13 * 13)
    W, counts = rng.standard_normal((70, 9)), random_counts(rng, 70, 30)
    check(W, counts, (1, 5, 30), 20, centre)
    check(rng.integers(-1, 2, (70, 3)) / 8 + 1, counts // 20 + 1, (1, 5))


@pytest.mark.gpu
@pytest.mark.parametrize("centre", [False, True])
def test_on_cuda(rng: np.random.Generator, centre: bool) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU: torch sees none")
    W, counts = rng.standard_normal((3000, 64)), random_counts(rng, 3000, 400)
    equal = np.repeat(W[:100], 30, axis=0), np.repeat(counts[:300], 10, axis=0)
    for rows, numbers in ((W, counts), equal):
        for scale in (1, 2**28):  # products that are rounded
            signature = signature_of(numbers * scale)
            on_cuda = torch.from_numpy(rows).to("cuda")
            expected = neighbour_overlap(rows, signature, min_support=50, centre=centre)
            found = neighbour_overlap(on_cuda, signature, min_support=50, centre=centre)
            assert found == expected
            assert not math.isnan(sum(found.overlap))
