"""`probsig align --report`: the page, from what the command was given."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, SourceNotFoundError
from . import align_output, any_counts, output
from .align_arguments import align_options
from .words import told_as

if TYPE_CHECKING:
    from ..alignment import Embedding, PreparedSignature
    from ..report import Comparison, Settings
    from .any_counts import AnyCounts

#: Options that say something about the report only.
_ONLY_WITH_REPORT = ("groups", "trajectory")


def check_arguments(arguments: argparse.Namespace) -> None:
    """Before hours of work.

    Raises:
        ArgumentError: options that do not go together, or a folder that cannot be the report's.
        MissingExtraError: the extra [report] is not installed.
    """
    if arguments.report is None:
        for name in _ONLY_WITH_REPORT:
            if getattr(arguments, name) is not None:
                raise ArgumentError(f"--{name}: expected --report with it, got none")
        return
    if arguments.centre:
        raise ArgumentError("--centre: expected none with --report, which shows both")
    from ..report import check_extras, check_folder

    check_extras()
    check_folder(arguments.report)


def run(
    arguments: argparse.Namespace,
    counts: AnyCounts,
    compared: Sequence[tuple[PreparedSignature, Embedding]],
) -> None:
    """Measure, write the report, and print what the command prints without one."""
    from ..report import measure, write_measured

    settings = _settings(arguments)
    trajectory = _trajectory(arguments.trajectory)
    measured = [measure(_comparison(*each), settings) for each in compared]
    files = write_measured(
        arguments.report, measured, settings, _provenance(arguments, counts), trajectory
    )
    outcomes = [
        align_output.of_alignments(*pair, each.kinds)
        for pair, each in zip(compared, measured, strict=True)
    ]
    if arguments.json:
        written = {"report": [str(path) for path in files]}
        output.print_json({"counts": str(arguments.file), **align_output.told(outcomes), **written})
        return
    align_output.print_all(outcomes)
    print()
    pictures = sum(path.suffix == ".png" for path in files)
    output.print_fields(
        [
            ("report", output.show_written(files[0])),
            ("beside it", f"report.json with every number, {pictures} pictures"),
        ]
    )


def _comparison(signature: PreparedSignature, embedding: Embedding) -> Comparison:
    from ..report import Comparison, EmbeddingFacts

    rows, width = embedding.weight.shape
    facts = EmbeddingFacts(
        name=embedding.name or Path(embedding.source).name,
        source=embedding.source,
        which=embedding.which,
        # An input embedding does not know whether the output one is the same.
        tied=embedding.tied if embedding.name and embedding.which == "output" else None,
        rows=rows + embedding.rows_dropped,
        width=width,
        rows_dropped=embedding.rows_dropped,
    )
    return Comparison(embedding.weight, signature, facts)


def _settings(arguments: argparse.Namespace) -> Settings:
    from ..report import Settings

    options = align_options(arguments)
    if arguments.groups is None:
        return Settings(align=options)
    return Settings(align=options, groups=read_groups(arguments.groups), own_groups=True)


def read_groups(path: Path) -> dict[str, list[str | int]]:
    """Groups of tokens, texts or ids, by name.

    Raises:
        SourceNotFoundError: no such file.
        ArgumentError: not JSON, or no such mapping.
    """
    if not path.is_file():
        raise SourceNotFoundError(f"--groups: expected a file, got {str(path)!r}: no such file")
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArgumentError(f"--groups: expected JSON, got {str(path)!r}: {error}") from error
    if not isinstance(loaded, dict) or not loaded or not all(map(_is_group, loaded.values())):
        raise ArgumentError(
            '--groups: expected {"name": ["token", ...], ...} with at least one token a group, '
            f"got something else in {str(path)!r}"
        )
    return loaded


def _is_group(members: Any) -> bool:
    return isinstance(members, list) and bool(members) and {type(m) for m in members} <= {str, int}


def _trajectory(path: Path | None) -> Any:
    if path is None:
        return None
    from ..alignment import Trajectory

    with told_as(path="--trajectory"):
        return Trajectory.read(path)


def _provenance(arguments: argparse.Namespace, counts: AnyCounts) -> dict[str, Any]:
    sizes = any_counts.size_fields(counts)
    return {
        "counts": str(arguments.file),
        "relation": any_counts.words(counts),
        **{name.replace("_", " "): value for name, value in sizes.items()},
        "counted from": _sources(counts),
        "embedding": str(arguments.embedding),
        **(
            {"output embedding": str(arguments.output_embedding)}
            if arguments.output_embedding
            else {}
        ),
        **({"tokenizer": str(arguments.tokenizer)} if arguments.tokenizer else {}),
        **({"trajectory": str(arguments.trajectory)} if arguments.trajectory else {}),
        "min_support": arguments.min_support,
        "draws": arguments.draws,
        "seed": arguments.seed,
    }


def _sources(counts: AnyCounts) -> Any:
    """What the file beside the counts says; `"unknown"` where there is none."""
    told = counts.provenance
    kept = {key: told[key] for key in ("created", "versions", "merged", "sources") if key in told}
    return kept or "unknown"
