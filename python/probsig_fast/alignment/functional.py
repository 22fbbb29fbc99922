"""Pure functions from an embedding matrix and a signature to a figure of their agreement."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .gram.compared import Compared, Dropped
from .gram.comparison import Matrix, comparison
from .gram.moments import CosineMoments, cosine_moments
from .prepared import AnySignature


@dataclass(frozen=True)
class CosineCorrelation:
    """R_cos of an embedding and a signature; prints as a small table.

    Attributes:
        pearson: R_cos, from -1 to 1; NaN where it is undefined (see `cosine_correlation`).
        tokens: K, the rows compared: enough support, and not zero in either matrix.
        pairs: K (K - 1) / 2.
        mean_embedding_cosine, mean_signature_cosine: over these pairs; NaN if there are none.
        signature: its name.
        min_support: the least support of a row, the signature's own bound included.
        centred: whether a mean was subtracted from the embedding.
        mean_rows: how many rows that mean was of; 0 if none was subtracted.
        dropped: the rows that were not compared.
    """

    pearson: float
    tokens: int
    pairs: int
    mean_embedding_cosine: float
    mean_signature_cosine: float
    signature: str
    min_support: int
    centred: bool
    mean_rows: int
    dropped: Dropped

    def __str__(self) -> str:
        centring = f"centred, mean of {self.mean_rows:,} rows" if self.centred else "raw"
        lines = [
            (f"R_cos(W, {self.signature})", f"{self.pearson:.6f}"),
            ("W", centring),
            ("min_support", f"{self.min_support:,}"),
            ("tokens", f"{self.tokens:,}"),
            ("pairs", f"{self.pairs:,}"),
            ("mean cosine of W", f"{self.mean_embedding_cosine:.6f}"),
            (f"mean cosine of {self.signature}", f"{self.mean_signature_cosine:.6f}"),
            ("rows left out", str(self.dropped)),
        ]
        width = max(len(name) for name, _ in lines)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def cosine_correlation(
    W: Matrix,
    signature: AnySignature,
    min_support: int = 0,
    centre: bool = False,
    threads: int | None = None,
    backend: str | None = None,
    device: torch.device | str | None = None,
) -> CosineCorrelation:
    """R_cos(W, phi): how far tokens with similar signatures have similar embeddings.

    The Pearson correlation, over all pairs i != j of the rows compared, of the cosine of the
    embeddings with the cosine of the signatures (arXiv 2509.20124; THEORY, section 4):

        R_cos = Cov(G, H) / sqrt(Var(G) Var(H)),  G_ij = cos(W_i, W_j),  H_ij = cos(phi_i, phi_j)

    It is exact, over the whole vocabulary and in float64, and forms no V x V matrix. Rows are
    compared that have enough support, are finite, and are not zero in either matrix; the others are
    counted in `dropped`. It does not depend on
    `threads`; backends and devices agree up to rounding (1e-10 is tested). On a CUDA device the
    last bits may also change from run to run, as its libraries do not promise them.

    Args:
        W: [V, d], a torch tensor on any device or a NumPy array of any real floating type. Row i
            belongs to row i of the signature. Gradients do not flow through.
        signature: [V, ...]; one that `prepare` gave keeps its own part of the work for the next
            call.
        min_support: rows of less support, in unscaled counts, are left out.
        centre: subtract from W one mean first, that of all rows with enough support: embeddings
            share a large common direction. Rows equal to the mean up to rounding are then zero.
        threads: None takes the processors that this process may use.
        backend: as in `count`, for PP' of the signature's unit rows P; None takes native_cuda on a
            CUDA device, where it runs.
        device: where all else runs: a torch device or its name, the CPU or CUDA. None: W's, if
            that is CUDA; else the CPU. A W on CUDA stays there.

    Returns:
        `CosineCorrelation`. `pearson` is NaN where it is undefined: where either matrix's cosines
        are all equal up to rounding (all rows alike, or all orthogonal).

    Raises:
        ArgumentTypeError: W is no dense tensor or array of a real floating type; another
            argument has a type that cannot be used.
        ArgumentError: W has another number of dimensions or rows; fewer than three rows are left
            to compare; `min_support` or `threads` is out of range; the signature's columns are
            damaged; no such device.
        BackendError: an unknown or missing backend.
        DeviceMemoryError: the device has too little free memory.

    Cost: O(K d^2 + nnz d + sum of the squared lengths of the signature's columns) time; O(K d +
    nnz) memory, in float64. Where d is large beside K, or where the terms cancel, O(K^2 d).
    Memory of a CUDA device: 8 K d + 12 nnz bytes, and up to 1 GiB in blocks.

    Example:
        >>> import numpy as np
        >>> import probsig_fast as ps
        >>> tokens = np.array([0, 1, 2, 0, 2, 1, 0, 1, 1, 2], np.uint16)
        >>> phi = ps.count(tokens, vocab_size=3).phi_next()
        >>> result = cosine_correlation(np.eye(3)[[0, 0, 1]] + 0.5, phi)
        >>> result.tokens, result.pairs
        (3, 3)
    """
    with comparison(W, signature, min_support, centre, threads, device, backend) as found:
        moments = cosine_moments(found.rows.embedding, found.terms(), found.kernels, found.pool)
    return correlation_of(found.rows, moments, centre)


def correlation_of(rows: Compared, moments: CosineMoments, centre: bool) -> CosineCorrelation:
    """What these moments of these rows say."""
    return CosineCorrelation(
        moments.pearson,
        moments.tokens,
        math.comb(moments.tokens, 2),
        moments.mean_embedding,
        moments.mean_signature,
        rows.signature.name,
        rows.signature.min_support,
        centre,
        rows.mean_rows,
        rows.dropped,
    )
