"""Memory that a count frees and uses again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kernel_support import RUNNING

from probsig_fast.kernels import registry
from probsig_fast.kernels.contract import Block, Chunk, Kernels

MEGABYTE = 2**20


@pytest.fixture(scope="module")
def kernels() -> Kernels:
    reason = next(each for each in registry.BACKENDS if each.name == "native_cpu").missing()
    if reason:
        pytest.skip(f"needs native_cpu: {reason}")
    return registry.choose("native_cpu").load()


def counted(kernels: Kernels, seed: int) -> Block:
    """A block of some MB, of tokens that differ with the seed."""
    tokens = np.random.default_rng(seed).integers(0, 3000, 500_000).astype(np.uint16)
    histogram = np.bincount(tokens, minlength=3000)
    ends = np.array([tokens.size])
    return kernels.next_pairs(Chunk(tokens, tokens.size, ends * 0, ends, histogram), RUNNING)


def resident() -> int:
    """Bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def same(first: Block, second: Block) -> bool:
    names = ("indptr", "indices", "data")
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in names)


def test_used_pages_change_nothing(kernels: Kernels) -> None:
    fresh = [counted(kernels, seed) for seed in range(3)]
    kernels.keep_memory(256 * MEGABYTE)
    try:
        for _ in range(2):  # the second time, everything lies where something else lay before
            for seed, expected in enumerate(fresh):
                block = counted(kernels, seed)
                assert same(block, expected)
                del block
        assert same(kernels.merge(fresh, 3000), kernels.merge(fresh[::-1], 3000))
    finally:
        kernels.release()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_what_waits_is_bounded_and_given_back(kernels: Kernels) -> None:
    counted(kernels, 0)
    before = resident()
    kernels.keep_memory(64 * MEGABYTE)
    try:
        blocks = [counted(kernels, seed) for seed in range(30)]
        taken = resident() - before
        del blocks
        assert taken > 80 * MEGABYTE
        assert resident() - before < taken - 10 * MEGABYTE
    finally:
        kernels.release()
    assert resident() - before < 24 * MEGABYTE


def test_less_than_nothing_is_refused(kernels: Kernels) -> None:
    with pytest.raises(ValueError, match="most: expected at least 0"):
        kernels.keep_memory(-1)
