"""Every figure of one embedding and one signature: what a report shows side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from .gram.comparison import Matrix
from .metrics import AlignmentMetrics, alignment_metrics
from .neighbours import NeighbourOverlap, neighbour_overlap
from .nulls import Null, permutation_null
from .prepared import AnySignature, prepare
from .spearman import Spearman, spearman
from .strata import Stratum, frequency_strata
from .strong_pairs import StrongPairs, strong_pairs


@dataclass(frozen=True, eq=False)
class Alignment:
    """What `align` finds. No figure stands alone: each is one side of how an embedding follows a
    signature.

    Attributes:
        metrics: R_cos with its interval, CKA, each token's correlation.
        spearman: of ranks.
        strong_pairs: the closest pairs by either.
        neighbours: how many nearest neighbours are the same.
        strata: R_cos among tokens of about equal frequency.
        null: R_cos after permuting tokens.
        banded_null: the same within bands of about equal frequency.
    """

    metrics: AlignmentMetrics
    spearman: Spearman
    strong_pairs: StrongPairs
    neighbours: NeighbourOverlap
    strata: tuple[Stratum, ...]
    null: Null
    banded_null: Null

    def to_dict(self) -> dict[str, Any]:
        """All figures as lists, dicts, numbers and strings; undefined ones are NaN."""
        plain: dict[str, Any] = _plain(self)
        return plain


def align(
    W: Matrix,
    signature: AnySignature,
    min_support: int = 0,
    centre: bool = False,
    *,
    fraction: float | Fraction = 0.001,
    neighbours: Sequence[int] = (1, 5, 10, 50),
    strata: int = 4,
    draws: int = 20,
    bands: int = 10,
    spearman_pairs: int = 4_000_000,
    seed: int = 0,
    threads: int | None = None,
    backend: str | None = None,
    device: torch.device | str | None = None,
) -> Alignment:
    """All that this package can say of W and a signature (THEORY, section 4).

    Args:
        W, signature, min_support, centre, threads, backend, device: as in `cosine_correlation`.
        fraction: of `strong_pairs`.
        neighbours: the k of `neighbour_overlap`.
        strata: of `frequency_strata`.
        draws, bands: of `permutation_null`, free and within bands.
        spearman_pairs: the `pairs` of `spearman`.
        seed: of everything drawn.

    Raises: as `cosine_correlation` and the functions named.

    Cost: `strong_pairs` and `neighbour_overlap` look at all pairs, O(K^2 d); all else is O(K d^2 +
    nnz d) and the signature's own products, which a prepared signature keeps.
    """
    prepared = prepare(signature, min_support)
    how: dict[str, Any] = {"centre": centre, "threads": threads, "device": device}
    null = {"draws": draws, "seed": seed, **how}
    return Alignment(
        alignment_metrics(W, prepared, backend=backend, **how),
        spearman(W, prepared, pairs=spearman_pairs, seed=seed, **how),
        strong_pairs(W, prepared, fraction, **how),
        neighbour_overlap(W, prepared, tuple(neighbours), **how),
        frequency_strata(W, prepared, strata, backend=backend, **how),
        permutation_null(W, prepared, **null),
        permutation_null(W, prepared, bands=bands, **null),
    )


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        told = [each.name for each in fields(value)]
        told += [name for name, each in vars(type(value)).items() if isinstance(each, property)]
        return {name: _plain(getattr(value, name)) for name in told}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(each) for name, each in value._asdict().items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value
