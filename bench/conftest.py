"""The benchmark session: which machine and backends, and one summary table in the end.

Contenders are interleaved: the outer parameter is the round, the inner one the contender, and each
is timed once a round, so that a machine that slows down slows them all.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import probsig_fast

ROUNDS = int(os.environ.get("PROBSIG_BENCH_ROUNDS", "5"))
#: The first so many tokens of the corpus only.
LIMIT = int(os.environ["PROBSIG_BENCH_LIMIT"]) if "PROBSIG_BENCH_LIMIT" in os.environ else None

#: group -> contender -> seconds of each round; group -> (unit, work); group -> lines of text.
_seconds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
_work: dict[str, tuple[str, float]] = {}
_notes: list[str] = []


@pytest.fixture
def timed(benchmark: Any) -> Callable[..., Any]:
    """`timed(group, contender, unit, work, function)`: one timed call, remembered."""

    def run(group: str, contender: str, unit: str, work: float, function: Callable[[], Any]) -> Any:
        benchmark.group = group
        result = benchmark.pedantic(function, rounds=1)
        _seconds[group][contender].append(benchmark.stats.stats.min)
        _work[group] = (unit, work)
        return result

    return run


def peak_memory(
    corpus: Any, relation: str, backend: str, folder: Path, memory: str = ""
) -> tuple[int, int]:
    """Bytes of resident memory beyond the tokens of one count, and of its result."""
    path = folder / "tokens.bin"
    corpus.tokens.tofile(path)
    command = [sys.executable, Path(__file__).with_name("peak_memory.py")]
    command += [path, str(corpus.vocab_size), relation, backend, memory]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    beyond, result = map(int, output.split())
    return beyond, result


def resident_peak(code: str, *arguments: Any) -> int:
    """Bytes of resident memory at most, of a process that runs this Python code."""
    told = (
        "\nfrom pathlib import Path\n"
        "status = Path('/proc/self/status').read_text().splitlines()\n"
        "print(next(line.split()[1] for line in status if line.startswith('VmHWM')))\n"
    )
    command = [sys.executable, "-c", code + told, *map(str, arguments)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(output.split()[-1]) * 1024


@pytest.fixture(scope="session")
def note() -> Callable[[str], None]:
    return _notes.append


def pytest_report_header() -> list[str]:
    return [f"machine: {machine()}", *probsig_fast.show_backends().splitlines()]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    write = terminalreporter.write_line
    write("")
    write(f"Machine: {machine()}")
    for group, contenders in _seconds.items():
        unit, work = _work[group]
        peer = next(iter(contenders))
        write("")
        write(f"### {group}")
        write("")
        write(f"| contender | median s | best | worst | {unit}/s (median) | times {peer} |")
        write("|---|---|---|---|---|---|")
        for name, seconds in contenders.items():
            ratios = [a / b for a, b in zip(contenders[peer], seconds, strict=False)]
            median = statistics.median(seconds)
            rate = work / median / 1e6
            write(
                f"| {name} | {median:.3f} | {min(seconds):.3f} | {max(seconds):.3f} "
                f"| {rate:,.{0 if rate >= 10 else 2}f} M | {statistics.median(ratios):.2f} |"
            )
    for line in _notes:
        write(line)


def machine() -> str:
    processor = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            told = [line for line in file if line.startswith(("model", "cpu family"))]
        processor = "; ".join(sorted({" ".join(line.split()) for line in told}))
    except OSError:
        pass
    return f"{processor}; {os.cpu_count()} processors; {platform.system()}"
