"""`probsig top`: what most often goes with a token."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, SourceNotFoundError
from . import output

if TYPE_CHECKING:
    from ..counts import Counts

NAME = "top"
SUMMARY = "show what most often follows or precedes a token"
DESCRIPTION = """\
Show the tokens counted most often with TOKEN: those after it (--side next, its row), or those
before it (--side previous, its column). Without --tokenizer, TOKEN is an id; with it, a string.
"""
EPILOG = r"""
examples:
  probsig top docs.next.safetensors 284 --k 5
  probsig top docs.next.safetensors ' New' --tokenizer tokenizer.json
  probsig top docs.next.safetensors '\n' --tokenizer tokenizer.json --side previous
  probsig top probsig-demo/next.safetensors --tokenizer probsig-demo/tokens.json -- '->'

a space at the start belongs to the token: quote it. Escapes such as \n, \t, \u00e9 are read where
no token has the text as it stands. -- comes before a token that starts with a dash.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="counts file")
    parser.add_argument("token", metavar="TOKEN", help="id; with --tokenizer a string")
    parser.add_argument("--k", type=int, default=10, metavar="K", help="how many (default 10)")
    parser.add_argument("--side", choices=("next", "previous"), default="next")
    parser.add_argument(
        "--tokenizer",
        type=Path,
        metavar="FILE",
        help="tokenizer.json (needs the extra [text]), or a JSON list or mapping of strings",
    )
    parser.add_argument("--id", action="store_true", help="TOKEN is an id even with --tokenizer")
    output.add_json(parser)


def run(arguments: argparse.Namespace) -> None:
    from ..counts import Counts

    counts = Counts.load(arguments.file)
    if arguments.tokenizer is not None:
        counts = counts.with_tokens(read_strings(arguments.tokenizer))
    token = _token(arguments, counts)
    neighbours = counts.top(token, arguments.k, arguments.side)
    support = int((counts.row_sum if arguments.side == "next" else counts.column_sum)[token])
    if arguments.json:
        output.print_json(
            {
                "token": token,
                "string": _string(counts, token),
                "side": arguments.side,
                "occurrences": int(counts.unigram[token]),
                "support": support,
                "weight_scale": counts.weight_scale,
                "top": [neighbour._asdict() for neighbour in neighbours],
            }
        )
        return
    scale = counts.weight_scale
    string = _string(counts, token)
    print(
        f"token {token}{'' if string is None else f' {string!r}'}: "
        f"{counts.unigram[token]:,} occurrences, {_count(support, scale)} pairs with it "
        f"{'first' if arguments.side == 'next' else 'second'} ({output.show_relation(counts)})"
    )
    if not neighbours:
        return
    header = ["id", "count", f"P({_condition(counts, arguments.side)})", "token"]
    rows = [
        [str(n.token), _count(n.count, scale), f"{n.probability:.4f}", _shown(n.string)]
        for n in neighbours
    ]
    shown = slice(None) if counts.token_strings else slice(3)
    output.print_table(header[shown], [row[shown] for row in rows], left={3})


def read_strings(path: Path) -> Any:
    """What `Counts.with_tokens` takes: the path of a tokenizer.json, or the strings of a JSON list
    or mapping (id -> string, or string -> id as in a vocab.json).

    Raises:
        SourceNotFoundError: no such file.
        ArgumentError: not JSON, or not one of these.
    """
    if not path.is_file():
        raise SourceNotFoundError(f"--tokenizer: expected a file, got {str(path)!r}: no such file")
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArgumentError(f"--tokenizer: expected JSON, got {str(path)!r}: {error}") from error
    if isinstance(loaded, list) and all(isinstance(each, str) for each in loaded):
        return loaded
    if isinstance(loaded, dict) and "model" in loaded:
        return os.fspath(path)
    strings = _mapping(loaded) if isinstance(loaded, dict) else None
    if strings is None:
        raise ArgumentError(
            "--tokenizer: expected a tokenizer.json, or a JSON list or mapping of strings, "
            f"got neither in {str(path)!r}"
        )
    return strings


def _mapping(loaded: dict[str, Any]) -> dict[int, str] | None:
    if all(isinstance(token, int) for token in loaded.values()):
        return {token: string for string, token in loaded.items()}
    if all(key.isdecimal() and isinstance(text, str) for key, text in loaded.items()):
        return {int(key): text for key, text in loaded.items()}
    return None


def _token(arguments: argparse.Namespace, counts: Counts) -> int:
    text: str = arguments.token
    if counts.token_strings is None or arguments.id:
        try:
            return int(text)
        except ValueError:
            raise ArgumentError(
                f"TOKEN: expected an id, got {text!r}: strings need --tokenizer"
            ) from None
    if text not in counts.token_strings:
        text = _unescaped(text)
    if text not in counts.token_strings:
        raise ArgumentError(f"TOKEN: no token is {arguments.token!r}{_similar(counts, text)}")
    return counts.token_id(text)


def _unescaped(text: str) -> str:
    try:
        return text.encode("latin-1", "backslashreplace").decode("unicode_escape")
    except UnicodeDecodeError:
        return text


def _similar(counts: Counts, text: str) -> str:
    """The usual slip is the space that belongs to a token."""
    bare = text.strip().lower()
    similar = [s for s in counts.token_strings or () if s.strip().lower() == bare and bare]
    return f"; there is {', '.join(map(repr, similar[:5]))}" if similar else ""


def _string(counts: Counts, token: int) -> str | None:
    return counts.token_strings[token] if counts.token_strings else None


def _shown(string: str | None) -> str:
    return "" if string is None else repr(string)


def _count(count: int, scale: int) -> str:
    """Weighted counts are kept as integers; shown as the sums of weights that they mean."""
    return f"{count:,}" if scale == 1 else f"{count / scale:,.2f}"


def _condition(counts: Counts, side: str) -> str:
    if counts.relation.name == "next":
        return "next | token" if side == "next" else "previous | token"
    return "column | row" if side == "next" else "row | column"
