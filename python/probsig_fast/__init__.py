"""Exact, fast token co-occurrence counts, probability signatures and embedding alignment."""

from .counting import count, count_labelled, count_steps
from .counts import Counts, Neighbour
from .kernels.registry import show_backends
from .labelled import Companion, LabelledCounts
from .relations import Next, Prefix, SameSequence, Window
from .signature import Signature
from .steps import CountSteps
from .version import __version__

__all__ = [
    "Companion",
    "CountSteps",
    "Counts",
    "LabelledCounts",
    "Neighbour",
    "Next",
    "Prefix",
    "SameSequence",
    "Signature",
    "Window",
    "__version__",
    "count",
    "count_labelled",
    "count_steps",
    "show_backends",
]
