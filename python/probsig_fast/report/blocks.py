"""What a page consists of, without its HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..plots.token_labels import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: In the place of an undefined figure.
UNDEFINED = "undefined"


@dataclass(frozen=True)
class Token:
    """A cell that names a token: its text, blanks made visible, or `#id` where it has none."""

    text: str
    id: int


Cell = str | Token


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first cell of each is its heading.

    Attributes:
        caption: what the rows are, with n and units.
        folded: shown only when it is opened.
        alone: with nothing beside it.
        words: columns of words, beside the first and those of tokens.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    folded: bool = False
    alone: bool = False
    words: frozenset[int] = frozenset()

    @property
    def left(self) -> frozenset[int]:
        """Columns of text rather than numbers: the first, and those of tokens."""
        first: Sequence[Cell] = self.rows[0] if self.rows else ()
        return self.words | {0, *(i for i, cell in enumerate(first) if isinstance(cell, Token))}


@dataclass(frozen=True)
class Picture:
    """A figure, which is also written to a file of its own.

    Attributes:
        file: its name.
        alt: what it shows, in words.
        caption: what it means, with n and units.
        wide: needs the whole width: on a narrow screen it scrolls inside its box.
    """

    file: str
    figure: Figure
    alt: str
    caption: str
    wide: bool = False


@dataclass(frozen=True)
class Block:
    """A part of a section.

    Attributes:
        text: paragraphs that say what follows and what chance would give.
    """

    title: str
    text: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()


@dataclass(frozen=True)
class Section:
    """What is said of one comparison.

    Attributes:
        id: for links.
        lead: the first paragraph.
    """

    id: str
    title: str
    lead: Sequence[str]
    blocks: Sequence[Block] = field(default_factory=list)


def plain(value: Any) -> str:
    """Whatever JSON may hold, as words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(each)}" for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return "; ".join(map(plain, value))
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, float):
        return f"{value:,.6g}" if math.isfinite(value) else UNDEFINED
    return f"{value:,}" if isinstance(value, int) else str(value)


def token_cell(token: int, strings: Sequence[str] | None) -> Token:
    return Token(visible(strings[token]) if strings else f"#{token}", token)


def number(value: float, digits: int = 4) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else UNDEFINED


def signed(value: float, digits: int = 4) -> str:
    """With its sign, where it is the sign that is to be seen."""
    return f"{value:+.{digits}f}" if math.isfinite(value) else UNDEFINED


def factor(value: float) -> str:
    return f"{value:.3g} x" if math.isfinite(value) else UNDEFINED


def percent(share: float) -> str:
    return f"{100 * share:.3g} %" if math.isfinite(share) else UNDEFINED


def count(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
