"""What a report compares, and the figures of each comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..plots.token_groups import GROUPS

if TYPE_CHECKING:
    from ..alignment import Alignment, PreparedSignature
    from .cosines import GroupCosines, PairCosines


@dataclass(frozen=True)
class EmbeddingFacts:
    """Where an embedding comes from.

    Attributes:
        name: of the tensor; of the file where it has no names.
        source: file, folder or model.
        which: `"input"` or `"output"`.
        tied: whether input and output are one matrix; None if that is not known.
        rows, width: of the matrix as it was read.
        rows_dropped: the last ones, beyond the tokens counted.
    """

    name: str
    source: str
    which: str
    tied: bool | None
    rows: int
    width: int
    rows_dropped: int = 0


@dataclass(frozen=True)
class Comparison:
    """A signature and the embedding that it is compared with.

    Attributes:
        W: [V, d], a row for each row of the signature.
        signature: with its `min_support`.
        embedding: where W comes from.
    """

    W: Any
    signature: PreparedSignature
    embedding: EmbeddingFacts

    @property
    def rows_are(self) -> str:
        """Those of psi_X are labels."""
        return "labels" if self.signature.name == "psi_X" else "tokens"

    @property
    def strings(self) -> Sequence[str] | None:
        return self.signature.token_strings


@dataclass(frozen=True)
class Settings:
    """How figures are computed and drawn.

    Attributes:
        align: arguments of `alignment.align`, such as `draws`, `seed` or `threads`.
        groups: of tokens for the heatmaps, texts or ids by name.
        own_groups: the groups are the user's own: those without rows are said too.
        most_frequent: how many tokens of largest support have a heatmap.
        listed: how many pairs, or tokens, a table shows.
        sampled_pairs: how many pairs are drawn where all are more than `most_pairs`.
        most_pairs: up to so many pairs, the picture shows all.
    """

    align: Mapping[str, Any] = field(default_factory=dict)
    groups: Mapping[str, Sequence[str | int]] = field(default_factory=lambda: GROUPS)
    own_groups: bool = False
    most_frequent: int = 40
    listed: int = 20
    sampled_pairs: int = 200_000
    most_pairs: int = 3_000_000

    @property
    def seed(self) -> int:
        return int(self.align.get("seed", 0))


@dataclass(frozen=True)
class Measured:
    """A comparison's figures.

    Attributes:
        raw, centred: of the embedding as it is, and mean-centred.
        pairs: cosines of pairs, by whether the embedding is centred.
        groups: cosines within and between groups of tokens; none without strings or ids to name.
        frequent: the same of the tokens of largest support.
    """

    comparison: Comparison
    raw: Alignment
    centred: Alignment
    pairs: Mapping[bool, PairCosines]
    groups: GroupCosines
    frequent: GroupCosines

    @property
    def kinds(self) -> dict[str, Alignment]:
        """By the name that a reader sees."""
        return {"raw": self.raw, "mean-centred": self.centred}
