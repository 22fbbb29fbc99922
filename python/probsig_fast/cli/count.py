"""`probsig count`: token files in, one counts file (or folder) out."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import any_counts, at_steps, output, relation_options, scheduler, source_options

if TYPE_CHECKING:
    from ..counts import Counts

DESCRIPTION = """\
Count, in a tokenised corpus: next-token pairs, weighted pairs within a window, tokens in the prefix
of a token, or tokens in one sequence (--relation). Files are flat binary (raw little-endian
integers, --dtype says which), .npy, Megatron/GPT-NeoX (.idx beside .bin), Pythia's shards,
datatrove, dolma, Parquet, Hugging Face datasets on disk, or text with --tokenizer. Nothing is
counted across a boundary: the end of a file, document or row, --eos, an ignored id, or
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
  probsig count docs.u16.bin --dtype uint16 --vocab-size 49152 --eos 0 --relation prefix \\
      --length 16 --focus 284 1890 --out docs.prefix.safetensors
  probsig count docs.u16.bin --dtype uint16 --vocab-size 49152 --sequence-length 2048 \\
      --relation same-sequence --memory 4GB --out docs-sets
  probsig count '*.jsonl.zst' --tokenizer 20B_tokenizer.json --subset Github ArXiv \\
      --out code.next.safetensors
  probsig count pythia-pile --vocab-size 50304 --at-steps 0 1 2 4 --out pythia-steps

--out FILE.safetensors is one file. --out FOLDER, a name without a suffix, is a folder of row
ranges, for counts of any size: what passes a part of --memory is written there as it is made. Every
command takes the folder where it takes a file. With --out FILE.safetensors, --work-dir is such a
folder; it stays as counts of its own until you remove it.

A count that was interrupted (by Ctrl-C, a full disk, a power cut) goes on with --resume, given the
same folder and the same arguments, and ends in the same bytes. It loses the work of about
--checkpoint-seconds.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "tokens", nargs="+", metavar="TOKENS", help="files, quoted globs, folders or addresses"
    )
    output.add_output(parser, "the counts file, *.safetensors, or a folder: see below")
    source_options.add_arguments(parser)
    relation_options.add_arguments(parser)
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
    _add_running(parser)


def _add_running(parser: argparse.ArgumentParser) -> None:
    running = parser.add_argument_group("how it runs")
    output.add_memory(running)
    running.add_argument(
        "--work-dir",
        type=Path,
        metavar="FOLDER",
        help="new or empty: for counts that --memory cannot hold, and to resume from",
    )
    running.add_argument(
        "--resume",
        action="store_true",
        help="go on with the count that was interrupted in --out FOLDER or --work-dir",
    )
    running.add_argument(
        "--checkpoint-seconds",
        type=float,
        metavar="N",
        help="save the work there about so often (default: 60)",
    )
    output.add_backend(running)
    output.add_threads(running)
    at_steps.add_arguments(running)
    scheduler.add_arguments(running)
    running.add_argument(
        "--chunk-tokens", type=int, metavar="N", help="tokens a thread takes at a time"
    )
    output.add_progress(running)
    output.add_json(running)


def run(arguments: argparse.Namespace) -> None:
    relation = relation_options.relation_of(arguments)
    folder = output.is_folder(arguments.out)
    if folder and arguments.work_dir is not None:
        arguments.parser.error(
            "--work-dir goes with --out FILE.safetensors: row ranges are made in --out FOLDER"
        )
    work_dir = arguments.out if folder else arguments.work_dir
    for option in ("resume", "checkpoint_seconds"):
        if getattr(arguments, option) and work_dir is None:
            arguments.parser.error(
                f"--{option.replace('_', '-')} goes with --out FOLDER or --work-dir FOLDER"
            )
    if not (folder and arguments.resume):
        output.check_output(arguments.out, arguments.force)
    source = source_options.source_of(arguments)
    common = _common(arguments)
    if at_steps.is_asked_for(arguments):
        at_steps.run(arguments, source, relation, common)
        return
    with scheduler.counter(arguments.scheduler) as count, _told_of_resuming(work_dir):
        counts = count(source, relation, work_dir=work_dir, focus=arguments.focus, **common)
    if not folder:
        counts.save(arguments.out)
    described = counts.provenance["sources"]
    output.warn_of_repeats(each["path"] for each in described if "path" in each)
    if arguments.json:
        output.print_json({**_fields(counts, arguments.out), **source_options.fields(source)})
        return
    told = [*source_options.lines(source), *_lines(counts, arguments.out)]
    output.print_fields([*told, *_left(arguments.work_dir)])


@contextmanager
def _told_of_resuming(work_dir: Path | None) -> Iterator[None]:
    """An interrupted count says how it goes on."""
    try:
        yield
    except (OSError, MemoryError, KeyboardInterrupt):
        if work_dir is not None and (work_dir / "state.json").is_file():
            output.say(f"the work so far is in {work_dir}: --resume goes on with it")
        raise


def _common(arguments: argparse.Namespace) -> dict[str, Any]:
    """Arguments of every way to count."""
    return {
        "vocab_size": arguments.vocab_size,
        "eos": arguments.eos,
        "count_eos": not arguments.no_count_eos,
        "ignore_ids": arguments.ignore_ids,
        "sequence_length": arguments.sequence_length,
        "backend": arguments.backend,
        "threads": arguments.threads,
        "chunk_tokens": arguments.chunk_tokens,
        "memory": arguments.memory,
        "resume": arguments.resume,
        "checkpoint_seconds": arguments.checkpoint_seconds,
        "progress": arguments.progress,
    }


def _fields(counts: Counts, path: Path) -> dict[str, Any]:
    seconds = counts.provenance["seconds"]
    tokens_read = counts.provenance["tokens_read"]
    return {
        "relation": counts.relation.to_dict(),
        "backend": counts.provenance["backend"],
        "threads": counts.provenance["threads"],
        "tokens_read": tokens_read,
        **any_counts.size_fields(counts),
        "weight_scale": counts.weight_scale,
        "seconds": seconds,
        "tokens_per_second": tokens_read / seconds if seconds else None,
        "file": str(path),
        "bytes": output.size_on_disk(path),
    }


def _lines(counts: Counts, path: Path) -> list[tuple[str, str]]:
    fields = _fields(counts, path)
    left_out = fields["tokens_read"] - counts.n_tokens
    seconds = fields["seconds"]
    return [
        ("relation", output.show_relation(counts)),
        ("backend", f"{fields['backend']}, threads: {fields['threads']}"),
        *any_counts.size_lines(counts, left_out),
        ("time", f"{seconds:,.3f} s, {output.rate(fields['tokens_read'], seconds)}"),
        ("written", output.show_written(path)),
    ]


def _left(work_dir: Path | None) -> list[tuple[str, str]]:
    """That row ranges stay, which may take as much room as the file."""
    if work_dir is None or not any(work_dir.iterdir()):
        return []
    return [("row ranges", f"{output.show_written(work_dir)}: no longer needed")]
