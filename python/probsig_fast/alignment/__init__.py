"""How the geometry of an embedding follows a probability signature. Needs the extra `[torch]`."""

from ..errors import missing_extra

try:
    import torch as _torch  # noqa: F401  (here, so that its absence is told once and clearly)
except ImportError as error:
    raise missing_extra("torch", "torch", "probsig_fast.alignment") from error

from .functional import CosineCorrelation, cosine_correlation
from .strong_pairs import Pair, StrongPairs, TopPairs, strong_pairs

__all__ = [
    "CosineCorrelation",
    "Pair",
    "StrongPairs",
    "TopPairs",
    "cosine_correlation",
    "strong_pairs",
]
