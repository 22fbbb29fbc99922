"""Where alignment runs: the choice of a device, its memory, and the same figures on each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import probsig_fast as ps
from probsig_fast.errors import (
    ArgumentError,
    ArgumentTypeError,
    BackendError,
    DeviceMemoryError,
)
from probsig_fast.kernels import reference, registry

torch = pytest.importorskip("torch", reason="alignment needs torch")

import strong_pairs_support  # noqa: E402
from alignment_support import check, random_counts, signature_of  # noqa: E402

from probsig_fast.alignment import (  # noqa: E402
    cosine_correlation,
    strong_pairs,
)
from probsig_fast.alignment.gram import (  # noqa: E402
    cross,
    devices,
    moments,
    sparse,
)
from probsig_fast.alignment.gram.work import Tile  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20250920)


@pytest.fixture
def as_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs on a CUDA device, on the CPU: torch's sparse products, in the caller's thread."""
    monkeypatch.setattr(sparse, "HostRows", lambda matrix: sparse.DeviceRows(matrix, CPU))
    monkeypatch.setattr(cross, "_on_device", lambda embedding: True)
    monkeypatch.setattr(devices.WorkerPool, "map", lambda pool, *of: map(*of))
    monkeypatch.setattr(devices, "_HOST_BLOCK", 4 * 13 * 13)


# The choice


def test_where_nothing_is_said() -> None:
    for W in (np.ones((2, 2)), torch.ones(2, 2)):
        assert devices.compute_device(None, W) == CPU
        assert devices.compute_device("cpu", W) == devices.compute_device(CPU, W) == CPU


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", r"device: expected 'cpu', 'cuda' or 'cuda:N', got 'gpu'$"),
        ("meta", r"device: expected 'cpu', 'cuda' or 'cuda:N', got 'meta'$"),
        (torch.device("mps"), r"device: expected 'cpu', 'cuda' or 'cuda:N', got 'mps'$"),
        ("cuda:2", r"device: expected 'cuda:0' to 'cuda:1', got 'cuda:2'$"),
    ],
)
def test_devices_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, device: Any, message: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    with pytest.raises(ArgumentError, match=message):
        devices.compute_device(device, None)
    assert devices.compute_device("cuda", None) == torch.device("cuda:1")
    assert devices.compute_device("cuda:0", None) == torch.device("cuda:0")


def test_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = r"device: expected 'cpu', as torch .* sees no CUDA device here, got 'cuda:0'$"
    for call in (cosine_correlation, strong_pairs):
        with pytest.raises(ArgumentError, match=message):
            call(np.ones((2, 2)), signature_of(np.eye(2)), device="cuda:0")


def test_types_of_device_that_cannot_be_used() -> None:
    expected = "device: expected None, a torch.device or its name, got int 0"
    with pytest.raises(ArgumentTypeError, match=expected):
        cosine_correlation(np.ones((2, 2)), signature_of(np.eye(2)), device=0)  # type: ignore[arg-type]


def test_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device("cuda", 0)
    asked = []

    def choose(name: str | None, device: int | None = None) -> registry.Backend:
        asked.append((name, device))
        if device is not None:
            raise BackendError("backend: 'native_cuda' is not available here: no such module")
        return registry.BACKENDS[-1]

    monkeypatch.setattr(devices, "choose", choose)
    assert devices.kernels_for("reference", CPU) is reference
    assert devices.kernels_for("reference", cuda) is reference
    assert devices.kernels_for(None, cuda) is reference  # the CPU's do
    with pytest.raises(BackendError, match="no such module"):
        devices.kernels_for("native_cuda", cuda)
    assert asked == [("reference", None)] * 2 + [(None, 0), (None, None), ("native_cuda", 0)]


# Memory


def test_blocks_shrink_with_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3 * 2**20)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 2**20)
    sizes = []
    for free in (2**36, 2**30, 2**29, 2**28, 0):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 2**36))
        sizes.append(devices.block_elements(cuda))
    assert sizes == [2**25, 2**25, 2**24, 2**23, 2**22]
    assert devices.tile_elements(cuda) == 2**20


def test_a_full_device_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*arguments: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB.\nMore.")

    monkeypatch.setattr("probsig_fast.alignment.gram.compared.unit_embedding", fill)
    for call in (cosine_correlation, strong_pairs):
        with pytest.raises(DeviceMemoryError, match=r"device: expected room .* 1 GiB\. Pass"):
            call(np.ones((2, 2)), signature_of(np.eye(2)))


# The same figures


