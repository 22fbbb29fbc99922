"""Pictures. Matplotlib (the extra [plot]) is loaded only where one is drawn."""

from .composite_addition import cosine_heatmaps, signature_distributions, training_curves
from .signatures import COLOUR_MAP, signature_cosines, signature_heatmap

__all__ = [
    "COLOUR_MAP",
    "cosine_heatmaps",
    "signature_cosines",
    "signature_distributions",
    "signature_heatmap",
    "training_curves",
]
