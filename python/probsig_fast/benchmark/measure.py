"""Timing in turn, and peak memory in processes of their own."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from ..budget import available
from .registry import Choice
from .tasks import LIMITS
from .verify import Entry


def time_in_turn(
    groups: list[list[Entry]],
    rounds: int,
    peer_seconds: float,
    advance: Callable[[int], object],
) -> None:
    """One call of each contender a round, beginning with another one each round, so that a machine
    that slows down slows them all. A peer that would take longer than `peer_seconds` in all gets
    fewer rounds, but one."""
    for number in range(rounds):
        for group in groups:
            active = [
                each
                for each in group
                if each.skipped is None and number < _rounds(each, rounds, peer_seconds)
            ]
            turn = number % max(len(active), 1)
            for entry in active[turn:] + active[:turn]:
                entry.seconds.append(_timed(entry))
            advance(len(group))


def _rounds(entry: Entry, rounds: int, peer_seconds: float) -> int:
    contender = entry.contender
    if contender.is_ours or LIMITS in contender.kinds:
        return rounds
    return max(min(int(peer_seconds / max(entry.first, 1e-9)), rounds), 1)


def _timed(entry: Entry) -> float:
    gc.collect()
    gc.disable()
    try:
        began = time.perf_counter()
        result = entry.run()
        seconds = time.perf_counter() - began
        del result  # giving memory back is no part of it
    finally:
        gc.enable()
    return seconds


def measure_memory(entry: Entry, choice: Choice, folder: Path) -> None:
    """Peak of resident memory beyond the tokens, in a process of its own; left None where the
    system does not tell, or there is no room for it beside this process."""
    job = entry.job
    if entry.skipped or not Path("/proc/self/status").is_file():
        return
    if available() < 2 * job.tokens.nbytes + entry.contender.bytes_needed(job):
        return
    request = {
        "task": f"{job.task.name}:{job.tokens.size}",
        "contender": [entry.contender.name, entry.contender.threads],
        "path": str(_file(entry, folder)),
        "dtype": str(job.tokens.dtype),
        "vocab_size": job.corpus.vocab_size,
        "eos": job.corpus.eos,
        "size": job.tokens.size,
        "folder": str(folder),
        "choice": asdict(choice),
    }
    run = subprocess.run(
        [sys.executable, "-m", "probsig_fast.benchmark.memory"],
        input=json.dumps(request, default=str),
        capture_output=True,
        text=True,
    )
    if run.returncode == 0:
        entry.peak, entry.result = json.loads(run.stdout.splitlines()[-1])


def _file(entry: Entry, folder: Path) -> Path:
    """A flat file that begins with the tokens: the corpus's own, or one made here, once."""
    corpus = entry.job.corpus
    if corpus.path is not None:
        return corpus.path
    path = folder / f"{corpus.name}-{corpus.vocab_size}-{corpus.tokens.size}.bin"
    if not path.exists():
        corpus.tokens.tofile(path)
    return path
