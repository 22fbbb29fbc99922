"""Counts and matrices that fill some row ranges and leave others nearly empty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import probsig_fast as ps
from probsig_fast import files
from probsig_fast.csr import Csr
from probsig_fast.kernels.contract import Block

V = 120
RELATIONS = [ps.SameSequence(), ps.Prefix(7)]


def tokens() -> NDArray[np.uint16]:
    """The lower ids are together with nearly all others, the higher ones with few."""
    drawn = np.random.default_rng(8).zipf(1.3, 6_000) - 1
    return np.minimum(drawn, V - 1).astype(np.uint16)


def counted(relation: Any, **arguments: Any) -> ps.Counts:
    return ps.count(tokens(), relation, vocab_size=V, sequence_length=20, **arguments)


def kinds(folder: Path) -> set[str]:
    """The forms of the row ranges in a folder."""
    names = [set(files.read_arrays(path)[0]) for path in folder.glob("rows-*")]
    return {"dense" if "dense" in each else "sparse" for each in names}


def matrix(is_triangle: bool, largest: int = 9) -> NDArray[np.int64]:
    """Nearly full above, nearly empty below, with rows without entries."""
    rng = np.random.default_rng(largest)
    cells = rng.integers(1, largest, (60, 50), endpoint=True)
    cells[rng.random(cells.shape) > np.linspace(1.1, -0.2, 60)[:, None]] = 0
    cells[1, 3] = largest
    return np.triu(cells[:50]) if is_triangle else cells


def csr_of(cells: NDArray[np.int64]) -> Csr:
    rows, columns = np.nonzero(cells)
    indptr = np.searchsorted(rows, np.arange(len(cells) + 1)).astype(np.int64)
    return Csr(indptr, columns.astype(np.int32), cells[rows, columns], cells.shape[1])


def dense(csr: Csr) -> NDArray[np.int64]:
    cells = np.zeros((csr.rows, csr.columns), np.int64)
    cells[np.repeat(np.arange(csr.rows), np.diff(csr.indptr)), csr.indices] = csr.stored
    return cells


def block_of(cells: NDArray[np.int64]) -> Block:
    return csr_of(cells).block()
