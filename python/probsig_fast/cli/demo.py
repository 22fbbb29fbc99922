"""`probsig demo`: the package at work on text that every machine has."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import output

DESCRIPTION = """\
Tokenise the source of the Python standard library on this machine, count next-token pairs and
windows, show what follows and precedes a few tokens and which tokens are alike, and leave the token
file, the counts, the vocabulary and (with matplotlib) a picture in a folder. Needs no data, no
model and no network; takes some seconds.
"""
EPILOG = """\
examples:
  probsig demo
  probsig demo --out somewhere --max-mb 5
  PROBSIG_BACKEND=numba_cpu probsig demo
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("probsig-demo"),
        metavar="FOLDER",
        help="new, empty, or of an earlier demo (default probsig-demo)",
    )
    parser.add_argument(
        "--max-mb", type=float, default=32.0, metavar="N", help="megabytes of source (default 32)"
    )
    parser.add_argument(
        "--vocab-size", type=int, default=16_384, metavar="V", help="tokens (default 16384)"
    )
    output.add_backend(parser)
    output.add_threads(parser)
    output.add_progress(parser)


def run(arguments: argparse.Namespace) -> None:
    from ..demo import run_demo

    run_demo(
        arguments.out,
        max_mb=arguments.max_mb,
        vocab_size=arguments.vocab_size,
        backend=arguments.backend,
        threads=arguments.threads,
        progress=arguments.progress,
    )
