"""Count the instructions of each CPU kernel on fixed tokens, and compare them with a baseline.

python bench/instructions/check.py            fails where a figure has moved by over 5 %
python bench/instructions/check.py --update   makes the present figures the baseline

The kernels run without Python under callgrind, whose counts are the same each time, however busy
the machine. Instructions are not time: a change that takes more of them may well be faster, and
then the baseline is renewed. But nobody makes a kernel do twice the work without noticing.

Callgrind tells the kernels of no AVX-512, so it is their AVX2 paths that are counted (on x86-64).
Figures are kept by compiler and processor; where there are none, nothing is compared. Needs Linux,
valgrind, cmake and ninja.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
BASELINE = HERE / "baseline.json"
VOCABULARIES = (2_000, 50_304)
TOLERANCE = 0.05

#: Instructions a token (of merge: an entry), by kernel and vocabulary.
Figures = Mapping[str, float]


def main(words: Sequence[str] | None = None) -> int:
    arguments = parse(words)
    lacking = missing()
    if lacking:
        print(f"skipped: {lacking}")
        return 0
    with tempfile.TemporaryDirectory(prefix="instructions-") as name:
        program = build(Path(name))
        compiler, *kernels = output_of([program]).split()
        figures = measure(program, kernels)
    baselines = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    print_figures(compiler, figures, baselines.get(compiler, {}))
    if arguments.update:
        text = json.dumps({**baselines, compiler: figures}, indent=2, sort_keys=True)
        BASELINE.write_text(f"{text}\n")
        return 0
    if compiler not in baselines:
        print(f"nothing is compared: there is no baseline of {compiler}, but of {list(baselines)}")
        return 0
    faults = compare(figures, baselines[compiler])
    for fault in faults:
        print(fault)
    if faults:
        print("if that is meant: python bench/instructions/check.py --update")
    return int(bool(faults))


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--update", action="store_true", help="write the baseline")
    return parser.parse_args(words)


def missing() -> str | None:
    """Why nothing can be counted here; None if it can."""
    if sys.platform != "linux":
        return f"needs Linux, this is {sys.platform}"
    absent = [name for name in ("valgrind", "cmake", "ninja") if shutil.which(name) is None]
    return f"no {', '.join(absent)} on PATH" if absent else None


def build(folder: Path) -> Path:
    """The program that runs one kernel."""
    output_of(["cmake", "-G", "Ninja", "-S", HERE, "-B", folder])
    output_of(["cmake", "--build", folder])
    return folder / "kernels"


def measure(program: Path, kernels: Sequence[str]) -> dict[str, float]:
    cases = [(kernel, size) for kernel in kernels for size in VOCABULARIES]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counted = list(pool.map(lambda case: instructions(program, *case), cases))
    names = [f"{kernel}, V = {size:,}" for kernel, size in cases]
    return dict(zip(names, counted, strict=True))


def instructions(program: Path, kernel: str, vocab_size: int) -> float:
    """A token, rounded to four digits: the rest only makes differences of baselines longer."""
    out = program.with_name(f"{kernel}-{vocab_size}.out")
    command = ["valgrind", "--tool=callgrind", "--toggle-collect=measured*"]
    command += [f"--callgrind-out-file={out}", program, kernel, str(vocab_size)]
    tokens = int(output_of(command))
    found = re.search(r"^summary: ([0-9]+)$", out.read_text(), re.MULTILINE)
    if found is None or found[1] == "0":
        raise SystemExit(f"check.py: {kernel}: callgrind counted no instructions within `measured`")
    return float(f"{int(found[1]) / tokens:.4g}")


def compare(figures: Figures, baseline: Figures, tolerance: float = TOLERANCE) -> list[str]:
    """What has moved, in words: more is a loss, fewer makes the baseline too loose to show one."""
    faults = []
    for name in sorted({*figures, *baseline}):
        new, old = figures.get(name), baseline.get(name)
        if new is None or old is None:
            faults.append(f"{name}: {'not in the baseline' if old is None else 'gone'}")
        elif abs(new / old - 1) > tolerance:
            told = "more instructions" if new > old else "fewer instructions: renew the baseline"
            faults.append(f"{name}: from {old:g} to {new:g}, {abs(new / old - 1):.1%} {told}")
    return faults


def print_figures(compiler: str, figures: Figures, baseline: Figures) -> None:
    print(f"instructions a token (of merge: an entry), {compiler}")
    for name, figure in figures.items():
        change = f"{figure / baseline[name] - 1:+8.1%}" if name in baseline else ""
        print(f"{name:<28}{figure:10.4g}{change}")


def output_of(command: Sequence[str | Path]) -> str:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        told = f"{result.stdout}\n{result.stderr}".strip()
        raise SystemExit(f"check.py: {' '.join(map(str, command))} failed:\n{told}")
    return result.stdout


if __name__ == "__main__":
    sys.exit(main())
