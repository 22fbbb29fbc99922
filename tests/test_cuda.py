"""The CUDA backend beyond what every backend does: tensors on the device, budgets, its host logic.

On a GPU where there is one (marked gpu), or emulated where PROBSIG_TEST_CUDA names such a module.
"""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from cuda_module import EMULATED
from cuda_tensors import EmulatedTensor, on_device
from kernel_support import RUNNING, span_sums
from numpy.typing import NDArray

import probsig_fast as ps
from probsig_fast.errors import (
    ArgumentError,
    ArgumentTypeError,
    BackendError,
    DeviceMemoryError,
    SourceError,
    TokenRangeError,
)
from probsig_fast.kernels import reference, registry
from probsig_fast.kernels.contract import Kernels, Spans

pytestmark = [] if EMULATED else [pytest.mark.gpu]

RELATIONS = [
    ps.Next(),
    ps.Window(3, weighting="harmonic", direction="symmetric"),
    ps.Window(70),
    ps.Prefix(9),
    ps.SameSequence(),
]
DTYPES = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]


@pytest.fixture
def kernels() -> Kernels:
    return registry.choose("native_cuda").load()


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda text: monkeypatch.setenv("PROBSIG_DEVICE_MEMORY", text)


def stream(size: int = 3_000, vocab_size: int = 100, seed: int = 0) -> NDArray[np.int64]:
    random = np.random.default_rng(seed)
    return np.minimum(random.zipf(1.3, size) - 1, vocab_size - 1).astype(np.int64)


# Tensors on the device


