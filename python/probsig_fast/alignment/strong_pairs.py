"""Whether the pairs that an embedding holds closest are close in a signature, and the reverse."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import torch

from ..arguments import integer
from ..errors import ArgumentError, ArgumentTypeError
from ..pool import WorkerPool
from .gram.centred import centre_rows, describe_rows
from .gram.compared import Compared, Dropped
from .gram.comparison import Matrix, comparison
from .gram.cosines import Cosines, EmbeddingCosines, signature_cosines
from .gram.devices import runner_for, tile_elements
from .gram.rows import tree_sum, unit_rows
from .gram.top_pairs import Pairs, top_pairs
from .gram.work import tiles
from .prepared import AnySignature

_NAN = float("nan")


class Pair(NamedTuple):
    """Two tokens, the lower id first, their cosines, and their strings where the signature has
    them."""

    first: int
    second: int
    embedding_cosine: float
    signature_cosine: float
    strings: tuple[str, str] | None = None


@dataclass(frozen=True)
class TopPairs:
    """The pairs of largest cosine in one matrix.

    Attributes:
        least: the smallest of the cosines that they were chosen by.
        mean_embedding_cosine, mean_signature_cosine: over these pairs.
        pairs: the first of them, largest first; ties: lower ids first.
    """

    least: float = _NAN
    mean_embedding_cosine: float = _NAN
    mean_signature_cosine: float = _NAN
    pairs: tuple[Pair, ...] = ()


@dataclass(frozen=True)
class StrongPairs:
    """The top pairs by either cosine; prints as a small table.

    Attributes:
        fraction: as asked for.
        tokens: K, the rows compared: enough support, and not zero in either matrix.
        pairs: K (K - 1) / 2.
        top: ceil(fraction x pairs), how many pairs are at the top.
        overlap: how many are at the top by both cosines.
        mean_embedding_cosine, mean_signature_cosine: over all pairs; NaN if there are none.
        by_embedding, by_signature: the top pairs by each.
        signature: its name.
        min_support: the least support of a row, the signature's own bound included.
        centred: whether a mean was subtracted from the embedding.
        mean_rows: how many rows that mean was of; 0 if none was subtracted.
        dropped: the rows that were not compared.
    """

    fraction: float
    tokens: int
    pairs: int
    top: int
    overlap: int
    mean_embedding_cosine: float
    mean_signature_cosine: float
    by_embedding: TopPairs
    by_signature: TopPairs
    signature: str
    min_support: int
    centred: bool
    mean_rows: int
    dropped: Dropped

    @property
    def signature_lift(self) -> float:
        """The mean signature cosine of the top pairs by embedding cosine, over that of all pairs;
        NaN where that is 0."""
        return _ratio(self.by_embedding.mean_signature_cosine, self.mean_signature_cosine)

    @property
    def embedding_lift(self) -> float:
        """The same the other way round. It says little where the mean over all pairs is about 0,
        as that of a centred embedding is."""
        return _ratio(self.by_signature.mean_embedding_cosine, self.mean_embedding_cosine)

    @property
    def overlap_share(self) -> float:
        """overlap / top; `fraction` is what chance gives. NaN if there are no pairs."""
        return _ratio(self.overlap, self.top)

    def __str__(self) -> str:
        centring = f"centred, mean of {self.mean_rows:,} rows" if self.centred else "raw"
        name, w, p = self.signature, self.by_embedding, self.by_signature
        lines = [
            (f"strong pairs(W, {name})", f"top {self.fraction:g} of pairs, {self.top:,}"),
            ("W", centring),
            ("min_support", f"{self.min_support:,}"),
            ("tokens", f"{self.tokens:,}"),
            ("pairs", f"{self.pairs:,}"),
            ("top by cosine of W", f"{w.least:.6f} and more"),
            (
                f"  mean cosine of {name}",
                f"{w.mean_signature_cosine:.6f}, {self.signature_lift:.3g} x that of all pairs",
            ),
            ("  of all pairs", f"{self.mean_signature_cosine:.6f}"),
            (f"top by cosine of {name}", f"{p.least:.6f} and more"),
            ("  mean cosine of W", f"{p.mean_embedding_cosine:.6f}"),
            ("  of all pairs", f"{self.mean_embedding_cosine:.6f}"),
            ("top by both", f"{self.overlap:,}, {100 * self.overlap_share:.3g} %"),
            ("rows left out", str(self.dropped)),
        ]
        width = max(len(label) for label, _ in lines)
        return "\n".join(f"{label:<{width}}  {value}" for label, value in lines)


def strong_pairs(
    W: Matrix,
    signature: AnySignature,
    fraction: float | Fraction = 0.001,
    min_support: int = 0,
    centre: bool = False,
    device: torch.device | str | None = None,
    threads: int | None = None,
    keep: int = 100,
) -> StrongPairs:
    """How alike the signatures of those pairs are that the embedding holds closest, and how close
    the embeddings of those whose signatures are most alike.

    Over the pairs i < j of the rows compared, G_ij = cos(W_i, W_j) and H_ij = cos(phi_i, phi_j);
    T(G) are the ceil(fraction x pairs) pairs of largest G, ties going to the lower i, then the
    lower j. With the means over T(G) and T(H) next to those over all pairs:

        mean of H over T(G),   mean of G over T(H),   |T(G) and T(H)|

    R_cos is one number over all pairs, most of which are far apart; what training is said to
    capture are the strong ones (arXiv 2509.20124; THEORY, section 4). Exact: the cosine by which
    pairs of W are compared is that of unit rows in float64, its products added in a fixed order,
    so that equal rows tie; that of counts is n_i.n_j / sqrt(|n_i|^2 |n_j|^2), without rounding
    before the root where sums stay within 2^53. No V x V matrix is formed. The result does not
    depend on `threads`; the pairs and their cosines do not on the device either, and other
    figures up to rounding.

    Args:
        W, signature, min_support, centre, device, threads: as in `cosine_correlation`.
        fraction: above 0, at most 1; a float is taken for the decimal number that it prints as.
        keep: how many pairs at most each list of the result has.

    Raises:
        ArgumentTypeError, ArgumentError, DeviceMemoryError: as `cosine_correlation`; also for a
            `fraction` out of range and a negative `keep`.

    Cost: O(K^2 d) and the products of PP' (half of the sum of the squared lengths of the
    signature's columns); memory O(K d + nnz), a few tiles, and some 300 bytes for each pair at
    the top. Dropping rare tokens (`min_support`) makes it cheaper, and the top more telling: rows
    of one count only are all alike.

    Example:
        >>> import numpy as np
        >>> import probsig_fast as ps
        >>> tokens = np.array([0, 1, 2, 0, 2, 1, 0, 1, 1, 2], np.uint16)
        >>> phi = ps.count(tokens, vocab_size=3).phi_next()
        >>> result = strong_pairs(np.eye(3)[[0, 0, 1]] + 0.5, phi, fraction=0.5)
        >>> result.top, result.by_embedding.pairs[0][:2]
        (2, (0, 1))
    """
    share = _checked_fraction(fraction)
    keep = integer("keep", keep, 0)
    with comparison(W, signature, min_support, centre, threads, device) as (rows, _, pool):
        found = _find(rows, share, keep, pool)
    tokens = rows.tokens.size
    return StrongPairs(
        float(share),
        tokens,
        math.comb(tokens, 2),
        *found,
        rows.signature.name,
        rows.signature.min_support,
        centre,
        rows.mean_rows,
        rows.dropped,
    )


def _checked_fraction(fraction: Any) -> Fraction:
    if isinstance(fraction, bool) or not isinstance(fraction, numbers.Real):
        raise ArgumentTypeError(
            f"fraction: expected a float, got {type(fraction).__name__} {fraction!r}"
        )
    if not 0.0 < float(fraction) <= 1.0:
        raise ArgumentError(f"fraction: expected above 0, and at most 1, got {fraction}")
    if isinstance(fraction, numbers.Rational):
        return Fraction(fraction)
    return Fraction(repr(float(fraction)))  # 0.07 of 100 pairs are 7, not 8


def _find(
    compared: Compared, share: Fraction, keep: int, pool: WorkerPool
) -> tuple[int, int, float, float, TopPairs, TopPairs]:
    """From `top` to `by_signature`."""
    rows = compared.tokens.size
    top = math.ceil(share * math.comb(rows, 2))
    place = compared.embedding.device
    runner = runner_for(place, pool)
    g: Cosines = EmbeddingCosines(compared.embedding, runner)
    h = signature_cosines(compared, pool)
    cut = tiles(rows, tile_elements(place))
    by_g = top_pairs(g, rows, top, cut, runner)
    by_h = compared.signature.kept(
        ("top pairs", top, place), compared.tokens, lambda: top_pairs(h, rows, top, cut, runner)
    )
    overlap = int(torch.isin(_ids(by_g, rows), _ids(by_h, rows), assume_unique=True).sum())
    by_embedding = _told(by_g, by_g.cosines, h.exact(*by_g[:2]), compared, keep)
    by_signature = _told(by_h, g.exact(*by_h[:2]), by_h.cosines, compared, keep)
    means = (
        centre_rows(compared.embedding).mean_cosine,  # last: it overwrites the rows
        describe_rows(unit_rows(compared.signature.parts, compared.tokens)).mean_cosine,
    )
    return top, overlap, *means, by_embedding, by_signature


def _ids(pairs: Pairs, rows: int) -> torch.Tensor:
    return pairs.first * rows + pairs.second


def _told(
    pairs: Pairs, g: torch.Tensor, h: torch.Tensor, compared: Compared, keep: int
) -> TopPairs:
    """What is told of pairs with these cosines."""
    strings = compared.signature.token_strings
    tokens = compared.tokens.tolist()
    listed = []
    for i, j, *cosines in zip(*(each[:keep].tolist() for each in (*pairs[:2], g, h)), strict=True):
        first, second = tokens[i], tokens[j]
        texts = (strings[first], strings[second]) if strings else None
        listed.append(Pair(first, second, cosines[0], cosines[1], texts))
    mean_g, mean_h = (float(tree_sum(each.clone(), 0)) / len(each) for each in (g, h))
    return TopPairs(float(pairs.cosines[-1]), mean_g, mean_h, tuple(listed))


def _ratio(value: float, over: float) -> float:
    return value / over if over else _NAN
