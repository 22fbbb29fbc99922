"""`probsig count --at-steps`, `--at-tokens`: the counts as of many steps, a folder of deltas."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import any_counts, output

if TYPE_CHECKING:
    from ..relations import Relation
    from ..steps import CountSteps

#: Options that count one whole only.
_WHOLE = ("work_dir", "scheduler", "focus")


def add_arguments(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--at-steps",
        type=int,
        nargs="+",
        metavar="STEP",
        help="pythia: the counts as of these training steps, from one read; --out FOLDER gets what "
        "is new since the step before, each, and `probsig merge FOLDER --as-of STEP` adds them up",
    )
    parser.add_argument(
        "--at-tokens",
        type=int,
        nargs="+",
        metavar="N",
        help="likewise, after so many tokens; each place must lie between two sequences",
    )


def is_asked_for(arguments: argparse.Namespace) -> bool:
    return arguments.at_steps is not None or arguments.at_tokens is not None


def run(
    arguments: argparse.Namespace, source: Any, relation: Relation, common: dict[str, Any]
) -> None:
    """`common`: arguments of `count` beside the source."""
    if not output.is_folder(arguments.out):
        arguments.parser.error("--at-steps and --at-tokens go with --out FOLDER")
    for option in _WHOLE:
        if getattr(arguments, option) is not None:
            arguments.parser.error(
                f"--{option.replace('_', '-')} does not go with --at-steps and --at-tokens"
            )
    from ..counting import count_steps

    steps = count_steps(
        source,
        relation,
        steps=arguments.at_steps,
        cuts=arguments.at_tokens,
        work_dir=arguments.out,
        **common,
    )
    fields = _fields(steps, arguments.out)
    if arguments.json:
        output.print_json(fields)
        return
    output.print_table(
        ["step", "tokens before", "tokens since", "sequences since", "distinct pairs since"],
        [
            [f"{row[name]:,}" for name in ("step", "cut", "tokens", "sequences", "distinct_pairs")]
            for row in fields["steps"]
        ],
        set(),
    )
    size = output.show_size(fields["bytes"])
    output.print_fields([("written", f"{arguments.out} ({len(steps.steps)} steps, {size})")])


def _fields(steps: CountSteps, folder: Path) -> dict[str, Any]:
    rows = [
        {"step": step, "cut": cut, **any_counts.size_fields(delta)}
        for step, cut, delta in zip(steps.steps, steps.cuts, steps.deltas, strict=True)
    ]
    size = sum(output.size_on_disk(path) for path in folder.iterdir() if path.is_dir())
    return {"steps": rows, "folder": str(folder), "bytes": size}
