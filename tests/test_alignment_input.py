"""What `cosine_correlation` takes, refuses and prints."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import probsig_fast as ps
from probsig_fast.errors import ArgumentError, ArgumentTypeError, BackendError, MissingExtraError

torch = pytest.importorskip("torch", reason="alignment needs torch")

from alignment_support import check, random_counts, signature_of  # noqa: E402

from probsig_fast.alignment import CosineCorrelation, Dropped, cosine_correlation  # noqa: E402


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20250920)


# What is taken for W


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float16", "bfloat16", "float32", "float64"])
def test_tensors(rng: np.random.Generator, backend: str, dtype: str) -> None:
    W = torch.from_numpy(rng.standard_normal((40, 6)) + 1.0).to(getattr(torch, dtype))
    counts = random_counts(rng, 40, 20)
    before = W.clone()
    plain = check(W, counts, 0, True, backend=backend)
    assert torch.equal(W.double(), before.double())
    wide = torch.nn.Parameter(W.double())
    for same in (torch.nn.Parameter(W), wide, wide * 1, W.T.contiguous().T):
        assert cosine_correlation(same, signature_of(counts), 0, True, 1, backend) == plain


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_arrays(rng: np.random.Generator, dtype: type) -> None:
    W = (rng.standard_normal((40, 6)) + 1.0).astype(dtype)
    counts = random_counts(rng, 40, 20)
    W.flags.writeable = False
    plain = check(W, counts, 0, True)
    reversed_twice = np.ascontiguousarray(W[::-1])[::-1]
    tensor = torch.from_numpy(W.copy())
    for same in (np.asfortranarray(W), reversed_twice, tensor, W.astype(np.float64)):
        assert cosine_correlation(same, signature_of(counts), 0, True, 1, "reference") == plain


# Printing and errors


def test_it_prints_as_a_table() -> None:
    result = CosineCorrelation(
        0.0791234, 2594, 3363121, 0.0001, 0.1, "phi_next", 2000, True, 2600, Dropped(46558, 0, 6)
    )
    assert str(result).splitlines() == [
        "R_cos(W, phi_next)       0.079123",
        "W                        centred, mean of 2,600 rows",
        "min_support              2,000",
        "tokens                   2,594",
        "pairs                    3,363,121",
        "mean cosine of W         0.000100",
        "mean cosine of phi_next  0.100000",
        "rows left out            46,558 without support, 0 not finite, 6 zero in the embedding",
    ]
    nothing = dataclasses.replace(result, pearson=math.nan, centred=False, mean_rows=0)
    assert "R_cos(W, phi_next)       nan" in str(nothing)
    assert "raw" in str(nothing)


SIGNATURE = signature_of(np.eye(4, dtype=np.int64) + 1)
GOOD = np.arange(12.0).reshape(4, 3)


def with_value(value: float) -> NDArray[np.float64]:
    W = GOOD.copy()
    W[2, 1] = value
    return W


@pytest.mark.parametrize(
    ("W", "message"),
    [
        (GOOD[0], r"W: expected 2 dimensions \[V, d\], got shape \(3,\)"),
        (GOOD[None], r"W: expected 2 dimensions \[V, d\], got shape \(1, 4, 3\)"),
        (GOOD[:3], r"W: expected 4 rows, as phi_test has, got 3$"),
        (
            np.ones((6, 3)),
            r"W: expected 4 rows, as phi_test has, got 6; "
            r"rows beyond the tokenizer can be cut with W\[:4\]",
        ),
        (GOOD * math.nan, "W: expected at least 3 rows .* got 0 of 4: 4 not finite, 0 zero"),
        (torch.full((4, 3), math.inf).half(), "W: .* got 0 of 4: 4 not finite, 0 zero"),
        (with_value(math.nan) * [[0], [1], [1], [1]], "W: .* got 2 of 4: 1 not finite, 1 zero"),
    ],
)
def test_values_of_w_that_cannot_be_used(W: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        cosine_correlation(W, SIGNATURE)


@pytest.mark.parametrize(
    ("W", "got"),
    [
        (GOOD.astype(np.int64), "NumPy int64"),
        (GOOD.astype(complex), "NumPy complex128"),
        (torch.from_numpy(GOOD).int(), r"torch\.int32"),
        (torch.from_numpy(GOOD).to(torch.complex64), r"torch\.complex64"),
        (torch.from_numpy(GOOD).to_sparse(), r"torch\.float64, torch\.sparse_coo"),
        (GOOD.tolist(), "list"),
        (torch.nn.Embedding(4, 3), "Embedding"),
        (None, "NoneType"),
    ],
)
def test_types_of_w_that_cannot_be_used(W: Any, got: str) -> None:
    expected = f"W: expected a dense torch tensor or NumPy array of real floats, got {got}$"
    with pytest.raises(ArgumentTypeError, match=expected):
        cosine_correlation(W, SIGNATURE)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"min_support": -1}, ArgumentError, "min_support: expected at least 0, got -1"),
        ({"min_support": 2.5}, ArgumentTypeError, "min_support: expected an int, got float 2.5"),
        ({"threads": 0}, ArgumentError, "threads: expected at least 1, got 0"),
        ({"centre": 1}, ArgumentTypeError, "centre: expected a bool, got int 1"),
        ({"backend": "gpu"}, BackendError, "backend: expected one of .*, got 'gpu'"),
    ],
)
def test_other_arguments_that_cannot_be_used(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        cosine_correlation(GOOD, SIGNATURE, **options)


def test_signatures_that_cannot_be_used() -> None:
    counts = ps.count(np.array([0, 1, 2, 3], np.uint16), vocab_size=4, backend="reference")
    with pytest.raises(ArgumentTypeError, match=r"a Signature, got Counts; .*counts\.phi_next"):
        cosine_correlation(GOOD, counts)  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match=r"signature: expected a Signature, got ndarray$"):
        cosine_correlation(GOOD, GOOD)  # type: ignore[arg-type]
    damaged = dataclasses.replace(SIGNATURE, indices=SIGNATURE.indices + 1)
    with pytest.raises(ArgumentError, match="signature: expected columns from 0 to 3, got 1 to 4"):
        cosine_correlation(GOOD, damaged)


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("probsig_fast.alignment")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"needs torch.*probsig-fast\[torch\]"):
        import probsig_fast.alignment  # noqa: F401


def test_the_package_does_not_load_torch() -> None:
    code = "import sys, probsig_fast; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
