"""`probsig merge`: the counts of shards, added."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from . import output

NAME = "merge"
SUMMARY = "add counts files of shards of one corpus"
DESCRIPTION = """\
Add counts files. Exact: the sum of shards' counts is the count of the whole, whatever the order.
Relation, vocabulary and boundary rules must be the same. Every file is read and checked wholly.
"""
EPILOG = """\
examples:
  probsig merge shard-0.safetensors shard-1.safetensors --out whole.safetensors
  probsig merge shard-*.safetensors --out whole.safetensors --force
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="counts files")
    output.add_output(parser)
    output.add_backend(parser)
    output.add_json(parser)


def run(arguments: argparse.Namespace) -> None:
    output.check_output(arguments.out, arguments.force)
    output.warn_of_repeats(arguments.files)
    from ..counts import Counts

    started = time.perf_counter()
    parts = [Counts.load(path, verify=True) for path in _bar(arguments.files)]
    counts = Counts.merge(parts, arguments.backend)
    counts.save(arguments.out)
    seconds = time.perf_counter() - started
    if arguments.json:
        output.print_json(
            {
                "files": [str(path) for path in arguments.files],
                "tokens": counts.n_tokens,
                "sequences": counts.n_sequences,
                "distinct_pairs": counts.nnz,
                "total": counts.total,
                "seconds": seconds,
                "file": str(arguments.out),
            }
        )
        return
    output.print_fields(
        [
            ("merged", f"{len(parts)} files of relation {output.show_relation(counts)}"),
            ("tokens", f"{counts.n_tokens:,}"),
            ("sequences", f"{counts.n_sequences:,}"),
            ("distinct pairs", f"{counts.nnz:,}"),
            ("time", f"{seconds:,.3f} s"),
            ("written", f"{arguments.out} ({output.file_size(arguments.out)})"),
        ]
    )


def _bar(files: list[Path]) -> Iterable[Path]:
    from tqdm import tqdm

    bar: Iterable[Path] = tqdm(
        files, desc="reading", unit="file", leave=False, disable=not sys.stderr.isatty()
    )
    return bar
