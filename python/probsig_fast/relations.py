"""What is counted: frozen descriptions, with no code that counts.

The exact meaning of each relation is the table in README.md ("What exactly is counted").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from fractions import Fraction
from typing import Any, ClassVar, Literal

from .arguments import integer
from .errors import ArgumentError, ArgumentTypeError

Direction = Literal["forward", "backward", "symmetric"]
Weighting = str | Sequence[int | Fraction]

#: Weights are put over their least common denominator; a finer one than this is refused, so that
#: a count stays far from the 63 bits it is kept in.
MAX_WEIGHT_SCALE = 2**28
#: The largest scaled weight, for the same reason.
MAX_WEIGHT = 2**31 - 1
#: The largest window and prefix; beyond it, count sets of whole sequences instead.
MAX_WINDOW = 2**20


@dataclass(frozen=True)
class Next:
    """Next-token pairs: N[s, s'] = positions t with w_t = s and w_{t+1} = s' in one sequence."""

    name: ClassVar[str] = "next"
    weights: ClassVar[tuple[int, ...]] = (1,)
    weight_scale: ClassVar[int] = 1
    direction: ClassVar[Direction] = "forward"

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name}


@dataclass(frozen=True)
class Window:
    """Pairs at most `size` apart: N[x, y] = sum over i < j <= i + size in one sequence with
    w_i = x, w_j = y of weight(j - i).

    Args:
        size: the largest distance, from 1 to 2^20.
        weighting: `"uniform"` (1), `"harmonic"` (1/d), or one int or Fraction a distance, not
            negative. Floats are refused: they would make counts inexact.
        direction: `"forward"` counts N; `"backward"` N'; `"symmetric"` N + N', whose diagonal
            counts both ways.

    Attributes:
        weights: integer weight of each distance 1..size, over the common denominator.
        weight_scale: that denominator (2520 for harmonic 10). Every stored count is the weighted
            sum times `weight_scale`, an exact integer.

    Raises:
        ArgumentError: a size out of range, a list whose length is not `size`, negative or all-zero
            weights, a scale above 2^28 (harmonic beyond 22).
        ArgumentTypeError: a float size or weight.
    """

    name: ClassVar[str] = "window"
    size: int
    weighting: Weighting = "uniform"
    direction: Direction = "forward"
    weights: tuple[int, ...] = field(init=False, repr=False, compare=False)
    weight_scale: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", integer("size", self.size, 1, MAX_WINDOW))
        if self.direction not in ("forward", "backward", "symmetric"):
            raise ArgumentError(
                f"direction: expected 'forward', 'backward' or 'symmetric', got {self.direction!r}"
            )
        if not isinstance(self.weighting, str):
            object.__setattr__(self, "weighting", _fractions(self.weighting, self.size))
        weights, scale = _scaled(self.weighting, self.size)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "weight_scale", scale)

    def to_dict(self) -> dict[str, Any]:
        weighting = self.weighting
        return {
            "name": self.name,
            "size": self.size,
            "weighting": weighting if isinstance(weighting, str) else [str(w) for w in weighting],
            "direction": self.direction,
        }


@dataclass(frozen=True)
class Prefix:
    """Tokens before a token: N[x, nu] = positions t with label w_t = nu whose prefix holds x.

    A sample is a position t with at least one token before it in its sequence; its X is the set
    of the up to `length` tokens before t, its label the token at t. `Prefix(1)` counts what
    `Next()` does.

    Args:
        length: from 1 to 2^20.
        incidence: `"presence"`: a token counts once however often the prefix repeats it.

    Raises:
        ArgumentError: a length out of range, another incidence.
        ArgumentTypeError: a length that is no int.
    """

    name: ClassVar[str] = "prefix"
    weights: ClassVar[tuple[int, ...]] = (1,)
    weight_scale: ClassVar[int] = 1
    direction: ClassVar[Direction] = "forward"
    length: int
    incidence: InitVar[str] = "presence"

    def __post_init__(self, incidence: str) -> None:
        object.__setattr__(self, "length", integer("length", self.length, 1, MAX_WINDOW))
        _check_presence("Prefix", incidence)

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "length": self.length}


@dataclass(frozen=True)
class SameSequence:
    """Tokens in one sequence: N[x, x'] = sequences that hold both x and x'.

    The diagonal is N_x^in, the sequences that hold x. N is symmetric, and kept as its upper
    triangle.

    Args:
        incidence: `"presence"`: a token counts once however often the sequence repeats it.

    Raises:
        ArgumentError: another incidence.
    """

    name: ClassVar[str] = "same-sequence"
    weights: ClassVar[tuple[int, ...]] = (1,)
    weight_scale: ClassVar[int] = 1
    direction: ClassVar[Direction] = "forward"
    incidence: InitVar[str] = "presence"

    def __post_init__(self, incidence: str) -> None:
        _check_presence("SameSequence", incidence)

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name}


#: Relations of two tokens at a distance, and relations of a token and a set that may hold it.
PairRelation = Next | Window
SetRelation = Prefix | SameSequence
Relation = PairRelation | SetRelation


def relation_from_dict(fields: dict[str, Any]) -> Relation:
    """The inverse of `relation.to_dict()`.

    Raises:
        ArgumentError: an unknown name, or fields that the relation does not have.
    """
    fields = dict(fields)
    name = fields.pop("name", None)
    if name == Next.name and not fields:
        return Next()
    if name == Window.name and set(fields) == {"size", "weighting", "direction"}:
        weighting = fields["weighting"]
        if not isinstance(weighting, str):
            weighting = [Fraction(w) for w in weighting]
        return Window(fields["size"], weighting, fields["direction"])
    if name == Prefix.name and set(fields) == {"length"}:
        return Prefix(fields["length"])
    if name == SameSequence.name and not fields:
        return SameSequence()
    raise ArgumentError(
        f"relation: expected a known relation and its fields, got {name!r} {fields}"
    )


def _check_presence(relation: str, incidence: str) -> None:
    if incidence != "presence":
        raise ArgumentError(
            f"incidence: expected 'presence', as {relation} counts sets, got {incidence!r}: "
            "multiplicities are counted by count_labelled(X, y, incidence='multiplicity')"
        )


def _fractions(weighting: Sequence[int | Fraction], size: int) -> tuple[Fraction, ...]:
    try:
        given = tuple(weighting)
    except TypeError:
        raise ArgumentTypeError(
            "weighting: expected 'uniform', 'harmonic' or a list of ints or Fractions, "
            f"got {type(weighting).__name__} {weighting!r}"
        ) from None
    if len(given) != size:
        raise ArgumentError(f"weighting: expected {size} weights, one a distance, got {len(given)}")
    for distance, weight in enumerate(given, 1):
        if isinstance(weight, bool) or not isinstance(weight, (int, Fraction)):
            raise ArgumentTypeError(
                "weighting: expected ints or fractions.Fraction (floats are inexact), "
                f"got {type(weight).__name__} {weight!r} at distance {distance}"
            )
        if weight < 0:
            raise ArgumentError(
                f"weighting: expected weights >= 0, got {weight} at distance {distance}"
            )
    if not any(given):
        raise ArgumentError("weighting: expected at least one weight above 0, got only zeros")
    return tuple(Fraction(weight) for weight in given)


def _scaled(weighting: Weighting, size: int) -> tuple[tuple[int, ...], int]:
    """Integer weights of distances 1..size and the denominator they are over."""
    if weighting == "uniform":
        return (1,) * size, 1
    if weighting == "harmonic":
        # Beyond 22 the scale is above the limit already: never build huge integers first.
        scale = math.lcm(*range(1, min(size, 23) + 1))
        fractions = [Fraction(1, distance) for distance in range(1, min(size, 23) + 1)]
    elif isinstance(weighting, str):
        raise ArgumentError(
            "weighting: expected 'uniform', 'harmonic' or a list of ints or Fractions, "
            f"got {weighting!r}"
        )
    else:
        fractions = [Fraction(weight) for weight in weighting]
        scale = math.lcm(*(fraction.denominator for fraction in fractions))
    if scale > MAX_WEIGHT_SCALE:
        raise ArgumentError(
            f"weighting: expected a common denominator of at most 2^28 = {MAX_WEIGHT_SCALE}, "
            f"got {scale}{' or more' if weighting == 'harmonic' else ''} for {weighting!r} "
            f"at size {size}: give explicit integer weights instead"
        )
    weights = tuple(int(fraction * scale) for fraction in fractions)
    if max(weights) > MAX_WEIGHT:
        raise ArgumentError(
            f"weighting: expected scaled weights of at most 2^31 - 1, got {max(weights)}"
        )
    return weights, scale
