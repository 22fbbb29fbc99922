"""What the tests of the benchmark share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from probsig_fast.benchmark import tasks
from probsig_fast.benchmark.contender import Contender
from probsig_fast.benchmark.corpora import Corpus
from probsig_fast.benchmark.verify import Entry, entries, verify


def corpus(dtype: Any = np.uint16, size: int = 5_000, vocab_size: int = 40) -> Corpus:
    tokens = np.random.default_rng(3).integers(0, vocab_size, size) ** 2 // vocab_size
    return Corpus("random", tokens.astype(dtype), vocab_size, eos=0)


def checked(
    task: tasks.Task, among: tuple[Contender, ...], made: Corpus, folder: Path
) -> list[Entry]:
    """Verified, with two threads."""
    group = entries(task, made, among, 2, folder)
    verify(task, group, lambda done: None)
    return group
