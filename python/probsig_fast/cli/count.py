"""`probsig count`: token files in, one counts file out."""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import output

if TYPE_CHECKING:
    from ..counts import Counts
    from ..relations import Relation, Weighting

NAME = "count"
SUMMARY = "count token pairs in files of token ids"
DESCRIPTION = """\
Count next-token pairs, or weighted pairs within a window, in files of token ids: flat binary files
(raw little-endian integers, --dtype says which) or .npy arrays (the rows of a 2-D one are
sequences). Nothing is counted across a boundary: the end of a file, --eos, an ignored id, or
--sequence-length. The counts are exact, and the same for every backend and number of threads.
"""
EPILOG = """\
examples:
  probsig count docs.u16.bin --dtype uint16 --vocab-size 49152 --eos 0 --out docs.next.safetensors
  probsig count 'pile/*.bin' --dtype uint16 --vocab-size 50277 --eos 0 --join-files \\
      --out pile.next.safetensors
  probsig count rows.npy --vocab-size 32000 --ignore-ids -100 2 --out rows.next.safetensors
  probsig count docs.u16.bin --dtype uint16 --vocab-size 49152 --eos 0 --relation window \\
      --size 10 --weighting harmonic --direction symmetric --out docs.window.safetensors
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tokens", nargs="+", metavar="TOKENS", help="token files or quoted globs")
    output.add_output(parser)
    source = parser.add_argument_group("what the files hold")
    source.add_argument("--vocab-size", type=int, metavar="V", help="ids are 0..V-1; required")
    source.add_argument("--dtype", help="token type of flat files, such as uint16 or uint32")
    relation = parser.add_argument_group("what is counted")
    relation.add_argument("--relation", choices=("next", "window"), default="next")
    relation.add_argument("--size", type=int, metavar="N", help="window: the largest distance")
    relation.add_argument(
        "--weighting",
        type=_weighting,
        metavar="W",
        help="window: uniform (the default), harmonic (1/distance), or one weight a distance: "
        "1,1/2,1/3",
    )
    relation.add_argument(
        "--direction",
        choices=("forward", "backward", "symmetric"),
        help="window: default forward",
    )
    boundaries = parser.add_argument_group("where sequences end")
    boundaries.add_argument("--eos", type=int, metavar="ID", help="this id closes its sequence")
    boundaries.add_argument(
        "--no-count-eos", action="store_true", help="eos cuts, but is not counted itself"
    )
    boundaries.add_argument(
        "--ignore-ids",
        type=int,
        nargs="+",
        default=(),
        metavar="ID",
        help="padding: cuts, likewise",
    )
    boundaries.add_argument("--sequence-length", type=int, metavar="L", help="cut every L tokens")
    boundaries.add_argument(
        "--join-files", action="store_true", help="the files are one stream: their ends do not cut"
    )
    running = parser.add_argument_group("how it runs")
    output.add_backend(running)
    output.add_threads(running)
    running.add_argument(
        "--chunk-tokens", type=int, metavar="N", help="tokens a thread takes at a time"
    )
    running.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="a progress bar (default: on a terminal)",
    )
    output.add_json(running)


def run(arguments: argparse.Namespace) -> None:
    relation = _relation(arguments)
    output.check_output(arguments.out, arguments.force)
    from ..counting import count

    counts = count(
        arguments.tokens,
        relation,
        vocab_size=arguments.vocab_size,
        eos=arguments.eos,
        count_eos=not arguments.no_count_eos,
        ignore_ids=arguments.ignore_ids,
        sequence_length=arguments.sequence_length,
        join_files=arguments.join_files,
        dtype=arguments.dtype,
        backend=arguments.backend,
        threads=arguments.threads,
        chunk_tokens=arguments.chunk_tokens,
        progress=arguments.progress,
    )
    counts.save(arguments.out)
    output.warn_of_repeats(source["path"] for source in counts.provenance["sources"])
    if arguments.json:
        output.print_json(_fields(counts, arguments.out))
    else:
        output.print_fields(_lines(counts, arguments.out))


def _relation(arguments: argparse.Namespace) -> Relation:
    from ..relations import Next, Window

    size, weighting, direction = arguments.size, arguments.weighting, arguments.direction
    if arguments.relation == "next":
        for option, value in (("size", size), ("weighting", weighting), ("direction", direction)):
            if value is not None:
                arguments.parser.error(f"--{option} goes with --relation window")
        return Next()
    if size is None:
        if weighting is None or isinstance(weighting, str):
            arguments.parser.error("--relation window needs --size")
        size = len(weighting)
    return Window(size, weighting or "uniform", direction or "forward")


def _weighting(text: str) -> Weighting:
    """`uniform`, `harmonic`, or exact weights: 1,1/2 and also 1,0.5, whose text is exact."""
    if text in ("uniform", "harmonic"):
        return text
    try:
        return [Fraction(weight) for weight in text.split(",")]
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(
            f"expected uniform, harmonic or weights such as 1,1/2,1/3, got {text!r}"
        ) from None


def _fields(counts: Counts, path: Path) -> dict[str, Any]:
    seconds = counts.provenance["seconds"]
    tokens_read = sum(source["tokens"] for source in counts.provenance["sources"])
    return {
        "relation": counts.relation.to_dict(),
        "backend": counts.provenance["backend"],
        "threads": counts.provenance["threads"],
        "tokens_read": tokens_read,
        "tokens": counts.n_tokens,
        "sequences": counts.n_sequences,
        "distinct_pairs": counts.nnz,
        "total": counts.total,
        "weight_scale": counts.weight_scale,
        "seconds": seconds,
        "tokens_per_second": tokens_read / seconds if seconds else None,
        "file": str(path),
        "bytes": path.stat().st_size,
    }


def _lines(counts: Counts, path: Path) -> list[tuple[str, str]]:
    fields = _fields(counts, path)
    left_out = fields["tokens_read"] - counts.n_tokens
    return [
        ("relation", output.show_relation(counts)),
        ("backend", f"{fields['backend']}, threads: {fields['threads']}"),
        ("tokens", f"{counts.n_tokens:,}" + (f" ({left_out:,} left out)" if left_out else "")),
        ("sequences", f"{counts.n_sequences:,}"),
        ("distinct pairs", f"{counts.nnz:,}"),
        (
            "time",
            f"{fields['seconds']:,.3f} s, {output.rate(fields['tokens_read'], fields['seconds'])}",
        ),
        ("written", f"{path} ({output.file_size(path)})"),
    ]
