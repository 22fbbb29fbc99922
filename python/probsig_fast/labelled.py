"""`LabelledCounts`: exact counts of (X, y) data, immutable, addable, saved in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import counts_file, sums
from .arguments import integer, read_only
from .conditionals import conditional
from .counts_file import Layout, TableShape
from .csr import scipy_csr
from .errors import ArgumentError, CountsFileError
from .kernels.registry import choose
from .merging import check_mergeable, merge_provenance, merge_tables, merge_third_order
from .signature import Signature
from .table import Table
from .third_order import ThirdOrder, checked_focus

if TYPE_CHECKING:
    import scipy.sparse

Incidence = Literal["presence", "multiplicity"]
INCIDENCES = ("presence", "multiplicity")
KIND = "labelled"


class Companion(NamedTuple):
    """One line of `LabelledCounts.top`: the label or the other token, its count, and that over
    N_x."""

    id: int
    count: int  # type: ignore[assignment]  # tuple.count gives way
    share: float


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class LabelledCounts:
    """Counts of N samples (X, y) (arXiv 2509.20124; THEORY, section 0).

    c_ix says how x stands in X_i: 1 if it does (`incidence="presence"`), or how often
    (`"multiplicity"`; the counts are then weighted, and the signatures no probabilities).

    Attributes:
        labels: `Table` [V, Q], N_{x,nu} = sum_i c_ix [y_i = nu].
        pairs: `Table` [V, V], N_{x,x'} = sum_i c_ix c_ix', symmetric.
        n_in: int64 [V], N_x = sum_i c_ix.
        n_out: int64 [Q], N_nu, samples with label nu.
        incidence: `"presence"` or `"multiplicity"`.
        third: N_{x,nu,x'} of some tokens; see `third_order`.
        provenance: how it was counted. Not compared.
    """

    labels: Table
    pairs: Table
    n_in: NDArray[np.int64]
    n_out: NDArray[np.int64]
    incidence: Incidence
    third: ThirdOrder | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("n_in", "n_out"):
            object.__setattr__(self, name, read_only(getattr(self, name)))

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()  # arrays come out of a pickle writeable

    def __getstate__(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.n_in.size

    @property
    def n_labels(self) -> int:
        """Q."""
        return self.n_out.size

    @property
    def n_samples(self) -> int:
        """N."""
        return int(self.n_out.sum())

    @property
    def focus(self) -> tuple[int, ...]:
        """The tokens that third-order counts are there for."""
        return self.third.focus if self.third else ()

    def __repr__(self) -> str:
        return (
            f"LabelledCounts(vocab_size={self.vocab_size:,}, n_labels={self.n_labels:,}, "
            f"samples={self.n_samples:,}, incidence={self.incidence!r}, "
            f"token-label pairs={self.labels.nnz:,}, token pairs={self.pairs.nnz:,}, "
            f"focus={len(self.focus):,} tokens)"
        )

    def __eq__(self, other: object) -> bool:
        """Equal in all that a counts file holds; provenance does not matter."""
        if not isinstance(other, LabelledCounts):
            return NotImplemented
        theirs = other._arrays()
        return self._rules() == other._rules() and all(
            np.array_equal(array, theirs[name]) for name, array in self._arrays().items()
        )

    __hash__ = None  # type: ignore[assignment]

    # Reading

    def top(
        self, token: int, k: int = 10, side: Literal["label", "token"] = "label"
    ) -> list[Companion]:
        """The k labels (or other tokens) counted most often with `token`, best first; ties: the
        lower id first.

        Raises:
            ArgumentError: a token outside the vocabulary; another `side`; k below 1.
        """
        if side not in ("label", "token"):
            raise ArgumentError(f"side: expected 'label' or 'token', got {side!r}")
        k = integer("k", k, 1)
        ids, counts = (self.labels if side == "label" else self.pairs).row(token)
        if side == "token":
            ids, counts = ids[ids != token], counts[ids != token]
        order = np.lexsort((ids, -counts))[:k]
        return [
            Companion(int(ids[i]), int(counts[i]), float(counts[i] / self.n_in[token]))
            for i in order
        ]

    def third_order(self, token: int) -> scipy.sparse.csr_array:
        """N_{x,nu,x'} = sum_i c_ix c_ix' [y_i = nu] of one token x of `focus`: int64 CSR [Q, V].

        Raises:
            ArgumentError: a token that the counts were not made with as `focus`.
        """
        return scipy_csr(self._third("third_order").of(token))

    # Signatures

    def phi_y(self, min_support: int = 0) -> Signature:
        """phi_x^y[nu] = P(y = nu | x in X) = N_{x,nu} / N_x: rows x [V], columns nu [Q].

        Tokens with N_x below `min_support` are dropped. Shares the counts' memory.
        """
        return conditional(
            "phi_y", "label | token in sequence", self.labels.whole(), self.n_in, min_support
        )

    def psi_X(self, min_support: int = 0) -> Signature:
        """psi_nu^X[x] = P(x in X | y = nu) = N_{x,nu} / N_nu: rows nu [Q], columns x [V].

        O(nnz) time and memory.
        """
        rows = self.labels.whole().transposed()
        return conditional("psi_X", "token in sequence | label", rows, self.n_out, min_support)

    def phi_X(self, min_support: int = 0) -> Signature:
        """phi_x^X[x'] = P(x' in X | x in X) = N_{x,x'} / N_x: rows x [V], columns x' [V].

        O(nnz) time and memory.
        """
        rows = self.pairs.whole()
        return conditional("phi_X", "token in sequence | token", rows, self.n_in, min_support)

    def phi_X_given_y(self, token: int, min_support: int = 0) -> Signature:
        """phi_x^{X|y}[nu, x'] = P(x' in X | x in X, y = nu) = N_{x,nu,x'} / N_{x,nu} for one token
        x of `focus`: rows nu [Q], columns x' [V].

        Raises:
            ArgumentError: a token that the counts were not made with as `focus`.
        """
        rows = self._third("phi_X_given_y").of(token)
        support = np.zeros(self.n_labels, np.int64)
        labels, counts = self.labels.row(token)
        support[labels] = counts
        condition = f"token in sequence | {token} in sequence, label"
        return conditional("phi_X_given_y", condition, rows, support, min_support)

    # Handing on

    def __add__(self, other: object) -> LabelledCounts:
        """Counts of both parts together: exact, and the same for a + b and b + a.

        Raises:
            MergeError: vocabulary, labels, incidence or focus differ.
            CountOverflowError: a sum past 2^63 - 1.
        """
        if not isinstance(other, LabelledCounts):
            return NotImplemented
        return LabelledCounts.merge([self, other])

    @classmethod
    def merge(cls, counts: Sequence[LabelledCounts], backend: str | None = None) -> LabelledCounts:
        """The sum of several counts at once, in any order. O(sum of nnz), on all processors.

        Raises:
            ArgumentError: no counts.
            MergeError: vocabulary, labels, incidence or focus differ.
            CountOverflowError: a sum past 2^63 - 1.
            CountsFileError: entries that contradict their marginals (a damaged file).
        """
        counts = list(counts)
        check_mergeable(counts, cls)
        kernels = choose(backend).load()
        return cls(
            labels=merge_tables([each.labels for each in counts], kernels),
            pairs=merge_tables([each.pairs for each in counts], kernels),
            n_in=sums.exact_sum([each.n_in for each in counts]),
            n_out=sums.exact_sum([each.n_out for each in counts]),
            incidence=counts[0].incidence,
            third=merge_third_order([each.third for each in counts], kernels),
            provenance=merge_provenance([each.provenance for each in counts]),
        )

    def save(self, path: str | Path) -> Path:
        """Write one `.safetensors` file, and the provenance beside it as `.json`.

        The same counts give the same bytes. The file is there whole or not at all.

        Raises:
            ArgumentError: the path does not end in `.safetensors`, or its folder is missing.
        """
        path = Path(path)
        counts_file.write(path, self._arrays(), self._rules(), self.provenance)
        return path

    @classmethod
    def load(cls, path: str | Path, verify: bool = False) -> LabelledCounts:
        """Open a counts file, memory-mapped; checks as `Counts.load` does.

        Raises:
            FileNotFoundError: no such file.
            CountsFileError: damaged, truncated, of a newer format, or no labelled counts.
        """
        path = Path(path)
        arrays, rules, provenance = counts_file.read(path, KIND, _layout, verify)
        tables = {
            prefix: counts_file.table_from(arrays, shape, prefix)
            for prefix, shape in _layout(rules).tables.items()
        }
        third = ThirdOrder(tuple(rules["focus"]), tables["third."]) if rules["focus"] else None
        counts = cls(
            labels=tables["labels."],
            pairs=tables["pairs."],
            n_in=arrays["n_in"],
            n_out=arrays["n_out"],
            incidence=rules["incidence"],
            third=third,
            provenance=provenance,
        )
        if counts._rules() != rules:
            raise CountsFileError(f"{path}: expected rules {counts._rules()}, got {rules}")
        if verify and not np.array_equal(counts.n_in, counts.labels.row_sum):
            raise CountsFileError(f"{path}: labels do not add up to n_in: damaged")
        if verify and not counts._parts_fit():
            raise CountsFileError(f"{path}: labels, pairs and samples contradict: damaged")
        return counts

    # Inside

    def with_provenance(self, provenance: Mapping[str, Any]) -> LabelledCounts:
        return replace(self, provenance=provenance)

    def _parts_fit(self) -> bool:
        """No label has more samples that hold a token than samples; a presence is its square."""
        if self.incidence != "presence":
            return bool((self.n_out >= 0).all())
        labels = self.labels.entries.csr()
        within_labels = bool((labels.stored <= self.n_out[labels.safe.indices]).all())
        return within_labels and np.array_equal(self.n_in, self.pairs.entries.diagonal())

    def _rules(self) -> dict[str, Any]:
        """All that makes counts comparable, as the file's metadata holds it."""
        return {
            "format_version": counts_file.FORMAT_VERSION,
            "kind": KIND,
            "vocab_size": self.vocab_size,
            "n_labels": self.n_labels,
            "incidence": self.incidence,
            "focus": list(self.focus),
        }

    def _arrays(self) -> counts_file.Arrays:
        """The arrays of a counts file."""
        arrays = counts_file.table_arrays(self.labels, "labels.")
        arrays |= counts_file.table_arrays(self.pairs, "pairs.")
        if self.third is not None:
            arrays |= counts_file.table_arrays(self.third.table, "third.")
        return arrays | {"n_in": self.n_in, "n_out": self.n_out}

    def _third(self, method: str) -> ThirdOrder:
        if self.third is None:
            raise ArgumentError(
                f"{method}(): expected counts made with third_order=True or focus=[tokens], "
                "got none: count_labelled(X, y, focus=[...])"
            )
        return self.third


def _layout(rules: dict[str, Any]) -> Layout:
    """The arrays of a file of these rules; raises what `misread_as_damage` understands."""
    vocab_size, n_labels = rules["vocab_size"], rules["n_labels"]
    if rules["incidence"] not in INCIDENCES:
        raise ValueError(rules["incidence"])
    tables = {
        "labels.": TableShape(vocab_size, n_labels),
        "pairs.": TableShape(vocab_size, vocab_size, is_triangle=True),
    }
    if rules["focus"]:
        focus = checked_focus(rules["focus"], vocab_size)
        if list(focus) != rules["focus"]:
            raise ValueError(rules["focus"])
        tables["third."] = TableShape(len(focus) * vocab_size, n_labels)
    return Layout(tables, {"n_in": vocab_size, "n_out": n_labels})
