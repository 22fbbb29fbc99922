"""`probsig reproduce`: the paper's controlled experiments, rerun."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..arguments import integer
from ..errors import ArgumentError, MissingExtraError
from ..files import atomic_write
from . import output

if TYPE_CHECKING:
    from ..experiments.composite_addition import Reproduction

NAME = "reproduce"
SUMMARY = "rerun a controlled experiment of the paper and set it beside known values"
DESCRIPTION = """\
Rerun a controlled experiment of arXiv 2509.20124: train small models on tasks whose counts are
known, and see how far the geometry of their embeddings follows the probability signatures. Needs
the extra [torch], and no data.
"""
EPILOG = """\
examples:
  probsig reproduce composite-addition
  probsig reproduce composite-addition --help
"""
_COMPOSITE = "composite-addition"
_COMPOSITE_DESCRIPTION = """\
Train linear and one-layer models on y = z + a1 + a2 and on controls of it (values of the anchors
permuted, a random table, modulo 10, XOR), print R_cos(W^E, phi^y), R_cos(W^U, psi^X) and cosines
of near and far anchors beside the values of an earlier reimplementation, and write the table, the
log of the training and (with matplotlib) pictures into a folder. Takes about a minute.
"""
_COMPOSITE_EPILOG = """\
examples:
  probsig reproduce composite-addition
  probsig reproduce composite-addition --tasks add xor --seeds 1 --out somewhere
  probsig reproduce composite-addition --json > results.json
"""

#: A folder with this file is an earlier reproduction's, which a new one may replace.
_RESULTS = "composite-addition.json"
_TABLE = "table.csv"
_LOG = "training.csv"
_CURVES = "training.png"
_SIGNATURES = "signatures.png"
_HEATMAPS = "cosines_{}_{}.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    experiments = parser.add_subparsers(title="experiments", metavar="EXPERIMENT")
    added = experiments.add_parser(
        _COMPOSITE,
        help="small models on z + a1 + a2 and its controls",
        description=_COMPOSITE_DESCRIPTION,
        epilog=_COMPOSITE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_composite_addition(added)
    added.set_defaults(experiment=_composite_addition)


def run(arguments: argparse.Namespace) -> int:
    if "experiment" not in arguments:
        arguments.parser.print_help()
        return 2
    arguments.experiment(arguments)
    return 0


def _add_composite_addition(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(f"probsig-{_COMPOSITE}"),
        metavar="FOLDER",
        help=f"new, empty, or of an earlier run (default probsig-{_COMPOSITE})",
    )
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
    # Behind the experiment too; without a default it leaves one given before it alone.
    parser.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )


def _composite_addition(arguments: argparse.Namespace) -> None:
    _check_folder(arguments.out)
    seeds = range(integer("--seeds", arguments.seeds, 1))
    steps = integer("--steps", arguments.steps, 1)
    # Which says what is missing, if torch is.
    from ..experiments.composite_addition import reproduce

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


def _check_folder(folder: Path) -> None:
    """Before the training, as `probsig demo` does.

    Raises:
        ArgumentError: a folder that holds other things, cannot be written, or cannot be made.
    """
    if not folder.parent.is_dir() or (folder.exists() and not folder.is_dir()):
        raise ArgumentError(f"--out: expected a folder in an existing one, got {str(folder)!r}")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _RESULTS).is_file():
        raise ArgumentError(
            f"--out: expected a new folder, an empty one or an earlier run's, got {str(folder)!r}"
        )
    if not os.access(folder if folder.is_dir() else folder.parent, os.W_OK):
        raise ArgumentError(f"--out: expected a folder that can be written, got {str(folder)!r}")


def _write_tables(folder: Path, results: Reproduction) -> list[str]:
    # First, as it makes the folder one that a later run may replace.
    text = json.dumps(results.to_dict(), indent=2, ensure_ascii=False) + "\n"
    _write(folder / _RESULTS, text)
    _write(folder / _TABLE, _csv(_table_lines(results)))
    _write(folder / _LOG, _csv(_log_lines(results)))
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
    from .. import plots

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


def _csv(lines: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode())
