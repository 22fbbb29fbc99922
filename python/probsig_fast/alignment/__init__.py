"""How the geometry of an embedding follows a probability signature. Needs the extra `[torch]`."""

from typing import TYPE_CHECKING, Any

from ..errors import missing_extra

try:
    import torch as _torch  # noqa: F401  (here, so that its absence is told once and clearly)
except ImportError as error:
    raise missing_extra("torch", "torch", "probsig_fast.alignment") from error

from .align import Alignment, align
from .embeddings import Embedding, load_embedding
from .functional import CosineCorrelation, cosine_correlation
from .gram.compared import Dropped
from .joint import JointSignature, joint
from .metrics import (
    AlignmentMetrics,
    Interval,
    PerToken,
    alignment_metrics,
    linear_cka,
    per_token_correlation,
)
from .neighbours import NeighbourOverlap, neighbour_overlap
from .nulls import Null, permutation_null
from .prepared import AnySignature, PreparedSignature, prepare
from .sampled import SampledCorrelation, sampled_correlation
from .shards import shard_interval
from .spearman import Spearman, spearman
from .strata import Stratum, frequency_strata
from .strong_pairs import Pair, StrongPairs, TopPairs, strong_pairs
from .trajectory import Trajectory, TrajectoryRow, find_checkpoints, trajectory

if TYPE_CHECKING:
    from .metric import SignatureAlignment

__all__ = [
    "Alignment",
    "AlignmentMetrics",
    "AnySignature",
    "CosineCorrelation",
    "Dropped",
    "Embedding",
    "Interval",
    "JointSignature",
    "NeighbourOverlap",
    "Null",
    "Pair",
    "PerToken",
    "PreparedSignature",
    "SampledCorrelation",
    "SignatureAlignment",
    "Spearman",
    "Stratum",
    "StrongPairs",
    "TopPairs",
    "Trajectory",
    "TrajectoryRow",
    "align",
    "alignment_metrics",
    "cosine_correlation",
    "find_checkpoints",
    "frequency_strata",
    "joint",
    "linear_cka",
    "load_embedding",
    "neighbour_overlap",
    "per_token_correlation",
    "permutation_null",
    "prepare",
    "sampled_correlation",
    "shard_interval",
    "spearman",
    "strong_pairs",
    "trajectory",
]


def __getattr__(name: str) -> Any:
    """`SignatureAlignment` needs torchmetrics, an extra that takes a second to import."""
    if name == "SignatureAlignment":
        from .metric import SignatureAlignment

        return SignatureAlignment
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
