"""Sums over the pairs of two Gram matrices of cosines that are never formed whole."""
