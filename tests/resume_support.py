"""Counts that are interrupted at a place of one's choice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import probsig_fast as ps
from probsig_fast import row_files, runs
from probsig_fast.counting import pair_sums, ranges

V = 90
RELATIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "next": (ps.Next(), {}),
    "symmetric": (ps.Window(4, "harmonic", "symmetric"), {}),
    "backward": (ps.Window(2, direction="backward"), {}),
    "sets": (ps.SameSequence(), {}),
    "prefix": (ps.Prefix(5), {}),
    "focus": (ps.Prefix(5), {"focus": [1, 7]}),
}
by_relation = pytest.mark.parametrize("name", list(RELATIONS))


class Stop(Exception):
    """Where a fault is planted."""


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    drawn = np.random.default_rng(5).zipf(1.4, 8_000) - 1
    path = tmp_path / "tokens.bin"
    np.minimum(drawn, V - 1).astype("<u2").tofile(path)
    return path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several files a run, and several ranges a merge."""
    monkeypatch.setattr(row_files, "_RANGE_ENTRIES", 900)
    monkeypatch.setattr(runs, "_MERGE_ENTRIES", 700)
    monkeypatch.setattr(ranges, "_RANGE_ENTRIES", 800)
    monkeypatch.setattr(pair_sums, "_MOST_RUNS", 3)


def counted(tokens: Any, folder: Path | None, name: str = "next", **arguments: Any) -> ps.Counts:
    relation, more = RELATIONS[name]
    rules: dict[str, Any] = {"dtype": "uint16"} if isinstance(tokens, Path) else {}
    rules |= {"vocab_size": V, "eos": 0, "sequence_length": 30, "threads": 2}
    if folder is not None:
        rules |= {"checkpoint_seconds": 0, "chunk_tokens": 700}
    return ps.count(tokens, relation, work_dir=folder, **(rules | more | arguments))


def content(folder: Path) -> dict[str, bytes]:
    """All but the provenance, which tells the time."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "index.json"}


def stop(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Everything that changes the folder fails from the `at`-th time on."""
    calls = 0

    def wrapped(function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls >= at:
                raise Stop
            return function(*arguments, **named)

        return call

    monkeypatch.setattr(os, "replace", wrapped(os.replace))
    monkeypatch.setattr(Path, "unlink", wrapped(Path.unlink))


def interrupted(tokens: Any, folder: Path, name: str, at: int, **arguments: Any) -> bool:
    """Run until the `at`-th change of the folder, which is not made, nor any after it, as if the
    machine had stopped there; whether that was before the end."""
    with pytest.MonkeyPatch.context() as patch:
        stop(patch, at)
        try:
            counted(tokens, folder, name, **arguments)
        except Stop:
            return True
    return False


def start(tokens: Path, tmp_path: Path, name: str = "next") -> Path:
    """A folder in which a count was interrupted."""
    folder = tmp_path / "work"
    assert interrupted(tokens, folder, name, 60)
    return folder
