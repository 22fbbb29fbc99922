"""A commit as an installed package, in a folder of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Build:
    """Attributes:
    name: the commit, in words.
    packages: a folder for PYTHONPATH.
    """

    name: str
    packages: Path


@contextmanager
def source_of(commit: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """What to call a commit, and its files in a new worktree at `folder`; `.` is the working tree.

    Raises:
        SystemExit: there is no such commit.
    """
    if commit == ".":
        yield "the working tree", ROOT
        return
    told = _git("log", "-1", "--format=%h %s", f"{commit}^{{commit}}", "--")
    _git("worktree", "add", "--detach", str(folder), commit)
    try:
        yield told, folder
    finally:
        _git("worktree", "remove", "--force", str(folder))


def build(commit: str, folder: Path) -> Build:
    """Install a commit with its C++ kernels, without CUDA's, below `folder`.

    Raises:
        SystemExit: there is no such commit, or it cannot be installed.
    """
    packages = folder / "packages"
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    if all(map(importlib.util.find_spec, ("scikit_build_core", "pybind11"))):
        command.append("--no-build-isolation")  # nothing to download
    environment = {**os.environ, "PROBSIG_NATIVE": "REQUIRE", "PROBSIG_CUDA": "OFF"}
    with source_of(commit, folder / "tree") as (name, source):
        print(f"building {name}", file=sys.stderr)
        command += ["--no-deps", "--target", str(packages), str(source)]
        if subprocess.run(command, env=environment).returncode != 0:
            raise SystemExit(f"compare.py: {name} cannot be installed")
    return Build(name, packages)


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"compare.py: git {arguments[0]}: {result.stderr.strip()}")
    return result.stdout.strip()
