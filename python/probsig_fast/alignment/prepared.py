"""A signature with what the functions of this package make of it, made once and kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..device import is_device_array
from ..kernels.contract import Kernels, Rows
from ..pool import WorkerPool
from ..signature import Signature
from .gram.centred import Centred, describe_rows
from .gram.inputs import check_signature
from .gram.rows import NOISE, unit_rows
from .gram.work import Range, ranges
from .joint import JointSignature, parts_of

if TYPE_CHECKING:
    import scipy.sparse

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class SignatureTerms:
    """What H = PP' of some tokens' unit rows P contributes, whatever it is compared with.

    Attributes:
        rows, columns: P and P', float64 CSR [K, W] and [W, K].
        centred: of the rows.
        squares: sum over j != i of (H_ij - mean)^2, float64 [K].
    """

    rows: scipy.sparse.csr_array
    columns: scipy.sparse.csr_array
    centred: Centred
    squares: NDArray[np.float64]

    @property
    def noise(self) -> float:
        """The size of a sum of squares that is rounding and nothing else. Sums of positive products
        round by their own size. |q|^2, the mean of all H, stands for it: it is not 0 where all rows
        are orthogonal, but their mean cosine is, up to rounding."""
        p = self.centred
        return p.pairs * (NOISE * p.square) ** 2


class PreparedSignature:
    """A signature whose own terms, above all |PP'|^2, are computed at their first use and kept.

    All functions of this package take one in the place of a signature; a second call, with another
    W, then costs no more than W's part. `prepare` makes one. It keeps 24 bytes an entry; they are
    not pickled.
    """

    def __init__(self, signature: Signature | JointSignature) -> None:
        self.signature = signature
        self._kept: dict[Hashable, tuple[NDArray[np.int64], Any]] = {}
        self._nonzero: NDArray[np.int64] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"signature": self.signature}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["signature"])  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"PreparedSignature({self.signature!r})"

    @property
    def parts(self) -> tuple[Signature, ...]:
        return parts_of(self.signature)

    @property
    def name(self) -> str:
        return self.signature.name

    @property
    def condition(self) -> str:
        return self.signature.condition

    @property
    def shape(self) -> tuple[int, int]:
        return self.signature.shape

    @property
    def support(self) -> NDArray[np.int64]:
        return self.signature.support

    @property
    def weight_scale(self) -> int:
        return self.signature.weight_scale

    @property
    def min_support(self) -> int:
        return self.signature.min_support

    @property
    def token_strings(self) -> Sequence[str] | None:
        return self.signature.token_strings

    @property
    def tokens(self) -> NDArray[np.int64]:
        return self.signature.tokens

    def with_min_support(self, min_support: int) -> PreparedSignature:
        """Itself, terms included, where its own bound is as high."""
        signature = self.signature.with_min_support(min_support)
        return self if signature is self.signature else PreparedSignature(signature)

    def supported(self) -> NDArray[np.bool_]:
        """Whose support in every part passes `min_support`, [V]."""
        passing: NDArray[np.bool_] = np.logical_and.reduce(
            [part.support >= part.min_support * part.weight_scale for part in self.parts]
        )
        return passing

    def nonzero(self) -> NDArray[np.int64]:
        """The ids whose rows are zero in no part, ascending. O(nnz) the first time."""
        if self._nonzero is None:
            kept = np.ones(self.shape[0], bool)
            for part in self.parts:
                kept &= _nonzero_rows(part)
            self._nonzero = np.flatnonzero(kept).astype(np.int64)
        return self._nonzero

    def terms(
        self, tokens: NDArray[np.int64], kernels: Kernels, pool: WorkerPool
    ) -> SignatureTerms:
        """Of these tokens; kept for the next call with the same."""
        return self.kept(
            "terms", tokens, lambda: signature_terms(unit_rows(self.parts, tokens), kernels, pool)
        )

    def kept(self, key: Hashable, tokens: NDArray[np.int64], make: Callable[[], Kept]) -> Kept:
        """What `make` gives for these tokens; the same again in the next call with them.

        One thing a key is kept: that of the tokens asked for last.
        """
        found = self._kept.get(key)
        if found is None or not np.array_equal(found[0], tokens):
            found = self._kept[key] = (tokens, make())
        value: Kept = found[1]
        return value


#: What all functions of this package take for a signature.
AnySignature = Signature | JointSignature | PreparedSignature


def prepare(signature: AnySignature, min_support: int = 0) -> PreparedSignature:
    """The same signature, for many calls: over checkpoints, or in a training loop.

    Args:
        min_support: as in `cosine_correlation`.

    Raises:
        ArgumentTypeError, ArgumentError: no signature, damaged columns, a bound out of range.
    """
    if isinstance(signature, PreparedSignature):
        return signature.with_min_support(min_support)
    check_signature(signature)
    return PreparedSignature(signature.with_min_support(min_support))


def signature_terms(
    rows: scipy.sparse.csr_array, kernels: Kernels, pool: WorkerPool
) -> SignatureTerms:
    """Of unit rows P, float64 [K, W]. Half the sum of the squared lengths of its
    columns is the number of additions."""
    columns = rows.T.tocsr()
    p = describe_rows(rows)
    try:
        squares = _gram_squares(rows, columns, p, kernels, pool)
    finally:
        kernels.release()  # what comes next may need the memory
    return SignatureTerms(rows, columns, p, squares)


def _gram_squares(
    rows: scipy.sparse.csr_array,
    columns: scipy.sparse.csr_array,
    p: Centred,
    kernels: Kernels,
    pool: WorkerPool,
) -> NDArray[np.float64]:
    """sum over j != i of (p_i.p_j - mean)^2. Nothing cancels, so it is right for any P."""
    p_rows, p_columns = kernels.load_rows(as_rows(rows)), kernels.load_rows(as_rows(columns))
    if is_device_array(p_rows.values):
        pieces = [(0, p.tokens)]  # a device shares out the rows itself
    else:
        additions = np.diff(columns.indptr)[rows.indices].astype(np.int64)
        pieces = ranges(np.concatenate([[0], np.cumsum(additions)])[rows.indptr])

    def squares(piece: Range) -> NDArray[np.float64]:
        return kernels.gram_squares(p_rows, p_columns, p.mean_cosine, *piece, pool.cancel)

    total = np.zeros(p.tokens)
    for shares in pool.map(squares, pieces):
        total += shares
    return total


def as_rows(matrix: scipy.sparse.csr_array) -> Rows:
    """What kernels take."""
    return Rows(
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.int32, copy=False),
        matrix.data,
    )


def _nonzero_rows(signature: Signature) -> NDArray[np.bool_]:
    nonzero = np.zeros(signature.shape[0], bool)
    tokens = signature.tokens
    if tokens.size:
        nonzero[tokens] = np.logical_or.reduceat(signature.counts != 0, signature.indptr[tokens])
    return nonzero
