"""`probsig top`: what most often goes with a token."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ArgumentError
from . import any_counts, output
from .token_argument import find_token, read_strings

if TYPE_CHECKING:
    from ..counts import Counts, Neighbour
    from ..labelled import Companion, LabelledCounts

DESCRIPTION = """\
Show what was counted most often with TOKEN. Counts of next tokens and windows: the tokens after it
(--side next, its row), or before it (--side previous, its column). Counts of prefixes: the labels
of the samples that hold it (--side label), or the tokens in the prefixes of the label that it is
(--side token). Counts of sequences: the other tokens in them. Labelled counts: the labels of the
samples that hold it (--side label), or the other tokens in them (--side token). Without
--tokenizer, TOKEN is an id; with it, a string.
"""
EPILOG = r"""
examples:
  probsig top docs.next.safetensors 284 --k 5
  probsig top docs.next.safetensors ' New' --tokenizer tokenizer.json
  probsig top docs.next.safetensors '\n' --tokenizer tokenizer.json --side previous
  probsig top docs.prefix.safetensors ' New' --tokenizer tokenizer.json --side token
  probsig top task.safetensors 7 --side label
  probsig top probsig-demo/next.safetensors --tokenizer probsig-demo/tokens.json -- '->'

a space at the start belongs to the token: quote it. Escapes such as \n, \t, \u00e9 are read where
no token has the text as it stands. -- comes before a token that starts with a dash.
"""


class _Side(NamedTuple):
    """One way to read the counts of a relation.

    Attributes:
        is_row: TOKEN is a row's; else a column's.
        condition: what is shown is P(condition).
        support: what P is over.
    """

    is_row: bool
    condition: str
    support: str


#: What --side may be for counts of each relation, the default first.
_SIDES: dict[str, dict[str | None, _Side]] = {
    "next": {
        "next": _Side(True, "next | token", "pairs with it first"),
        "previous": _Side(False, "previous | token", "pairs with it second"),
    },
    "window": {
        "next": _Side(True, "column | row", "pairs with it first"),
        "previous": _Side(False, "row | column", "pairs with it second"),
    },
    "prefix": {
        "label": _Side(True, "label | token in prefix", "samples with it in the prefix"),
        "token": _Side(False, "token in prefix | label", "samples with it as the label"),
    },
    "same-sequence": {None: _Side(True, "other | token", "sequences with it")},
}


@dataclass(frozen=True)
class _Answer:
    """What is shown of a token.

    Attributes:
        side: as --side names it.
        told: how often the token was seen, in words.
        relation: of what the counts are, in words.
        share: what the last column of numbers is.
        lines: what was counted with the token: an id, a count, and that over the support.
        of_labels: the ids are those of labels, which have no strings.
        fields: what JSON has beside the lines.
    """

    side: str | None
    told: str
    relation: str
    share: str
    lines: Sequence[Neighbour] | Sequence[Companion]
    fields: dict[str, Any]
    of_labels: bool = False
    weight_scale: int = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="counts file, or folder of counts")
    parser.add_argument("token", metavar="TOKEN", help="id; with --tokenizer a string")
    parser.add_argument("--k", type=int, default=10, metavar="K", help="how many (default 10)")
    parser.add_argument(
        "--side",
        choices=("next", "previous", "label", "token"),
        help="default: next, or label (for counts that have labels)",
    )
    parser.add_argument(
        "--tokenizer",
        type=Path,
        metavar="FILE",
        help="tokenizer.json (needs the extra [text]), or a JSON list or mapping of strings",
    )
    parser.add_argument("--id", action="store_true", help="TOKEN is an id even with --tokenizer")
    output.add_json(parser)


def run(arguments: argparse.Namespace) -> None:
    from ..labelled import LabelledCounts

    counts = any_counts.load(arguments.file)
    strings = None
    if arguments.tokenizer is not None:
        strings = read_strings(arguments.tokenizer, counts.vocab_size)
    token = find_token(arguments.token, None if arguments.id else strings)
    if isinstance(counts, LabelledCounts):
        answer = _of_labelled(counts, token, arguments.k, arguments.side)
    else:
        answer = _of_relation(counts, token, arguments.k, arguments.side)
    if arguments.json:
        output.print_json(_fields(answer, token, strings))
    else:
        _print(answer, token, strings)


def _of_relation(counts: Counts, token: int, k: int, name: str | None) -> _Answer:
    sides = _SIDES[counts.relation.name]
    name = _checked_side(name, list(sides), output.show_relation(counts))
    side = sides[name]
    lines = counts.top(token, k, "next" if side.is_row else "previous")
    support = int((counts.n_in if side.is_row else counts.n_out)[token])
    occurrences, scale = int(counts.unigram[token]), counts.weight_scale
    return _Answer(
        name,
        f"{occurrences:,} occurrences, {_count(support, scale)} {side.support}",
        output.show_relation(counts),
        f"P({side.condition})",
        lines,
        {"occurrences": occurrences, "support": support, "weight_scale": scale},
        weight_scale=scale,
    )


def _of_labelled(counts: LabelledCounts, token: int, k: int, name: str | None) -> _Answer:
    words = any_counts.words(counts)
    name = _checked_side(name, ["label", "token"], words)
    lines = counts.top(token, k, "label" if name == "label" else "token")
    support = int(counts.n_in[token])
    presence = counts.incidence == "presence"
    other = "label" if name == "label" else "other"
    return _Answer(
        name,
        f"{support:,} {'samples with it' if presence else 'occurrences'}",
        words,
        # Over multiplicities it is no probability.
        f"P({other} | token)" if presence else f"N[token, {other}] / N[token]",
        lines,
        {"support": support},
        of_labels=name == "label",
    )


def _checked_side(name: str | None, sides: list[str | None], words: str) -> str | None:
    """The side, or else the default.

    Raises:
        ArgumentError: these counts have no such side.
    """
    if name is None:
        return sides[0]
    if name not in sides:
        expected = " or ".join(each for each in sides if each) or "none"
        raise ArgumentError(f"--side: expected {expected} for counts of {words}, got {name!r}")
    return name


def _fields(answer: _Answer, token: int, strings: Sequence[str] | None) -> dict[str, Any]:
    of_lines = None if answer.of_labels else strings
    return {
        "token": token,
        "string": _string(strings, token),
        "side": answer.side,
        **answer.fields,
        "top": [each._asdict() | {"string": _string(of_lines, each[0])} for each in answer.lines],
    }


def _print(answer: _Answer, token: int, strings: Sequence[str] | None) -> None:
    string = f" {strings[token]!r}" if strings else ""
    print(f"token {token}{string}: {answer.told} ({answer.relation})")
    if not answer.lines:
        return
    of_lines = None if answer.of_labels else strings
    rows = [
        [str(i), _count(count, answer.weight_scale), f"{share:.4f}", repr(_string(of_lines, i))]
        for i, count, share, *_ in answer.lines
    ]
    header = ["id", "count", answer.share, "token"]
    shown = slice(None) if of_lines else slice(3)
    output.print_table(header[shown], [row[shown] for row in rows], left={3})


def _string(strings: Sequence[str] | None, token: int) -> str | None:
    return strings[token] if strings else None


def _count(count: int, scale: int) -> str:
    """Weighted counts are kept as integers; shown as the sums of weights that they mean."""
    return f"{count:,}" if scale == 1 else f"{count / scale:,.2f}"
