"""Reads the command line, runs the command, and turns failures into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any, TextIO

from ..errors import EosNeverOccursWarning, ProbsigError, SubsetNeverOccursWarning
from . import output

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
#: What a shell reports of a program whose reader went away (128 + SIGPIPE).
READER_GONE = 141

#: Each command and what it does; the rest is in its module, which is imported once it is chosen.
COMMANDS = {
    "count": "count token pairs in files of token ids",
    "tokenize": "text files to one flat file of token ids, to count it many times",
    "count-labelled": "count tokens, labels and their pairs in samples (X, y)",
    "merge": "add counts files of shards of one corpus",
    "top": "show what most often goes with a token",
    "align": "correlate an embedding's cosines with those of a signature",
    "track": "follow an embedding's agreement with signatures over the checkpoints of a training",
    "info": "show the version, the backends and what is installed",
    "demo": "count the Python standard library's source and show what comes out",
    "bench": "measure how fast tokens are counted here, beside other ways to count them",
    "reproduce": "rerun an experiment of the paper: small models, trained on what is counted",
}

EPILOG = """\
examples:
  probsig demo
  probsig count pile-*.bin --dtype uint16 --vocab-size 50277 --eos 0 --out pile.safetensors
  probsig top pile.safetensors ' New' --tokenizer tokenizer.json
  probsig count --help

exit codes: 0 done; 1 an error, told in one line; 2 wrong usage; 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `probsig` with these arguments (those of the process if None); gives the exit code."""
    _escape_what_the_terminal_cannot_show(sys.stdout, sys.stderr)
    words = list(sys.argv[1:] if argv is None else argv)
    # No option of `probsig` itself takes a value, so the first word of another kind is the command.
    parser = build_parser(next((word for word in words if not word.startswith("-")), None))
    try:
        arguments = parser.parse_args(words, argparse.Namespace(typed=words))
        if "run" not in arguments:
            parser.print_help()
            return USAGE
        with warnings.catch_warnings():
            for told in (EosNeverOccursWarning, SubsetNeverOccursWarning):
                warnings.simplefilter("always", told)
            warnings.showwarning = _show_warning
            return _run(arguments)
    except SystemExit as stop:  # argparse's, after --help or a message on wrong usage
        return stop.code if isinstance(stop.code, int) else OK


def build_parser(chosen: str | None) -> argparse.ArgumentParser:
    """The parser of all commands, of which only the chosen one knows its arguments."""
    parser = argparse.ArgumentParser(
        prog="probsig",
        description="Count which tokens go together, exactly and fast; see what the counts say.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, summary in COMMANDS.items():
        # An abbreviated option would break in a script once a longer name joins it.
        added = commands.add_parser(name, help=summary, allow_abbrev=False)
        if name == chosen:
            _complete(added, import_module(f".{name.replace('-', '_')}", __package__))
    return parser


class _Version(argparse.Action):
    """Looks the version up when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from ..version import __version__

        print(f"probsig {__version__}")
        parser.exit()


def _complete(parser: argparse.ArgumentParser, command: Any) -> None:
    """Give a command's parser what the command's module says."""
    parser.description, parser.epilog = command.DESCRIPTION, command.EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--debug", action="store_true", help="show the traceback of an error, not one line"
    )
    command.add_arguments(parser)
    parser.set_defaults(run=command.run, parser=parser)


def _run(arguments: argparse.Namespace) -> int:
    try:
        code: int = arguments.run(arguments) or OK
        sys.stdout.flush()  # here, where a reader that is gone is still caught
        return code
    except BrokenPipeError:
        _discard_output()
        return READER_GONE
    except KeyboardInterrupt:
        output.say("interrupted")
        return INTERRUPTED
    except (ProbsigError, OSError, MemoryError) as error:
        if arguments.debug:
            raise
        output.say(f"error: {_told(error)}")
        return FAILED


def _told(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, MemoryError) and not isinstance(error, ProbsigError):
        return f"not enough memory{': ' if text else ''}{text}"
    return text or type(error).__name__


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    output.say(f"warning: {message}")


def _discard_output() -> None:
    """Python flushes standard output once more at exit, which must not fail again."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # not a real file
        return


def _escape_what_the_terminal_cannot_show(*streams: TextIO) -> None:
    """Tokens may hold any character; one that the terminal lacks must not end the command."""
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
