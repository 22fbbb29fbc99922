"""Rows of inputs and targets (Pythia's): a row's last token is only ever a second token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from oracle import saved_bytes

import probsig_fast as ps
from probsig_fast.errors import ArgumentError, MergeError
from probsig_fast.sources import PythiaSource

V, WIDTH, BATCH = 30, 9, 4


def rows(number: int = 20) -> NDArray[np.uint16]:
    return np.random.default_rng(4).integers(0, V, (number, WIDTH)).astype(np.uint16)


def source(folder: Path, **selected: Any) -> PythiaSource:
    """Three shards, cut inside rows and inside a token."""
    data = rows().astype("<u2").tobytes()
    for shard, (begin, end) in enumerate([(0, 7), (7, 200), (200, len(data))]):
        (folder / f"document-{shard:05}-of-00002.bin").write_bytes(data[begin:end])
    return PythiaSource(folder, row_tokens=WIDTH, batch_rows=BATCH, **selected)


@pytest.mark.parametrize("chunk_tokens", [1, 4, 9, 50, 1000])
@pytest.mark.parametrize(
    "relation", [ps.Next(), ps.Window(3), ps.Prefix(4), ps.SameSequence()], ids=repr
)
def test_unigrams_are_of_inputs(
    relation: Any, chunk_tokens: int, backend: str, tmp_path: Path
) -> None:
    counts = ps.count(
        source(tmp_path), relation, vocab_size=V, chunk_tokens=chunk_tokens, backend=backend
    )
    plain = ps.count(rows(), relation, vocab_size=V, backend=backend)
    assert counts.unigram.tolist() == np.bincount(rows()[:, :-1].ravel(), minlength=V).tolist()
    assert counts.same_as(plain)
    assert counts.n_sequences == plain.n_sequences == 20
    if isinstance(relation, ps.Next):
        assert counts.unigram.tolist() == counts.row_sum.tolist()
    if isinstance(relation, ps.Prefix):
        assert counts.n_out.tolist() == plain.n_out.tolist()
        targets = np.bincount(rows()[:, 1:].ravel(), minlength=V)
        assert counts.n_out.tolist() == targets.tolist()
    loaded = ps.Counts.load(counts.save(tmp_path / "c.safetensors"), verify=True)
    assert loaded == counts
    assert not loaded.boundaries.count_row_ends
    with pytest.raises(MergeError, match=r"^boundaries: expected \{.*'count_row_ends': False"):
        counts + plain


def test_an_end_that_is_not_counted_anyhow(backend: str, tmp_path: Path) -> None:
    ends = rows()[:, -1]
    rules: dict[str, Any] = {"eos": int(ends[0]), "count_eos": False, "ignore_ids": [int(ends[1])]}
    counts = ps.count(source(tmp_path), vocab_size=V, backend=backend, **rules)
    expected = np.bincount(rows()[:, :-1].ravel(), minlength=V)
    expected[[ends[0], ends[1]]] = 0
    assert counts.unigram.tolist() == expected.tolist()


def test_plain_counts_are_the_same_bytes_as_ever(tmp_path: Path) -> None:
    """The rule is in a file only where it is not the usual one."""
    counts = ps.count(rows(), vocab_size=V)
    assert b"count_row_ends" not in saved_bytes(counts, tmp_path)


def test_at_training_steps(tmp_path: Path) -> None:
    steps = ps.count_steps(source(tmp_path), steps=[0, 1, 2, 5], vocab_size=V)
    assert steps.cuts == (0, 36, 72, 180)
    for step in steps.steps:
        seen = rows()[: step * BATCH]
        counts = steps.as_of(step)
        assert counts.same_as(ps.count(seen, vocab_size=V))
        assert counts.unigram.tolist() == np.bincount(seen[:, :-1].ravel(), minlength=V).tolist()
        assert counts == ps.count(source(tmp_path, steps=(0, step)), vocab_size=V)
    later = ps.count_steps(source(tmp_path, steps=(1, 4)), steps=[2, 3], vocab_size=V)
    assert later.as_of(3).same_as(ps.count(rows()[BATCH : 3 * BATCH], vocab_size=V))
    with pytest.raises(ArgumentError, match=r"^step: expected from 0 to 5, as .*, got 6$"):
        ps.count_steps(source(tmp_path), steps=[6], vocab_size=V)
