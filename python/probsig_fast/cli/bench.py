"""`probsig bench`: how fast tokens are counted here, and how fast they could be."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from . import output

if TYPE_CHECKING:
    from ..benchmark.corpora import Corpus
    from ..benchmark.run import Settings

DESCRIPTION = """\
Count the same tokens with each backend and with what else counts tokens (NumPy, SciPy, Polars,
DuckDB, Numba, PyTorch, tokengrams, scikit-learn; GloVe and KenLM where their programs are named),
with all threads and with one, beside what the machine can do at best: a streaming read, a unigram
histogram, increments at random places. All answers are compared before anything is timed; the timed
calls take turns. Leaves benchmark.md (machine, one table, and who was skipped and why),
benchmark.png (with matplotlib) and benchmark.json (all seconds) in a folder.
"""
EPILOG = """\
examples:
  probsig bench --quick
  probsig bench docs.u16.bin --dtype uint16 --vocab-size 49152 --eos 0
  probsig bench docs.u16.bin code.u32.bin --dtype uint16 uint32 --vocab-size 49152 151936 \\
      --eos 0 151643 --relation next window-10 same-sequence:20M --out probsig-bench
  probsig bench --tokens 1G --vocab-size 50304 --relation next --no-peers
  probsig bench docs.u16.bin --dtype uint16 --vocab-size 49152 --cooccur GloVe/build/cooccur

