"""What the demo prints of its counts."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..counts import Counts
from ..plots import signature_cosines
from ..plots.token_groups import find_groups
from ..signature import Signature

#: Tokens to show neighbours of. A space belongs to the token: 'import' begins a line, ' import'
#: stands within one.
SUCCESSORS = ("import", " import", "self", "(", "def", "return", " not")
NEAREST_BY_NEXT = ("7", "break", " True", " <", ")", " str", " of")
NEAREST_BY_PREVIOUS = ("if", " ValueError", " !=")
NEAREST_BY_WINDOW = ("7", " ValueError", " len", "append", "class", " the")

#: Readable groups for the table and the picture.
GROUPS = {
    "digits": tuple("0123456789"),
    "comparisons": (" ==", " !=", " <", " >", " <=", " >="),
    "statements": ("if", "elif", "while", "for", "with", "return", "raise"),
    "jumps": ("break", "continue", "pass"),
    "constants": (" None", " True", " False"),
    "types": (" int", " str", " float", " bytes", " list", " dict", " tuple"),
    "exceptions": (
        *(" ValueError", " TypeError", " RuntimeError", " KeyError", " IndexError", " OSError"),
        *(" AttributeError", " ImportError"),
    ),
    "methods": ("append", "extend", "remove", "join", "split", "strip", "write", "close"),
    "prepositions": (" of", " from", " by", " with", " on", " to"),
}
_SHOWN = 5


def show_neighbours(counts: Counts) -> None:
    """Successors and predecessors of a few tokens."""
    known = set(counts.token_strings or ())
    for string in SUCCESSORS:
        if string in known:
            after = [(n.string or "", n.probability) for n in counts.top(string, _SHOWN)]
            before = [
                (n.string or "", n.probability) for n in counts.top(string, _SHOWN, "previous")
            ]
            print(f"  {string!r:<10} then    {_row(after)}")
            print(f"  {'':<10} after   {_row(before)}")


def show_nearest(signature: Signature, strings: Iterable[str]) -> None:
    """The tokens whose rows have the largest cosine with these tokens' rows."""
    names = signature.token_strings or ()
    for token in present(signature, strings):
        nearest = [(names[other], cosine) for other, cosine in signature.nearest(token, _SHOWN)]
        print(f"  {names[token]!r:<14}{_row(nearest)}")


def show_groups(signatures: dict[str, Signature], groups: dict[str, list[int]]) -> None:
    """Mean cosine within each group and with the tokens of all others."""
    tokens = [token for group in groups.values() for token in group]
    group_of = np.repeat(np.arange(len(groups)), [len(group) for group in groups.values()])
    print(f"  {'':<14}" + "".join(f"{name:>18}" for name in signatures))
    print(f"  {'':<14}" + f"{'within':>10}{'others':>8}" * len(signatures))
    cosines = [signature_cosines(signature, tokens) for signature in signatures.values()]
    for number, name in enumerate(groups):
        inside = group_of == number
        cells = ""
        for matrix in cosines:
            within = matrix[np.ix_(inside, inside)]
            size = int(inside.sum())
            mean = (within.sum() - within.trace()) / (size * (size - 1))
            cells += f"{mean:>10.2f}{matrix[np.ix_(inside, ~inside)].mean():>8.2f}"
        print(f"  {name:<14}{cells}")


def bits_of_next_token(counts: Counts, signature: Signature) -> tuple[float, float]:
    """Entropy in bits of a token with a predecessor: without knowing that one, and knowing it."""
    share = counts.column_sum[counts.column_sum > 0] / counts.total
    weights = signature.support[signature.tokens]
    known = np.average(signature.entropy()[signature.tokens], weights=weights)
    return float(-(share * np.log2(share)).sum()), float(known / np.log(2))


def present(signature: Signature, strings: Iterable[str]) -> list[int]:
    """The ids of those strings that have a row: a smaller library may lack some."""
    ids = {string: token for token, string in enumerate(signature.token_strings or ())}
    found = [ids[string] for string in strings if string in ids]
    return [token for token in found if signature.row(token)[0].size]


def groups_present(signatures: Iterable[Signature]) -> dict[str, list[int]]:
    """The groups, each with the tokens that all signatures have, if they are at least two."""
    found = find_groups(GROUPS, signatures)
    return {group.name: list(group.tokens) for group in found if len(group.tokens) > 1}


def _row(pairs: list[tuple[str, float]]) -> str:
    return "   ".join(f"{_quoted(text)} {number:.2f}" for text, number in pairs if number >= 0.005)


def _quoted(string: str) -> str:
    """As Python would write it; a line break with an indentation of 8 as '\\n'+8."""
    indentation = string[1:]
    if string.startswith("\n") and indentation and not indentation.strip(" "):
        return f"'\\n'+{len(indentation)}"
    return repr(string)
