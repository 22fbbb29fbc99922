"""One line of a trajectory's table."""

from __future__ import annotations

from dataclasses import dataclass, fields

_NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class TrajectoryRow:
    """One checkpoint's embedding beside one signature, in one centring.

    Attributes:
        step, checkpoint: its step and name.
        signature: its name.
        which: "input" or "output", the embedding; tied: the model has one for both.
        as_of: the step that the counts are as of; None where they are the same throughout.
        min_support: the least support of a row.
        centred: whether the mean was subtracted from the embedding.
        tokens, pairs: how many are compared; 0 where fewer than three tokens can be.
        rows_dropped: rows of the embedding beyond the signature's.
        not_finite, zero: rows with support that hold NaN or infinity, or are zero.
        r_cos, r_cos_error: R_cos and its standard error, by the jackknife over tokens.
        mean_embedding_cosine, mean_signature_cosine: over all pairs.
        cka, debiased_cka: linear CKA of unit rows.
        strong_fraction: of the pairs, those at the top; strong_pairs: how many these are.
        strong_signature_cosine: the mean signature cosine of the top by the embedding's cosine;
            strong_lift: over that of all pairs; strong_overlap: the share of them that is at the
            top by the signature's cosine too.
        neighbours: k; neighbour_overlap: the mean share of a token's k nearest that is the same in
            both; neighbour_chance: what random ones would have.

    Figures that are undefined or were left out are NaN.
    """

    step: int
    checkpoint: str
    signature: str
    which: str
    tied: bool
    as_of: int | None
    min_support: int
    centred: bool
    tokens: int = 0
    pairs: int = 0
    rows_dropped: int = 0
    not_finite: int = 0
    zero: int = 0
    r_cos: float = _NAN
    r_cos_error: float = _NAN
    mean_embedding_cosine: float = _NAN
    mean_signature_cosine: float = _NAN
    cka: float = _NAN
    debiased_cka: float = _NAN
    strong_fraction: float = _NAN
    strong_pairs: int = 0
    strong_signature_cosine: float = _NAN
    strong_lift: float = _NAN
    strong_overlap: float = _NAN
    neighbours: int = 0
    neighbour_overlap: float = _NAN
    neighbour_chance: float = _NAN


#: The columns of the files, in order.
COLUMNS = tuple(field.name for field in fields(TrajectoryRow))
