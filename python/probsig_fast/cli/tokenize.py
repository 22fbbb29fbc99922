"""`probsig tokenize`: text in, one flat file of token ids out."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, SourceError
from . import output, source_options

if TYPE_CHECKING:
    import numpy as np

    from ..sources.text import TextSource

DESCRIPTION = """\
Tokenize text once, in all threads, and write the ids as a flat file: raw little-endian integers, as
`probsig count` reads them fastest. Text is read as it lies on disk: files of the Pile (.jsonl.zst,
one document a line), .json and .ndjson alike, or .txt (one document a file); each also as .zst or
.gz. Beside PATH.bin, PATH.json says what was read, with which tokenizer, and how to count it.
"""
EPILOG = """\
examples:
  probsig tokenize 00.jsonl.zst 01.jsonl.zst --tokenizer neox.json --append-eos 0 \\
      --out pile.u16.bin
  probsig tokenize 'pile/*.jsonl.zst' --tokenizer neox.json --append-eos 0 \\
      --subset 'DM Mathematics' 'Github' --out some.u16.bin

A flat file has no document boundaries of its own: --append-eos ID puts the end-of-document token
after each document, by which `probsig count --eos ID` tells them apart.
"""

#: Tokens that are written at a time.
_BATCH = 2**20
_TYPES = ("uint16", "uint32")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILES", help="text files or quoted globs")
    parser.add_argument("--out", required=True, type=Path, metavar="PATH", help="a *.bin file")
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    source_options.add_text_arguments(parser, required=True)
    parser.add_argument(
        "--dtype", choices=_TYPES, help="default: uint16 where all ids fit, else uint32"
    )
    output.add_threads(parser)
    output.add_progress(parser)
    output.add_json(parser)


def run(arguments: argparse.Namespace) -> None:
    out: Path = arguments.out
    _check_output(out, arguments.force)
    source = source_options.text_source(arguments, arguments.files)
    dtype = _dtype(arguments.dtype, source, out)
    output.warn_of_repeats(entry["path"] for entry in source.describe())
    if arguments.append_eos is None:
        output.say(
            "warning: a flat file has no document boundaries, so pairs will be counted across "
            "documents: --append-eos ID keeps them apart"
        )
    tokens = _write(source, dtype, out, arguments.progress)
    told = _provenance(source, dtype, out, tokens)
    _write_provenance(out.with_suffix(".json"), told)
    if arguments.json:
        output.print_json({**told, **source_options.fields(source), "file": str(out)})
    else:
        output.print_fields(_lines(source, told, out))


def _write(source: TextSource, dtype: np.dtype[Any], out: Path, progress: bool | None) -> int:
    """Writes all tokens, as they come; gives their number.

    Raises:
        SourceError: there is no document.
    """
    from ..files import atomic_write
    from ..progress import progress_bar

    tokens = shown = 0
    with (
        atomic_write(out, outdates=out.with_suffix(".json")) as file,
        progress_bar(source.bytes, "B", progress, "tokenizing") as advance,
    ):
        for stream in source.streams(_BATCH):
            for part in stream.parts:
                file.write(part.tokens().astype(dtype.newbyteorder("<"), copy=False).data)
            tokens += len(stream)
            advance(source.bytes_read - shown)
            shown = source.bytes_read
        if not source.documents.sum():
            raise SourceError(f"text: expected documents, got none in {source.name}")
    return tokens


def _dtype(name: str | None, source: TextSource, out: Path) -> np.dtype[Any]:
    """Raises ArgumentError: a type that does not hold all ids, or that the file's name denies."""
    import numpy as np

    dtype = source.dtype if name is None else np.dtype(name)
    if dtype.itemsize < source.dtype.itemsize:
        raise ArgumentError(
            f"--dtype: expected uint32, as ids go up to {source.vocab_size - 1}, got {dtype}"
        )
    said = {".u16": "uint16", ".u32": "uint32"}.get(Path(out.stem).suffix)
    if said not in (None, str(dtype)):
        raise ArgumentError(
            f"--out: expected a name that does not say {said}, as tokens are {dtype}, got "
            f"{str(out)!r}"
        )
    return dtype


def _provenance(source: TextSource, dtype: np.dtype[Any], out: Path, tokens: int) -> dict[str, Any]:
    import tokenizers

    from ..version import __version__

    return {
        "dtype": str(dtype),
        "vocab_size": source.vocab_size,
        "tokens": tokens,
        "documents": int(source.documents.sum()),
        "append_eos": source.append_eos,
        "subsets": source.subsets,
        "tokenizer": source.tokenizer_name,
        "tokenizer_sha256": source.tokenizer_sha256,
        "sources": source.describe(),
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "versions": {"probsig_fast": __version__, "tokenizers": tokenizers.__version__},
        "count": _command(source, dtype, out),
    }


def _command(source: TextSource, dtype: np.dtype[Any], out: Path) -> str:
    words = ["probsig", "count", str(out), "--dtype", str(dtype)]
    words += ["--vocab-size", str(source.vocab_size)]
    if source.append_eos is not None:
        words += ["--eos", str(source.append_eos)]
    return shlex.join([*words, "--out", str(out.with_suffix(".next.safetensors"))])


def _write_provenance(path: Path, told: dict[str, Any]) -> None:
    from ..files import atomic_write

    with atomic_write(path) as file:
        file.write(json.dumps(told, indent=2, ensure_ascii=False).encode() + b"\n")


def _lines(source: TextSource, told: dict[str, Any], out: Path) -> list[tuple[str, str]]:
    return [
        *source_options.lines(source),
        ("tokens", f"{told['tokens']:,} of {told['dtype']}"),
        ("vocabulary", f"{told['vocab_size']:,} ids"),
        ("written", f"{output.show_written(out)}, {out.with_suffix('.json')}"),
        ("to count", told["count"]),
    ]


def _check_output(path: Path, force: bool) -> None:
    """Find out before hours of work that the result could not be written.

    Raises:
        ArgumentError: a name that does not end in .bin, no folder to write to, a file already
            there that `force` does not allow to replace.
    """
    if path.suffix != ".bin" or path.is_dir():
        raise ArgumentError(f"--out: expected a name ending in .bin, got {str(path)!r}")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ArgumentError(
            f"--out: expected a path in an existing folder that can be written, got {str(path)!r}"
        )
    for taken in (path, path.with_suffix(".json")):
        if taken.exists() and not force:
            raise ArgumentError(f"--out: {taken} exists already: give --force to replace it")
