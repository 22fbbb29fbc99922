"""How cost grows with tokens: `probsig count` on 0.1 to 3 G tokens, each in a process of its own.

PROBSIG_BENCH_TOKENS=corpus.u16.bin python bench/growth.py --folder /large/disk > growth.md

The tokens are a synthetic continuation of that corpus (see continuation.py), in one flat file that
grows from size to size; on disk it takes 2 bytes a token, and so much again may the counts take.
Prints Markdown: the growth of distinct pairs beside the real corpus's, the cost of each size, and a
projection to the Pile as Pythia saw it (see projection.py). Needs Numba, and /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import continuation
import numpy as np
import projection
from conftest import LIMIT, machine
from outside import Taken, watched

import probsig_fast as ps
from probsig_fast.accumulator import add_blocks
from probsig_fast.benchmark import corpora
from probsig_fast.kernels.registry import choose
from probsig_fast.pool import WorkerPool

RELATIONS = {
    "next": ["--relation", "next"],
    "window-10": ["--relation", "window", "--size", "10"],
}
LENGTHS = [10**5, 10**6, 10**7, 3 * 10**7, 10**8, 2 * 10**8]
MOST_OF_WINDOWS = 3 * 10**7
CHUNK = 2**23


def main() -> None:
    arguments = _arguments()
    corpus = corpora.mapped() or corpora.zipfian(LIMIT or 20_000_000)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        _run(arguments, corpus, Path(name))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="where the tokens and the counts are written")
    parser.add_argument(
        "--sizes", type=float, nargs="+", default=[0.1, 0.3, 1, 3], help="G tokens, rising"
    )
    parser.add_argument("--relations", nargs="+", choices=RELATIONS, default=list(RELATIONS))
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each; the median counts")
    parser.add_argument("--escape", type=float, help="instead of tuning it to the corpus")
    return parser.parse_args()


def _run(arguments: argparse.Namespace, corpus: corpora.Corpus, folder: Path) -> None:
    print(f"Machine: {machine()}\n")
    escape = arguments.escape
    if escape is None:
        escape = continuation.tuned_escape(corpus, folder)
    stream = continuation.Continuation(corpus, escape)
    tokens = Tokens(folder / "tokens.bin", stream)
    largest = round(max(arguments.sizes) * 1e9)
    lengths = [n for n in LENGTHS if n <= min(corpus.tokens.size, largest)]
    tokens.grow(max(lengths))
    _print_growth(corpus, tokens.path, lengths, escape)
    pairs: dict[float, int] = {}
    for relation in arguments.relations:
        start = _start_up(corpus, relation, arguments.memory, folder)
        print(f"\n### {relation}, --memory {arguments.memory}\n")
        print(f"Start-up (1,000 tokens): {start:.2f} s, taken off the seconds a G tokens.\n")
        _print_heading()
        first = None
        for size in arguments.sizes:
            part = tokens.prefix(round(size * 1e9))
            rounds = [
                _count(part, corpus, relation, arguments.memory, folder)
                for _ in range(arguments.rounds)
            ]
            nnz = _print_size(size, rounds, start, first)
            first = first or nnz[1]
            if relation == "next":
                pairs[size] = nnz[0]
    print(f"\nTokens were made at {tokens.made / tokens.seconds / 1e6:.0f} M a second.")
    if len(pairs) > 1:
        print("\n### Projection: the Pile as Pythia saw it, 3.0e11 tokens, next-token pairs\n")
        print("\n".join(projection.lines(_rates(tokens.path, corpus, pairs))))


class Tokens:
    """A flat file that grows; a shorter stream than it holds is a copy of its beginning."""

    def __init__(self, path: Path, stream: continuation.Continuation) -> None:
        self.path, self._stream = path, stream
        self.made, self.seconds = 0, 1e-9
        path.touch()

    def grow(self, size: int) -> None:
        have = self.path.stat().st_size // 2
        if size <= have:
            return
        began = time.perf_counter()
        with self.path.open("ab") as file:
            self._stream.write(file, have, size)
            file.flush()
            os.fsync(file.fileno())  # so that no count shares the disk with its tokens
        self.made += size - have
        self.seconds += time.perf_counter() - began

    def prefix(self, size: int) -> Path:
        """A file of the first `size` tokens: the file itself if it is of that size."""
        self.grow(size)
        if self.path.stat().st_size == 2 * size:
            return self.path
        part = self.path.with_name("prefix.bin")
        with self.path.open("rb") as source, part.open("wb") as file:
            for begin in range(0, 2 * size, 2**24):
                file.write(source.read(min(2**24, 2 * size - begin)))
            file.flush()
            os.fsync(file.fileno())
        return part


def _print_growth(corpus: corpora.Corpus, path: Path, lengths: list[int], escape: float) -> None:
    made = np.memmap(path, "<u2", mode="r")
    print(f"### Distinct pairs of {corpus.name} and of its continuation\n")
    print(f"Escape probability {escape:.4f}, jump probability {continuation.JUMP}.\n")
    print("| pairs | tokens | real | continuation | ratio |")
    print("|---|---|---|---|---|")
    for name, relation in (("next", ps.Next()), ("window of 10", ps.Window(10))):
        # Windows are counted ten times as long.
        chosen = [n for n in lengths if name == "next" or n <= MOST_OF_WINDOWS]
        columns = [
            continuation.growth(tokens, relation, corpus.vocab_size, chosen)
            for tokens in (corpus.tokens, made)
        ]
        for length, real, like in zip(chosen, *columns, strict=True):
            print(f"| {name} | {length:,} | {real:,} | {like:,} | {like / real:.2f} |")


def _command(path: Path, corpus: corpora.Corpus, relation: str, memory: str) -> list[str]:
    command = [sys.executable, "-m", "probsig_fast", "count", str(path), *RELATIONS[relation]]
    command += ["--dtype", "uint16", "--vocab-size", str(corpus.vocab_size)]
    command += ["--eos", str(corpus.eos), "--memory", memory, "--json"]
    return command


def _count(path: Path, corpus: corpora.Corpus, relation: str, memory: str, folder: Path) -> Taken:
    out = folder / "counts"
    try:
        command = _command(path, corpus, relation, memory)
        return watched([*command, "--out", str(out)], out)
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _start_up(corpus: corpora.Corpus, relation: str, memory: str, folder: Path) -> float:
    """Seconds of a count of next to nothing."""
    few = folder / "few.bin"
    np.zeros(1000, np.uint16).tofile(few)
    return min(_count(few, corpus, relation, memory, folder).seconds for _ in range(3))


def _print_heading() -> None:
    print(
        "| G tokens | seconds | s/G tokens | to the first | distinct pairs | peak resident MB "
        "| of it anonymous | mapped files | disk at most / result MB |"
    )
    print("|---|---|---|---|---|---|---|---|---|")


def _print_size(
    size: float, rounds: list[Taken], start: float, first: float | None
) -> tuple[int, float]:
    """Prints the median run; distinct pairs, and seconds a G tokens."""
    seconds = statistics.median(each.seconds for each in rounds)
    cost = (seconds - start) / size
    nnz = int(json.loads(rounds[0].output)["distinct_pairs"])
    resident, anonymous, mapped, disk = (
        max(getattr(each, name) for each in rounds) / 1e6
        for name in ("resident", "anonymous", "mapped", "disk")
    )
    print(
        f"| {size:g} | {seconds:.2f} | {cost:.2f} | {cost / (first or cost):.2f} | {nnz:,} "
        f"| {resident:,.0f} | {anonymous:,.0f} | {mapped:,.0f} "
        f"| {disk:,.0f} / {rounds[0].disk_left / 1e6:,.0f} |",
        flush=True,
    )
    return nnz, cost


def _rates(path: Path, corpus: corpora.Corpus, pairs: dict[float, int]) -> projection.Rates:
    """Measured on the first 100 M tokens, in memory; merging, on the counts of eight parts."""
    tokens = np.fromfile(path, "<u2", count=10**8)
    kernels = choose(None).load()
    parts = [
        ps.count(part, vocab_size=corpus.vocab_size).entries.csr().block()
        for part in np.array_split(tokens, 8)
    ]
    entries = sum(part.data.size for part in parts)
    counted, merged = [], []
    for threads in (1, 2):
        with WorkerPool(threads) as pool:
            add = partial(add_blocks, parts, corpus.vocab_size, kernels, pool)
            merged.append(entries / _best(add))
        count = partial(ps.count, tokens, vocab_size=corpus.vocab_size, threads=threads)
        counted.append(tokens.size / _best(count))
    chunk = tokens[:CHUNK]
    return projection.Rates(
        one=counted[0],
        two=counted[1],
        merged_one=merged[0],
        merged_two=merged[1],
        chunk_tokens=chunk.size,
        chunk_pairs=ps.count(chunk, vocab_size=corpus.vocab_size).nnz,
        sizes=[size * 1e9 for size in pairs],
        pairs=[float(count) for count in pairs.values()],
        vocab_size=corpus.vocab_size,
    )


def _best(function: Callable[[], Any]) -> float:
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


if __name__ == "__main__":
    main()