def test_products_of_sparse_rows(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_HOST_BLOCK", 4 * 25)
    matrix = scipy.sparse.csr_array(random_counts(rng, 40, 25).astype(np.float64))
    dense = torch.from_numpy(rng.standard_normal((25, 6)))
    host, device = sparse.HostRows(matrix), sparse.DeviceRows(matrix, CPU)
    for rows in ((0, 40), (3, 4), (10, 33), (7, 7)):
        product = torch.from_numpy(matrix[slice(*rows)] @ dense.numpy())
        torch.testing.assert_close(device.times(rows, dense), product)
    for tile in (Tile((0, 40), (0, 40)), Tile((2, 13), (13, 20)), Tile((5, 6), (39, 40))):
        whole = (matrix @ matrix.T).toarray()[slice(*tile.rows), slice(*tile.columns)]
        for each in (host, device):
            np.testing.assert_array_equal(each.gram(tile).numpy(), whole)  # integers


@pytest.mark.usefixtures("as_on_a_device")
@pytest.mark.parametrize("pairwise", [False, True])
def test_correlation_as_on_a_device(
    rng: np.random.Generator, backend: str, pairwise: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moments, "_CANCELLED", 0.0 if pairwise else 1e9)
    for centre in (False, True):
        W = rng.standard_normal((70, 9)) + 1.0
        check(torch.from_numpy(W), random_counts(rng, 70, 30), 20, centre, backend=backend)


@pytest.mark.usefixtures("as_on_a_device")
def test_strong_pairs_as_on_a_device(rng: np.random.Generator) -> None:
    W, counts = rng.standard_normal((70, 9)), random_counts(rng, 70, 30)
    strong_pairs_support.check(W, counts, 0.02)
    strong_pairs_support.check(W, counts, 0.3, 20, True)
    strong_pairs_support.check(rng.integers(-1, 2, (70, 3)) / 8, counts // 20, 0.1)


# On a CUDA device


@pytest.fixture
def cuda() -> Any:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU: torch sees none")
    return torch.device("cuda", 0)


def cases(rng: np.random.Generator) -> Any:
    """Embeddings and signatures for every way to the moments."""
    counts = random_counts(rng, 3000, 400)
    W = rng.standard_normal((3000, 64))
    yield W + 0.5, counts
    yield rng.standard_normal(64) + 1e-2 * W, counts  # cov pair by pair
    yield rng.standard_normal((900, 600)), counts[:900]  # var pair by pair
    yield np.repeat(W[:100], 30, axis=0), np.repeat(counts[:300], 10, axis=0)  # ties
    yield W[:1], counts[:1]


@pytest.mark.gpu
@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("backend", [None, "native_cuda", "reference"])
def test_correlation_on_cuda(
    rng: np.random.Generator, cuda: Any, centre: bool, backend: str | None
) -> None:
    for W, counts in cases(rng):
        signature = signature_of(counts)
        expected = cosine_correlation(W, signature, 50, centre)
        on_cuda = torch.from_numpy(W).to(cuda)
        for where in (None, "cuda", cuda):
            result = cosine_correlation(on_cuda, signature, 50, centre, None, backend, where)
            assert figures(result) == pytest.approx(figures(expected), abs=1e-10, nan_ok=True)
        there = cosine_correlation(W, signature, 50, centre, None, backend, "cuda:0")
        assert figures(there) == pytest.approx(figures(expected), abs=1e-10, nan_ok=True)
        assert cosine_correlation(on_cuda, signature, 50, centre, device="cpu") == expected


def figures(result: Any) -> tuple[float, ...]:
    return (
        result.pearson,
        result.mean_embedding_cosine,
        result.mean_signature_cosine,
        result.tokens,
        result.mean_rows,
    )


@pytest.mark.gpu
@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("fraction", [0.001, 0.2])
def test_strong_pairs_on_cuda(
    rng: np.random.Generator, cuda: Any, centre: bool, fraction: float
) -> None:
    for W, counts in cases(rng):
        for scale in (1, 2**28):  # products that are rounded
            signature = signature_of(counts * scale)
            expected = strong_pairs(W, signature, fraction, 50, centre)
            result = strong_pairs(torch.from_numpy(W).to(cuda), signature, fraction, 50, centre)
            assert (result.top, result.overlap) == (expected.top, expected.overlap)
            if result.top:  # else they hold NaN
                assert result.by_embedding == expected.by_embedding
                assert result.by_signature == expected.by_signature
            assert result.mean_embedding_cosine == pytest.approx(
                expected.mean_embedding_cosine, abs=1e-10, nan_ok=True
            )


@pytest.mark.gpu
def test_a_stream_of_the_callers(rng: np.random.Generator, cuda: Any) -> None:
    """What it still has to do to W is waited for."""
    counts, W = random_counts(rng, 2000, 300), torch.from_numpy(rng.standard_normal((2000, 512)))
    expected = cosine_correlation(W, signature_of(counts), device=cuda)
    with torch.cuda.stream(torch.cuda.Stream()):
        late = torch.zeros(2000, 512, dtype=torch.float64, device=cuda)
        torch.cuda._sleep(10**8)
        late += W.to(cuda)
        result = cosine_correlation(late, signature_of(counts))
    assert figures(result) == pytest.approx(figures(expected), abs=1e-10)


@pytest.mark.gpu
def test_w_larger_than_the_device(cuda: Any) -> None:
    W, signature = np.ones((2**14, 2**11), np.float16), signature_of(np.ones((2**14, 1), np.int64))
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(cuda).total_memory
    torch.cuda.set_per_process_memory_fraction(2**27 / total, cuda)  # half of E
    try:
        for call in (cosine_correlation, strong_pairs):
            with pytest.raises(DeviceMemoryError, match=r"device: expected room .* of cuda:0, got"):
                call(W, signature, device=cuda)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, cuda)
    assert cosine_correlation(W, signature, device=cuda).tokens == 2**14


@pytest.mark.gpu
@pytest.mark.slow
def test_real_tokens_on_cuda(cuda: Any, shared: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    with zstandard.open(shared / "data" / "docs.smollm2.u16.bin.zst", "rb") as file:
        tokens = np.frombuffer(file.read(), np.uint16)
    phi = ps.count(tokens, vocab_size=49_152, eos=0).phi_next()
    W = torch.randn(49_152, 96, generator=torch.Generator().manual_seed(1)).to(cuda)
    for centre in (False, True):
        result = cosine_correlation(W, phi, 0, centre)
        expected = cosine_correlation(W.cpu(), phi, 0, centre)
        assert figures(result) == pytest.approx(figures(expected), abs=1e-10)
    result, expected = strong_pairs(W, phi, 0.0001, 100), strong_pairs(W.cpu(), phi, 0.0001, 100)
    assert result.by_embedding == expected.by_embedding
    assert result.by_signature == expected.by_signature
