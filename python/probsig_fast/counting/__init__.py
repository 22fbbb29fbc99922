"""Counting: chunk plan -> kernel blocks -> accumulator -> Counts."""

from .count import count

__all__ = ["count"]
