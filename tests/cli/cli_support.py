"""What the tests of the command line share."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

TOKENS = np.array([1, 2, 3, 1, 2, 0, 2, 3, 3, 1, 0], np.uint16)
STRINGS = ["<eos>", " the", "7", "\n", "\u00e9"]
V = len(STRINGS)


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
