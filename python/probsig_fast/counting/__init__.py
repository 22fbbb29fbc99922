"""Counting: from a source to counts."""

from .count import count
from .labelled import count_labelled
from .steps import count_steps

__all__ = ["count", "count_labelled", "count_steps"]
