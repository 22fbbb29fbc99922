"""Counting on a GPU, beside what PyTorch does there and the machine's own limits; verified first.

python -m pytest bench/bench_cuda.py -c bench/pytest.ini
PROBSIG_BENCH_TOKENS names a real corpus, which is repeated to the sizes below.
PROBSIG_BENCH_LIMIT bounds all sizes, to try the benchmark itself.
"""

from __future__ import annotations

import os
import statistics

import numpy as np
import pytest
from conftest import LIMIT, ROUNDS

import probsig_fast as ps
from probsig_fast.benchmark import corpora
from probsig_fast.device import from_tensor
from probsig_fast.kernels.contract import Chunk, Rows, RunningPairs
from probsig_fast.kernels.registry import BACKENDS, choose

torch = pytest.importorskip("torch", reason="the peer is PyTorch")
MISSING = {each.name: each for each in BACKENDS}["native_cuda"].missing()
pytestmark = pytest.mark.skipif(MISSING is not None, reason=f"needs a GPU: {MISSING}")

#: Tokens: as many as the peer's sort has room for, and a corpus's worth.
SMALL, LARGE = (min(size, LIMIT or size) for size in (2**28, 2**31))
VOCABS = {50_304: "uint16", 151_936: "int32"}
ROW = 2048
CHUNK = 2**27


@pytest.fixture(scope="session")
def tokens():
    """`tokens(vocab_size, size)`: on the device, made once."""
    made = {}

    def of(vocab_size: int, size: int):
        if vocab_size not in made:
            made.clear()
            made[vocab_size] = corpora.on_device(
                LARGE, vocab_size, getattr(torch, VOCABS[vocab_size])
            )
        return made[vocab_size][:size]

    return of


@pytest.fixture(scope="session", autouse=True)
def limits(note):
    """What the device can do at best: copies within it and from the host, int8 products."""
    one = torch.empty(min(LARGE, 2**32), dtype=torch.uint8, device="cuda")
    other, pinned = torch.empty_like(one), torch.empty(one.shape, dtype=torch.uint8).pin_memory()
    inner = _rate(2 * one.numel(), lambda: other.copy_(one))
    outer = _rate(one.numel(), lambda: one.copy_(pinned, non_blocking=True))
    a = torch.ones(8192, 8192, dtype=torch.int8, device="cuda")
    product = _rate(2 * 8192**3, lambda: torch._int_mm(a, a.t()))
    note("")
    note(f"Device: {torch.cuda.get_device_name()}, torch {torch.__version__}")
    note(
        f"Limits: {inner / 1e12:.2f} TB/s read and written within the device, {outer / 1e9:.1f} "
        f"GB/s from pinned host memory, {product / 1e12:,.0f} T int8 operations/s (torch._int_mm)"
    )


@pytest.mark.parametrize("contender", ["torch.unique", "native_cuda"])
@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("vocab_size", VOCABS)
def test_next_beside_torch(timed, tokens, vocab_size, number, contender):
    part = tokens(vocab_size, SMALL)
    if number == 0:
        _check_pairs(part, vocab_size)

    def run():
        if contender == "torch.unique":
            return _torch_pairs(part, vocab_size)
        return ps.count(part, vocab_size=vocab_size)

    group = f"next, V = {vocab_size:,}, {part.numel():,} tokens in device memory"
    timed(group, contender, "tokens", part.numel(), _waited(run))


@pytest.mark.parametrize("contender", ["count", "the device's part"])
@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("vocab_size", VOCABS)
def test_next(timed, tokens, vocab_size, number, contender):
    """`count`, and what of it is not the copy of the result and its marginals on the host."""
    part = tokens(vocab_size, LARGE)
    group = f"next, V = {vocab_size:,}, {part.numel():,} tokens in device memory, one corpus"

    def run():
        if contender == "count":
            return ps.count(part, vocab_size=vocab_size)
        return _pairs_left_there(part, vocab_size)

    timed(group, contender, "tokens", part.numel(), _waited(run))


