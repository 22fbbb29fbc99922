"""How much memory a count may take, and what is said where that is too little."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import probsig_fast as ps
from probsig_fast import budget
from probsig_fast.budget import available, memory_budget, size_text
from probsig_fast.counting import pair_sums, ranges
from probsig_fast.errors import ArgumentError, ArgumentTypeError, MemoryLimitError

TOKENS = np.arange(400, dtype=np.uint16) % 50
RELATIONS = [ps.SameSequence(), ps.Prefix(10)]
by_relation = pytest.mark.parametrize("relation", RELATIONS, ids=["sets", "prefix"])


def counted(relation: Any, **arguments: Any) -> ps.Counts:
    return ps.count(TOKENS, relation, vocab_size=50, sequence_length=40, **arguments)


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (2**24, 2**24),
        (np.int64(10**9), 10**9),
        ("4GB", 4 * 10**9),
        ("4 gb", 4 * 10**9),
        (" 4G ", 4 * 10**9),
        ("3.5 GiB", 7 * 2**29),
        ("0.3 TB", 3 * 10**11),
        ("1TiB", 2**40),
        ("100000 kB", 10**8),
        ("16384KiB", 2**24),
        ("20 mb", 2 * 10**7),
        ("16mi", 2**24),
        ("20000000", 2 * 10**7),
        ("20000000 B", 2 * 10**7),
        ("9" * 400, int("9" * 400)),
    ],
)
def test_sizes(memory: Any, expected: int) -> None:
    assert memory_budget(memory) == expected


@pytest.mark.parametrize(
    "memory", ["", "much", "GB", "-1GB", "4 G B", "4XB", "1e9", "4,5GB", "100 ib", "٤GB", ".5GB"]
)
def test_texts_that_are_no_sizes(memory: str) -> None:
    message = f"memory: expected bytes, or a text as '4GB', got {memory!r}"
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        memory_budget(memory)


@pytest.mark.parametrize(
    ("memory", "error", "message"),
    [
        (2**24 - 1, ArgumentError, "memory: expected at least 16777216, got 16777215"),
        (-1, ArgumentError, "memory: expected at least 16777216, got -1"),
        ("10 MB", ArgumentError, "memory: expected at least 16777216, got 10000000"),
        (4e9, ArgumentTypeError, "memory: expected an int, got float 4000000000.0"),
        (True, ArgumentTypeError, "memory: expected an int, got bool True"),
    ],
)
def test_sizes_that_cannot_be_used(memory: Any, error: type, message: str) -> None:
    for call in (memory_budget, lambda memory: counted(ps.SameSequence(), memory=memory)):
        with pytest.raises(error, match=f"^{re.escape(message)}$"):
            call(memory)


def test_three_quarters_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "available", lambda: 4 * 10**9)
    assert memory_budget(None) == 3 * 10**9
    monkeypatch.setattr(budget, "available", lambda: 0)
    assert memory_budget(None) == 2**24


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:    8000 kB\nBuffers: 1 kB\n"}
V2 = "sys/fs/cgroup/memory"
V1 = "sys/fs/cgroup/memory/memory"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 4 * 10**9),
        ({"proc/meminfo": "MemTotal: 9000 kB\n"}, 4 * 10**9),
        (MEMINFO, 8000 * 1024),
        (MEMINFO | {f"{V2}.max": "max\n", f"{V2}.current": "5\n"}, 8000 * 1024),
        (MEMINFO | {f"{V2}.max": "70000\n", f"{V2}.current": "5000\n"}, 65_000),
        (MEMINFO | {f"{V2}.max": "70000\n"}, 8000 * 1024),
        (MEMINFO | {f"{V2}.max": "70000\n", f"{V2}.current": "90000\n"}, 0),
        (MEMINFO | {f"{V2}.max": "99999999\n", f"{V2}.current": "1\n"}, 8000 * 1024),
        ({f"{V1}.limit_in_bytes": "70000", f"{V1}.usage_in_bytes": "30000"}, 40_000),
        (MEMINFO | {f"{V1}.limit_in_bytes": str(2**63 - 4096), f"{V1}.usage_in_bytes": "1"}, None),
    ],
)
def test_what_is_free(files: dict[str, str], expected: int | None, tmp_path: Path) -> None:
    assert available(machine(tmp_path, files)) == (8000 * 1024 if expected is None else expected)


def test_this_machine_has_some() -> None:
    assert available() > 0


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (1_340_000_000, "1.3 GB"),
        (10**16, "10,000.0 TB"),
    ],
)
def test_size_text(size: int, text: str) -> None:
    assert size_text(size) == text


@by_relation
def test_counts_that_pass_the_memory(
    relation: Any, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "_RESULT_SHARE", 1e-4)
    monkeypatch.setattr(ranges, "_RANGE_ENTRIES", 100)
    message = (
        r"^memory: expected room for the counts, got 16\.8 MB, half of it for counts: they took "
        r"\d\.\d kB at row \d+ of 50; give work_dir= to keep row ranges in files, or more memory=$"
    )
    with pytest.raises(MemoryLimitError, match=message):
        counted(relation, memory=2**24, backend=backend)
    assert counted(relation, memory="1 GB", backend=backend) == counted(relation)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("full", "'{}', which holds 'a'"),
        ("full/a", "'{}'"),
        ("no/folder", "'{}'"),
    ],
)
@by_relation
def test_folders_that_cannot_be_used(
    relation: Any, name: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    for each in "ba":
        (tmp_path / "full" / each).touch()
    expected = "work_dir: expected an empty folder, or a new one in an existing folder, got "
    expected += message.format(tmp_path / name)
    for path in (tmp_path / name, str(tmp_path / name)):
        with pytest.raises(ArgumentError, match=f"^{re.escape(expected)}$"):
            counted(relation, work_dir=path)


def test_a_work_dir_that_is_no_path() -> None:
    message = "work_dir: expected the path of a folder, got int 5"
    with pytest.raises(ArgumentTypeError, match=f"^{re.escape(message)}$"):
        counted(RELATIONS[0], work_dir=5)


@pytest.mark.parametrize("relation", [ps.Next(), ps.Window(3, direction="symmetric")])
def test_pairs_that_pass_the_memory(
    relation: Any, backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("_SHARE", "_SHARE_DIRECTED"):
        monkeypatch.setattr(pair_sums, name, 1e-4)
    tokens = np.random.default_rng(0).integers(0, 50, 30_000).astype(np.uint16)
    rules: dict[str, Any] = {"vocab_size": 50, "chunk_tokens": 1000, "backend": backend}
    message = (
        r"^memory: expected room for the counts, got 16\.8 MB: after \d+,000 tokens they took "
        r"\d+\.\d kB of the 1\.7 kB that are for them; give work_dir= to keep them in files, or "
        r"more memory=$"
    )
    with pytest.raises(MemoryLimitError, match=message):
        ps.count(tokens, relation, memory=2**24, **rules)
    expected = ps.count(tokens, relation, memory="10 GB", **rules)
    folder = tmp_path / "work"
    assert ps.count(tokens, relation, memory=2**24, work_dir=folder, **rules) == expected
    assert ps.Counts.load(folder, verify=True) == expected
