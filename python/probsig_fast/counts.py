"""`Counts`: exact integer counts of one relation, immutable, addable, saved in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import counts_file, sums
from .accumulator import add_blocks
from .arguments import integer
from .boundaries import Boundaries
from .errors import ArgumentError, ArgumentTypeError, CountsFileError, MergeError
from .kernels.contract import Block, Kernels
from .kernels.registry import choose
from .pool import WorkerPool, thread_count
from .relations import Next, Relation, relation_from_dict
from .signature import Signature, check_min_support
from .table import Table
from .token_strings import token_strings


class Neighbour(NamedTuple):
    """One line of `Counts.top`: the other token, its count (unscaled unless weighted), its
    conditional probability, and its string where strings were attached."""

    token: int
    count: int  # type: ignore[assignment]  # tuple.count gives way
    probability: float
    string: str | None


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Counts(Table):
    """N[x, y] of one relation over a vocabulary of V tokens: a `Table`, and what was counted.

    Attributes:
        relation: what was counted.
        boundaries: the rules by which sequences were cut.
        unigram: int64 [V], how often each token was counted.
        n_sequences: non-empty sequences.
        provenance: where the counts come from: sources, backend, time, versions. Not compared.
        token_strings: readable tokens [V]; see `with_tokens`.

    Counts are multiplied by `weight_scale` (see `Window`).
    """

    relation: Relation
    boundaries: Boundaries
    unigram: NDArray[np.int64]
    n_sequences: int
    provenance: Mapping[str, Any] = field(default_factory=dict)
    token_strings: Sequence[str] | None = None

    @classmethod
    def from_arrays(
        cls,
        relation: Relation,
        boundaries: Boundaries,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        data: NDArray[np.int64],
        unigram: NDArray[np.int64],
        n_sequences: int,
        provenance: Mapping[str, Any] | None = None,
        kernels: Kernels | None = None,
    ) -> Counts:
        """Counts from canonical CSR arrays; the marginals are summed here, by `kernels` or those
        of the chosen backend. O(nnz).

        Raises:
            CountOverflowError: the total is past 2^63 - 1.
        """
        sums.checked_total(data)
        kernels = choose().load() if kernels is None else kernels
        return cls(
            indptr=indptr,
            indices=indices,
            stored=data,
            row_sum=sums.row_sum(indptr, data),
            column_sum=kernels.column_sums(indices, data, unigram.size),
            relation=relation,
            boundaries=boundaries,
            unigram=unigram,
            n_sequences=int(n_sequences),
            provenance=provenance or {},
        )

    @property
    def weight_scale(self) -> int:
        return self.relation.weight_scale

    @property
    def n_tokens(self) -> int:
        """Tokens counted."""
        return int(self.unigram.sum())

    def __repr__(self) -> str:
        return (
            f"Counts({self.relation!r}, vocab_size={self.vocab_size:,}, tokens={self.n_tokens:,}, "
            f"sequences={self.n_sequences:,}, distinct pairs={self.nnz:,}, total={self.total:,})"
        )

    def __eq__(self, other: object) -> bool:
        """Equal in all that a counts file holds; provenance and strings do not matter."""
        if not isinstance(other, Counts):
            return NotImplemented
        theirs = other._arrays()
        return self._rules() == other._rules() and all(
            np.array_equal(array, theirs[name]) for name, array in self._arrays().items()
        )

    __hash__ = None  # type: ignore[assignment]

    # Reading

    def top(
        self, token: int | str, k: int = 10, side: Literal["next", "previous"] = "next"
    ) -> list[Neighbour]:
        """The k tokens counted most often with `token`, best first; ties: the lower id first.

        Args:
            token: an id, or a string where strings are attached.
            side: `"next"` reads the token's row, P(other | token) over the row; `"previous"` its
                column.

        Raises:
            ArgumentError: a token outside the vocabulary, or a string that no token or several
                tokens have; another `side`; k below 1.
        """
        if side not in ("next", "previous"):
            raise ArgumentError(f"side: expected 'next' or 'previous', got {side!r}")
        k = integer("k", k, 1)
        token = self.token_id(token) if isinstance(token, str) else token
        ids, counts = self.row(token) if side == "next" else self.column(token)
        support = counts.sum()
        order = np.lexsort((ids, -counts))[:k]
        strings = self.token_strings
        return [
            Neighbour(
                int(ids[i]),
                int(counts[i]),
                float(counts[i] / support),
                strings[ids[i]] if strings else None,
            )
            for i in order
        ]

    def token_id(self, string: str) -> int:
        """The id of the token with that string.

        Raises:
            ArgumentError: no strings attached; none or several tokens have it.
        """
        if self.token_strings is None:
            raise ArgumentError(
                f"token: expected an id, as no token strings are attached, got {string!r}"
            )
        found = [i for i, text in enumerate(self.token_strings) if text == string]
        if len(found) != 1:
            raise ArgumentError(
                f"token: expected the string of one token, got {string!r}, which "
                f"{f'tokens {found[:5]} have' if found else 'no token has'}"
            )
        return found[0]

    def with_tokens(self, tokens: Any) -> Counts:
        """These counts with readable tokens, from a list of V strings, a mapping id -> string, a
        `tokenizers.Tokenizer` or transformers tokenizer, or the path of a `tokenizer.json`.

        Raises:
            ArgumentError, ArgumentTypeError: too few strings, or none of these.
            MissingExtraError: a path was given, and `tokenizers` is not installed.
        """
        return replace(self, token_strings=token_strings(tokens, self.vocab_size))

    # Signatures

    def phi_next(self, min_support: int = 0) -> Signature:
        """phi_s^next[s'] = P(next = s' | s) = N[s, s'] / sum N[s, :] (arXiv 2509.20124).

        Tokens with support below `min_support` are dropped. Shares the counts' memory.

        Raises:
            ArgumentError: the counts are not of `Next()`.
        """
        self._require_next("phi_next", "row_conditional")
        return self._rows("phi_next", "next | token", min_support)

    def psi_pre(self, min_support: int = 0) -> Signature:
        """psi_s^pre[s'] = P(previous = s' | s) = N[s', s] / sum N[:, s] (arXiv 2509.20124).

        O(nnz) time and memory: the counts are transposed.

        Raises:
            ArgumentError: the counts are not of `Next()`.
        """
        self._require_next("psi_pre", "column_conditional")
        return self._columns("psi_pre", "previous | token", min_support)

    def row_conditional(self, min_support: int = 0) -> Signature:
        """P(y | x) = N[x, y] / sum N[x, :]: for a window, the weighted share of y near x."""
        return self._rows("row_conditional", "column | row", min_support)

    def column_conditional(self, min_support: int = 0) -> Signature:
        """P(x | y) = N[x, y] / sum N[:, y], one row for each y. O(nnz) time and memory."""
        return self._columns("column_conditional", "row | column", min_support)

    # Handing on

    def to_parquet(self, path: str | Path) -> None:
        """Write columns `row`, `column`, `count` (and `row_string`, `column_string` where strings
        are attached), sorted by row then column, in row groups.

        Raises:
            MissingExtraError: pyarrow is not installed.
        """
        from .parquet import write_counts

        write_counts(self, Path(path))

    def __add__(self, other: object) -> Counts:
        """Counts of both parts together: exact, and the same for a + b and b + a.

        Raises:
            MergeError: relation, vocabulary, boundary rules or scale differ.
            CountOverflowError: a sum past 2^63 - 1.
        """
        if not isinstance(other, Counts):
            return NotImplemented
        return Counts.merge([self, other])

    @classmethod
    def merge(cls, counts: Sequence[Counts], backend: str | None = None) -> Counts:
        """The sum of several counts at once, in any order: that of shards of one corpus.

        O(sum of nnz), on all processors.

        Raises:
            ArgumentError: no counts.
            MergeError: relation, vocabulary, boundary rules or scale differ.
            CountOverflowError: a sum past 2^63 - 1.
            CountsFileError: entries that contradict their marginals (a damaged file).
        """
        counts = list(counts)
        for each in counts:
            if not isinstance(each, Counts):
                raise ArgumentTypeError(f"counts: expected Counts, got {type(each).__name__}")
        if not counts:
            raise ArgumentError("counts: expected at least one, got none")
        _check_same_rules(counts)
        kernels = choose(backend).load()
        blocks = [Block(each.indptr, each._safe_indices, each.data) for each in counts]
        with WorkerPool(thread_count(None)) as pool:
            block = add_blocks(blocks, kernels, pool)
        merged = cls.from_arrays(
            counts[0].relation,
            counts[0].boundaries,
            block.indptr,
            block.indices,
            block.data,
            sums.exact_sum([each.unigram for each in counts]),
            sum(each.n_sequences for each in counts),
            {"merged": [part for each in counts for part in _parts(each.provenance)]},
            kernels,
        )
        for name in ("row_sum", "column_sum"):
            expected = sums.exact_sum([getattr(each, name) for each in counts])
            if not np.array_equal(getattr(merged, name), expected):
                raise CountsFileError(f"counts: entries do not add up to their {name}: damaged")
        strings = next((each.token_strings for each in counts if each.token_strings), None)
        return replace(merged, token_strings=strings)

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
    def load(cls, path: str | Path, verify: bool = False) -> Counts:
        """Open a counts file, memory-mapped: O(V), whatever the number of pairs.

        The header, all sizes and the row pointers are checked. `verify=True` reads everything and
        checks also that indices are sorted and in range, that counts are positive, and that they
        add up to the marginals.

        Raises:
            FileNotFoundError: no such file.
            CountsFileError: damaged, truncated, of a newer format, or no counts file.
        """
        path = Path(path)
        arrays, rules, provenance = counts_file.read(path, verify)
        try:
            relation = relation_from_dict(rules["relation"])
            boundaries = Boundaries.checked(rules["vocab_size"], **rules["boundaries"])
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise CountsFileError(f"{path}: expected the rules of counts, got {rules}") from error
        counts = cls(
            stored=arrays.pop("data"),
            relation=relation,
            boundaries=boundaries,
            n_sequences=int(arrays.pop("n_sequences")[0]),
            provenance=provenance,
            **arrays,  # type: ignore[arg-type]  # the rest are attributes by the same names
        )
        if counts._rules() != rules:
            raise CountsFileError(f"{path}: expected rules {counts._rules()}, got {rules}")
        if verify and isinstance(relation, Next) and not counts._unigram_fits():
            raise CountsFileError(f"{path}: unigrams, sequences and pairs contradict: damaged")
        return counts

    # Inside

    def _unigram_fits(self) -> bool:
        """For `Next`: all tokens but a sequence's last begin a pair, all but its first end one."""
        lasts, firsts = self.unigram - self.row_sum, self.unigram - self.column_sum
        counted = self.n_tokens - self.total == self.n_sequences
        return bool(counted and lasts.min() >= 0 and firsts.min() >= 0)

    def _rules(self) -> dict[str, Any]:
        """All that makes counts comparable, as the file's metadata holds it."""
        return {
            "format_version": counts_file.FORMAT_VERSION,
            "relation": self.relation.to_dict(),
            "vocab_size": self.vocab_size,
            "boundaries": self.boundaries.to_dict(),
            "weight_scale": self.weight_scale,
        }

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of a counts file."""
        return {
            "column_sum": self.column_sum,
            "data": self.stored,
            "indices": self.indices,
            "indptr": self.indptr,
            "n_sequences": np.array([self.n_sequences], np.int64),
            "row_sum": self.row_sum,
            "unigram": self.unigram,
        }

    def _require_next(self, method: str, instead: str) -> None:
        if not isinstance(self.relation, Next):
            raise ArgumentError(
                f"{method}(): expected counts of Next(), got {self.relation!r}: use {instead}()"
            )

    def _rows(self, name: str, condition: str, min_support: int) -> Signature:
        check_min_support(min_support)
        signature = Signature(
            name,
            condition,
            self.indptr,
            self._safe_indices,
            self.stored,
            self.row_sum,
            self.vocab_size,
            self.weight_scale,
            token_strings=self.token_strings,
        )
        return signature.with_min_support(min_support)

    def _columns(self, name: str, condition: str, min_support: int) -> Signature:
        check_min_support(min_support)
        by_column = self.to_scipy().tocsc()
        signature = Signature(
            name,
            condition,
            by_column.indptr.astype(np.int64),
            by_column.indices.astype(np.int32, copy=False),
            by_column.data,
            self.column_sum,
            self.vocab_size,
            self.weight_scale,
            token_strings=self.token_strings,
        )
        return signature.with_min_support(min_support)


def _check_same_rules(counts: Sequence[Counts]) -> None:
    """Check that counts can be added.

    Raises:
        MergeError: naming the first rule that differs.
    """
    first = counts[0]._rules()
    for index, other in enumerate(counts[1:], 2):
        for rule, expected in first.items():
            got = other._rules()[rule]
            if got != expected:
                raise MergeError(
                    f"{rule}: expected {expected} throughout, as in the first counts, "
                    f"got {got} in number {index}"
                )


def _parts(provenance: Mapping[str, Any]) -> Sequence[Any]:
    """What merged counts were merged from, so that sums of sums stay flat."""
    merged = provenance.get("merged")
    return merged if isinstance(merged, list) else [provenance]
