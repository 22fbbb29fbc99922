"""Pictures. Matplotlib (the extra [plot]) is loaded only where one is drawn."""

from .alignment import (
    correlation_by_support,
    neighbours_by_k,
    null_draws,
    pair_density,
    token_correlations,
)
from .benchmark import BenchmarkBar, benchmark_bars
from .composite_addition import cosine_heatmaps, signature_distributions, training_curves
from .group_cosines import group_cosines
from .language_model import language_model_curves
from .signatures import COLOUR_MAP, signature_cosines, signature_heatmap
from .trajectory import trajectory_curves

__all__ = [
    "COLOUR_MAP",
    "BenchmarkBar",
    "benchmark_bars",
    "correlation_by_support",
    "cosine_heatmaps",
    "group_cosines",
    "language_model_curves",
    "neighbours_by_k",
    "null_draws",
    "pair_density",
    "signature_cosines",
    "signature_distributions",
    "signature_heatmap",
    "token_correlations",
    "training_curves",
    "trajectory_curves",
]
