"""Token texts made visible: blanks, line breaks, and what a font lacks."""

from __future__ import annotations

import re
from functools import cache

#: The font of token labels in pictures; it comes with Matplotlib.
FONT = "DejaVu Sans Mono"
_LONGEST = 18
_BOX = "\N{OPEN BOX}"
_BLANKS = re.compile(" {5,}")


def visible(text: str) -> str:
    """The text with its blanks as open boxes (five and more with their number), line breaks and
    what cannot be printed as escapes."""
    escaped = repr(text)[1:-1].replace("\\'", "'")
    counted = _BLANKS.sub(lambda run: f"{_BOX}\N{MULTIPLICATION SIGN}{len(run[0])}", escaped)
    return counted.replace(" ", _BOX)


def drawable(text: str) -> str:
    """`visible`, at most 18 characters of it, with escapes for what `FONT` lacks (Chinese, emoji),
    as Matplotlib would warn and draw an empty box; and no `$` taken for the start of a formula."""
    return drawable_name(visible(text))


def drawable_name(text: str) -> str:
    """The same of a name whose blanks stay as they are."""
    known = _characters()
    shown = [c if ord(c) in known else _escape(c) for c in text]
    if sum(map(len, shown)) > _LONGEST:
        while sum(map(len, shown)) >= _LONGEST:
            shown.pop()
        shown.append("\N{HORIZONTAL ELLIPSIS}")
    return "".join(shown).replace("$", r"\$")


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


@cache
def _characters() -> frozenset[int]:
    """Code points that `FONT` has."""
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(FONT)).get_charmap())
