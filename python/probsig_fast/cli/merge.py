"""`probsig merge`: the counts of shards, added."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MergeError
from . import any_counts, output

if TYPE_CHECKING:
    from .any_counts import AnyCounts

DESCRIPTION = """\
Add counts files: those of `probsig count` (of one relation), or those of `probsig count-labelled`.
Exact: the sum of shards' counts is the count of the whole, whatever the order. Relation, vocabulary
and boundary rules (labels, incidence) must be the same. Every file is read and checked wholly.
"""
EPILOG = """\
examples:
  probsig merge shard-0.safetensors shard-1.safetensors --out whole.safetensors
  probsig merge shard-*.safetensors --out whole.safetensors --force
  probsig merge pythia-steps --as-of 4 --out step4.safetensors
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="counts files, or folders of counts"
    )
    output.add_output(parser, "a *.safetensors file; a folder, too, for counts of a relation")
    parser.add_argument(
        "--as-of",
        type=int,
        metavar="STEP",
        help="of one folder that `probsig count --at-steps` wrote: what was counted before STEP",
    )
    output.add_backend(parser)
    output.add_json(parser)


def run(arguments: argparse.Namespace) -> None:
    if arguments.as_of is not None:
        arguments.files = _deltas(arguments)
    labelled = _all_labelled(arguments.files)
    check = output.check_file if labelled else output.check_output
    check(arguments.out, arguments.force)
    output.warn_of_repeats(arguments.files)
    started = time.perf_counter()
    folder = arguments.out if output.is_folder(arguments.out) else None
    counts = _sum(arguments.files, labelled, arguments.backend, folder)
    if folder is None:
        counts.save(arguments.out)
    seconds = time.perf_counter() - started
    if arguments.json:
        output.print_json(
            {
                "files": [str(path) for path in arguments.files],
                **any_counts.size_fields(counts),
                "seconds": seconds,
                "file": str(arguments.out),
            }
        )
        return
    of = any_counts.words(counts) if labelled else f"relation {any_counts.words(counts)}"
    output.print_fields(
        [
            ("merged", f"{len(arguments.files)} files of {of}"),
            *any_counts.size_lines(counts),
            ("time", f"{seconds:,.3f} s"),
            ("written", output.show_written(arguments.out)),
        ]
    )


def _deltas(arguments: argparse.Namespace) -> list[Path]:
    """The folders that add up to the counts as of a step."""
    from ..steps import CountSteps, delta_name

    if len(arguments.files) != 1:
        arguments.parser.error("--as-of goes with one folder of `probsig count --at-steps`")
    (folder,) = arguments.files
    steps = CountSteps.load(folder)
    return [folder / delta_name(index) for index in range(steps.index_of(arguments.as_of) + 1)]


def _all_labelled(files: list[Path]) -> bool:
    """Whether these are labelled counts, or else counts of a relation.

    Raises:
        MergeError: some of both.
    """
    labelled = [any_counts.is_labelled(path) for path in files]
    if len(set(labelled)) > 1:
        raise MergeError(
            "FILE: expected counts of one kind, got labelled counts in "
            f"{files[labelled.index(True)]} and counts of a relation in "
            f"{files[labelled.index(False)]}"
        )
    return labelled[0]


def _sum(files: list[Path], labelled: bool, backend: str | None, folder: Path | None) -> AnyCounts:
    from ..counts import Counts
    from ..labelled import LabelledCounts

    if labelled:
        return LabelledCounts.merge(
            [LabelledCounts.load(path, verify=True) for path in _bar(files)], backend
        )
    return Counts.merge([Counts.load(path, verify=True) for path in _bar(files)], backend, folder)


def _bar(files: list[Path]) -> Iterable[Path]:
    from tqdm import tqdm

    bar: Iterable[Path] = tqdm(
        files, desc="reading", unit="file", leave=False, disable=not sys.stderr.isatty()
    )
    return bar
