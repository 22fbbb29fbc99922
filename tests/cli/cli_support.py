"""What the tests of the command line share."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

import probsig_fast as ps

TOKENS = np.array([1, 2, 3, 1, 2, 0, 2, 3, 3, 1, 0], np.uint16)
STRINGS = ["<eos>", " the", "7", "\n", "\u00e9"]
V = len(STRINGS)

FLAT = ("--dtype", "uint16", "--vocab-size", V)
PREFIX = ("--relation", "prefix", "--length", 2)
SETS = ("--relation", "same-sequence")

#: Labelled samples.
X = [[1, 2, 2], [3], [1, 3, 1, 2], [4, 2], [1, 2]]
Y = [0, 2, 1, 0, 1]
Q = 3
SIZES = ("--vocab-size", V, "--n-labels", Q)


def counts_of(relation: Any, tokens: Any = TOKENS, **options: Any) -> ps.Counts:
    return ps.count(tokens, relation, vocab_size=V, eos=0, backend="reference", **options)


def lines_of(text: str) -> dict[str, str]:
    """The lines of `print_fields` that do not differ from run to run."""
    lines = (line.split("  ", 1) for line in text.splitlines())
    return {name: value.strip() for name, value in lines if name not in ("time", "backend")}


class Run:
    """What one call of the command gave."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


def one_error(run: Run, *parts: str) -> None:
    """The command failed with one line that has these parts, and printed nothing else."""
    assert run.code == 1
    assert run.out == ""
    assert run.err.startswith("probsig: error: ")
    assert run.err.count("\n") == 1
    for part in parts:
        assert part in run.err


def forbid_import(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ImportError(f"No module named {package!r}")
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
