"""Counting: chunk plan -> kernel blocks -> accumulator -> Counts."""

from .count import count
from .labelled import count_labelled

__all__ = ["count", "count_labelled"]
