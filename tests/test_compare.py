"""The comparison of two commits: what is claimed, and how their workers are asked."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import probsig_fast as ps

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))

import compare  # noqa: E402
from comparing import table, tasks, worker  # noqa: E402
from comparing.process import WorkerProcess  # noqa: E402

TOKENS = np.array([1, 2, 1, 2, 3, 0], np.uint16)


# What is claimed


@pytest.mark.parametrize(
    ("old", "new", "claim"),
    [
        ([5, 6, 7], [2, 3, 4], "gain"),
        ([2, 3, 4], [5, 6, 7], "loss"),
        ([2, 3, 5], [5, 6, 7], "no claim"),  # as good as the worst is not worse
        ([5, 6, 7], [3, 4, 5], "no claim"),
        ([2, 9, 9], [3, 3, 3], "no claim"),  # a better median, but one run was worse
        ([3, 3, 3], [3, 3, 3], "no claim"),
    ],
)
def test_verdict(old: list[float], new: list[float], claim: str) -> None:
    assert table.verdict(table.spread(old), table.spread(new)) == claim


def test_rows() -> None:
    row = table.Row("next", table.spread([0.2, 0.25, 0.3]), table.spread([0.1, 0.125, 0.15]))
    assert str(row) == (
        "| next | 0.2000 | 0.2500 | 0.3000 | 0.1000 | 0.1250 | 0.1500 | 2.000 | gain |"
    )
    lacking = table.Row("merge", trouble="skipped: a | b\nc")
    assert str(lacking) == "| merge | | | | | | | | skipped: a \\| b c |"
    columns = {line.count(" | ") for line in (table.HEADER.splitlines()[0], str(row))}
    assert columns == {8}
    assert str(lacking).replace("\\|", "").count("|") == 10


def test_what_fails() -> None:
    gain = table.Row("next", table.spread([2, 2]), table.spread([1, 1]))
    loss = table.Row("next", table.spread([1, 1]), table.spread([2, 2]))
    lacking, broken = (
        table.Row("merge", trouble="a"),
        table.Row("merge", trouble="b", is_fault=True),
    )
    assert not table.failed([gain, loss, lacking], losses_fail=False)
    assert table.failed([gain, loss], losses_fail=True)
    assert not table.failed([gain, lacking], losses_fail=True)
    assert table.failed([gain, broken], losses_fail=False)


# How workers are asked


def answers(lines: Sequence[str], make: Any) -> list[dict[str, Any]]:
    replies: list[dict[str, Any]] = []
    worker.serve(lines, replies.append, make, str)
    return replies


def test_a_worker_counts_once_a_line() -> None:
    calls = []

    def make(name: str) -> Any:
        return lambda: calls.append(name) or f"counts of {name}"

    check, *timed = answers(["check next\n", "time next\n", "time next\n"], make)
    assert check == {"checksum": "counts of next"}
    assert all(each.keys() == {"seconds"} and each["seconds"] >= 0 for each in timed)
    assert calls == ["next"] * 3


def test_what_a_commit_lacks_is_told() -> None:
    class Old:
        count, Next = staticmethod(ps.count), ps.Next

    lacking, then = answers(
        ["check prefix-4", "check next"], tasks.maker(Old, TOKENS, vocab_size=4)
    )
    assert lacking["error"].startswith("AttributeError")
    assert "Prefix" in lacking["error"]
    assert "checksum" in then


class StandIn:
    """A worker of which all is known beforehand."""

    def __init__(self, log: list[str], name: str, check: dict[str, str], *seconds: float) -> None:
        self.log, self.name, self.check, self.seconds = log, name, check, list(seconds)

    def ask(self, verb: str, task: str) -> dict[str, Any]:
        if verb == "check":
            return self.check
        self.log.append(self.name)
        return {"seconds": self.seconds.pop(0)}


def test_workers_are_timed_in_turns() -> None:
    log: list[str] = []
    old = StandIn(log, "A", {"checksum": "x"}, 4, 5, 6)
    new = StandIn(log, "B", {"checksum": "x"}, 1, 2, 3)
    (row,) = compare.compared(old, new, ["next"], 3)
    assert "".join(log) == "ABBAAB"
    assert row == table.Row("next", table.Spread(4, 5, 6), table.Spread(1, 2, 3))


@pytest.mark.parametrize(
    ("old", "new", "trouble", "is_fault"),
    [
        ({"checksum": "x"}, {"checksum": "y"}, "the counts differ", True),
        ({"error": "no Prefix"}, {"checksum": "y"}, "the old commit cannot: no Prefix", False),
        ({"checksum": "x"}, {"error": "no Prefix"}, "the new commit fails: no Prefix", True),
        ({"error": "no eos"}, {"error": "no eos"}, "the new commit fails: no eos", True),
    ],
)
def test_nothing_is_timed_unless_both_agree(
    old: dict[str, str], new: dict[str, str], trouble: str, is_fault: bool
) -> None:
    log: list[str] = []
    (row,) = compare.compared(StandIn(log, "A", old), StandIn(log, "B", new), ["next"], 3)
    assert not log
    assert trouble in row.trouble
    assert row.is_fault == is_fault


PACKAGE = """\
print("not a reply")
class Next: pass
def count(tokens, relation, vocab_size):
    if tokens.size != 6: raise SystemExit(3)
    raise ValueError("old")
