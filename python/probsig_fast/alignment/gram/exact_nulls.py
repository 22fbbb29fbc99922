"""What R_cos is over all permutations of tokens, in closed form (see `permutation_null`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from .centred import Centred

if TYPE_CHECKING:
    import scipy.sparse

#: Groups whose pairs are formed: their sums of cosines take 8 bytes a pair.
MOST_GROUPS = 2048


def free_variance(
    e: Centred, p: Centred, variance_embedding: float, variance_signature: float
) -> float:
    """Of R_cos over all K! permutations; its mean is 0."""
    k = e.tokens
    alpha, beta = _row_share(e, variance_embedding), _row_share(p, variance_signature)
    variance = 2 / (k * (k - 1)) + 4 * (alpha - 1) * (beta - 1) / (k * (k - 1) * (k - 2))
    if k > 3:  # else no two pairs are disjoint
        variance += 4 * (1 - 2 * alpha) * (1 - 2 * beta) / (k * (k - 1) * (k - 2) * (k - 3))
    return max(0.0, variance)


def _row_share(x: Centred, variance: float) -> float:
    """The squared row sums of the deviations over all squared deviations. A row's sum over j != i
    of x_i.x_j - mean is K u_i - a_i + mean of a, as the x~ sum to 0."""
    sums = x.tokens * x.along - x.diagonal + math.fsum(x.diagonal) / x.tokens
    return math.fsum(np.square(sums)) / variance


def mean_within_groups(
    embedding: torch.Tensor,
    e: Centred,
    signature: scipy.sparse.csr_array,
    p: Centred,
    groups: Sequence[NDArray[np.int64]],
) -> float:
    """The mean covariance over all permutations within groups: of each two groups A and B, the
    mean deviations of G and of H over the pairs between them, times the number of these pairs.

    Args:
        embedding: E~; signature: P; groups: no more than `MOST_GROUPS`.

    O(K d + nnz + groups^2 (d + W)).
    """
    sizes = np.array([group.size for group in groups], np.float64)
    pairs = np.outer(sizes, sizes) - np.diag(sizes)
    g, h = _embedding_sums(embedding, e, groups), _signature_sums(signature, p, groups)
    return math.fsum((g * h / np.maximum(pairs, 1.0)).ravel())  # no pair, no sum


def _embedding_sums(
    embedding: torch.Tensor, e: Centred, groups: Sequence[NDArray[np.int64]]
) -> NDArray[np.float64]:
    """sum over i in A, j in B, i != j of G_ij - mean = x~_i.x~_j + u_i + u_j - r."""
    device = embedding.device
    sums = torch.stack([embedding[torch.from_numpy(each).to(device)].sum(0) for each in groups])
    products: NDArray[np.float64] = (sums @ sums.T).cpu().numpy()
    sizes = np.array([group.size for group in groups], np.float64)
    along = np.outer(sizes, _sums(e.along, groups))
    products += along + along.T - e.rest * np.outer(sizes, sizes)
    return products - np.diag(_sums(e.diagonal - e.rest, groups))


def _signature_sums(
    signature: scipy.sparse.csr_array, p: Centred, groups: Sequence[NDArray[np.int64]]
) -> NDArray[np.float64]:
    """sum over i in A, j in B, i != j of H_ij - mean."""
    import scipy.sparse

    sizes = np.array([group.size for group in groups])
    belongs = scipy.sparse.csr_array(
        (np.ones(sizes.sum()), np.concatenate(groups), np.concatenate([[0], np.cumsum(sizes)])),
        shape=(sizes.size, signature.shape[0]),
    )
    sums = belongs @ signature
    products: NDArray[np.float64] = (sums @ sums.T).toarray()
    products -= p.mean_cosine * np.outer(sizes, sizes)
    return products - np.diag(_sums(p.diagonal - p.rest, groups))


def _sums(values: NDArray[np.float64], groups: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    return np.array([values[group].sum() for group in groups])
