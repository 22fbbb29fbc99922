"""Blocks on single tokens: their neighbours, their frequency, their own correlations."""

from __future__ import annotations

import numpy as np

from ..plots.alignment import correlation_by_support, neighbours_by_k, token_correlations
from .blocks import Block, Cell, Picture, Table, count, factor, number, percent, signed, token_cell
from .comparison import Measured, Settings


def neighbours(measured: Measured, prefix: str) -> Block:
    kinds = measured.kinds
    overlaps = [each.neighbours for each in kinds.values()]
    figure = neighbours_by_k(overlaps)
    rows: list[list[Cell]] = []
    for i, k in enumerate(overlaps[0].k):
        values = [each.overlap[i] for each in overlaps]
        chance = overlaps[0].chance[i]
        over = factor(values[-1] / chance) if chance else ""
        rows.append([str(k), *(percent(value) for value in values), percent(chance), over])
    name, tokens = measured.comparison.signature.name, overlaps[0].tokens
    told = "; ".join(f"k = {row[0]}: {row[2]} against {row[3]}" for row in rows)
    rows_are = measured.comparison.rows_are
    text = [
        "Of the k nearest tokens of a token by embedding cosine, how many are among its k nearest "
        f"by {name} cosine; the mean over {tokens:,} {rows_are}. If both orders had nothing in "
        "common it would be k / (K - 1)."
    ]
    picture = Picture(
        f"{prefix}-neighbours.png",
        figure,
        f"Shared nearest neighbours over k, mean-centred beside chance: {told}.",
        f"Share of the k nearest that both geometries have, mean over {tokens:,} {rows_are}.",
    )
    head = ["k", *kinds, "chance", "mean-centred over chance"]
    table = Table(f"Neighbour overlap, {tokens:,} {rows_are}", head, rows)
    return Block("Nearest neighbours", text, [picture], [table])


def strata(measured: Measured, prefix: str) -> Block:
    raw, centred = measured.raw.strata, measured.centred.strata
    figure = correlation_by_support([(False, raw), (True, centred)])
    rows: list[list[Cell]] = [
        [
            f"{count(b.least_support)} to {count(b.most_support)}",
            count(b.tokens),
            count(b.pairs),
            signed(a.pearson),
            signed(b.pearson),
            signed(b.mean_embedding_cosine),
            number(b.mean_signature_cosine),
        ]
        for a, b in zip(raw, centred, strict=True)
    ]
    rows_are = measured.comparison.rows_are
    text = [
        f"The {rows_are} are cut into {len(rows)} groups of equal number by support, and R_cos is "
        "computed among the pairs within each. A correlation over all pairs that vanishes within "
        "groups would come from frequency alone. One mean, of all rows, is taken off for every "
        "group."
    ]
    told = "; ".join(f"support {row[0]}: {row[4]}" for row in rows)
    picture = Picture(
        f"{prefix}-strata.png",
        figure,
        f"R_cos within groups of like support, mean-centred: {told}.",
        f"R_cos among {rows_are} of like support, from the rarest (left) to the most frequent.",
    )
    caption = "Frequency strata; cosines of the mean-centred embedding"
    head = [
        "support",
        rows_are,
        "pairs",
        "R_cos raw",
        "R_cos mean-centred",
        "mean embedding cosine",
        "mean signature cosine",
    ]
    return Block("By frequency", text, [picture], [Table(caption, head, rows)])


def single_tokens(measured: Measured, prefix: str, settings: Settings) -> Block:
    raw, centred = (each.metrics.per_token for each in measured.kinds.values())
    figure = token_correlations([(False, raw), (True, centred)])
    finite = np.isfinite(centred.correlation)
    values, ids = centred.correlation[finite], centred.tokens[finite]
    order = np.argsort(-values, kind="stable")
    listed = min(settings.listed, values.size // 2)
    rows_are = measured.comparison.rows_are
    middle = float(np.median(values)) if values.size else float("nan")
    above = float((values > 0).mean()) if values.size else float("nan")
    text = [
        f"For each of the {rows_are} alone: the correlation, over all others, between the cosines "
        "of its embedding and those of its signature. R_cos mixes all of them; here is how they "
        f"differ. Of {values.size:,}, {percent(above)} are above 0 (mean-centred)"
        + (f"; {(~finite).sum():,} are undefined." if not finite.all() else ".")
    ]
    picture = Picture(
        f"{prefix}-tokens.png",
        figure,
        f"Histogram of the correlations of {values.size:,} single {rows_are}; mean-centred, their "
        f"median is {number(middle)} and {percent(above)} are above 0.",
        f"{values.size:,} {rows_are}; dashed: medians (mean-centred {number(middle)}).",
    )
    tables = [
        _listed(measured, f"{listed} {rows_are} that follow best", ids, values, order[:listed]),
        _listed(
            measured,
            f"{listed} {rows_are} that follow least",
            ids,
            values,
            order[::-1][:listed],
        ),
    ]
    return Block("Token by token", text, [picture], tables)


def _listed(
    measured: Measured,
    caption: str,
    ids: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    chosen: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
) -> Table:
    signature = measured.comparison.signature
    rows: list[list[Cell]] = [
        [
            token_cell(int(ids[i]), measured.comparison.strings),
            _support(int(signature.support[ids[i]]), signature.weight_scale),
            signed(float(values[i]), 3),
        ]
        for i in chosen
    ]
    return Table(f"{caption}, mean-centred", ["token", "support", "correlation"], rows)


def _support(support: int, scale: int) -> str:
    return count(support if scale == 1 else support / scale)