@pytest.fixture(scope="module")
def host_tokens(tokens):
    pageable = tokens(50_304, LARGE // 2).cpu()
    return {"pageable": pageable, "pinned": pageable.pin_memory()}


@pytest.mark.parametrize("contender", ["pinned copy", "pinned", "pageable"])
@pytest.mark.parametrize("number", range(ROUNDS))
def test_next_from_host_memory(timed, tokens, host_tokens, number, contender):
    part = tokens(50_304, LARGE // 2)
    host = host_tokens[contender.partition(" ")[0]]

    def run():
        if contender == "pinned copy":
            return part.copy_(host)
        return ps.count(host, vocab_size=50_304, backend="native_cuda")

    group = f"next, V = 50,304, {part.numel():,} tokens in host memory"
    timed(group, contender, "tokens", part.numel(), _waited(run))


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("weighting", ["uniform", "harmonic"])
def test_window(timed, tokens, number, weighting):
    relation = ps.Window(10, weighting=weighting)
    _check_first(tokens(50_304, SMALL), relation, number)
    part = tokens(50_304, LARGE // 8)
    run = _waited(lambda: ps.count(part, relation, vocab_size=50_304))
    group = f"window of 10, {weighting}, {part.numel():,} tokens in device memory"
    timed(group, "native_cuda", "pairs", 10 * part.numel(), run)


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("relation", [ps.SameSequence(), ps.Prefix(64)], ids=str)
def test_sets(timed, tokens, number, relation):
    _check_first(tokens(50_304, SMALL), relation, number)
    # Synthetic tokens have so many more distinct pairs than text that the host's part is all of it.
    part = tokens(50_304, SMALL if "PROBSIG_BENCH_TOKENS" in os.environ else SMALL // 8)
    rows = part[: part.numel() // ROW * ROW].reshape(-1, ROW)
    run = _waited(lambda: ps.count(rows, relation, vocab_size=50_304))
    group = f"{relation}, {rows.numel():,} tokens in device memory, rows of {ROW:,}"
    timed(group, "native_cuda", "tokens", rows.numel(), run)


@pytest.mark.parametrize("contender", ["torch._int_mm", "head_product"])
@pytest.mark.parametrize("number", range(ROUNDS))
def test_product_of_heads(timed, number, contender):
    """Which sets hold both of two tokens: bytes by PyTorch, bits by ours, of as many operations.

    Ours skips the lower triangle, as the sum is symmetric; the operations count it as done.
    """
    from probsig_fast import _cuda

    heads, sets = 8192, 65_536
    random = torch.Generator(device="cuda").manual_seed(0)
    matrix = torch.rand(heads, sets, generator=random, device="cuda") < 0.3
    as_bytes = matrix.to(torch.int8)
    places = 2 ** torch.arange(8, dtype=torch.uint8, device="cuda")
    as_bits = (matrix.reshape(heads, -1, 8) * places).sum(-1, dtype=torch.uint8).reshape(-1)
    capsule_stream = _cuda.import_stream(0)
    bits, _ = _cuda.from_dlpack(as_bits.__dlpack__(stream=capsule_stream))
    _cuda.finish_stream(capsule_stream)
    if number == 0:
        expected = torch.triu(torch._int_mm(as_bytes, as_bytes.t())).cpu().numpy()
        got = np.triu(_cuda.head_product(bits, heads).to_host().reshape(heads, heads))
        assert np.array_equal(got, expected)
    run = (
        (lambda: torch._int_mm(as_bytes, as_bytes.t()))
        if contender == "torch._int_mm"
        else (lambda: _cuda.head_product(bits, heads))
    )
    group = f"common sets of {heads:,} heads in {sets:,} sets"
    timed(group, contender, "operations", 2 * heads**2 * sets, _waited(run))


@pytest.mark.parametrize("contender", ["native_cpu", "native_cuda"])
@pytest.mark.parametrize("number", range(ROUNDS))
def test_gram_squares(timed, number, contender):
    size = min(LIMIT or 49_152, 49_152)
    phi = ps.count(corpora.zipfian(100 * size, size).tokens, vocab_size=size).phi_next()
    by_row = phi.to_scipy().astype(np.float64)
    by_column = by_row.T.tocsr()
    kernels = choose(contender).load()
    rows, columns = (
        kernels.load_rows(Rows(each.indptr.astype(np.int64), each.indices, each.data))
        for each in (by_row, by_column)
    )
    running = np.zeros(1, np.uint8)
    work = int(np.diff(by_column.indptr)[by_row.indices].sum())
    timed(
        f"|PP'|^2 of {size:,} rows, {by_row.nnz:,} entries",
        contender,
        "additions",
        work,
        _waited(lambda: kernels.gram_squares(rows, columns, 0.0, 0, size, running)),
    )


def _pairs_left_there(part, vocab_size: int) -> RunningPairs:
    """Scanned and counted chunk by chunk by one thread, as `count` does; nothing comes back."""
    kernels = choose("native_cuda", part.device.index).load()
    sums = kernels.running_pairs(vocab_size, np.ones(1, np.int64), part.numel())
    running, none = np.zeros(1, np.uint8), np.empty(0, np.uint32)
    for begin in range(0, part.numel(), CHUNK):
        size = min(CHUNK, part.numel() - begin)
        chunk = from_tensor(part[begin : begin + size + 1], "tokens", "tokens")[0].narrowed()
        histogram = kernels.scan(chunk, size, vocab_size, none.astype(chunk.dtype)).histogram
        run = np.array([0]), np.array([chunk.size])
        sums.add(Chunk(chunk, size, *run, histogram), running)
    return sums


def _torch_pairs(part, vocab_size: int):
    wide = part.to(torch.int64)
    return torch.unique(wide[:-1] * vocab_size + wide[1:], return_counts=True)


def _check_pairs(part, vocab_size: int) -> None:
    """All counts are PyTorch's."""
    keys, counts = (each.cpu().numpy() for each in _torch_pairs(part, vocab_size))
    got = ps.count(part, vocab_size=vocab_size).to_scipy()
    rows = np.repeat(np.arange(vocab_size, dtype=np.int64), np.diff(got.indptr))
    assert np.array_equal(rows * vocab_size + got.indices, keys)
    assert np.array_equal(got.data, counts)


def _check_first(part, relation: ps.Window | ps.SameSequence | ps.Prefix, number: int) -> None:
    """The first tokens give the CPU's counts."""
    if number == 0:
        first = part[: 1_000 * ROW].reshape(-1, ROW)
        counts = [
            ps.count(each, relation, vocab_size=50_304) for each in (first, first.cpu().numpy())
        ]
        assert counts[0] == counts[1]


def _waited(run):
    def timed_run():
        result = run()
        torch.cuda.synchronize()
        return result

    return timed_run


def _rate(work: float, run) -> float:
    """Work a second, by the device's own clock; the median of several."""
    seconds = []
    for _ in range(10):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        end.synchronize()
        seconds.append(begin.elapsed_time(end) / 1e3)
    return work / statistics.median(seconds)
