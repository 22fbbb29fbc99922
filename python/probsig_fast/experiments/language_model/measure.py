"""What is measured of the two embeddings at a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ...alignment import (
    Null,
    Pair,
    PreparedSignature,
    Stratum,
    cosine_correlation,
    frequency_strata,
    permutation_null,
    prepare,
    strong_pairs,
)
from ...counts import Counts
from ...errors import ArgumentError
from ...signature import Signature
from .digits import DigitOrder, Digits, digit_order, find_digits

#: Names of figures and the shares of pairs that they are of.
FRACTIONS = {"top_0_1_percent": 0.001, "top_1_percent": 0.01}
STRATA = 4
BANDS = 10
_SHOWN_PAIRS = 20


@dataclass(frozen=True)
class SideNotes:
    """What of one side does not change, or is told of its end only.

    Attributes:
        matrix, signature: names, as "W^E" and "phi_next".
        tokens, pairs: compared.
        mean_signature_cosine: over all pairs.
        strata: of the trained embedding, the rarest tokens first.
        digits: of the signature itself; missing_digits: why some are not compared, if so.
        null, banded_null: of the trained, mean-centred embedding; None if not asked for.
        strong: pairs of the trained, mean-centred embedding, largest cosine first.
    """

    matrix: str
    signature: str
    tokens: int
    pairs: int
    mean_signature_cosine: float
    strata: tuple[Stratum, ...]
    digits: DigitOrder
    missing_digits: str
    null: Null | None
    banded_null: Null | None
    strong: tuple[Pair, ...]


@dataclass
class Side:
    """One embedding matrix and the signature that it is compared with."""

    matrix: str
    signature: Signature
    digits: Digits
    options: Mapping[str, Any] = field(default_factory=dict)
    prepared: PreparedSignature = field(init=False)

    def __post_init__(self) -> None:
        self.prepared = prepare(self.signature)

    def measure(self, W: torch.Tensor) -> dict[str, float]:
        """Figures by name: R_cos of W as it is and mean-centred; of the mean-centred W, the mean
        signature cosine and lift of the top pairs and R_cos in strata; digits of W as it is."""
        raw, centred = (
            cosine_correlation(W, self.prepared, centre=centre, **self.options)
            for centre in (False, True)
        )
        figures = {"r_raw": raw.pearson, "r_centred": centred.pearson}
        for name, fraction in FRACTIONS.items():
            pairs = strong_pairs(W, self.prepared, fraction, centre=True, keep=0, **self.options)
            figures[name] = pairs.by_embedding.mean_signature_cosine
            figures[f"{name}_lift"] = pairs.signature_lift
        for i, stratum in enumerate(self._strata(W), start=1):
            figures[f"stratum_{i}"] = stratum.pearson
        order = digit_order(W[torch.from_numpy(self.digits.tokens)].cpu().numpy(), self.digits)
        return {
            **figures,
            "digits": order.spearman,
            "digits_near": order.near,
            "digits_far": order.far,
        }

    def describe(self, W: torch.Tensor, draws: int, seed: int) -> SideNotes:
        """Of the trained W."""
        found = strong_pairs(
            W, self.prepared, FRACTIONS["top_0_1_percent"], centre=True, keep=_SHOWN_PAIRS
        )
        signature = self.signature.to_scipy()[self.digits.tokens].toarray()
        free, banded = (
            permutation_null(
                W, self.prepared, centre=True, draws=draws, bands=bands, seed=seed, **self.options
            )
            if draws
            else None
            for bands in (None, BANDS)
        )
        return SideNotes(
            self.matrix,
            self.signature.name,
            found.tokens,
            found.pairs,
            found.mean_signature_cosine,
            self._strata(W),
            digit_order(signature, self.digits),
            self.digits.missing,
            free,
            banded,
            found.by_embedding.pairs,
        )

    def _strata(self, W: torch.Tensor) -> tuple[Stratum, ...]:
        return frequency_strata(W, self.prepared, STRATA, centre=True, **self.options)


def make_sides(counts: Counts, min_support: int, threads: int | None) -> dict[str, Side]:
    """`input`: W^E beside phi_next. `output`: W^U beside psi_pre.

    Digits are compared where both signatures have them.

    Raises:
        ArgumentError: fewer than three tokens with that support.
    """
    signatures = (counts.phi_next(min_support), counts.psi_pre(min_support))
    for each in signatures:
        if each.tokens.size < 3:
            raise ArgumentError(
                f"min_support: expected at least 3 tokens with that support in {each.name}, "
                f"got {each.tokens.size} (the largest support is {each.support.max()})"
            )
    both = np.intersect1d(signatures[0].tokens, signatures[1].tokens)
    digits = find_digits(counts.token_strings or (), both, min_support)
    options = {"threads": threads}
    return {
        name: Side(matrix, signature, digits, options)
        for name, matrix, signature in zip(
            ("input", "output"), ("W^E", "W^U"), signatures, strict=True
        )
    }
