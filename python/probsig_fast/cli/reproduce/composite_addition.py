"""`probsig reproduce composite-addition`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...arguments import integer
from ...errors import MissingExtraError
from .. import output
from .folder import add_folder, check_folder, write_csv, write_json

if TYPE_CHECKING:
    from ...experiments.composite_addition import Reproduction

NAME = "composite-addition"
SUMMARY = "small models on z + a1 + a2 and its controls"
DESCRIPTION = """\
Train linear and one-layer models on y = z + a1 + a2 and on controls of it (values of the anchors
permuted, a random table, modulo 10, XOR), print R_cos(W^E, phi^y), R_cos(W^U, psi^X) and cosines
of near and far anchors beside the values of an earlier reimplementation, and write the table, the
log of the training and (with matplotlib) pictures into a folder. Needs the extra [torch], and no
data; takes about a minute.
"""
EPILOG = """\
examples:
  probsig reproduce composite-addition
  probsig reproduce composite-addition --tasks add xor --seeds 1 --out somewhere
  probsig reproduce composite-addition --json > results.json
"""

_RESULTS = "composite-addition.json"
_TABLE = "table.csv"
_LOG = "training.csv"
_CURVES = "training.png"
_SIGNATURES = "signatures.png"
_HEATMAPS = "cosines_{}_{}.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_folder(parser, NAME)
    parser.add_argument(
        "--tasks",
        nargs="+",
        metavar="TASK",
        help="some of add, permuted, random-table, modular, xor (default: all)",
    )
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="train from seeds 0 to N - 1 (default 3)"
    )
    parser.add_argument(
        "--steps", type=int, default=1000, metavar="N", help="of the optimiser (default 1000)"
    )
    output.add_json(parser)
    output.add_progress(parser)


def run(arguments: argparse.Namespace) -> None:
    check_folder(arguments.out, _RESULTS)
    seeds = range(integer("--seeds", arguments.seeds, 1))
    steps = integer("--steps", arguments.steps, 1)
    # Which says what is missing, if torch is.
    from ...experiments.composite_addition import reproduce

    started = time.perf_counter()
    results = reproduce(arguments.tasks, seeds=seeds, steps=steps, progress=arguments.progress)
    seconds = time.perf_counter() - started
    arguments.out.mkdir(exist_ok=True)
    files = [*_write_tables(arguments.out, results), *_draw(arguments.out, results)]
    if arguments.json:
        told = {"seconds": round(seconds, 1), "out": str(arguments.out), "files": files}
        output.print_json({**results.to_dict(), **told})
        return
    print(f"{results}\n\ntrained in {seconds:.1f} s")
    print(f"written to {arguments.out}: {', '.join(files)}")


def _write_tables(folder: Path, results: Reproduction) -> list[str]:
    # First, as it makes the folder one that a later run may replace.
    write_json(folder / _RESULTS, results.to_dict())
    write_csv(folder / _TABLE, _table_lines(results))
    write_csv(folder / _LOG, _log_lines(results))
    return [_RESULTS, _TABLE, _LOG]


def _table_lines(results: Reproduction) -> Iterable[Sequence[Any]]:
    yield ("task", "model", "figure", "mean", "lowest", "highest", "expected")
    for row in results.rows:
        for name, mean in row.mean.items():
            spread = (row.lowest[name], row.highest[name])
            yield (row.task, row.model, name, mean, *spread, row.expected.get(name, ""))


def _log_lines(results: Reproduction) -> Iterable[Sequence[Any]]:
    """A line a training, seed and step; a figure that a task does not have is empty."""
    names = list(dict.fromkeys(name for run in results.trainings for name in run.log))
    yield ("task", "model", "seed", "step", *names)
    for run in results.trainings:
        for i, seed in enumerate(run.seeds):
            for k, step in enumerate(run.steps.tolist()):
                figures = [float(run.log[name][i, k]) if name in run.log else "" for name in names]
                yield (run.task.name, run.model, seed, step, *figures)


def _draw(folder: Path, results: Reproduction) -> list[str]:
    """The pictures' names; none, and a word on why, without Matplotlib."""
    from ... import plots

    # Those of an earlier run with other tasks would pass for this one's.
    for old in (*folder.glob(_HEATMAPS.format("*", "*")), folder / _CURVES, folder / _SIGNATURES):
        old.unlink(missing_ok=True)
    try:
        plots.training_curves(results.trainings, folder / _CURVES)
        plots.signature_distributions(results.trainings, folder / _SIGNATURES)
        names = [_CURVES, _SIGNATURES]
        for run in results.trainings:
            names.append(_HEATMAPS.format(run.task.name, run.model))
            plots.cosine_heatmaps(run, folder / names[-1])
    except MissingExtraError as error:
        output.say(f"no pictures: {error}")
        return []
    return names
