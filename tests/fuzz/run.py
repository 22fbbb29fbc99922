"""Fuzzers of the package: `python tests/fuzz/run.py SECONDS [--seed N] [--only NAME]`.

Each fuzzer runs in a process of its own, and tries inputs of the seeds N, N + 1, ...; the first
finding ends it. What the failing input wrote is kept in --failures, and
`python tests/fuzz/run.py 0 --only NAME --seed SEED --inputs 1` tries it again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
#: Beyond its time: to start, and to end the last input.
_GRACE = 180.0


@dataclass(frozen=True)
class Result:
    """What came of one fuzzer.

    Attributes:
        inputs: how many were tried without a finding.
        seed: of the finding; None: there was none.
        told: what was seen, or why nothing was tried.
    """

    name: str
    inputs: int
    seed: int | None = None
    told: str = ""


def run(
    name: str,
    seed: int,
    seconds: float,
    inputs: int = 2**62,
    failures: Path = Path("fuzz-failures"),
    environment: dict[str, str] | None = None,
) -> Result:
    """Run one fuzzer in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
        folder = Path(temporary)
        command = [sys.executable, str(HERE / "run.py"), str(seconds), "--only", name]
        command += ["--seed", str(seed), "--inputs", str(inputs), "--worker", temporary]
        try:
            ended = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds + _GRACE if seconds else None,
                env=os.environ | (environment or {}),
            )
            code, told = ended.returncode, ended.stdout + ended.stderr
        except subprocess.TimeoutExpired:
            code, told = -signal.SIGKILL, "it did not end"
        path = folder / "status"
        if not path.is_file():
            return Result(name, 0, seed, f"exit code {code} before the first input\n{told}")
        status = json.loads(path.read_text())
        if code == 0:
            return Result(name, status["inputs"])
        at = status["seed"]
        kept = _kept(folder, failures, name, at, told)
        if code < 0:
            told = f"ended by {signal.Signals(-code).name}\n{told}"
        return Result(name, status["inputs"], at, f"{told}\nkept in {kept}")


def _kept(folder: Path, failures: Path, name: str, seed: int, told: str) -> Path:
    kept = failures / f"{name}-{seed}"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    if (folder / "input").is_dir():
        shutil.copytree(folder / "input", kept / "input", symlinks=True)
    again = f"python tests/fuzz/run.py 0 --only {name} --seed {seed} --inputs 1\n"
    (kept / "finding.txt").write_text(again + told)
    return kept


def parsed(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "seconds", type=float, help="for all fuzzers together; 0: as long as --inputs takes"
    )
    parser.add_argument("--seed", type=int, help="the first one (default: by the clock)")
    parser.add_argument("--only", action="append", metavar="NAME", help="may be given again")
    parser.add_argument("--inputs", type=int, help="at most, of each fuzzer (default: no bound)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="fuzzers at a time")
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"), metavar="FOLDER")
    parser.add_argument("--list", action="store_true", help="print the names, and end")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.inputs is None:
        arguments.inputs = 2**62 if arguments.seconds else 1
    return arguments


def main(argv: list[str] | None = None) -> int:
    arguments = parsed(argv)
    from fuzz_table import FUZZERS, PLANTED

    if arguments.list:
        print("\n".join(FUZZERS))
        return 0
    table = {**FUZZERS, **PLANTED}
    unknown = sorted(set(arguments.only or ()) - set(table))
    if unknown:
        sys.exit(f"--only: expected one of {', '.join(FUZZERS)}, got {unknown[0]}")
    names = arguments.only or list(FUZZERS)
    if arguments.worker is not None:
        from fuzz_support import work

        fuzzer = table[names[0]]
        return work(fuzzer, arguments.seed, arguments.inputs, arguments.seconds, arguments.worker)
    seed = time.time_ns() // 10**6 % 10**9 * 1000 if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    tried = [n for n in names if all(find_spec(each) for each in table[n].needs)]
    for name in sorted(set(names) - set(tried)):
        print(f"{name:24} not tried: needs {', '.join(table[name].needs)}", flush=True)
    jobs = max(min(arguments.jobs or 1, len(tried)), 1)
    share = arguments.seconds * jobs / max(sum(table[name].weight for name in tried), 1)
    found = 0
    with ThreadPoolExecutor(jobs) as pool:
        results = pool.map(
            lambda name: run(
                name, seed, share * table[name].weight, arguments.inputs, arguments.failures
            ),
            tried,
        )
        for result in results:
            found += result.seed is not None
            print(f"{result.name:24} {result.inputs:8,} inputs", flush=True)
            if result.seed is not None:
                print(f"FOUND by {result.name}, seed {result.seed}\n{result.told}", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
