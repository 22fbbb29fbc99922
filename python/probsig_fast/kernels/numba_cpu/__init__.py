"""Kernels compiled by Numba on their first use. The functions are those of `contract.Kernels`."""

from .gram import gram_squares
from .merge import column_sums, merge
from .pairs import next_pairs
from .scan import scan
from .window import window_pairs

__all__ = ["column_sums", "gram_squares", "merge", "next_pairs", "scan", "window_pairs"]
