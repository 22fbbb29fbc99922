"""Compare the speed of two commits, interleaved, once they have given the same counts.

python bench/compare.py OLD NEW --tokens corpus.u16.bin --vocab-size 50304 --eos 0 --rounds 7

Each commit is installed into a temporary folder with its C++ kernels (NEW may be `.`, the working
tree), and has one process, which reads the tokens once. They count in turns, A B B A ..., one at a
time. A gain is claimed only where the worst run of the new commit beats the best of the old one, a
loss only where its best is worse than the old one's worst. Prints a Markdown table. Exit code 1:
counts differ, the new commit fails, or, with --fail-on-loss, there is a loss.

Run it in an environment that has the package's requirements, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from comparing.builds import Build, build
from comparing.process import WorkerProcess
from comparing.table import HEADER, Row, failed, spread
from comparing.tasks import USUAL, is_task

_SUFFIXES = {"k": 10**3, "M": 10**6, "G": 10**9}


def main(words: Sequence[str] | None = None) -> int:
    arguments = parse(words)
    with tempfile.TemporaryDirectory(prefix="compare-") as name:
        folder = Path(name)
        if arguments.tokens is None:
            arguments.tokens = folder / "tokens.bin"
            synthetic(arguments.synthetic, arguments.vocab_size, arguments.dtype).tofile(
                arguments.tokens
            )
        old = build(arguments.old, folder / "old")
        # A commit beside itself shows what the machine's noise alone does.
        same = arguments.new == arguments.old
        new = old if same else build(arguments.new, folder / "new")
        rows = print_comparison(old, new, arguments)
    return int(failed(rows, arguments.fail_on_loss))


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", metavar="OLD", help="a commit")
    parser.add_argument("new", metavar="NEW", help="a commit, or `.` for the working tree")
    parser.add_argument(
        "--task",
        nargs="+",
        type=task_name,
        default=USUAL,
        metavar="TASK",
        help=f"default: {' '.join(USUAL)}; the numbers may be others",
    )
    tokens = parser.add_mutually_exclusive_group()
    tokens.add_argument("--tokens", type=Path, metavar="FILE", help="a flat token file")
    tokens.add_argument(
        "--synthetic",
        type=token_count,
        default=20_000_000,
        metavar="N",
        help="or so many tokens of Zipf's law, such as 300k (default 20M)",
    )
    parser.add_argument("--dtype", choices=("uint16", "uint32"), default="uint16")
    parser.add_argument("--vocab-size", type=int, default=50_304, metavar="V")
    parser.add_argument("--eos", type=int, metavar="ID")
    parser.add_argument("--rounds", type=int, default=7, metavar="N")
    parser.add_argument("--backend", metavar="NAME", default="native_cpu")
    parser.add_argument("--threads", type=int, metavar="N")
    parser.add_argument("--fail-on-loss", action="store_true")
    arguments = parser.parse_args(words)
    if arguments.rounds < 3:
        parser.error(f"--rounds: expected at least 3, got {arguments.rounds}")
    if arguments.tokens is not None:
        arguments.tokens = arguments.tokens.resolve(strict=True)
    return arguments


def task_name(text: str) -> str:
    if not is_task(text):
        raise argparse.ArgumentTypeError(f"expected one like {', '.join(USUAL)}, got {text!r}")
    return text


def token_count(text: str) -> int:
    scale = _SUFFIXES.get(text[-1:], 1)
    try:
        return int(text if scale == 1 else text[:-1]) * scale
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number such as 20M, got {text!r}") from None


def synthetic(size: int, vocab_size: int, dtype: str) -> np.ndarray:
    """Tokens of frequency 1 / (rank + 2.7), always the same."""
    random = np.random.default_rng(0)
    sums = np.cumsum(1 / (np.arange(1, vocab_size + 1) + 2.7))
    ranks = np.searchsorted(sums, random.random(size) * sums[-1], side="right")
    return random.permutation(vocab_size).astype(dtype)[np.minimum(ranks, vocab_size - 1)]


def print_comparison(old: Build, new: Build, arguments: argparse.Namespace) -> list[Row]:
    options = {name: getattr(arguments, name) for name in ("vocab_size", "eos", "backend")}
    if arguments.threads is not None:
        options["threads"] = arguments.threads
    given = {"tokens": str(arguments.tokens), "dtype": arguments.dtype, "options": options}
    print(f"old: {old.name}\nnew: {new.name}\n")
    size = arguments.tokens.stat().st_size // np.dtype(arguments.dtype).itemsize
    told = ", ".join(f"{name} {value}" for name, value in options.items() if value is not None)
    print(f"{size:,} tokens; {told}; {arguments.rounds} rounds\n")
    print(HEADER, flush=True)
    rows = []
    with WorkerProcess(old.packages, given) as one, WorkerProcess(new.packages, given) as other:
        for row in compared(one, other, arguments.task, arguments.rounds):
            print(row, flush=True)
            rows.append(row)
    return rows


def compared(old: Any, new: Any, tasks: Sequence[str], rounds: int) -> Iterator[Row]:
    """The row of each task; two workers that are asked in turns."""
    for task in tasks:
        checks = [worker.ask("check", task) for worker in (old, new)]
        errors = [check.get("error") for check in checks]
        if errors[1]:
            yield Row(task, trouble=f"the new commit fails: {errors[1]}", is_fault=True)
        elif errors[0]:
            yield Row(task, trouble=f"skipped, the old commit cannot: {errors[0]}")
        elif checks[0] != checks[1]:
            yield Row(task, trouble="the counts differ", is_fault=True)
        else:
            seconds: dict[Any, list[float]] = {old: [], new: []}
            for number in range(rounds):
                for worker in (old, new) if number % 2 == 0 else (new, old):
                    seconds[worker].append(_seconds(worker, task))
            yield Row(task, spread(seconds[old]), spread(seconds[new]))


def _seconds(worker: Any, task: str) -> float:
    answer = worker.ask("time", task)
    if "error" in answer:
        raise RuntimeError(f"{task}: counted once, and then: {answer['error']}")
    seconds: float = answer["seconds"]
    return seconds


if __name__ == "__main__":
    sys.exit(main())
