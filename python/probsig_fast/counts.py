"""`Counts`: exact integer counts of one relation, immutable, addable, saved in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import counts_file, counts_folder, sums
from .arguments import integer
from .boundaries import Boundaries
from .counts_file import Layout, TableShape
from .csr import Csr, Entries
from .errors import ArgumentError, CountsFileError
from .kernels.contract import Kernels
from .kernels.registry import choose
from .merging import check_mergeable, merge_provenance, merge_tables, merge_third_order
from .relation_table import RelationTable
from .relations import Next, Prefix, Relation, SameSequence, relation_from_dict
from .table import Table, table_of
from .third_order import ThirdOrder, checked_focus
from .token_strings import token_strings

if TYPE_CHECKING:
    pass


class Neighbour(NamedTuple):
    """One line of `Counts.top`: the other token, its count (unscaled unless weighted), its
    conditional probability, and its string where strings were attached."""

    token: int
    count: int  # type: ignore[assignment]  # tuple.count gives way
    probability: float
    string: str | None


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Counts(RelationTable):
    """N[x, y] of one relation over a vocabulary of V tokens: a `RelationTable` that can be saved
    and added up.

    Attributes:
        boundaries: the rules by which sequences were cut.
        provenance: where the counts come from: sources, backend, time, versions. Not compared.
        relation, unigram, n_sequences, label_count, third, token_strings: see `RelationTable`.
    """

    boundaries: Boundaries
    provenance: Mapping[str, Any] = field(default_factory=dict)

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
        label_count: NDArray[np.int64] | None = None,
    ) -> Counts:
        """Counts from canonical CSR arrays (for `SameSequence`, the upper triangle); the marginals
        are summed here, by `kernels` or those of the chosen backend. O(nnz).

        Raises:
            ArgumentError: the relation is `Prefix`, and `label_count` is missing.
            CountOverflowError: the total is past 2^63 - 1.
            CountsFileError: a column that is not there, or a count below 1.
        """
        kernels = choose().load() if kernels is None else kernels
        entries = Csr(indptr, indices, data, unigram.size)
        table = table_of(entries, kernels, isinstance(relation, SameSequence))
        return cls.from_table(
            table, relation, boundaries, unigram, n_sequences, provenance, label_count
        )

    @classmethod
    def from_table(
        cls,
        table: Table,
        relation: Relation,
        boundaries: Boundaries,
        unigram: NDArray[np.int64],
        n_sequences: int,
        provenance: Mapping[str, Any] | None = None,
        label_count: NDArray[np.int64] | None = None,
        third: ThirdOrder | None = None,
    ) -> Counts:
        """As `from_arrays`, of entries wherever they are kept."""
        if isinstance(relation, Prefix) and label_count is None:
            raise ArgumentError("label_count: expected the samples of each label, got None")
        return cls(
            entries=table.entries,
            row_sum=table.row_sum,
            column_sum=table.column_sum,
            is_triangle=table.is_triangle,
            relation=relation,
            boundaries=boundaries,
            unigram=unigram,
            n_sequences=int(n_sequences),
            label_count=label_count,
            third=third,
            provenance=provenance or {},
        )

    def __repr__(self) -> str:
        return (
            f"Counts({self.relation!r}, vocab_size={self.vocab_size:,}, tokens={self.n_tokens:,}, "
            f"sequences={self.n_sequences:,}, distinct pairs={self.nnz:,}, total={self.total:,})"
        )

    def __eq__(self, other: object) -> bool:
        """Equal in all that a counts file holds; provenance and strings do not matter."""
        if not isinstance(other, Counts):
            return NotImplemented
        mine, theirs = self._vectors(), other._vectors()
        return (
            self._rules() == other._rules()
            and mine.keys() == theirs.keys()
            and all(np.array_equal(array, theirs[name]) for name, array in mine.items())
            and self.same_as(other)
        )

    __hash__ = None  # type: ignore[assignment]

    # Reading

    def top(
        self, token: int | str, k: int = 10, side: Literal["next", "previous"] = "next"
    ) -> list[Neighbour]:
        """The k tokens counted most often with `token`, best first; ties: the lower id first.

        Args:
            token: an id, or a string where strings are attached.
            side: `"next"` reads the token's row: what follows it, or for `Prefix` the labels of
                the samples that hold it, over `n_in`; `"previous"` its column, over `n_out`. For
                `SameSequence` both are the other tokens of its sequences.

        Raises:
            ArgumentError: a token outside the vocabulary, or a string that no token or several
                tokens have; another `side`; k below 1.
        """
        if side not in ("next", "previous"):
            raise ArgumentError(f"side: expected 'next' or 'previous', got {side!r}")
        k = integer("k", k, 1)
        token = self.token_id(token) if isinstance(token, str) else token
        ids, counts = self.row(token) if side == "next" else self.column(token)
        support = (self.n_in if side == "next" else self.n_out)[token]
        if self.is_triangle:  # every sequence that holds the token holds it
            ids, counts = ids[ids != token], counts[ids != token]
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
    def merge(
        cls,
        counts: Sequence[Counts],
        backend: str | None = None,
        folder: str | Path | None = None,
    ) -> Counts:
        """The sum of several counts at once, in any order: that of shards of one corpus.

        O(sum of nnz), on all processors.

        Args:
            folder: a new or empty one, to which the sum is saved as it is made: then a few row
                ranges are in memory at a time, however large the counts are.

        Raises:
            ArgumentError: no counts; a folder that holds something.
            MergeError: relation, vocabulary, boundary rules or scale differ.
            CountOverflowError: a sum past 2^63 - 1.
            CountsFileError: entries that contradict their marginals (a damaged file).
        """
        counts = list(counts)
        check_mergeable(counts, cls)
        if folder is not None:
            return counts_folder.written_to(folder, lambda path: cls._sum(counts, backend, path))
        return cls._sum(counts, backend)

    def save(self, path: str | Path) -> Path:
        """Write one `.safetensors` file, and the provenance beside it as `.json`; at a path without
        a suffix, a new or empty folder with a file for each row range.

        The same counts give the same bytes, wherever they were kept; only a folder in which they
        were counted may be divided otherwise. A file is there whole or not at all; a folder is
        counts once its index is there, the last file to be written. Of counts that are kept in a
        folder, one row range is in memory at a time.

        Raises:
            ArgumentError: the path has another suffix, its folder is missing, or it is a folder
                that holds something else.
        """
        path = Path(path)
        rules, vectors = self._rules(), self._vectors()
        if counts_folder.is_folder(path, self.entries):
            counts_folder.write(path, self, vectors, rules, self.provenance)
        else:
            arrays = vectors | counts_file.table_vectors(self) | counts_file.table_streams(self)
            counts_file.write(path, arrays, rules, self.provenance)
        return path

    @classmethod
    def load(cls, path: str | Path, verify: bool = False) -> Counts:
        """Open a counts file, memory-mapped, or a folder of row ranges, which are opened when they
        are needed: O(V), whatever the number of pairs.

        The headers, all sizes and the row pointers are checked. `verify=True` reads everything and
        checks also that indices are sorted and in range, that counts are positive, and that they
        add up to the marginals.

        Raises:
            ArgumentError: the path names neither.
            FileNotFoundError: no such file.
            CountsFileError: damaged, truncated, of a newer format, or no counts file.
        """
        path, entries = Path(path), None
        if path.is_dir():
            arrays, rules, provenance, entries = counts_folder.read(path, _layout, verify)
            path /= counts_folder.INDEX
        else:
            arrays, rules, provenance = counts_file.read(path, None, _layout, verify)
        counts = cls._loaded(path, arrays, rules, entries, provenance)
        if counts._rules() != rules:
            raise CountsFileError(f"{path}: expected rules {counts._rules()}, got {rules}")
        if verify and isinstance(counts.relation, Next) and not counts._unigram_fits():
            raise CountsFileError(f"{path}: unigrams, sequences and pairs contradict: damaged")
        if verify and not counts._labels_fit():
            raise CountsFileError(f"{path}: labels, sequences and unigrams contradict: damaged")
        return counts

    # Inside

    @classmethod
    def _sum(
        cls, counts: Sequence[Counts], backend: str | None, folder: Path | None = None
    ) -> Counts:
        kernels = choose(backend).load()
        labels = [each.label_count for each in counts if each.label_count is not None]
        table = merge_tables(counts, kernels, folder)
        return cls(
            entries=table.entries,
            row_sum=table.row_sum,
            column_sum=table.column_sum,
            is_triangle=table.is_triangle,
            relation=counts[0].relation,
            boundaries=counts[0].boundaries,
            unigram=sums.exact_sum([each.unigram for each in counts]),
            n_sequences=sum(each.n_sequences for each in counts),
            label_count=sums.exact_sum(labels) if labels else None,
            third=merge_third_order([each.third for each in counts], kernels),
            provenance=merge_provenance([each.provenance for each in counts]),
            token_strings=next((c.token_strings for c in counts if c.token_strings), None),
        )

    @classmethod
    def _loaded(
        cls,
        path: Path,
        arrays: counts_file.Arrays,
        rules: dict[str, Any],
        entries: Entries | None,
        provenance: Mapping[str, Any],
    ) -> Counts:
        layout = _layout(rules)
        table = counts_file.table_from(arrays, layout.tables[""], entries=entries)
        third = None
        if "third." in layout.tables:
            part = counts_file.table_from(arrays, layout.tables["third."], "third.")
            third = ThirdOrder(tuple(rules["focus"]), part)
        boundaries = counts_file.misread_as_damage(
            path, rules, lambda: Boundaries.checked(rules["vocab_size"], **rules["boundaries"])
        )
        return cls(
            entries=table.entries,
            row_sum=table.row_sum,
            column_sum=table.column_sum,
            is_triangle=table.is_triangle,
            relation=relation_from_dict(rules["relation"]),
            boundaries=boundaries,
            unigram=arrays["unigram"],
            n_sequences=int(arrays["n_sequences"][0]),
            label_count=arrays.get("label_count"),
            third=third,
            provenance=provenance,
        )

    def _unigram_fits(self) -> bool:
        """For `Next`: all tokens but a sequence's last begin a pair, all but its first end one."""
        lasts, firsts = self.unigram - self.row_sum, self.unigram - self.column_sum
        if not self.boundaries.count_row_ends:
            return bool(lasts.min() >= 0)
        counted = self.n_tokens - self.total == self.n_sequences
        return bool(counted and lasts.min() >= 0 and firsts.min() >= 0)

    def _labels_fit(self) -> bool:
        """For `Prefix`: every token is a sample's label, but for the first of each sequence."""
        if self.label_count is None or not self.boundaries.count_row_ends:
            return True
        firsts = self.unigram - self.label_count
        return bool(firsts.min() >= 0 and firsts.sum() == self.n_sequences)

    def _rules(self) -> dict[str, Any]:
        """All that makes counts comparable, as the file's metadata holds it."""
        rules = {
            "format_version": counts_file.FORMAT_VERSION,
            "relation": self.relation.to_dict(),
            "vocab_size": self.vocab_size,
            "boundaries": self.boundaries.to_dict(),
            "weight_scale": self.weight_scale,
        }
        return rules | ({"focus": list(self.focus)} if self.focus else {})

    def _vectors(self) -> counts_file.Arrays:
        """The arrays of a counts file, but for those of the table that these counts are."""
        arrays = {"n_sequences": np.array([self.n_sequences], np.int64), "unigram": self.unigram}
        if self.label_count is not None:
            arrays["label_count"] = self.label_count
        if self.third is not None:
            arrays |= counts_file.table_arrays(self.third.table, "third.")
        return arrays


def _layout(rules: dict[str, Any]) -> Layout:
    """The arrays of a file of these rules; raises what `misread_as_damage` understands."""
    relation, vocab_size = relation_from_dict(rules["relation"]), rules["vocab_size"]
    tables = {"": TableShape(vocab_size, vocab_size, isinstance(relation, SameSequence))}
    vectors = {"n_sequences": 1, "unigram": vocab_size}
    if isinstance(relation, Prefix):
        vectors["label_count"] = vocab_size
        if "focus" in rules:
            focus = checked_focus(rules["focus"], vocab_size)
            if list(focus) != rules["focus"]:
                raise ValueError(rules["focus"])
            tables["third."] = TableShape(len(focus) * vocab_size, vocab_size)
    return Layout(tables, vectors)
