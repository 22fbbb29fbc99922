"""Exact, fast token co-occurrence counts, probability signatures and embedding alignment."""

from typing import TYPE_CHECKING, Any

from .counting import count, count_labelled, count_steps
from .counts import Counts, Neighbour
from .kernels.registry import show_backends
from .labelled import Companion, LabelledCounts
from .relations import Next, Prefix, SameSequence, Window
from .signature import Signature
from .steps import CountSteps

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    """The version once it is asked for: its look-up loads what reads mail, a tenth of an import."""
    if name == "__version__":
        from .version import __version__

        return __version__
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