@pytest.mark.parametrize("relation", RELATIONS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tensor_on_the_device(relation: Any, dtype: str) -> None:
    if dtype in ("uint32", "uint64") and not EMULATED:
        pytest.skip("torch has few kernels for these types")
    tokens = stream().astype(dtype)
    rules: dict[str, Any] = {"vocab_size": 100, "eos": 7, "ignore_ids": [3, -1]}
    counts = ps.count(on_device(tokens), relation, chunk_tokens=700, **rules)
    assert counts.provenance["backend"] == "native_cuda"
    assert counts == ps.count(tokens, relation, backend="reference", **rules)


@pytest.mark.parametrize("relation", RELATIONS, ids=str)
def test_rows_on_the_device(relation: Any) -> None:
    rows = stream(2_100).reshape(-1, 30)
    counts = ps.count(on_device(rows), relation, vocab_size=100, sequence_length=13)
    assert counts == ps.count(rows, relation, vocab_size=100, sequence_length=13)


def test_labelled_samples_on_the_device() -> None:
    X, y = stream(600).reshape(-1, 6), np.arange(100) % 7
    counts = ps.count_labelled(on_device(X), y, vocab_size=100, n_labels=7, third_order=True)
    assert counts.provenance["backend"] == "native_cuda"
    assert counts == ps.count_labelled(X, y, vocab_size=100, n_labels=7, third_order=True)


def test_offsets_beside_a_tensor() -> None:
    tokens, offsets = stream(50), [0, 10, 10, 50]
    counts = ps.count(on_device(tokens), vocab_size=100, offsets=offsets)
    assert counts == ps.count(tokens, vocab_size=100, offsets=offsets)


@pytest.mark.skipif(not EMULATED, reason="counts who holds an emulated tensor's memory")
def test_a_tensor_is_not_copied_and_let_go_at_the_end() -> None:
    tensor = EmulatedTensor(stream().astype(np.uint16))
    ps.count(tensor, vocab_size=100)
    gc.collect()
    assert tensor.dropped == 1


@pytest.mark.parametrize(
    ("dtype", "token_id", "told"),
    [("int64", -5, -5), ("int64", 2**40, 2**40), ("uint16", 100, 100), ("int8", -1, -1)],
)
def test_an_id_outside_the_vocabulary(dtype: str, token_id: int, told: int) -> None:
    tokens = stream().astype(dtype)
    tokens[[1_234, 2_345]] = token_id
    message = f"got id {told} at position 1234 of tokens"
    for _ in range(2):  # the device is as usable as before
        with pytest.raises(TokenRangeError, match=re.escape(message)):
            ps.count(on_device(tokens), vocab_size=100, chunk_tokens=500)
    assert ps.count(on_device(stream()), vocab_size=100) == ps.count(stream(), vocab_size=100)


@pytest.mark.parametrize(
    ("tensor", "arguments", "error", "message"),
    [
        (lambda: on_device(stream()), {"backend": "native_cpu"}, BackendError, "cuda:0"),
        (lambda: on_device(stream()), {"dtype": "uint16"}, ArgumentTypeError, "dtype: expected"),
        (lambda: on_device(stream()), {"join_files": True}, ArgumentError, "join_files: expected"),
        (lambda: on_device(np.ones(3, np.float32)), {}, ArgumentTypeError, "expected integers"),
        (lambda: on_device(np.ones((2, 2, 2), int)), {}, SourceError, "got 3-D"),
    ],
)
def test_tensors_that_cannot_be_counted(
    tensor: Any, arguments: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ps.count(tensor(), vocab_size=100, **arguments)


def test_strides_are_refused() -> None:
    if EMULATED:
        tensor: Any = EmulatedTensor(stream(10).reshape(5, 2), strides=(1, 5))
    else:
        tensor = on_device(stream(10).reshape(2, 5)).t()
    with pytest.raises(SourceError, match="contiguous"):
        ps.count(tensor, vocab_size=100)


# Budgets


@pytest.mark.parametrize("relation", RELATIONS, ids=str)
def test_a_small_budget_gives_the_same_counts(relation: Any, budget: Any) -> None:
    tokens = stream(20_000, 3_000)
    expected = ps.count(tokens, relation, vocab_size=3_000, sequence_length=300)
    for text in ("16MiB", "40MB"):
        budget(text)
        for threads in (1, 3):
            counts = ps.count(
                tokens,
                relation,
                vocab_size=3_000,
                sequence_length=300,
                backend="native_cuda",
                threads=threads,
            )
            assert counts == expected


def test_too_small_a_budget_is_told_and_the_next_count_works(budget: Any) -> None:
    tokens = stream()
    expected = ps.count(tokens, vocab_size=100)
    budget("16MiB")
    with pytest.raises(DeviceMemoryError, match=r"PROBSIG_DEVICE_MEMORY|budget"):
        ps.count(tokens, vocab_size=50_000_000, backend="native_cuda")
    assert ps.count(tokens, vocab_size=100, backend="native_cuda") == expected


def test_a_budget_that_is_no_size(budget: Any) -> None:
    budget("much")
    with pytest.raises(ArgumentError, match="PROBSIG_DEVICE_MEMORY: expected bytes"):
        ps.count(stream(), vocab_size=100, backend="native_cuda")


def test_memory_is_given_back() -> None:
    from probsig_fast import _cuda

    gc.collect()
    before = _cuda.memory_in_use(0)  # what failures of other tests still hold
    ps.count(stream(), ps.SameSequence(), vocab_size=100, backend="native_cuda")
    gc.collect()
    assert _cuda.memory_in_use(0) == before


@pytest.mark.parametrize("size", [0, 1, 2**20 + 1, 9 * 2**20 + 5])
def test_large_arrays_there_and_back(size: int) -> None:
    from probsig_fast import _cuda

    numbers = np.arange(size, dtype=np.uint32)
    assert np.array_equal(_cuda.from_host(numbers, 0).to_host(), numbers)


# The plan of a running sum of pairs: host logic alone


@pytest.mark.parametrize("vocab_size", [1, 100, 50_304, 65_536, 151_936, 1_000_000])
@pytest.mark.parametrize("total", [-1, 1_000, 10**8, 10**11])
@pytest.mark.parametrize("size", [1, 10, 300])
def test_the_plan_stays_within_its_budget(vocab_size: int, total: int, size: int) -> None:
    from probsig_fast import _cuda

    heads = []
    for budget in (2**26, 2**30, 2**35):
        plan = _cuda.plan_pairs(vocab_size, np.ones(size, np.int64), total, budget)
        cell, key = 4 + 4 * plan["wide_cells"], 4 + 4 * plan["wide_keys"]
        used = plan["heads"] ** 2 * cell + plan["tail_capacity"] * key + plan["most_sums"] * key
        assert used <= budget
        assert 0 <= plan["heads"] <= vocab_size
        assert plan["tail_capacity"] > 0 or plan["heads"] == vocab_size
        assert plan["wide_keys"] or vocab_size**2 << plan["weight_bits"] <= 2**32
        heads.append(plan["heads"])
    assert heads == sorted(heads)


def test_a_plan_without_room() -> None:
    from probsig_fast import _cuda

    with pytest.raises(ValueError, match=r"budget|memory"):
        _cuda.plan_pairs(2**31 - 1, np.ones(1, np.int64), 10**6, 2**20)


def test_heads_are_chosen_where_they_pay() -> None:
    from probsig_fast import _cuda

    frequencies = (10**5 / np.sqrt(np.arange(1, 20_001))).astype(np.uint32)  # falling
    assert _cuda.choose_heads(np.minimum(frequencies[:100], 10), 10, 2**34) == 0
    many = _cuda.choose_heads(frequencies, 10**5, 2**34)
    assert 0 < many <= 16_384
    assert many % 128 == 0
    assert 0 <= _cuda.choose_heads(frequencies, 10**5, 2**24) <= many
    assert _cuda.choose_heads(frequencies, 10**5, 0) == 0


# Heads: pairs of frequent tokens as products of bits


@pytest.mark.parametrize("heads", [0, 1, 5, 128, 200, 300])
@pytest.mark.parametrize("n_sets", [1, 100, 1_100])
def test_any_number_of_heads(kernels: Kernels, heads: int, n_sets: int) -> None:
    from probsig_fast import _cuda

    vocab_size = 300
    random = np.random.default_rng(heads + n_sets)
    runs = np.arange(n_sets + 1) * 6
    tokens = np.minimum(random.zipf(1.2, runs[-1]) - 1, vocab_size - 1).astype(np.uint16)
    sets = reference.sequence_sets(tokens, runs[:-1], runs[1:], vocab_size, False, RUNNING)
    expected = reference.set_spans(sets, vocab_size)
    arrays = (_cuda.from_host(sets.indptr, 0), _cuda.from_host(sets.ids, 0))
    ids, (indptr, bounds), head_ids, head_bits = _cuda.set_spans(*arrays, vocab_size, heads)
    assert head_ids.size == heads
    none = _cuda.from_host(np.empty(0, np.int64), 0)
    spans = Spans(ids, none, indptr, bounds, none, head_ids, head_bits)
    additions = kernels.additions(spans)
    for begin, end in ((0, vocab_size), (0, 1), (3, 150), (150, 300), (7, 7)):
        got = span_sums(kernels, [spans, spans], vocab_size, begin, end)
        wanted = span_sums(reference, [expected, expected], vocab_size, begin, end)  # type: ignore[arg-type]
        assert np.array_equal(got.indptr, wanted.indptr)
        assert np.array_equal(got.indices, wanted.indices)
        assert np.array_equal(got.data, wanted.data)
        assert (np.diff(got.indptr) <= 2 * additions[begin:end]).all()


def test_an_old_module_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from probsig_fast.kernels import native_cuda

    monkeypatch.setattr(native_cuda, "MISSING", ["span_sums"])
    message = r"the CUDA module is older than the package \(no span_sums\): install again$"
    with pytest.raises(BackendError, match=message):
        registry.choose("native_cuda")


# Where there is no device


@pytest.mark.skipif(not EMULATED, reason="only the emulated device can be taken away")
def test_without_a_device() -> None:
    code = "import cuda_module, probsig_fast as ps; print(ps.show_backends())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=os.path.dirname(__file__),
        env={**os.environ, "PROBSIG_EMULATOR_DEVICES": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"^native_cuda .*missing: no CUDA device", done.stdout, re.MULTILINE)
