"""A process of its own that does one contender's task and prints how much memory that took: a list
of the peak beyond the tokens and of the result's bytes. The request is JSON on standard input."""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .contender import Contender, Job
from .corpora import Corpus
from .registry import Choice, contenders, of_task
from .tasks import task


def main(request: dict[str, Any]) -> list[int]:
    warnings.simplefilter("ignore")
    choice = request["choice"]
    programs = {name: choice[name] and Path(choice[name]) for name in ("cooccur", "kenlm")}
    backends = choice["backends"] and tuple(choice["backends"])
    among = contenders(Choice(**{**choice, **programs, "backends": backends}))
    asked = task(request["task"])
    # Peers of several tasks have the same name.
    chosen = next(
        each for each in of_task(asked, among) if [each.name, each.threads] == request["contender"]
    )
    tokens = np.fromfile(request["path"], request["dtype"], count=request["size"])
    corpus = Corpus(Path(request["path"]).name, tokens, request["vocab_size"], request["eos"])
    with tempfile.TemporaryDirectory(dir=request["folder"]) as folder:
        threads = chosen.threads or choice["threads"]
        job = Job(asked, corpus, threads, Path(folder))
        return _measured(chosen, job)


def _measured(contender: Contender, job: Job) -> list[int]:
    small = replace(job, corpus=job.corpus.first(5_000))
    contender.run(small, contender.prepare(small))  # compiled and loaded
    prepared = contender.prepare(job)
    _forget_peak()
    before = _peak()
    result = contender.run(job, prepared)
    beyond = _peak_of_others() if contender.is_outside else _peak() - before
    return [beyond, 0 if contender.is_outside else size_of(result)]


def size_of(result: Any) -> int:
    """Bytes of the arrays that a result holds."""
    if isinstance(result, np.ndarray):
        return result.nbytes
    if isinstance(result, (tuple, list)):
        return sum(map(size_of, result))
    # Counts call their data `stored`; SciPy `data`.
    names = ("indptr", "indices", "stored" if hasattr(result, "stored") else "data")
    return sum(size_of(getattr(result, name, ())) for name in names)


def _peak() -> int:
    """Bytes. The process's own high-water mark: getrusage's also covers whoever started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _forget_peak() -> None:
    """So that what the preparation took does not count; where that cannot be, it is in `before`."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak_of_others() -> int:
    """Bytes of the largest program that was run."""
    import resource

    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))
