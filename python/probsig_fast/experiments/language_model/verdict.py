"""Whether a figure rises early, and what is left of it: by a rule that is stated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: A smaller rise is none: of cosines' correlations and means, and of the digits' rank correlation,
#: which 45 pairs of ten things leave uncertain by about 0.15.
LEAST_RISE, LEAST_DIGIT_RISE = 0.02, 0.3
#: The share of the rise that has to be reached, and to be left at the end.
MOST = 0.9
EARLY, LATE = 0.25, 0.75

RULE = (
    f"rises: its highest is at least {LEAST_RISE} (digits: {LEAST_DIGIT_RISE}) above step 0; "
    f"early: {MOST:.0%} of that rise is there within the first quarter of the steps; late: not "
    f"within three quarters; stays: at least {MOST:.0%} of the rise is left at the end, else decays"
)


@dataclass(frozen=True)
class Verdict:
    """How a figure went over a training.

    Attributes:
        figure: its name.
        first, highest, last: its values at step 0, at its largest, at the end.
        highest_step: the first step at which it is largest.
        most_step: the first step with 90 % of the rise, highest - first.
        last_over_highest: NaN where the highest is not above 0.
        left: (last - first) / (highest - first); NaN without a rise.
        words: the verdict, by `RULE`.
    """

    figure: str
    first: float
    highest: float
    highest_step: int
    most_step: int
    last: float
    last_over_highest: float
    left: float
    words: str


def judge(
    figure: str,
    steps: NDArray[np.int64],
    values: NDArray[np.float64],
    least: float = LEAST_RISE,
) -> Verdict:
    """The verdict on a figure's values [T] at these steps, ascending from 0; a rise is `least`.

    Steps at which it is undefined (NaN) are passed over; "undefined" if fewer than two are left.
    """
    defined = np.isfinite(values)
    length = int(steps[-1])
    steps, values = steps[defined], values[defined]
    nan = float("nan")
    if values.size < 2:
        return Verdict(figure, nan, nan, -1, -1, nan, nan, nan, "undefined")
    first, last = float(values[0]), float(values[-1])
    at = int(values.argmax())
    highest = float(values[at])
    rise = highest - first
    most = int(steps[(values >= first + MOST * rise).argmax()])
    over = last / highest if highest > 0 else nan
    if rise < least:
        words = "falls" if first - last >= least else "does not rise"
        return Verdict(figure, first, highest, int(steps[at]), most, last, over, nan, words)
    left = (last - first) / rise
    when = "early" if most <= EARLY * length else "late" if most > LATE * length else "midway"
    then = "stays" if left >= MOST else "decays"
    words = f"rises {when}, {then}"
    return Verdict(figure, first, highest, int(steps[at]), most, last, over, left, words)
