"""Exact, fast token co-occurrence counts, probability signatures and embedding alignment."""

from .counting import count
from .counts import Counts, Neighbour
from .kernels.registry import show_backends
from .relations import Next, Window
from .signature import Signature
from .version import __version__

__all__ = [
    "Counts",
    "Neighbour",
    "Next",
    "Signature",
    "Window",
    "__version__",
    "count",
    "show_backends",
]
