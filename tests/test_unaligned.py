"""Arrays whose elements lie at odd addresses: copied where tokens come in, refused by kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_support import RUNNING
from numpy.typing import NDArray

import probsig_fast as ps
from probsig_fast.kernels import registry
from probsig_fast.kernels.contract import Block, Chunk


def unaligned(array: NDArray[Any]) -> NDArray[Any]:
    shifted = np.frombuffer(b"\0" + array.tobytes(), array.dtype, array.size, 1)
    assert not shifted.flags.aligned
    assert (shifted == array).all()
    return shifted


@pytest.mark.parametrize("dtype", ["uint16", "int16", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("relation", [ps.Next(), ps.Prefix(3), ps.SameSequence()], ids=str)
def test_tokens(backend: str, dtype: str, relation: Any) -> None:
    tokens = np.random.default_rng(2).integers(0, 9, 500).astype(dtype)
    counts = [
        ps.count(each, relation, vocab_size=9, eos=0, backend=backend)
        for each in (tokens, unaligned(tokens))
    ]
    assert counts[0] == counts[1]


def test_kernels_refuse_them() -> None:
    native = {each.name: each for each in registry.BACKENDS}["native_cpu"]
    if reason := native.missing():
        pytest.skip(reason)
    kernels = native.load()
    tokens, one = np.zeros(4, np.uint16), np.ones(1, np.int64)
    chunk = Chunk(unaligned(tokens), 4, one * 0, one * 4, one * 4)
    message = "^tokens: expected a contiguous 1-D array of uint16, got unaligned uint16 of 1 dimens"
    with pytest.raises(TypeError, match=message):
        kernels.next_pairs(chunk, RUNNING)
    block = Block(np.array([0, 1]), np.zeros(1, np.int32), unaligned(one))
    with pytest.raises(TypeError, match=r"^data: expected .*, got unaligned int64"):
        kernels.merge([block, block], 1)
