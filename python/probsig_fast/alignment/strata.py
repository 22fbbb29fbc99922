"""The correlation of cosines among tokens that are about equally frequent."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..arguments import integer
from ..kernels.contract import Kernels
from ..pool import WorkerPool
from .gram.centred import describe_rows
from .gram.compared import Compared
from .gram.comparison import Matrix, comparison
from .gram.moments import cosine_moments
from .gram.rows import unit_rows
from .prepared import AnySignature, SignatureTerms, signature_terms

_NAN = float("nan")


@dataclass(frozen=True)
class Stratum:
    """R_cos within one group of tokens; prints as a line.

    Attributes:
        least_support, most_support: of its tokens, in unscaled counts.
        tokens: how many they are.
        pairs: of them, tokens (tokens - 1) / 2.
        pearson: R_cos over these pairs; NaN where it is undefined, as for fewer than three tokens.
        mean_embedding_cosine, mean_signature_cosine: over these pairs; NaN if there are none.
    """

    least_support: float
    most_support: float
    tokens: int
    pairs: int
    pearson: float
    mean_embedding_cosine: float
    mean_signature_cosine: float

    def __str__(self) -> str:
        return (
            f"support {self.least_support:,} to {self.most_support:,}: {self.tokens:,} tokens, "
            f"{self.pairs:,} pairs, R_cos {self.pearson:.6f}, mean cosines "
            f"{self.mean_embedding_cosine:.6f} and {self.mean_signature_cosine:.6f}"
        )


def frequency_strata(
    W: Matrix,
    signature: AnySignature,
    strata: int = 4,
    min_support: int = 0,
    centre: bool = False,
    threads: int | None = None,
    backend: str | None = None,
    device: torch.device | str | None = None,
) -> tuple[Stratum, ...]:
    """R_cos within groups of tokens of about equal frequency.

    Embeddings of rare and of frequent tokens differ in themselves, and so do their signatures: a
    correlation over all pairs may be no more than that. The K tokens compared are sorted by the
    signature's own support (ties: by id) and cut into `strata` groups whose sizes differ by one at
    most, the larger ones first; over the pairs within each,

        R_cos = Cov(G, H) / sqrt(Var(G) Var(H)),  G_ij = cos(W_i, W_j),  H_ij = cos(phi_i, phi_j)

    Exact, as `cosine_correlation` is. With `centre` one mean is subtracted, that of all rows with
    enough support, whatever the stratum.

    Args:
        W, signature, min_support, centre, threads, backend, device: as in `cosine_correlation`.
        strata: how many groups. No more than tokens: of fewer than `strata` tokens each is one.

    Returns:
        One `Stratum` a group, the least frequent first.

    Raises:
        As `cosine_correlation`; also ArgumentError for `strata` below 1.

    Cost: that of `cosine_correlation` for each group. PP' has the pairs of a group only, so all
    groups together cost less than the whole; a prepared signature computes it once.

    Example:
        >>> import numpy as np
        >>> import probsig_fast as ps
        >>> tokens = np.array([0, 1, 2, 3, 0, 2, 1, 3, 0, 1, 1, 2], np.uint16)
        >>> phi = ps.count(tokens, vocab_size=4).phi_next()
        >>> [group.tokens for group in frequency_strata(np.eye(4) + 0.5, phi, strata=3)]
        [2, 1, 1]
    """
    strata = integer("strata", strata, 1)
    with comparison(W, signature, min_support, centre, threads, device, backend) as found:
        return strata_of(found.rows, strata, found.kernels, found.pool)


def strata_of(
    compared: Compared, strata: int, kernels: Kernels, pool: WorkerPool
) -> tuple[Stratum, ...]:
    """Of rows that stay as they are."""
    support = compared.signature.support[compared.tokens]
    groups = equal_groups(support, strata)
    return tuple(
        _stratum(compared, group, ("stratum", k, len(groups)), kernels, pool)
        for k, group in enumerate(groups)
    )


def equal_groups(support: NDArray[np.int64], groups: int) -> list[NDArray[np.int64]]:
    """Indices sorted by support, then by index, in groups of equal number (or one more), each
    ascending; none is empty, so there may be fewer."""
    order = np.argsort(support, kind="stable")
    return [np.sort(part) for part in np.array_split(order, min(groups, order.size) or 1)]


def _stratum(
    compared: Compared,
    chosen: NDArray[np.int64],
    key: Hashable,
    kernels: Kernels,
    pool: WorkerPool,
) -> Stratum:
    signature, tokens = compared.signature, compared.tokens[chosen]
    support, scale = signature.support[tokens], signature.weight_scale
    least, most = _unscaled(support.min(), scale), _unscaled(support.max(), scale)
    figures = (_NAN, _NAN, _NAN)
    if tokens.size > 1:
        rows = unit_rows(signature.parts, tokens)
        # Of what takes long a prepared signature keeps what is small.
        squares = signature.kept(key, tokens, lambda: signature_terms(rows, kernels, pool).squares)
        terms = SignatureTerms(rows, rows.T.tocsr(), describe_rows(rows), squares)
        moments = cosine_moments(compared.subset(chosen).embedding, terms, kernels, pool)
        figures = (moments.pearson, moments.mean_embedding, moments.mean_signature)
    return Stratum(least, most, tokens.size, math.comb(tokens.size, 2), *figures)


def _unscaled(support: np.int64, scale: int) -> float:
    """An int where nothing was scaled."""
    return int(support) if scale == 1 else float(support / scale)
