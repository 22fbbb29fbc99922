"""How far the correlation of cosines depends on which part of a corpus was counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..csr import scipy_csr
from ..errors import ArgumentError, ArgumentTypeError, CountOverflowError
from ..signature import Signature
from .functional import cosine_correlation
from .gram.comparison import Matrix
from .gram.inputs import check_signature
from .joint import JointSignature, joint, parts_of
from .metrics import Interval

if TYPE_CHECKING:
    import scipy.sparse

_LEVEL = 0.95


def shard_interval(
    W: Matrix,
    shards: Sequence[Signature] | Sequence[JointSignature],
    min_support: int = 0,
    centre: bool = False,
    threads: int | None = None,
    backend: str | None = None,
    device: torch.device | str | None = None,
) -> Interval:
    """An interval for R_cos over the text counted: the jackknife that leaves out a shard at a time.

    With r of the whole, which is the sum of S shards, and r_s of the whole without shard s:

        error^2 = (S - 1) / S  sum_s (r_s - mean of r_s)^2,   r -+ t error

    where t is Student's quantile with S - 1 degrees of freedom (12.7 for two shards, 2.3 for ten).
    It says how R_cos would vary with other text of the same kind, for shards of about equal size
    that are as different as such texts are (documents shuffled, then cut); the jackknife over
    tokens of `alignment_metrics` says how it would vary with other tokens.

    `min_support` holds for sums: for that of all shards, and for that of all but one. So r_s is of
    the tokens that would have been compared had that shard never been counted, and a token near
    the bound may be among them in one r_s and not in another. That is part of what the interval
    is about, and nothing depends on tokens chosen with the help of the shard left out.

    Args:
        W, min_support, centre, threads, backend, device: as in `cosine_correlation`.
        shards: signatures of the same kind of counts that add up: of the same name, shape and
            weight_scale, made without a `min_support`. At least two. Or joint ones: their parts
            are added each for itself.

    Returns:
        `Interval` with `over="shards"`; NaN where one of the correlations is undefined.

    Raises:
        As `cosine_correlation`; also ArgumentError for shards that do not fit together, and
            CountOverflowError where a sum of counts passes 2^63 - 1.

    Cost: S + 1 times `cosine_correlation`, and O(S nnz) for the sums. Memory: the whole, and the
    whole without a shard.

    Example:
        >>> import numpy as np
        >>> import probsig_fast as ps
        >>> tokens = np.array([0, 1, 2, 3, 0, 2, 1, 3, 0, 1, 1, 2, 3, 3, 0, 2], np.uint16)
        >>> shards = [ps.count(part, vocab_size=4).phi_next() for part in np.split(tokens, 2)]
        >>> shard_interval(np.eye(4)[[0, 0, 1, 2]] + 0.5, shards).units
        2
    """
    kinds = _checked_shards(shards)
    wholes = [sum_of(kind) for kind in kinds]

    def correlation(parts: Sequence[Signature]) -> float:
        signature = parts[0] if len(parts) == 1 else joint(*parts)
        result = cosine_correlation(W, signature, min_support, centre, threads, backend, device)
        return result.pearson

    estimate = correlation(wholes)
    others = np.empty(len(shards))
    for k, parts in enumerate(zip(*kinds, strict=True)):
        try:
            others[k] = correlation(
                [difference(whole, part) for whole, part in zip(wholes, parts, strict=True)]
            )
        except ArgumentError as error:
            raise ArgumentError(f"shards: without shard {k}: {error}") from error
    return _interval(estimate, others)


def _interval(estimate: float, others: NDArray[np.float64]) -> Interval:
    from scipy.special import stdtrit

    shards = others.size
    deviations = others - others.mean()
    error = float(np.sqrt((shards - 1) / shards * np.square(deviations).sum()))
    if np.isnan(estimate):
        error = estimate
    reach = error * float(stdtrit(shards - 1, (1 + _LEVEL) / 2))
    return Interval(estimate - reach, estimate + reach, error, _LEVEL, "shards", shards)


def _checked_shards(shards: Any) -> list[list[Signature]]:
    """The shards of each kind of signature: one kind, or as many as a joint one has parts."""
    if not isinstance(shards, Sequence):
        raise ArgumentTypeError(
            f"shards: expected a sequence of Signatures, got {type(shards).__name__}"
        )
    if len(shards) < 2:
        raise ArgumentError(f"shards: expected at least 2, got {len(shards)}")
    for k, shard in enumerate(shards):
        if not isinstance(shard, (Signature, JointSignature)):
            raise ArgumentTypeError(f"shards: expected Signatures, got {type(shard).__name__}")
        check_signature(shard)
        if shard.min_support:
            raise ArgumentError(
                "shards: expected signatures with all their rows (min_support applies to the "
                f"sums), got shard {k} with min_support {shard.min_support}"
            )
        _check_alike(shards[0], shard, k)
    return [list(kind) for kind in zip(*(parts_of(shard) for shard in shards), strict=True)]


def _check_alike(first: Any, shard: Any, k: int) -> None:
    for name in ("name", "condition", "shape", "weight_scale"):
        expected, got = (
            " and ".join(str(getattr(part, name)) for part in parts_of(each))
            for each in (first, shard)
        )
        if expected != got:
            raise ArgumentError(
                f"shards: expected {name} {expected} as in shard 0, got {got} in shard {k}"
            )


def sum_of(shards: Sequence[Signature]) -> Signature:
    """The signature of all that was counted in any shard, exact in int64.

    Raises:
        CountOverflowError: a sum passes 2^63 - 1.
    """
    total, support = _matrix(shards[0]), shards[0].support.astype(np.int64)
    for shard in shards[1:]:
        total, support = total + _matrix(shard), support + shard.support
        # Counts are not negative: a sum that wrapped around is.
        if total.data.min(initial=0) < 0 or support.min(initial=0) < 0:
            raise CountOverflowError(
                f"shards: expected sums of counts of {shards[0].name} up to 2^63 - 1, got more"
            )
    return _like(shards[0], total, support)


def difference(whole: Signature, shard: Signature) -> Signature:
    """The whole without one of the shards that it is the sum of. O(nnz)."""
    return _like(whole, _matrix(whole) - _matrix(shard), whole.support - shard.support)


def _matrix(signature: Signature) -> scipy.sparse.csr_array:
    return scipy_csr(signature._csr(), signature.counts.astype(np.int64, copy=False))


def _like(signature: Signature, rows: Any, support: NDArray[np.int64]) -> Signature:
    """Of the same kind, with other counts."""
    rows.sort_indices()
    return Signature(
        signature.name,
        signature.condition,
        rows.indptr.astype(np.int64),
        rows.indices.astype(np.int32, copy=False),
        rows.data,
        support,
        signature.n_columns,
        signature.weight_scale,
        token_strings=signature.token_strings,
    )
