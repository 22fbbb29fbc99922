"""The figures of a comparison, from `alignment` and from the cosines that pictures need."""

from __future__ import annotations

from .comparison import Comparison, Measured, Settings
from .cosines import find_readable, group_cosines, most_frequent, pair_cosines, units_of


def measure(comparison: Comparison, settings: Settings) -> Measured:
    """All that a report says of a comparison.

    Raises:
        ArgumentError, ArgumentTypeError: as `alignment.align`.

    Cost: twice that of `alignment.align`, whose signature terms are computed once.
    """
    from ..alignment import align

    raw, centred = (
        align(comparison.W, comparison.signature, centre=centre, **settings.align)
        for centre in (False, True)
    )
    plain, less = units_of(comparison, False), units_of(comparison, True)
    groups = find_readable(comparison, [plain, less], settings)
    frequent = most_frequent(comparison, [plain, less], settings)
    return Measured(
        comparison,
        raw,
        centred,
        {False: pair_cosines(plain, settings), True: pair_cosines(less, settings)},
        group_cosines(plain, less, groups),
        group_cosines(plain, less, [frequent]),
    )
