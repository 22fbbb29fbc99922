"""The options of `probsig count` that say what is counted, and the relation that they make."""

from __future__ import annotations

import argparse
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..relations import Relation, Weighting

NAMES = ("next", "window", "prefix", "same-sequence")

#: Options that mean nothing with other relations, where to ignore one would hide a slip.
_GOES_WITH = {
    "size": ("window",),
    "weighting": ("window",),
    "direction": ("window",),
    "length": ("prefix",),
    "focus": ("prefix",),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is counted")
    group.add_argument(
        "--relation",
        choices=NAMES,
        default="next",
        help="next (the default): a token and the one after it; window: pairs within --size; "
        "prefix: each token (the label) with the set of the --length before it; same-sequence: "
        "two tokens in one sequence, however often",
    )
    group.add_argument("--size", type=int, metavar="N", help="window: the largest distance")
    group.add_argument(
        "--weighting",
        type=_weighting,
        metavar="W",
        help="window: uniform (the default), harmonic (1/distance), or one weight a distance: "
        "1,1/2,1/3",
    )
    group.add_argument(
        "--direction",
        choices=("forward", "backward", "symmetric"),
        help="window: default forward",
    )
    group.add_argument("--length", type=int, metavar="N", help="prefix: tokens before the label")
    group.add_argument(
        "--focus",
        type=int,
        nargs="+",
        metavar="ID",
        help="prefix: third-order counts too, of these tokens",
    )


def relation_of(arguments: argparse.Namespace) -> Relation:
    """The relation; where the options do not go together, a message on usage and exit code 2."""
    from ..relations import Next, Prefix, SameSequence

    name = arguments.relation
    for option, relations in _GOES_WITH.items():
        if getattr(arguments, option) is not None and name not in relations:
            arguments.parser.error(
                f"--{option.replace('_', '-')} goes with --relation {' or '.join(relations)}"
            )
    if name == "window":
        return _window(arguments)
    if name == "prefix":
        if arguments.length is None:
            arguments.parser.error("--relation prefix needs --length")
        return Prefix(arguments.length)
    return Next() if name == "next" else SameSequence()


def _window(arguments: argparse.Namespace) -> Relation:
    from ..relations import Window

    size, weighting = arguments.size, arguments.weighting
    if size is None:
        if weighting is None or isinstance(weighting, str):
            arguments.parser.error("--relation window needs --size")
        size = len(weighting)
    return Window(size, weighting or "uniform", arguments.direction or "forward")


def _weighting(text: str) -> Weighting:
    """`uniform`, `harmonic`, or exact weights: 1,1/2 and also 1,0.5, whose text is exact."""
    if text in ("uniform", "harmonic"):
        return text
    try:
        return [Fraction(weight) for weight in text.split(",")]
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(
            f"expected uniform, harmonic or weights such as 1,1/2,1/3, got {text!r}"
        ) from None
