"""Every CUDA kernel once, on little: what compute-sanitizer watches (see .ci/gpu).

    python tests/cuda_small_run.py

Counts are compared with the CPU's; a difference is an error.
"""

from __future__ import annotations

import os

import numpy as np

import probsig_fast as ps
from probsig_fast.kernels.contract import Rows
from probsig_fast.kernels.registry import choose

RELATIONS = [
    ps.Next(),
    ps.Window(3, weighting="harmonic", direction="symmetric"),
    ps.Window(70),
    ps.Prefix(9),
    ps.SameSequence(),
]


def main() -> None:
    random = np.random.default_rng(0)
    for budget in ("16MiB", "1GB"):
        os.environ["PROBSIG_DEVICE_MEMORY"] = budget
        for dtype, vocab_size in ((np.uint16, 300), (np.uint32, 70_000)):
            tokens = np.minimum(random.zipf(1.3, 6_000) - 1, vocab_size - 1).astype(dtype)
            for relation in RELATIONS:
                counts = [
                    ps.count(
                        tokens,
                        relation,
                        vocab_size=vocab_size,
                        eos=0,
                        sequence_length=200,
                        chunk_tokens=2_500,
                        threads=2,
                        backend=backend,
                    )
                    for backend in ("native_cuda", "native_cpu")
                ]
                assert counts[0] == counts[1], relation
                print(budget, np.dtype(dtype), relation, f"{counts[0].total:,}")
    _labelled(random)
    _heads(random)
    _gram(random)


def _labelled(random: np.random.Generator) -> None:
    X, y = random.integers(0, 20, (300, 12)), random.integers(0, 7, 300)
    for incidence in ("presence", "multiplicity"):
        counts = [
            ps.count_labelled(
                X,
                y,
                vocab_size=20,
                n_labels=7,
                incidence=incidence,
                third_order=True,
                backend=backend,
            )
            for backend in ("native_cuda", "native_cpu")
        ]
        assert counts[0] == counts[1], incidence
        print("labelled", incidence)


def _heads(random: np.random.Generator) -> None:
    """More heads than so few sets would have by themselves."""
    from probsig_fast import _cuda

    heads, sets = 256, 1_100
    held = random.random((heads, sets)) < 0.3
    bits = np.packbits(np.pad(held, ((0, 0), (0, 2_048 - sets))), axis=1, bitorder="little")
    product = _cuda.head_product(_cuda.from_host(bits.reshape(-1), 0), heads)
    expected = held.astype(np.int32) @ held.T.astype(np.int32)
    got = product.to_host().reshape(heads, heads)
    assert np.array_equal(np.triu(got), np.triu(expected))
    print("heads")


def _gram(random: np.random.Generator) -> None:
    dense = random.standard_normal((200, 50)) * (random.random((200, 50)) < 0.2)

    def rows(matrix: np.ndarray) -> Rows:
        row, column = np.nonzero(matrix)
        indptr = np.searchsorted(row, np.arange(len(matrix) + 1)).astype(np.int64)
        return Rows(indptr, column.astype(np.int32), matrix[row, column])

    sums = [
        choose(backend)
        .load()
        .gram_squares(rows(dense), rows(dense.T), 0.1, 0, 200, np.zeros(1, np.uint8))
        for backend in ("native_cuda", "native_cpu")
    ]
    np.testing.assert_allclose(sums[0], sums[1], rtol=1e-13)
    print("gram")


if __name__ == "__main__":
    main()
