"""Kernels compiled by Numba on their first use. The functions are those of `contract.Kernels`."""

from ..host import *  # noqa: F403 - the contract's functions about places
from ..host import keep_memory, release
from .block_sums import block_sums
from .gram import gram_row_squares, gram_squares
from .merge import merge
from .pairs import next_pairs
from .product import product_squares
from .scan import scan
from .set_spans import set_spans
from .sets import sequence_sets
from .span_sums import span_sums
from .spans import group_spans, prefix_spans
from .window import window_pairs

__all__ = [
    "block_sums",
    "gram_row_squares",
    "gram_squares",
    "group_spans",
    "keep_memory",
    "merge",
    "next_pairs",
    "prefix_spans",
    "product_squares",
    "release",
    "scan",
    "sequence_sets",
    "set_spans",
    "span_sums",
    "window_pairs",
]