"""


def started(folder: Path, tokens: np.ndarray) -> WorkerProcess:
    tokens.tofile(folder / "tokens.bin")
    given = {"tokens": str(folder / "tokens.bin"), "dtype": "uint16", "options": {"vocab_size": 4}}
    return WorkerProcess(folder, given)


def test_a_process_answers(tmp_path: Path) -> None:
    (tmp_path / "probsig_fast.py").write_text(PACKAGE)
    with started(tmp_path, TOKENS) as process:
        assert process.ask("check", "next") == {"error": "ValueError: old"}


def test_a_process_that_ends_is_told(tmp_path: Path) -> None:
    (tmp_path / "probsig_fast.py").write_text(PACKAGE)
    with pytest.raises(RuntimeError, match="check next: the worker ended: exit code 3"):  # noqa: SIM117
        with started(tmp_path, TOKENS[:5]) as process:
            process.ask("check", "next")


def test_another_package_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "probsig_fast.py").touch()
    packages = tmp_path / "packages"
    packages.mkdir()
    found = f"import sys; sys.path.insert(1, {str(other)!r})"  # as one that is installed
    (packages / "sitecustomize.py").write_text(found)
    with pytest.raises(RuntimeError, match="probsig_fast: expected the one in"):
        started(packages, TOKENS)


# Tasks


def test_tasks_and_their_checksums() -> None:
    make = tasks.maker(ps, TOKENS, vocab_size=4, backend="reference")
    for name in tasks.USUAL:
        assert tasks.is_task(name)
        assert tasks.checksum(make(name)()) == tasks.checksum(make(name)())
    assert len({tasks.checksum(make(name)()) for name in tasks.USUAL[:2]}) == 2
    for name in ("window", "window-0", "next-1", "prefix-x", "sum"):
        assert not tasks.is_task(name)


def test_merge_adds_parts() -> None:
    tokens = np.tile(TOKENS, 8)
    make = tasks.maker(ps, tokens, vocab_size=4, backend="reference")
    expected = ps.count(tokens.reshape(8, 6), vocab_size=4, backend="reference")
    assert tasks.checksum(make("merge")()) == tasks.checksum(expected)


# The command


def test_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    given = compare.parse(["HEAD~1", ".", "--synthetic", "300k", "--task", "next", "window-3"])
    assert (given.old, given.new, given.synthetic) == ("HEAD~1", ".", 300_000)
    assert given.task == ["next", "window-3"]
    assert compare.parse(["a", "b"]).task == tasks.USUAL
    for words in (["--rounds", "2"], ["--task", "sum"], ["--synthetic", "many"]):
        with pytest.raises(SystemExit):
            compare.parse(["a", "b", *words])
    assert "expected at least 3, got 2" in capsys.readouterr().err
    with pytest.raises(argparse.ArgumentTypeError, match="such as 20M, got 'M'"):
        compare.token_count("M")


def test_synthetic_tokens() -> None:
    tokens = compare.synthetic(5000, 70_000, "uint32")
    assert tokens.dtype == np.uint32
    assert tokens.max() < 70_000
    assert np.array_equal(tokens, compare.synthetic(5000, 70_000, "uint32"))
    counts = np.sort(np.bincount(compare.synthetic(5000, 10, "uint16")))
    assert counts[-1] > 2 * counts[0] > 0


TINY = ("--synthetic", "3k", "--vocab-size", "500", "--rounds", "3")


def check_output(out: str) -> None:
    """A table of all tasks, with times."""
    rows = [line.split(" | ") for line in out.splitlines() if line.startswith("| ")][1:]
    assert [row[0] for row in rows] == [f"| {name}" for name in tasks.USUAL]
    assert {row[-1] for row in rows} <= {"gain |", "loss |", "no claim |"}


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    installed = compare.Build("what is installed", Path(ps.__file__).parents[1])
    monkeypatch.setattr(compare, "build", lambda commit, folder: installed)
    assert compare.main(["HEAD", ".", *TINY, "--backend", "reference", "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("old: what is installed\nnew: what is installed\n")
    assert "3,000 tokens; vocab_size 500, backend reference, threads 1; 3 rounds" in out
    check_output(out)


@pytest.mark.long
def test_a_commit_is_built_and_compared() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    command = [sys.executable, ROOT / "bench" / "compare.py", "HEAD", "HEAD", *TINY]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    check_output(run.stdout)
