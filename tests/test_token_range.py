"""A token id outside the vocabulary is an error that names the lowest position."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest

import probsig_fast as ps
from probsig_fast.errors import TokenRangeError

UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
SIGNED = ("int8", "int16", "int32", "int64")


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("chunk_tokens", [1, 3, 10, None])
@pytest.mark.parametrize("relation", [ps.Next(), ps.Window(4)], ids=repr)
@pytest.mark.parametrize("position", [0, 5, 9])
def test_the_lowest_invalid_id_is_named(
    backend: str, threads: int, chunk_tokens: int | None, relation: ps.Window, position: int
) -> None:
    tokens = np.array([0, 1, 2, 3, 0, 1, 2, 3, 0, 1], np.uint16)
    tokens[position] = 4
    tokens[position + 1 :: 2] = 999
    message = (
        "tokens: expected ids from 0 to vocab_size - 1 = 3, "
        f"got id 4 at position {position} of tokens"
    )
    with pytest.raises(TokenRangeError, match=f"^{re.escape(message)}$") as caught:
        ps.count(
            tokens,
            relation,
            vocab_size=4,
            backend=backend,
            threads=threads,
            chunk_tokens=chunk_tokens,
        )
    error = caught.value
    assert (error.token_id, error.position, error.where) == (4, position, "tokens")


@pytest.mark.parametrize(
    ("dtype", "token_id"),
    [
        *((dtype, np.iinfo(dtype).min) for dtype in SIGNED),
        *((dtype, np.iinfo(dtype).max) for dtype in SIGNED + UNSIGNED),
        *((dtype, -1) for dtype in SIGNED),
        *((dtype, 2**32) for dtype in ("int64", "uint64")),  # 0 in its lower 32 bits
        *((dtype, 2**31) for dtype in ("uint32", "int64", "uint64")),
    ],
)
def test_an_id_is_never_wrapped(backend: str, dtype: str, token_id: int) -> None:
    tokens = np.array([0, 1, token_id, 0], dtype)
    with pytest.raises(TokenRangeError, match=f"got id {token_id} at position 2 of tokens"):
        ps.count(tokens, vocab_size=100, eos=0, ignore_ids=[-2, 65_534], backend=backend)


@pytest.mark.parametrize(("sequence", "position"), [(0, 1), (2, 0), (2, 2), (4, 0)])
def test_invalid_ids_are_named_by_sequence(backend: str, sequence: int, position: int) -> None:
    sequences = [[0, 1], [], [2, 3, 0], [], [1]]
    sequences[sequence][position] = -7
    message = f"got id -7 at position {position} of sequence {sequence}$"
    for threads, chunk_tokens in ((1, None), (5, 1)):
        with pytest.raises(TokenRangeError, match=message):
            ps.count(
                iter(sequences),
                vocab_size=4,
                backend=backend,
                threads=threads,
                chunk_tokens=chunk_tokens,
            )


def test_the_error_survives_a_process_pool() -> None:
    error = TokenRangeError(9, 3, "a.bin", 5)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
