"""What a benchmark writes, and how it measures memory."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmark_support import corpus

from probsig_fast.benchmark import Settings, benchmark, corpora, limits, memory, table, tasks
from probsig_fast.benchmark.measure import measure_memory
from probsig_fast.benchmark.ours import reference
from probsig_fast.benchmark.registry import Choice, contenders, of_task
from probsig_fast.benchmark.registry import peers as all_peers
from probsig_fast.benchmark.verify import Entry, entries
from probsig_fast.errors import ArgumentError

CHOICE = Choice(None, 2)


@pytest.fixture(autouse=True)
def small_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random increments need no large table to be right."""
    monkeypatch.setattr(limits, "_TABLE", 2**16)


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc")


def measured(task: str, contender: list[Any], folder: Path) -> list[int]:
    """What the process of its own would print, of `corpus()`."""
    corpus().tokens.tofile(folder / "tokens.bin")
    return memory.main(
        {
            "task": task,
            "contender": contender,
            "path": str(folder / "tokens.bin"),
            "dtype": "uint16",
            "vocab_size": 40,
            "eos": 0,
            "size": 5_000,
            "folder": str(folder),
            "choice": asdict(Choice(("reference",), 1)),
        }
    )


@needs_proc
def test_peak_memory(tmp_path: Path) -> None:
    made = corpus()
    peak, result = measured("next:5000", ["reference", None], tmp_path)
    counts = reference().run(reference().job(tasks.task("next"), made, 1, tmp_path), None)
    assert peak >= 0
    assert result == counts.indptr.nbytes + counts.indices.nbytes + counts.stored.nbytes
    assert memory.size_of((np.zeros(3), [np.zeros(2)], 7)) == 40


@needs_proc
@pytest.mark.parametrize("name", ["next", "window-3"])
def test_memory_is_of_the_peer_of_that_task(name: str, tmp_path: Path) -> None:
    """The peers of both tasks have one name."""
    task = tasks.task(f"{name}:5000")
    peer = next(each for each in of_task(task, all_peers(CHOICE)) if each.name == "numpy unique")
    result = peer.run(peer.job(task, corpus(), 1, tmp_path), None)
    assert measured(task.name + ":5000", [peer.name, 1], tmp_path)[1] == memory.size_of(result)


def test_memory_is_not_measured_without_room(tmp_path: Path) -> None:
    large = replace(reference(), bytes_needed=lambda job: 1e15)
    entry = Entry(large, large.job(tasks.task("next"), corpus(), 1, tmp_path))
    measure_memory(entry, CHOICE, tmp_path)
    assert (entry.peak, entry.result) == (None, None)


# What is written


def test_report(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    made = [
        partial(corpora.zipfian, 3_000, 50),
        lambda: replace(corpus(np.uint32), name="other"),
    ]
    choice = Choice(("reference",), 1)
    settings = Settings(made, [tasks.task("next"), tasks.task("window-3")], choice, rounds=2)
    among = (
        *(each for each in all_peers(choice) if each.name.startswith(("numpy un", "scipy CO"))),
        *contenders(replace(choice, peers=False)),
        replace(reference(), name="absent", reason="not today"),
    )
    settings = replace(settings, command="probsig bench docs.bin", peak_memory=False)
    report = benchmark(settings, tmp_path / "out", progress=False, among=among)
    assert report.without_figure is None
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "benchmark.json",
        "benchmark.md",
        "benchmark.png",
    ]
    text = (tmp_path / "out" / "benchmark.md").read_text()
    assert text == report.text
    for part in (
        "probsig bench docs.bin",
        "Baseline of window-3: numpy unique.",
        "Skipped: absent (next, window-3): not today.",
        "of the rate of a unigram histogram",
        "numpy 2",
        "backend reference",
    ):
        assert part in text
    told = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert told == json.loads(json.dumps(report.fields))
    rows = told["rows"]
    assert len(rows) == 2 * (3 + 2 * 4)
    assert {len(row["seconds"]) for row in rows if row["skipped"] is None} == {2}
    ours_at_next = next(
        row for row in rows if (row["task"], row["contender"]) == ("next", "reference")
    )
    assert (ours_at_next["total"], ours_at_next["tokens"]) == (2_999, 3_000)
    assert ours_at_next["baseline"] == "numpy unique"
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 1 + len([row for row in rows if row["seconds"]])
    assert len({line.count("|") for line in lines}) == 1


def row(**changes: Any) -> table.Row:
    fields: dict[str, Any] = {
        **{"corpus": "c", "task": "next", "contender": "native_cpu", "is_ours": True},
        **{"threads": 2, "tokens": 10**9, "seconds": [2.0, 1.0, 4.0], "unit": "pairs"},
        **{"total": 10**9, "baseline": "numpy unique", "ratio": 8.0, "scaling": 1.9},
        **{"peak": 5 * 10**8, "result": 3 * 10**8, "skipped": None},
    }
    return table.Row(**{**fields, **changes})


def test_table() -> None:
    limit = row(contender=limits.HISTOGRAM, task="limits", unit="tokens", is_ours=False)
    text = table.markdown([row(), limit, row(seconds=[], skipped="x")])
    header, _, first, second = text.splitlines()
    assert header.count("|") == first.count("|")
    cells = "500 | 1,000 | 250 | 500 pairs | 8 | 1.90 | 200.0 MB |"
    assert first == f"| c | next | native_cpu | 2 | 1,000,000,000 | 3 | {cells}"
    assert "| 250 |  | 8 |" in second
    (told,) = table.shares([row(), replace(limit, seconds=[1.0])])
    assert "native_cpu with threads: 2 runs at 50.0% of the rate" in told
    assert row(peak=None).beyond is None
    assert row(peak=1).beyond == 0


def test_ratios_are_of_rates(tmp_path: Path) -> None:
    one, few = reference(), replace(reference(), name="few", most=1_000, threads=None)
    same = replace(one, name="few")
    group = entries(tasks.task("next"), corpus(), (one, few, same), 2, tmp_path)
    for entry, seconds in zip(group, ([4.0, 4.0, 9.0], [2.0, 1.0], [3.0, 3.0]), strict=True):
        entry.seconds = seconds
    found = table.rows(group)
    assert [each.ratio for each in found][:2] == [1.0, pytest.approx((0.4 + 0.8) / 2)]
    assert found[1].scaling == pytest.approx((0.2 * 3 / 2 + 0.2 * 3 / 1) / 2)
    assert [each.scaling for each in (found[0], found[2])] == [None, None]


def test_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings([corpus], [], CHOICE)
    for path in (tmp_path / "file", tmp_path / "none" / "out"):
        with pytest.raises(ArgumentError, match="out: expected a folder, or a new name in"):
            benchmark(settings, path)
