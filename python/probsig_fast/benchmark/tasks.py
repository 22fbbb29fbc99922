"""What is counted: a relation, over as much of a corpus as takes seconds rather than minutes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from ..errors import ArgumentError
from ..relations import Next, Prefix, Relation, SameSequence, Window
from .corpora import Corpus

#: The relations of the benchmark, unless some are asked for.
DEFAULT = ("next", "window-10", "window-64", "prefix-64", "prefix-1024", "same-sequence")
#: The kind of task that measures the machine.
LIMITS = "limits"
#: Tokens a sequence of `SameSequence`: as the Pile's rows for the Pythia models.
ROW = 2048
_FORMS = {"window": Window, "prefix": Prefix}
_UNITS = {"next": "pairs", "window": "pairs", "prefix": "incidences"}
_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


@dataclass(frozen=True)
class Task:
    """One relation, counted over the first tokens of a corpus.

    Attributes:
        name: `next`, `window-10`, `prefix-64`, `same-sequence`; or `limits`.
        kind: the relation's name; or `limits`, where the relation means nothing.
        reach: places that a token is counted with at most: what a window or a prefix spans, else 1.
        most: tokens that are counted at most.
        reference: tokens on which all are compared with the definition, which is slow.
    """

    name: str
    kind: str
    relation: Relation
    reach: int
    most: int | None
    reference: int

    @property
    def unit(self) -> str:
        """What the sum of all counts is; of sets and limits, tokens, as by these they are told."""
        return _UNITS.get(self.kind, "tokens")

    def rules(self, corpus: Corpus) -> dict[str, Any]:
        """Arguments of `count`. Pairs of neighbours are those of one stream, as peers count them;
        windows and prefixes end at `eos`; sets are of rows."""
        cuts: dict[str, Any] = {}
        if self.kind == SameSequence.name:
            cuts = {"sequence_length": ROW}
        elif self.kind != Next.name:
            cuts = {"eos": corpus.eos}
        return {"vocab_size": corpus.vocab_size, **cuts}


def task(text: str) -> Task:
    """`next`, `window-10`, `prefix-64:20M` (of 20 million tokens at most), `same-sequence`.

    Raises:
        ArgumentError: another relation, or a number that is none.
    """
    name, colon, most = text.partition(":")
    made = _named(name)
    return replace(made, most=count(f"relation {name}", most)) if colon else made


def _named(name: str) -> Task:
    if name == Next.name:
        return Task(name, name, Next(), 1, None, 200_000)
    if name == SameSequence.name:
        return Task(name, name, SameSequence(), 1, 41_000_000, 20 * ROW)
    found = re.fullmatch(r"(window|prefix)-([0-9]+)", name)
    if not found:
        raise ArgumentError(
            "relation: expected next, window-N, prefix-N or same-sequence, each with :TOKENS "
            f"behind it or not, got {name!r}"
        )
    reach = int(found[2])
    reference = max(min(200_000, 2_000_000 // max(reach, 1)), 2_000)
    most = None if found[1] == "window" and reach <= 16 else 41_000_000 if reach <= 64 else 10**7
    return Task(name, found[1], _FORMS[found[1]](reach), reach, most, reference)


def limits_task() -> Task:
    return Task(LIMITS, LIMITS, Next(), 1, None, 1_000)


def count(argument: str, text: str) -> int:
    """`2000000`, `2_000_000`, `100M`, `0.1G`.

    Raises:
        ArgumentError: no whole number of at least 1.
    """
    found = re.fullmatch(r"([0-9_]+(?:\.[0-9]+)?)([kmg]?)", text.strip().lower())
    number = Fraction(found[1].replace("_", "")) * _SUFFIXES[found[2]] if found else Fraction(0)
    if number < 1 or number.denominator != 1:
        raise ArgumentError(f"{argument}: expected a number such as 2000000 or 100M, got {text!r}")
    return int(number)
