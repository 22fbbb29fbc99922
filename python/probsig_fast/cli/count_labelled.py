"""`probsig count-labelled`: samples (X, y) in, one counts file out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import any_counts, output

if TYPE_CHECKING:
    from ..labelled import LabelledCounts

DESCRIPTION = """\
Count labelled samples: X holds a sequence of token ids a sample, Y its label. What comes out:
N[x, nu], samples of label nu with token x; N[x, x'], samples with both tokens; and, with
--third-order or --focus, N[x, nu, x'] (arXiv 2509.20124). Exact, for every backend.

X is a .npy array (2-D, or 1-D with --offsets), or a .jsonl file with one JSON list of ids a line;
Y a .npy array, or a .txt file with one integer a line.
"""
EPILOG = """\
examples:
  probsig count-labelled X.npy y.npy --vocab-size 140 --n-labels 400 --out task.safetensors
  probsig count-labelled texts.jsonl labels.txt --vocab-size 49152 --n-labels 2 \\
      --incidence multiplicity --focus 284 1890 --out texts.safetensors
  probsig count-labelled tokens.npy y.npy --offsets offsets.npy --vocab-size 140 --n-labels 400 \\
      --third-order --memory 2GB --out third.safetensors
  probsig top task.safetensors 7 --side label
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("x", type=Path, metavar="X", help="sequences: .npy or .jsonl")
    parser.add_argument("y", type=Path, metavar="Y", help="labels: .npy or .txt")
    output.add_output(parser)
    samples = parser.add_argument_group("what the files hold")
    samples.add_argument(
        "--vocab-size", type=int, required=True, metavar="V", help="ids are 0..V-1"
    )
    samples.add_argument(
        "--n-labels", type=int, required=True, metavar="Q", help="labels are 0..Q-1"
    )
    samples.add_argument(
        "--offsets",
        type=Path,
        metavar="FILE",
        help=".npy [samples + 1]: where in a 1-D X each sequence begins, and where the last ends",
    )
    counted = parser.add_argument_group("what is counted")
    counted.add_argument(
        "--incidence",
        choices=("presence", "multiplicity"),
        default="presence",
        help="a token in a sequence counts once (the default), or as often as it stands there",
    )
    third = counted.add_mutually_exclusive_group()
    third.add_argument("--third-order", action="store_true", help="N[x, nu, x'] for all tokens x")
    third.add_argument("--focus", type=int, nargs="+", metavar="ID", help="for these tokens x only")
    running = parser.add_argument_group("how it runs")
    output.add_memory(running)
    output.add_backend(running)
    output.add_threads(running)
    output.add_progress(running)
    output.add_json(running)


def run(arguments: argparse.Namespace) -> None:
    if arguments.offsets is not None and arguments.x.suffix != ".npy":
        arguments.parser.error("--offsets goes with a .npy array as X")
    output.check_file(arguments.out, arguments.force)
    from ..counting import count_labelled
    from .sample_files import open_sequences, read_labels, read_npy

    offsets = None if arguments.offsets is None else read_npy("--offsets", arguments.offsets)
    counts = count_labelled(
        open_sequences(arguments.x, arguments.vocab_size),
        read_labels(arguments.y),
        vocab_size=arguments.vocab_size,
        n_labels=arguments.n_labels,
        incidence=arguments.incidence,
        third_order=arguments.third_order,
        focus=arguments.focus,
        offsets=offsets,
        memory=arguments.memory,
        backend=arguments.backend,
        threads=arguments.threads,
        progress=arguments.progress,
    )
    counts = counts.with_provenance({**counts.provenance, "sources": _sources(arguments, counts)})
    counts.save(arguments.out)
    if arguments.json:
        output.print_json(_fields(counts, arguments.out))
    else:
        output.print_fields(_lines(counts, arguments.out))


def _sources(arguments: argparse.Namespace, counts: LabelledCounts) -> list[dict[str, Any]]:
    """The files, which the counts themselves do not know of."""
    return [
        {"name": "X", "path": str(arguments.x), "samples": counts.n_samples},
        {"name": "y", "path": str(arguments.y), "samples": counts.n_samples},
    ]


def _fields(counts: LabelledCounts, path: Path) -> dict[str, Any]:
    return {
        **{name: counts.provenance[name] for name in ("backend", "threads")},
        **any_counts.size_fields(counts),
        "seconds": counts.provenance["seconds"],
        "file": str(path),
        "bytes": output.size_on_disk(path),
    }


def _lines(counts: LabelledCounts, path: Path) -> list[tuple[str, str]]:
    provenance = counts.provenance
    sizes = f"{counts.vocab_size:,} tokens, {counts.n_labels:,} labels"
    return [
        ("counted", f"{any_counts.words(counts)}: {sizes}"),
        ("backend", f"{provenance['backend']}, threads: {provenance['threads']}"),
        *any_counts.size_lines(counts),
        ("time", f"{provenance['seconds']:,.3f} s"),
        ("written", output.show_written(path)),
    ]
