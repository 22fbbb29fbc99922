"""Blocks on pairs of tokens: the strong ones, all at once, and those within known groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..plots.alignment import pair_density
from ..plots.group_cosines import group_cosines
from ..plots.token_labels import visible
from .blocks import Block, Cell, Picture, Table, count, factor, number, percent, signed, token_cell
from .comparison import Measured, Settings
from .cosines import GroupCosines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..alignment import Pair, StrongPairs

#: Tokens of one heatmap: more are split between groups, as their names could not be read.
_A_HEATMAP = 48
#: A mean that nothing is told as a multiple of.
_ABOUT_0 = 0.01


def strong_pairs(measured: Measured, settings: Settings) -> Block:
    name = measured.comparison.signature.name
    text = [
        "R_cos is one number over all pairs, most of which are far apart. Here are only the pairs "
        f"of largest cosine: how alike the {name} rows of those are that the embedding holds "
        "closest, and the reverse. Lift is the mean over the top pairs divided by that over all, "
        "so 1 is what chance gives; the share of pairs at the top by both would by chance be the "
        "fraction itself."
    ]
    tables = [_summary(measured)]
    for kind, result in reversed(measured.kinds.items()):
        strong, folded = result.strong_pairs, kind == "raw"
        for by, pairs in (
            ("embedding", strong.by_embedding.pairs),
            (name, strong.by_signature.pairs),
        ):
            shown = pairs[: settings.listed]
            caption = (
                f"First {len(shown)} of the {strong.top:,} top pairs by {by} cosine, {kind}, "
                "with both cosines"
            )
            tables.append(_listed(measured, caption, name, shown, folded))
    return Block("Strong pairs", text, [], tables)


def density(measured: Measured, prefix: str) -> Block:
    name = measured.comparison.signature.name
    text = [
        f"Each hexagon is coloured by how many pairs have this embedding cosine and this {name} "
        "cosine. If the two geometries had nothing to do with each other, the orange line (the "
        "mean signature cosine of pairs of like embedding cosine: groups of 2.5 % of the pairs, "
        "the last one cut finer) would be flat. Right of the dashed vertical line lie the strong "
        "pairs by embedding, above the dashed horizontal line those by signature."
    ]
    pictures = []
    for kind, result in reversed(measured.kinds.items()):
        pairs = measured.pairs[kind != "raw"]
        shown = f"{pairs.embedding.size:,} pairs"
        drawn = f"{shown} drawn at random from {pairs.pairs:,}" if pairs.sampled else f"all {shown}"
        figure = pair_density(pairs.embedding, pairs.signature, result.strong_pairs, name)
        alt = (
            f"Density of pairs over {kind} embedding cosine and {name} cosine, {drawn}; their "
            f"correlation over all pairs is {signed(result.metrics.correlation.pearson)}."
        )
        caption = f"Pairs by both cosines, {kind}: {drawn}."
        pictures.append(Picture(f"{prefix}-pairs-{kind}.png", figure, alt, caption))
    return Block("All pairs at once", text, pictures)


def groups(measured: Measured, prefix: str, settings: Settings) -> Block:
    """Heatmaps and mean cosines of groups that a reader knows, and of the most frequent tokens."""
    name = measured.comparison.signature.name
    text = [
        "Cosines of the mean-centred embedding (left) beside those of the signature (right) for "
        "the same tokens in the same order. Where the embedding follows the counts, blocks that "
        "are dark on the right stand out on the left. Each side has its own scale; the diagonal, "
        "always 1, is grey; \N{OPEN BOX} is a space."
    ]
    pictures, tables = [], []
    found = measured.groups
    if found.tokens.size:
        tables.append(_group_table(found, name))
        for part, cosines in enumerate(_split(found), 1):
            file = f"{prefix}-groups{part if part > 1 else ''}.png"
            pictures.append(_heatmap(measured, cosines, file))
    missing = [group for group in found.groups if group.missing]
    if settings.own_groups and missing:
        text.append(
            "Left out, as they have no row with enough support, with or without a space before: "
            + "; ".join(
                f"{group.name}: {', '.join(_member(each) for each in group.missing)}"
                for group in missing
            )
            + "."
        )
    if measured.frequent.tokens.size:
        pictures.append(_heatmap(measured, measured.frequent, f"{prefix}-frequent.png"))
    return Block("Tokens that a reader knows", text, pictures, tables)


def _summary(measured: Measured) -> Table:
    kinds = measured.kinds
    strong = [each.strong_pairs for each in kinds.values()]
    name = measured.comparison.signature.name

    def line(label: str, values: list[str]) -> list[Cell]:
        return [label, *values]

    rows = [
        line("pairs at the top", [count(s.top) for s in strong]),
        line("by embedding cosine, from", [number(s.by_embedding.least) for s in strong]),
        line(f"  mean {name} cosine", [_mean_signature(s) for s in strong]),
        line("  of all pairs", [number(s.mean_signature_cosine) for s in strong]),
        line("  lift", [factor(s.signature_lift) for s in strong]),
        line(f"by {name} cosine, from", [number(s.by_signature.least) for s in strong]),
        line("  mean embedding cosine", [_mean_embedding(s) for s in strong]),
        line("  of all pairs", [signed(s.mean_embedding_cosine) for s in strong]),
        line("  lift", [_embedding_lift(s) for s in strong]),
        line("at the top by both", [count(s.overlap) for s in strong]),
        line("  share", [percent(s.overlap_share) for s in strong]),
        line("  by chance", [percent(s.fraction) for s in strong]),
    ]
    caption = f"Top {percent(strong[0].fraction)} of {strong[0].pairs:,} pairs"
    return Table(caption, ["", *kinds], rows, alone=True)


def _mean_signature(strong: StrongPairs) -> str:
    return number(strong.by_embedding.mean_signature_cosine)


def _mean_embedding(strong: StrongPairs) -> str:
    return number(strong.by_signature.mean_embedding_cosine)


def _embedding_lift(strong: StrongPairs) -> str:
    """Over a mean of about 0 it says nothing."""
    if abs(strong.mean_embedding_cosine) < _ABOUT_0:
        return "- (mean about 0)"
    return factor(strong.embedding_lift)


def _listed(
    measured: Measured, caption: str, name: str, pairs: Sequence[Pair], folded: bool
) -> Table:
    strings = measured.comparison.strings
    rows: list[list[Cell]] = [
        [
            token_cell(pair.first, strings),
            token_cell(pair.second, strings),
            number(pair.embedding_cosine, 3),
            number(pair.signature_cosine, 3),
        ]
        for pair in pairs
    ]
    return Table(caption, ["token", "token", "embedding", name], rows, folded)


def _group_table(found: GroupCosines, name: str) -> Table:
    rows: list[list[Cell]] = []
    member_of = np.repeat(np.arange(len(found.groups)), [len(g.tokens) for g in found.groups])
    for index, group in enumerate(found.groups):
        own = member_of == index
        means = []
        for cosines in (found.centred, found.signature):
            inside = cosines[np.ix_(own, own)]
            outside = cosines[np.ix_(own, ~own)]
            size = int(own.sum())
            within = (inside.sum() - inside.trace()) / (size * (size - 1)) if size > 1 else np.nan
            means += [float(within), float(outside.mean()) if outside.size else np.nan]
        asked = len(group.tokens) + len(group.missing)
        found_of = f"{len(group.tokens)} of {asked}"
        rows.append([group.name, found_of, *(number(mean, 3) for mean in means)])
    head = ["group", "tokens", "embedding, within", "with others", f"{name}, within", "with others"]
    caption = "Mean cosines (mean-centred embedding) within each group, and with the other groups"
    return Table(caption, head, rows)


def _split(found: GroupCosines) -> list[GroupCosines]:
    """Parts of whole groups with at most `_A_HEATMAP` tokens, where groups allow it."""
    parts: list[list[int]] = [[]]
    size = 0
    for index, group in enumerate(found.groups):
        if size and size + len(group.tokens) > _A_HEATMAP:
            parts.append([])
            size = 0
        parts[-1].append(index)
        size += len(group.tokens)
    member_of = np.repeat(np.arange(len(found.groups)), [len(g.tokens) for g in found.groups])
    cut = []
    for part in parts:
        own = np.flatnonzero(np.isin(member_of, part))
        if own.size:
            matrices = (
                each[np.ix_(own, own)] for each in (found.raw, found.centred, found.signature)
            )
            chosen = tuple(found.groups[index] for index in part if found.groups[index].tokens)
            cut.append(GroupCosines(chosen, found.tokens[own], *matrices))
    return cut


def _heatmap(measured: Measured, cosines: GroupCosines, file: str) -> Picture:
    comparison = measured.comparison
    strings, name = comparison.strings, comparison.signature.name
    labels = [strings[token] if strings else f"#{token}" for token in cosines.tokens.tolist()]
    sizes = {group.name: len(group.tokens) for group in cosines.groups}
    titles = ("embedding, mean-centred", f"{name}: P({comparison.signature.condition})")
    figure = group_cosines(cosines.centred, cosines.signature, labels, sizes, titles)
    several = len(sizes) > 1
    told = ", ".join(f"{name} ({size})" if several else name for name, size in sizes.items())
    alt = (
        f"Two heatmaps of the cosines between {cosines.tokens.size} {comparison.rows_are}, of the "
        f"embedding on the left and of {name} on the right: {told}."
    )
    ordered = file.endswith("-frequent.png")
    caption = (
        f"The {told}, ordered so that like signatures are neighbours."
        if ordered
        else f"{cosines.tokens.size} {comparison.rows_are}: {told}."
    )
    return Picture(file, figure, alt, caption, wide=True)


def _member(member: str | int) -> str:
    return f"#{member}" if isinstance(member, int) else visible(member)
