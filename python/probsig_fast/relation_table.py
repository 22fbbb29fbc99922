"""A table of one relation: what was counted, its marginals, and the signatures it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .conditionals import conditional
from .csr import Csr, scipy_csr
from .errors import ArgumentError
from .relations import Next, Prefix, Relation, SameSequence, Window
from .signature import Signature
from .table import Table
from .third_order import ThirdOrder

if TYPE_CHECKING:
    import scipy.sparse


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class RelationTable(Table):
    """N[x, y] of one relation over a vocabulary of V tokens.

    Attributes:
        relation: what was counted.
        unigram: int64 [V], how often each token was counted.
        n_sequences: non-empty sequences.
        label_count: int64 [V], for `Prefix`: samples with each label; see `n_out`.
        third: for `Prefix` counted with `focus`; see `third_order`.
        token_strings: readable tokens [V].

    Counts are multiplied by `weight_scale` (see `Window`).
    """

    relation: Relation
    unigram: NDArray[np.int64]
    n_sequences: int
    label_count: NDArray[np.int64] | None = None
    third: ThirdOrder | None = None
    token_strings: Sequence[str] | None = None

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.unigram.size

    @property
    def n_in(self) -> NDArray[np.int64]:
        """N_x^in, int64 [V], times `weight_scale`: samples (`Prefix`) or sequences
        (`SameSequence`) that hold x; for pairs the row sums."""
        if self.is_triangle:
            return self.entries.diagonal()
        return self.row_sum

    @property
    def n_out(self) -> NDArray[np.int64]:
        """N_nu^out, int64 [V], times `weight_scale`: samples with label nu (`Prefix`); for pairs
        the column sums; for `SameSequence` as `n_in`."""
        if self.is_triangle:
            return self.n_in
        return self.column_sum if self.label_count is None else self.label_count

    @property
    def n_samples(self) -> int:
        """N: positions with a token before them (`Prefix`), sequences (`SameSequence`), else the
        total."""
        return self.n_sequences if self.is_triangle else int(self.n_out.sum())

    @property
    def focus(self) -> tuple[int, ...]:
        """The tokens that third-order counts are there for."""
        return self.third.focus if self.third else ()

    @property
    def weight_scale(self) -> int:
        return self.relation.weight_scale

    @property
    def n_tokens(self) -> int:
        """Tokens counted."""
        return int(self.unigram.sum())

    # Signatures

    def phi_next(self, min_support: int = 0) -> Signature:
        """phi_s^next[s'] = P(next = s' | s) = N[s, s'] / sum N[s, :] (arXiv 2509.20124).

        Tokens with support below `min_support` are dropped. Shares the counts' memory.

        Raises:
            ArgumentError: the counts are not of `Next()`.
        """
        self._require(Next, "phi_next")
        return self._rows("phi_next", "next | token", min_support)

    def psi_pre(self, min_support: int = 0) -> Signature:
        """psi_s^pre[s'] = P(previous = s' | s) = N[s', s] / sum N[:, s] (arXiv 2509.20124).

        O(nnz) time and memory: the counts are transposed.

        Raises:
            ArgumentError: the counts are not of `Next()`.
        """
        self._require(Next, "psi_pre")
        return self._columns("psi_pre", "previous | token", min_support)

    def phi_y(self, min_support: int = 0) -> Signature:
        """phi_x^y[nu] = P(y = nu | x in X) = N[x, nu] / n_in[x] (arXiv 2509.20124).

        Rows x [V], columns nu [V]. Shares the counts' memory.

        Raises:
            ArgumentError: the counts are not of `Prefix`.
        """
        self._require(Prefix, "phi_y")
        return self._rows("phi_y", "label | token in prefix", min_support)

    def psi_X(self, min_support: int = 0) -> Signature:
        """psi_nu^X[x] = P(x in X | y = nu) = N[x, nu] / n_out[nu] (arXiv 2509.20124).

        Rows nu [V], columns x [V]; a row sums to the mean size of its samples' sets. O(nnz) time
        and memory: the counts are transposed.

        Raises:
            ArgumentError: the counts are not of `Prefix`.
        """
        self._require(Prefix, "psi_X")
        return self._columns("psi_X", "token in prefix | label", min_support)

    def phi_X(self, min_support: int = 0) -> Signature:
        """phi_x^X[x'] = P(x' in X | x in X) = N[x, x'] / n_in[x] (arXiv 2509.20124).

        Rows x [V], columns x' [V], of both halves; a row sums to the mean size of the sets that
        hold x. O(nnz) time and memory.

        Raises:
            ArgumentError: the counts are not of `SameSequence()`.
        """
        self._require(SameSequence, "phi_X")
        return self._signature(
            "phi_X", "token in sequence | token", self.whole(), self.n_in, min_support
        )

    def third_order(self, token: int) -> scipy.sparse.csr_array:
        """N_{x,nu,x'} of one token x of `focus`: int64 CSR [V, V], rows nu, columns x'.

        Raises:
            ArgumentError: a token that the counts were not made with as `focus`.
        """
        return scipy_csr(self._third("third_order").of(token))

    def phi_X_given_y(self, token: int, min_support: int = 0) -> Signature:
        """phi_x^{X|y}[nu, x'] = P(x' in X | x in X, y = nu) = N_{x,nu,x'} / N[x, nu] for one
        token x of `focus` (arXiv 2509.20124). Rows nu [V], columns x' [V].

        Raises:
            ArgumentError: a token that the counts were not made with as `focus`.
        """
        rows = self._third("phi_X_given_y").of(token)
        support = np.zeros(self.vocab_size, np.int64)
        labels, counts = self.row(token)
        support[labels] = counts
        condition = f"token in prefix | {token} in prefix, label"
        return self._signature("phi_X_given_y", condition, rows, support, min_support)

    def row_conditional(self, min_support: int = 0) -> Signature:
        """P(y | x) = N[x, y] / sum N[x, :]: for a window, the weighted share of y near x.

        Raises:
            ArgumentError: the counts are of sets, whose rows sum to no number of samples.
        """
        self._require_pairs("row_conditional")
        return self._rows("row_conditional", "column | row", min_support)

    def column_conditional(self, min_support: int = 0) -> Signature:
        """P(x | y) = N[x, y] / sum N[:, y], one row for each y. O(nnz) time and memory.

        Raises:
            ArgumentError: the counts are of sets, whose columns sum to no number of samples.
        """
        self._require_pairs("column_conditional")
        return self._columns("column_conditional", "row | column", min_support)

    # Inside

    def _require(self, relation: type[Relation], method: str) -> None:
        if not isinstance(self.relation, relation):
            raise ArgumentError(
                f"{method}(): expected counts of {relation.__name__}, got {self.relation!r}, "
                f"which has {', '.join(f'{name}()' for name in _SIGNATURES[type(self.relation)])}"
            )

    def _require_pairs(self, method: str) -> None:
        if isinstance(self.relation, (Prefix, SameSequence)):
            raise ArgumentError(
                f"{method}(): expected counts of Next or Window, got {self.relation!r}, "
                f"which has {', '.join(f'{name}()' for name in _SIGNATURES[type(self.relation)])}"
            )

    def _third(self, method: str) -> ThirdOrder:
        if self.third is None:
            raise ArgumentError(
                f"{method}(): expected counts made with focus=[tokens], got none: "
                "count(tokens, Prefix(length), focus=[...])"
            )
        return self.third

    def _rows(self, name: str, condition: str, min_support: int) -> Signature:
        return self._signature(name, condition, self.whole(), self.n_in, min_support)

    def _columns(self, name: str, condition: str, min_support: int) -> Signature:
        return self._signature(name, condition, self.whole().transposed(), self.n_out, min_support)

    def _signature(
        self,
        name: str,
        condition: str,
        rows: Csr,
        support: NDArray[np.int64],
        min_support: int,
    ) -> Signature:
        return conditional(
            name, condition, rows, support, min_support, self.weight_scale, self.token_strings
        )


#: What counts of each relation can be turned into.
_SIGNATURES: dict[type[Relation], tuple[str, ...]] = {
    Next: ("phi_next", "psi_pre"),
    Window: ("row_conditional", "column_conditional"),
    Prefix: ("phi_y", "psi_X", "phi_X_given_y"),
    SameSequence: ("phi_X",),
}
