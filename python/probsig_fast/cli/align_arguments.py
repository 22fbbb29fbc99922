"""The arguments of `probsig align`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from . import any_counts, output

SIGNATURES = (
    "phi_next",
    "psi_pre",
    "joint",
    "phi_y",
    "psi_X",
    "phi_X",
    "row_conditional",
    "column_conditional",
)

#: What each kind of counts gives where --signature does not say.
DEFAULT = {
    "next": "phi_next",
    "window": "row_conditional",
    "prefix": "phi_y",
    "same-sequence": "phi_X",
    any_counts.LABELLED: "phi_y",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="counts file, or folder of counts")
    parser.add_argument("embedding", type=Path, metavar="EMBEDDING", help="file or folder")
    parser.add_argument(
        "--signature",
        choices=SIGNATURES,
        nargs="+",
        metavar="NAME",
        help=f"one or several of {', '.join(SIGNATURES)}; default: phi_next, row_conditional "
        "(window), phi_y (prefix, labelled) or phi_X (same sequence)",
    )
    parser.add_argument(
        "--min-support",
        type=int,
        default=0,
        metavar="M",
        help="leave out tokens that the signature has seen less often (default 0)",
    )
    parser.add_argument(
        "--centre", action="store_true", help="only the mean-centred figures (default: both)"
    )
    parser.add_argument(
        "--strong-pairs",
        type=float,
        nargs="?",
        const=0.001,
        metavar="FRACTION",
        help="also the top pairs by either cosine, this fraction of all (default 0.001)",
    )
    _add_embedding(parser)
    _add_more(parser)
    output.add_backend(parser)
    output.add_threads(parser)
    output.add_json(parser)


def _add_embedding(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", metavar="NAME", help="the tensor to take of EMBEDDING")
    parser.add_argument(
        "--which",
        choices=("input", "output"),
        help="the embedding for all signatures (default: input for phi_*, output for psi_*)",
    )
    parser.add_argument(
        "--output-embedding",
        type=Path,
        metavar="FILE",
        help="where the output embedding is, if not in EMBEDDING",
    )
    parser.add_argument(
        "--device", metavar="NAME", help="where the products run: cpu (default), cuda or cuda:N"
    )


def _add_more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--full",
        action="store_true",
        help="also nulls, Spearman, neighbours, strata, single tokens",
    )
    parser.add_argument(
        "--draws", type=int, default=20, metavar="N", help="permutations of a null (default 20)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of draws (default 0)")
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FOLDER",
        help="write a page with tables and pictures (new, empty, or an earlier report's)",
    )
    parser.add_argument(
        "--tokenizer",
        type=Path,
        metavar="FILE",
        help="for token texts: tokenizer.json (needs the extra [text]), or a JSON list or mapping",
    )
    parser.add_argument(
        "--groups",
        type=Path,
        metavar="FILE",
        help='the report\'s groups of tokens, JSON: {"name": ["text", ...]}',
    )
    parser.add_argument(
        "--trajectory",
        type=Path,
        metavar="FILE",
        help="for the report: what `probsig track` wrote",
    )


def align_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `alignment.align`."""
    fraction = {} if arguments.strong_pairs is None else {"fraction": arguments.strong_pairs}
    names = ("draws", "seed", "threads", "backend", "device")
    return {**fraction, **{name: getattr(arguments, name) for name in names}}
