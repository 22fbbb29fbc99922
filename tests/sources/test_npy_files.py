"""Hostile and damaged `.npy` files."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import check_counts, expect

import probsig_fast as ps
from probsig_fast.errors import ProbsigError

V = 5


def saved(array: Any, version: tuple[int, int] | None = None) -> bytes:
    with io.BytesIO() as file:
        np.lib.format.write_array(file, array, version)
        return file.getvalue()


def header(text: str) -> bytes:
    """A `.npy` file of a header alone."""
    data = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(data).to_bytes(2, "little") + data


HOSTILE: dict[str, bytes] = {
    "2^60 items": header(
        "{'descr': '<u2', 'fortran_order': False, 'shape': (1152921504606846976,)}"
    ),
    "2^70 items": header(
        "{'descr': '<u2', 'fortran_order': False, 'shape': (1180591620717411303424,)}"
    ),
    "2^80 in rows": header(
        "{'descr': '<u2', 'fortran_order': False, 'shape': (1099511627776, 1099511627776)}"
    ),
    "negative": header("{'descr': '<u2', 'fortran_order': False, 'shape': (-1,)}"),
    "two negatives": header("{'descr': '<u2', 'fortran_order': False, 'shape': (-1, -1)}"),
    "objects": header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"),
    "no dict": header("[1]"),
    "no Python": header("{'descr': "),
    "no UTF-8": b"\x93NUMPY\x03\x00\x04\x00\x00\x00\xff\xff\xff\n",
    "deep": header("(" * 5000),
    "version": b"\x93NUMPY\x09\x00" + bytes(64),
    "nothing": b"",
    "half a header": saved(np.zeros(3, np.uint16))[:20],
    "half the tokens": saved(np.zeros(3, np.uint16))[:-3],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_npy_files(tmp_path: Path, case: str) -> None:
    (tmp_path / "x.npy").write_bytes(HOSTILE[case])
    with pytest.raises(ProbsigError, match=r"tokens: expected"):
        ps.count(tmp_path / "x.npy", vocab_size=V)


@given(data=st.data())
def test_damaged_npy_files_are_refused_or_read_as_they_are(
    data: st.DataObject, tmp_path_factory: Any
) -> None:
    array = np.arange(6, dtype=data.draw(st.sampled_from(["<u2", ">u2", "<i4", "<u8"])))
    make: Callable[[Any], Any] = data.draw(
        st.sampled_from([np.copy, lambda a: a.reshape(2, 3), lambda a: a.reshape(2, 3).T])
    )
    content = bytearray(saved(make(array)))
    at = data.draw(st.integers(0, len(content)))
    content[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    path = tmp_path_factory.mktemp("npy") / "x.npy"
    path.write_bytes(content)
    try:
        counts = ps.count(path, vocab_size=2**16)
    except ProbsigError:
        return
    read = np.load(io.BytesIO(content))
    rows = read.tolist() if read.ndim == 2 else [read.tolist()]
    check_counts(counts, expect(rows, ps.Next(), 2**16))
