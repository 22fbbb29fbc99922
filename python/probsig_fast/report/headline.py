"""The first blocks of a section: the figures side by side, and their nulls."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..plots.alignment import null_draws
from .blocks import UNDEFINED, Block, Picture, Table, count, factor, number, percent, signed
from .comparison import Measured

if TYPE_CHECKING:
    from ..alignment import Alignment, Null


def lead(measured: Measured) -> list[str]:
    """The figures in sentences: what is compared, and what came out."""
    comparison, result = measured.comparison, measured.centred
    name = comparison.signature.name
    return [_compared(measured), _outcome(result, name), _strong(result, name)]


def overview(everything: Sequence[tuple[str, Measured]]) -> Table:
    """One line a comparison; the first cell says which section tells more."""
    rows = []
    for title, measured in everything:
        raw, centred = measured.raw, measured.centred
        correlation = centred.metrics.correlation
        strong = centred.strong_pairs
        rows.append(
            [
                title,
                count(correlation.tokens),
                signed(raw.metrics.correlation.pearson),
                _with_error(correlation.pearson, centred.metrics.interval.error),
                _z(centred.null),
                _z(centred.banded_null),
                number(strong.by_embedding.mean_signature_cosine, 3),
                number(strong.mean_signature_cosine, 3),
                factor(strong.signature_lift),
            ]
        )
    head = [
        "signature and embedding",
        "tokens or labels",
        "R_cos raw",
        "R_cos mean-centred ± error",
        "z, free null",
        "z, null within bands",
        "signature cosine, strong pairs",
        "all pairs",
        "lift",
    ]
    return Table("Mean-centred unless it says raw; error: jackknife over tokens", head, rows)


def figures(measured: Measured, prefix: str) -> Block:
    """Every figure over all pairs, raw beside mean-centred, and the permuted tokens beside both."""
    text = [
        "R_cos is the Pearson correlation, over all pairs of different tokens, between the cosine "
        "of their embeddings and the cosine of their signatures; 0 means no linear relation. Raw "
        "takes the embedding as it is, mean-centred takes off the mean of the compared rows "
        "first, as embeddings share a large common direction. CKA compares the same two "
        "geometries with another weighting of pairs (1: the same up to rotation and scale); the "
        "debiased one is about 0 for unrelated matrices, which the plain one is not.",
        "The null is what the same figure gives when tokens are permuted: among all, or only "
        "within bands of like support, which keeps what frequency alone explains. z counts the "
        "standard deviations of the permuted values between their mean and the observed one; p is "
        "the share of values at least as far from 0, the observed one among them, so that with n "
        "draws it cannot be below 1 / (n + 1).",
    ]
    return Block("All pairs", text, [_null_picture(measured, prefix)], [_table(measured)])


def _compared(measured: Measured) -> str:
    comparison, correlation = measured.comparison, measured.centred.metrics.correlation
    facts, rows_are = comparison.embedding, comparison.rows_are
    support = comparison.signature.min_support
    tied = {True: ", tied with the other one", False: ", not tied", None: ""}[facts.tied]
    parts = [
        f"{facts.which.capitalize()} embedding {facts.name} ({facts.rows:,} x {facts.width:,}"
        f"{tied}) against {comparison.signature.name}, P({comparison.signature.condition}): "
        f"{correlation.tokens:,} {rows_are}"
        + (f" with a support of at least {support:,}" if support else "")
        + f", {correlation.pairs:,} pairs."
    ]
    dropped = correlation.dropped
    reasons = [
        f"{number_of:,} {reason}"
        for number_of, reason in (
            (dropped.unseen, "without a signature row or with too little support"),
            (dropped.zero, "with a zero embedding row"),
            (dropped.not_finite, "with NaN or infinity in the embedding"),
            (facts.rows_dropped, f"beyond the {rows_are} counted"),
        )
        if number_of
    ]
    if reasons:
        parts.append(f"Left out: {'; '.join(reasons)}.")
    return " ".join(parts)


def _outcome(result: Alignment, name: str) -> str:
    correlation, interval = result.metrics.correlation, result.metrics.interval
    if not math.isfinite(correlation.pearson):
        return (
            f"R_cos(W, {name}) is undefined on the mean-centred embedding: the cosines of one side "
            "are all equal."
        )
    banded = result.banded_null
    return (
        f"R_cos(W, {name}) is {correlation.pearson:.4f} on the mean-centred embedding "
        f"({percent(interval.level)} interval {number(interval.low)} to {number(interval.high)}). "
        f"With tokens permuted within {banded.bands} bands of support it is "
        f"{signed(banded.mean)} on average, with a standard deviation of "
        f"{number(banded.deviation)}: z = {_z(banded)}, p = {_p(banded)} ({banded.draws} draws)."
    )


def _strong(result: Alignment, name: str) -> str:
    strong = result.strong_pairs
    return (
        f"The {percent(strong.fraction)} of pairs that the embedding holds closest "
        f"({strong.top:,}) have a mean {name} cosine of "
        f"{number(strong.by_embedding.mean_signature_cosine)}, against "
        f"{number(strong.mean_signature_cosine)} over all pairs."
    )


def _table(measured: Measured) -> Table:
    level = measured.centred.metrics.interval.level
    lines: list[tuple[str, Callable[[Alignment], str]]] = [
        ("R_cos (Pearson)", lambda a: signed(a.metrics.correlation.pearson)),
        ("  jackknife error, over tokens", lambda a: number(a.metrics.interval.error)),
        (f"  {percent(level)} interval", lambda a: _interval(a)),
        ("Spearman", lambda a: signed(a.spearman.value)),
        ("  error of the sample", lambda a: _spearman_error(a)),
        ("CKA", lambda a: number(a.metrics.cka)),
        ("debiased CKA", lambda a: signed(a.metrics.debiased_cka)),
        ("tokens permuted: mean ± deviation", lambda a: _spread(a.null)),
        ("  z, p", lambda a: f"{_z(a.null)}, {_p(a.null)}"),
        ("  z over all permutations, exact", lambda a: signed(a.null.exact_z, 1)),
        ("permuted within bands of support", lambda a: _spread(a.banded_null)),
        ("  z, p", lambda a: f"{_z(a.banded_null)}, {_p(a.banded_null)}"),
        ("mean embedding cosine", lambda a: signed(a.metrics.correlation.mean_embedding_cosine)),
        ("mean signature cosine", lambda a: number(a.metrics.correlation.mean_signature_cosine)),
        (measured.comparison.rows_are, lambda a: count(a.metrics.correlation.tokens)),
        ("pairs", lambda a: count(a.metrics.correlation.pairs)),
        ("rows of the mean taken off", lambda a: count(a.metrics.correlation.mean_rows)),
    ]
    kinds = measured.kinds
    rows = [[label, *(value(each) for each in kinds.values())] for label, value in lines]
    banded = measured.centred.banded_null
    caption = (
        f"Figures over all pairs; nulls of {measured.centred.null.draws} draws among all tokens "
        f"and {banded.draws} within {banded.bands} bands"
    )
    return Table(caption, ["", *kinds], rows)


def _null_picture(measured: Measured, prefix: str) -> Picture:
    result = measured.centred
    observed = result.metrics.correlation.pearson
    free, banded = result.null, result.banded_null
    alt = (
        f"R_cos mean-centred, {number(observed)}, as a line beside {free.draws} values for tokens "
        f"permuted among all (mean {signed(free.mean)}) and {banded.draws} within bands of "
        f"support (mean {signed(banded.mean)})."
    )
    caption = (
        f"Mean-centred R_cos (line) beside its value for permuted tokens (points, {free.draws} and "
        f"{banded.draws} draws): what lies within the points, chance explains."
    )
    return Picture(f"{prefix}-null.png", null_draws(observed, free, banded), alt, caption)


def _with_error(value: float, error: float) -> str:
    return f"{signed(value)} ± {number(error)}" if math.isfinite(value) else UNDEFINED


def _interval(result: Alignment) -> str:
    interval = result.metrics.interval
    return f"{number(interval.low)} to {number(interval.high)}"


def _spearman_error(result: Alignment) -> str:
    spearman = result.spearman
    if not spearman.sampled:
        return "none, all pairs"
    return f"{number(spearman.error)} ({spearman.pairs:,} pairs)"


def _spread(null: Null) -> str:
    return f"{signed(null.mean)} ± {number(null.deviation)}"


def _z(null: Null) -> str:
    return signed(null.z, 1)


def _p(null: Null) -> str:
    return number(null.p_value, 3)