Without files the tokens are synthetic: skewed and bursty as text is, with vocabularies of 50,304
(uint16) and 151,936 (uint32). A peer that would take minutes is given fewer rounds, or only the
first tokens; the table says so. What is not installed is skipped, with the reason; to have it:
pip install 'probsig-fast[bench,peers]'.
"""

_VOCABULARIES, _QUICK_VOCABULARIES = (50_304, 151_936), (50_304,)
_TOKENS, _QUICK_TOKENS = "100M", "2M"
_ROUNDS, _QUICK_ROUNDS = 5, 2
_PEER_SECONDS, _QUICK_PEER_SECONDS = 60.0, 2.0
#: A second or so of each peer.
_QUICK_RELATIONS = (
    *("next", "window-10:1M", "window-64:100k"),
    *("prefix-64:200k", "prefix-1024:20k", "same-sequence:100k"),
)

Value = TypeVar("Value")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    corpora = parser.add_argument_group("which tokens")
    corpora.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="flat files; default: synthetic tokens"
    )
    corpora.add_argument(
        "--dtype", nargs="+", metavar="TYPE", help="uint16 or uint32: one for all files, or each"
    )
    corpora.add_argument(
        "--vocab-size",
        nargs="+",
        type=int,
        metavar="V",
        help="likewise; of synthetic tokens, one corpus each (default: 50304 151936)",
    )
    corpora.add_argument(
        "--eos", nargs="+", type=int, metavar="ID", help="likewise: ends sequences of files"
    )
    corpora.add_argument(
        "--tokens", metavar="N", help="only so many, such as 100M (default: all; synthetic: 100M)"
    )
    _add_what(parser.add_argument_group("what is measured"))
    _add_how(parser.add_argument_group("how it runs"))


def _add_what(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--relation",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="next, window-N, prefix-N, same-sequence; NAME:20M: of the first 20 M tokens "
        "(default: next window-10 window-64 prefix-64 prefix-1024 same-sequence)",
    )
    group.add_argument(
        "--backend",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="default: all that are there, but reference",
    )
    group.add_argument(
        "--peers",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="other ways to count, too (default)",
    )
    group.add_argument("--cooccur", type=Path, metavar="PATH", help="GloVe's program")
    group.add_argument("--kenlm", type=Path, metavar="PATH", help="KenLM's count_ngrams or lmplz")
    group.add_argument(
        "--peak-memory",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="of each, in a process of its own (default, but not with --quick)",
    )


def _add_how(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--quick",
        action="store_true",
        help="about a minute: the first 2 M tokens, two rounds",
    )
    output.add_threads(group)
    group.add_argument("--rounds", type=int, metavar="N", help="timed calls of each (default: 5)")
    group.add_argument(
        "--peer-seconds",
        type=float,
        metavar="N",
        help="a peer gets as many rounds of a task as take about so long (default: 60)",
    )
    group.add_argument(
        "--out",
        type=Path,
        default=Path("probsig-bench"),
        metavar="FOLDER",
        help="what an earlier run left there is replaced (default: probsig-bench)",
    )
    output.add_progress(group)
    output.add_json(group)


def run(arguments: argparse.Namespace) -> None:
    from ..benchmark import benchmark

    report = benchmark(_settings(arguments), arguments.out, arguments.progress)
    if report.without_figure:
        output.say(f"no figure: {report.without_figure}")
    if arguments.json:
        output.print_json(report.fields)
    else:
        print(report.text, end="")


def _settings(arguments: argparse.Namespace) -> Settings:
    from ..arguments import integer
    from ..benchmark.registry import Choice
    from ..benchmark.run import Settings
    from ..benchmark.tasks import DEFAULT, task
    from ..pool import thread_count

    quick = arguments.quick
    relations = arguments.relation or (_QUICK_RELATIONS if quick else DEFAULT)
    backends = arguments.backend and tuple(dict.fromkeys(arguments.backend))
    choice = Choice(
        backends,
        thread_count(arguments.threads),
        arguments.peers,
        arguments.cooccur,
        arguments.kenlm,
    )
    rounds, peer_seconds = arguments.rounds, arguments.peer_seconds
    if rounds is None:
        rounds = _QUICK_ROUNDS if quick else _ROUNDS
    if peer_seconds is None:
        peer_seconds = _QUICK_PEER_SECONDS if quick else _PEER_SECONDS
    return Settings(
        corpora=_corpora(arguments),
        tasks=[task(each) for each in dict.fromkeys(relations)],
        choice=choice,
        rounds=integer("rounds", rounds, 1),
        peer_seconds=peer_seconds,
        peak_memory=not quick if arguments.peak_memory is None else arguments.peak_memory,
        quick=quick,
        command=shlex.join(["probsig", *arguments.typed]),
    )


def _corpora(arguments: argparse.Namespace) -> list[Callable[[], Corpus]]:
    from ..benchmark.corpora import flat, zipfian
    from ..benchmark.tasks import count

    files, usage = arguments.files, arguments.parser.error
    tokens = arguments.tokens or (_QUICK_TOKENS if arguments.quick else None)
    if not files:
        if arguments.dtype or arguments.eos:
            usage("--dtype and --eos go with files")
        size = count("tokens", tokens or _TOKENS)
        usual = _QUICK_VOCABULARIES if arguments.quick else _VOCABULARIES
        vocabularies = arguments.vocab_size or usual
        return [partial(zipfian, size, vocab_size) for vocab_size in vocabularies]
    for name in ("dtype", "vocab_size"):
        if getattr(arguments, name) is None:
            usage(f"files need --{name.replace('_', '-')}")
    limit = None if tokens is None else count("tokens", tokens)
    each = (
        _each(arguments, "dtype", arguments.dtype),
        _each(arguments, "vocab_size", arguments.vocab_size),
        _each(arguments, "eos", arguments.eos or [None]),
    )
    return [
        partial(flat, path, dtype, vocab_size, eos, limit)
        for path, dtype, vocab_size, eos in zip(files, *each, strict=True)
    ]


def _each(arguments: argparse.Namespace, name: str, values: Sequence[Value]) -> Sequence[Value]:
    """One value a file: those given, or the one given for all."""
    files = len(arguments.files)
    if len(values) not in (1, files):
        arguments.parser.error(
            f"--{name.replace('_', '-')}: expected one for all files or one for each of {files}, "
            f"got {len(values)}"
        )
    return values if len(values) == files else [values[0]] * files
