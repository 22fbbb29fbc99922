"""What commands do alike with all kinds of counts: open them, name them, say how large they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from . import output

if TYPE_CHECKING:
    from ..counts import Counts
    from ..labelled import LabelledCounts

    AnyCounts: TypeAlias = Counts | LabelledCounts

#: The kind of labelled counts; that of others is the name of their relation.
LABELLED = "labelled"


def is_labelled(path: Path) -> bool:
    """Whether a file holds labelled counts, told by its header; a folder never does.

    Raises:
        FileNotFoundError, ArgumentError, CountsFileError: no counts file.
    """
    from ..counts_file import kind_of

    return kind_of(path) == LABELLED


def load(path: Path, verify: bool = False) -> AnyCounts:
    """The counts in a file or folder, of whatever kind.

    Raises:
        FileNotFoundError, ArgumentError, CountsFileError: as `Counts.load` does.
    """
    from ..counts import Counts
    from ..labelled import LabelledCounts

    if is_labelled(path):
        return LabelledCounts.load(path, verify)
    return Counts.load(path, verify)


def kind(counts: AnyCounts) -> str:
    """`"labelled"`, or the name of the relation."""
    from ..labelled import LabelledCounts

    return LABELLED if isinstance(counts, LabelledCounts) else counts.relation.name


def words(counts: AnyCounts) -> str:
    """The kind, as it is told to a reader."""
    from ..labelled import LabelledCounts

    if isinstance(counts, LabelledCounts):
        return f"{LABELLED}, {counts.incidence}"
    return output.show_relation(counts)


def size_fields(counts: AnyCounts) -> dict[str, Any]:
    """How much was counted, for JSON."""
    from ..labelled import LabelledCounts

    if isinstance(counts, LabelledCounts):
        fields = {
            "vocab_size": counts.vocab_size,
            "n_labels": counts.n_labels,
            "incidence": counts.incidence,
            "samples": counts.n_samples,
            "token_label_pairs": counts.labels.nnz,
            "token_pairs": counts.pairs.nnz,
        }
    else:
        fields = {
            "tokens": counts.n_tokens,
            "sequences": counts.n_sequences,
            **({"samples": counts.n_samples} if counts.relation.name == "prefix" else {}),
            "distinct_pairs": counts.nnz,
            "total": counts.total,
        }
    if counts.third is not None:
        fields |= {"focus_tokens": len(counts.focus), "triples": counts.third.table.nnz}
    return fields


def size_lines(counts: AnyCounts, left_out: int = 0) -> list[tuple[str, str]]:
    """How much was counted, for a reader; `left_out`: tokens read beside those counted."""
    fields = size_fields(counts)
    unordered = kind(counts) == "same-sequence"
    lines = [
        (name, f"{fields[field]:,}")
        for name, field in (
            ("tokens", "tokens"),
            ("sequences", "sequences"),
            ("samples", "samples"),
            (f"distinct pairs{' (unordered)' if unordered else ''}", "distinct_pairs"),
            ("token-label pairs", "token_label_pairs"),
            ("token pairs (unordered)", "token_pairs"),
        )
        if field in fields
    ]
    if left_out:
        lines[0] = ("tokens", f"{fields['tokens']:,} ({left_out:,} left out)")
    if counts.third is not None:
        triples = f"{fields['triples']:,} distinct triples"
        lines.append(("third order", f"of {fields['focus_tokens']:,} tokens: {triples}"))
    return lines
