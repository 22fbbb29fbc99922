"""Several signatures of the same tokens as one: what a tied embedding is to be compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError, ArgumentTypeError
from ..signature import Signature, check_min_support


@dataclass(frozen=True, eq=False)
class JointSignature:
    """Rows of several signatures side by side, each part's of unit length: the cosine of two joint
    rows is the mean of their cosines in the parts (THEORY, section 4).

    A token has a row if it has one in every part. `joint` makes one.

    Attributes:
        parts: at least two, of the same tokens.
    """

    parts: tuple[Signature, ...]

    @property
    def name(self) -> str:
        return "+".join(part.name for part in self.parts)

    @property
    def condition(self) -> str:
        return " and ".join(part.condition for part in self.parts)

    @property
    def shape(self) -> tuple[int, int]:
        return self.parts[0].shape[0], sum(part.n_columns for part in self.parts)

    @property
    def min_support(self) -> int:
        return max(part.min_support for part in self.parts)

    @property
    def weight_scale(self) -> int:
        """1: `support` is unscaled."""
        return 1

    @property
    def token_strings(self) -> Sequence[str] | None:
        return next((part.token_strings for part in self.parts if part.token_strings), None)

    @cached_property
    def support(self) -> NDArray[np.int64]:
        """int64 [V]: the least of the parts', unscaled and rounded down."""
        least: NDArray[np.int64] = np.minimum.reduce(
            [part.support // part.weight_scale for part in self.parts]
        )
        return least

    @cached_property
    def tokens(self) -> NDArray[np.int64]:
        """The ids that have a row in every part, ascending."""
        kept = np.ones(self.shape[0], bool)
        for part in self.parts:
            kept &= np.diff(part.indptr) > 0
        return np.flatnonzero(kept).astype(np.int64)

    def with_min_support(self, min_support: int) -> JointSignature:
        """Without rows whose support in any part is below `min_support`. O(nnz)."""
        min_support = check_min_support(min_support)
        if all(min_support <= part.min_support for part in self.parts):
            return self
        return JointSignature(tuple(part.with_min_support(min_support) for part in self.parts))


def joint(*signatures: Signature) -> JointSignature:
    """The concatenation [p_1 / |p_1|, p_2 / |p_2|, ...] / sqrt(n) of n signatures' rows: for
    embeddings that serve as input and output, of `phi_next` and `psi_pre`.

    Raises:
        ArgumentTypeError: something else than a Signature.
        ArgumentError: fewer than two, or of different numbers of rows.

    Example:
        >>> import numpy as np
        >>> import probsig_fast as ps
        >>> counts = ps.count(np.array([0, 1, 2, 0, 2, 1], np.uint16), vocab_size=3)
        >>> joint(counts.phi_next(), counts.psi_pre()).name
        'phi_next+psi_pre'
    """
    if len(signatures) < 2:
        raise ArgumentError(f"signatures: expected at least two, got {len(signatures)}")
    for signature in signatures:
        if not isinstance(signature, Signature):
            raise ArgumentTypeError(
                f"signatures: expected Signatures, got {type(signature).__name__}"
            )
    rows = {signature.shape[0] for signature in signatures}
    if len(rows) > 1:
        raise ArgumentError(
            "signatures: expected the same number of rows, got "
            + ", ".join(f"{each.shape[0]} of {each.name}" for each in signatures)
        )
    return JointSignature(signatures)


def parts_of(signature: Any) -> tuple[Signature, ...]:
    """The signatures that one consists of: itself, if it is no joint one."""
    return signature.parts if isinstance(signature, JointSignature) else (signature,)
