"""Groups of tokens that a reader knows: which of their texts have rows, and in which spelling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

#: Whatever tokenizer: a word with a space before it is another token than the word without.
GROUPS: Mapping[str, Sequence[str]] = {
    "digits": tuple("0123456789"),
    "months": (
        *(" January", " February", " March", " April", " May", " June", " July"),
        *(" August", " September", " October", " November", " December"),
    ),
    "weekdays": (
        *(" Monday", " Tuesday", " Wednesday", " Thursday", " Friday", " Saturday", " Sunday"),
    ),
    "brackets": ("(", ")", "[", "]", "{", "}", "<", ">"),
    "comparisons": (" ==", " !=", " <=", " >=", " =", " +=", " &&", " ||"),
    "keywords": (
        *(" if", " else", " for", " while", " return", " class", " def", " import", " try"),
        *(" true", " false", " None", " null"),
    ),
    "number words": (" one", " two", " three", " four", " five", " six", " ten"),
    "prepositions": (" of", " in", " to", " from", " by", " with", " on", " at"),
    "pronouns": (" I", " you", " she", " it", " we", " they"),
}


class _Rows(Protocol):
    """What a signature of any kind has."""

    @property
    def tokens(self) -> NDArray[np.int64]: ...

    @property
    def token_strings(self) -> Sequence[str] | None: ...


@dataclass(frozen=True)
class FoundGroup:
    """The tokens of a group that have rows.

    Attributes:
        name: of the group.
        tokens: ids, in the order of the group.
        missing: the members that have no row, neither as they are nor with the space at their
            start put on or taken off.
    """

    name: str
    tokens: tuple[int, ...]
    missing: tuple[str | int, ...] = ()


def find_groups(
    groups: Mapping[str, Sequence[str | int]],
    signatures: Iterable[_Rows],
    among: NDArray[np.int64] | None = None,
) -> list[FoundGroup]:
    """The members of each group that all signatures have a row for.

    A member is an id, or a text. Of a text the token is taken that reads exactly so; where that has
    no row, the one with the space at its start taken off, or put on. No token comes twice in a
    group; a text that several tokens have means the first of them with a row.

    Args:
        groups: texts or ids by the name of their group.
        signatures: of one vocabulary; the strings are those of the first.
        among: ids allowed, where not every row is (those that an embedding has too).
    """
    signatures = list(signatures)
    allowed = _common(signatures, among)
    ids = _ids_by_text(signatures[0].token_strings, allowed)
    found = []
    for name, members in groups.items():
        tokens: dict[int, None] = {}
        missing = []
        for member in members:
            token = _token(member, ids, allowed)
            if token is None:
                missing.append(member)
            else:
                tokens[token] = None
        found.append(FoundGroup(name, tuple(tokens), tuple(missing)))
    return found


def _common(signatures: Iterable[_Rows], among: NDArray[np.int64] | None) -> set[int]:
    sets = [set(each.tokens.tolist()) for each in signatures]
    if among is not None:
        sets.append(set(among.tolist()))
    return set.intersection(*sets)


def _ids_by_text(strings: Sequence[str] | None, allowed: set[int]) -> dict[str, int]:
    """The lowest id first: a later one of the same text does not replace it."""
    ids: dict[str, int] = {}
    if strings is not None:
        for token in sorted(allowed):
            ids.setdefault(strings[token], token)
    return ids


def _token(member: str | int, ids: Mapping[str, int], allowed: set[int]) -> int | None:
    if isinstance(member, int):
        return member if member in allowed else None
    other = member[1:] if member.startswith(" ") else f" {member}"
    return ids.get(member, ids.get(other))
