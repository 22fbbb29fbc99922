"""Whether tokens have the same nearest neighbours in an embedding and in a signature."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..arguments import integer
from ..errors import ArgumentError, ArgumentTypeError
from ..pool import WorkerPool
from .gram.compared import Compared
from .gram.comparison import Matrix, comparison
from .gram.cosines import Cosines, EmbeddingCosines, signature_cosines
from .gram.devices import runner_for, tile_elements
from .gram.nearest import nearest
from .prepared import AnySignature


@dataclass(frozen=True)
class NeighbourOverlap:
    """How many of a token's k nearest others are the same in both; prints as a small table.

    Attributes:
        k: the numbers of neighbours, ascending: those asked for that are below K.
        overlap: for each k, the mean over the tokens of the share of neighbours in common.
        chance: for each k, what random neighbours have: k / (K - 1).
        tokens: K, the rows compared: enough support, and not zero in either matrix.
        signature: its name.
        min_support: the least support of a row, the signature's own bound included.
        centred: whether a mean was subtracted from the embedding.
    """

    k: tuple[int, ...]
    overlap: tuple[float, ...]
    chance: tuple[float, ...]
    tokens: int
    signature: str
    min_support: int
    centred: bool

    def __str__(self) -> str:
        lines = [
            (f"neighbours(W, {self.signature})", "in common, chance"),
            ("W", "centred" if self.centred else "raw"),
            ("min_support", f"{self.min_support:,}"),
            ("tokens", f"{self.tokens:,}"),
        ]
        for k, overlap, chance in zip(self.k, self.overlap, self.chance, strict=True):
            lines.append((f"k = {k:,}", f"{overlap:.6f}, {chance:.6f}"))
        width = max(len(name) for name, _ in lines)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def neighbour_overlap(
    W: Matrix,
    signature: AnySignature,
    k: int | Iterable[int] = (1, 5, 10, 50),
    min_support: int = 0,
    centre: bool = False,
    device: torch.device | str | None = None,
    threads: int | None = None,
) -> NeighbourOverlap:
    """How many of a token's k nearest neighbours in the embedding are also among its k nearest in
    the signature.

    With G_ij = cos(W_i, W_j) and H_ij = cos(phi_i, phi_j) over the K rows compared, and N_G(i) the
    k rows j != i of largest G_ij, ties going to the lower id:

        overlap(k) = mean over i of |N_G(i) and N_H(i)| / k,   by chance k / (K - 1)

    Rows of few counts have cosine 0 with most others in the signature. Where fewer than k are
    above 0, the rest of N_H(i) are the lowest ids of those at 0: a rule as good as any, but no
    neighbourhood, and a reason to drop rare tokens (`min_support`).

    Exact: cosines are those by which `strong_pairs` compares pairs, so equal rows tie. The result
    depends neither on `threads` nor on the device. No K x K matrix is formed.

    Args:
        W, signature, min_support, centre, device, threads: as in `cosine_correlation`.
        k: how many neighbours: one number or several, all from one pass with the largest. Those
            of K and more are left out of the result; at least one has to be below K.

    Raises:
        ArgumentTypeError, ArgumentError, DeviceMemoryError: as `cosine_correlation`; also where no
            `k` is below K, or one is below 1.

    Cost: as `strong_pairs`: O(K^2 d) and the products of PP' (half of the sum of the squared
    lengths of the signature's columns); memory O(K d + nnz), a few tiles, and some 100 bytes for
    each of K k neighbours. A prepared signature keeps its own neighbours for the next W.

    Example:
        >>> import numpy as np
        >>> import probsig_fast as ps
        >>> tokens = np.array([0, 1, 2, 0, 2, 1, 0, 1, 1, 2], np.uint16)
        >>> phi = ps.count(tokens, vocab_size=3).phi_next()
        >>> neighbour_overlap(np.eye(3)[[0, 0, 1]] + 0.5, phi, k=1).overlap
        (1.0,)
    """
    wanted = checked_k(k)
    with comparison(W, signature, min_support, centre, threads, device) as (rows, _, pool):
        return neighbours_of(rows, wanted, centre, pool)


def neighbours_of(
    rows: Compared, wanted: tuple[int, ...], centre: bool, pool: WorkerPool
) -> NeighbourOverlap:
    """Of rows that stay as they are, and checked numbers."""
    tokens = rows.tokens.size
    used = tuple(each for each in wanted if each < tokens)
    if not used:
        raise ArgumentError(f"k: expected one below the {tokens} tokens compared, got {wanted}")
    common = _common(rows, used, pool)
    return NeighbourOverlap(
        used,
        tuple(n / (tokens * each) for n, each in zip(common, used, strict=True)),
        tuple(each / (tokens - 1) for each in used),
        tokens,
        rows.signature.name,
        rows.signature.min_support,
        centre,
    )


def checked_k(k: Any) -> tuple[int, ...]:
    """Ascending, each once."""
    if isinstance(k, (str, bytes)) or not isinstance(k, (int, np.integer, Iterable)):
        raise ArgumentTypeError(f"k: expected an int or several, got {type(k).__name__} {k!r}")
    several = k if isinstance(k, Iterable) else (k,)
    numbers = sorted({integer("k", each, 1) for each in several})
    if not numbers:
        raise ArgumentError("k: expected an int or several, got none")
    return tuple(numbers)


def _common(compared: Compared, k: tuple[int, ...], pool: WorkerPool) -> list[int]:
    """The number of neighbours in common, summed over all rows, for each k."""
    rows, place = compared.tokens.size, compared.embedding.device
    runner = runner_for(place, pool)

    def found(cosines: Cosines) -> torch.Tensor:
        return nearest(cosines, rows, k[-1], tile_elements(place), runner)

    by_g = found(EmbeddingCosines(compared.embedding, runner))
    by_h = compared.signature.kept(
        ("nearest", k[-1], place),
        compared.tokens,
        lambda: found(signature_cosines(compared, pool)),
    )
    # Neighbours that both have, by the larger of their two ranks: those below k are common at k.
    ranks = torch.arange(k[-1], device=place).repeat(rows)
    own = torch.arange(rows, device=place)[:, None] * rows
    ids_g, order_g = (by_g + own).flatten().sort()
    ids_h, order_h = (by_h + own).flatten().sort()
    at = torch.searchsorted(ids_h, ids_g).clamp_(max=len(ids_h) - 1)
    both = ids_h[at] == ids_g
    worst = torch.maximum(ranks[order_g][both], ranks[order_h][at[both]])
    return [int((worst < each).sum()) for each in k]
