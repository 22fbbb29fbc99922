"""What `probsig align` prints: tables for people, fields for JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import output

if TYPE_CHECKING:
    from ..alignment import (
        Alignment,
        AlignmentMetrics,
        Embedding,
        PreparedSignature,
        StrongPairs,
        TopPairs,
    )


@dataclass(frozen=True)
class Outcome:
    """One signature beside its embedding, by kind (`"raw"`, `"mean-centred"`).

    Attributes:
        strong: where it was asked for.
        full: all of `align`, where it was asked for.
    """

    signature: PreparedSignature
    embedding: Embedding
    metrics: Mapping[str, AlignmentMetrics]
    strong: Mapping[str, StrongPairs]
    full: Mapping[str, Alignment]

    @property
    def rows_are(self) -> str:
        return "labels" if self.signature.name == "psi_X" else "tokens"


def of_alignments(
    signature: PreparedSignature, embedding: Any, full: dict[str, Alignment]
) -> Outcome:
    return Outcome(
        signature,
        embedding,
        {kind: each.metrics for kind, each in full.items()},
        {kind: each.strong_pairs for kind, each in full.items()},
        full,
    )


def told(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """For JSON: the fields of one as they are, those of several in a list."""
    if len(outcomes) == 1:
        return fields(outcomes[0])
    return {"comparisons": [fields(each) for each in outcomes]}


def print_all(outcomes: Sequence[Outcome]) -> None:
    for i, outcome in enumerate(outcomes):
        if i:
            print()
        print_outcome(outcome)


def fields(outcome: Outcome) -> dict[str, Any]:
    """For JSON."""
    embedding = outcome.embedding
    return {
        "embedding": embedding.where,
        "which": embedding.which,
        "tied": embedding.tied,
        "rows_dropped": embedding.rows_dropped,
        "signature": outcome.signature.name,
        "min_support": outcome.signature.min_support,
        **{
            kind.replace("-", "_"): {
                **_metric_fields(metrics),
                **_extra(outcome, kind),
            }
            for kind, metrics in outcome.metrics.items()
        },
    }


def print_outcome(outcome: Outcome) -> None:
    _print_head(outcome)
    print()
    _print_metrics(outcome)
    if outcome.strong:
        print()
        _print_strong(outcome.strong)
    if outcome.full:
        print()
        _print_neighbours(outcome)
        print()
        _print_strata(outcome)
        print()
        _print_single_tokens(outcome)


def _metric_fields(metrics: AlignmentMetrics) -> dict[str, Any]:
    correlation, interval = metrics.correlation, metrics.interval
    return {
        "r_cos": correlation.pearson,
        "interval": vars(interval),
        "cka": metrics.cka,
        "debiased_cka": metrics.debiased_cka,
        "tokens": correlation.tokens,
        "pairs": correlation.pairs,
        "mean_embedding_cosine": correlation.mean_embedding_cosine,
        "mean_signature_cosine": correlation.mean_signature_cosine,
        "dropped": vars(correlation.dropped),
    }


def _extra(outcome: Outcome, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if outcome.strong:
        found["strong_pairs"] = _strong_fields(outcome.strong[kind])
    if outcome.full:
        found["full"] = outcome.full[kind].to_dict()
    return found


def _strong_fields(result: StrongPairs) -> dict[str, Any]:
    def fields(top: TopPairs) -> dict[str, Any]:
        names = ("first", "second", "embedding_cosine", "signature_cosine", "strings")
        pairs = [
            {name: value for name, value in zip(names, pair, strict=True) if value is not None}
            for pair in top.pairs
        ]
        return {**vars(top), "pairs": pairs}

    return {
        "fraction": result.fraction,
        "top": result.top,
        "overlap": result.overlap,
        "by_embedding": fields(result.by_embedding),
        "by_signature": fields(result.by_signature),
    }


def _print_head(outcome: Outcome) -> None:
    signature, embedding = outcome.signature, outcome.embedding
    rows, width = embedding.weight.shape
    bounds = "labels" if outcome.rows_are == "labels" else "vocabulary"
    dropped = embedding.rows_dropped
    beyond = f"; the last {dropped:,} rows, beyond the {bounds}, dropped" if dropped else ""
    tied = ", tied" if embedding.tied else ""
    support = f", support at least {signature.min_support:,}" if signature.min_support else ""
    output.print_fields(
        [
            ("embedding", f"{embedding.where}, {rows + dropped:,} x {width:,}{tied}{beyond}"),
            ("signature", f"{signature.name}: P({signature.condition}){support}"),
            *_left_out(outcome),
        ]
    )


def _left_out(outcome: Outcome) -> list[tuple[str, str]]:
    """Rows that have enough support, but nothing to compare."""
    dropped = list(outcome.metrics.values())[-1].correlation.dropped
    if not dropped.zero and not dropped.not_finite:
        return []
    return [("left out", f"rows of W: {dropped.zero:,} zero, {dropped.not_finite:,} not finite")]


def _print_metrics(outcome: Outcome) -> None:
    metrics, full = outcome.metrics, outcome.full
    lines: list[tuple[str, list[str]]] = []

    def add(label: str, told: Callable[[Any], str], of: Iterable[Any]) -> None:
        lines.append((label, [told(each) for each in of]))

    each, all_of_it = metrics.values(), full.values()
    correlations = [one.correlation for one in each]
    add("R_cos (Pearson)", lambda r: f"{r.pearson:.4f}", correlations)
    add("  jackknife error", lambda m: f"{m.interval.error:.4f}", each)
    add("CKA", lambda m: f"{m.cka:.4f}", each)
    add("CKA, debiased", lambda m: f"{m.debiased_cka:.4f}", each)
    if full:
        add("Spearman", lambda a: f"{a.spearman.value:.4f}", all_of_it)
        add("  sampling error", lambda a: f"{a.spearman.error:.4f}", all_of_it)
        for name in ("null", "banded_null"):
            nulls = [getattr(one, name) for one in all_of_it]
            add(_null_name(nulls[0]), lambda n: f"{n.mean:.4f} ± {n.deviation:.4f}", nulls)
            add("  z", lambda n: f"{n.z:.1f}", nulls)
            add("  p", lambda n: f"{n.p_value:.3f}", nulls)
    add("mean embedding cosine", lambda r: f"{r.mean_embedding_cosine:.4f}", correlations)
    add("mean signature cosine", lambda r: f"{r.mean_signature_cosine:.4f}", correlations)
    add(outcome.rows_are, lambda r: f"{r.tokens:,}", correlations)
    add("pairs", lambda r: f"{r.pairs:,}", correlations)
    table = [[label, *values] for label, values in lines]
    output.print_table(["", *metrics], table, left={0})


def _null_name(null: Any) -> str:
    where = "" if null.bands is None else f", in {null.bands} bands"
    return f"tokens permuted{where}"


def _print_strong(strong: Mapping[str, StrongPairs]) -> None:
    results = list(strong.values())
    lines = {
        "pairs": [f"{r.top:,}" for r in results],
        "top by embedding cosine, from": [f"{r.by_embedding.least:.4f}" for r in results],
        "  mean signature cosine": [f"{r.by_embedding.mean_signature_cosine:.4f}" for r in results],
        "  over that of all pairs": [f"{r.signature_lift:.2f}" for r in results],
        "top by signature cosine, from": [f"{r.by_signature.least:.4f}" for r in results],
        "  mean embedding cosine": [f"{r.by_signature.mean_embedding_cosine:.4f}" for r in results],
        "top by both": [f"{r.overlap:,}" for r in results],
    }
    table = [[label, *values] for label, values in lines.items()]
    output.print_table([f"top {results[0].fraction:g} of pairs", *strong], table, left={0})


def _print_neighbours(outcome: Outcome) -> None:
    overlaps = [each.neighbours for each in outcome.full.values()]
    table = [
        [f"k = {k}", *(f"{each.overlap[i]:.4f}" for each in overlaps), f"{chance:.4f}"]
        for i, (k, chance) in enumerate(zip(overlaps[0].k, overlaps[0].chance, strict=True))
    ]
    output.print_table(["nearest in common", *outcome.full, "chance"], table, left={0})


def _print_strata(outcome: Outcome) -> None:
    strata = [each.strata for each in outcome.full.values()]
    table = [
        [
            f"{group[0].least_support:,} to {group[0].most_support:,}",
            f"{group[0].tokens:,}",
            *(f"{each.pearson:.4f}" for each in group),
        ]
        for group in zip(*strata, strict=True)
    ]
    head = ["R_cos by support", outcome.rows_are, *outcome.full]
    output.print_table(head, table, left={0})


def _print_single_tokens(outcome: Outcome, listed: int = 5) -> None:
    """How the correlations of single tokens are spread, and which are the largest and least."""
    found = {kind: each.metrics.per_token for kind, each in outcome.full.items()}
    values = [each.correlation[np.isfinite(each.correlation)] for each in found.values()]
    shares = (0.05, 0.5, 0.95)
    table = [
        [f"{share:.0%} are below", *(_quantile(each, share) for each in values)] for share in shares
    ]
    output.print_table(["R_cos of single tokens", *found], table, left={0})
    kind, last = list(found.items())[-1]
    order = np.argsort(-last.correlation, kind="stable")  # NaN last
    order = order[: int(np.isfinite(last.correlation).sum())]
    for name, chosen in (("largest", order[:listed]), ("least", order[::-1][:listed])):
        tokens = [(int(last.tokens[i]), float(last.correlation[i])) for i in chosen]
        print(f"  {name}, {kind}: {_told(tokens, outcome.signature.token_strings)}")


def _quantile(values: Any, share: float) -> str:
    return f"{np.quantile(values, share):.4f}" if len(values) else f"{math.nan:.4f}"


def _told(tokens: Sequence[tuple[int, float]], strings: Sequence[str] | None) -> str:
    return ", ".join(
        f"{strings[token]!r} {value:.2f}" if strings else f"{token} {value:.2f}"
        for token, value in tokens
    )
