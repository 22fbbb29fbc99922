"""Which source reads which files: by the `format` that is asked for, or by their names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import DTypeLike

from ..errors import ArgumentError, SourceError
from .arrays import refuse_boundaries
from .datatrove import DatatroveSource
from .dolma import DolmaSource, is_headerless
from .flat import FileSource, expand
from .mapped import PathLike
from .megatron import MegatronSource
from .pythia import PythiaSource
from .remote import is_address, local_path
from .shards import numbered
from .sidecar import read_sidecar
from .stream import Source
from .token_dtype import token_dtype

#: Formats of tokens. Text is not one of them: it needs a tokenizer, see `TextSource`.
FORMATS = (
    *("flat", "npy", "megatron", "pythia", "datatrove", "dolma"),
    *("parquet", "hugging-face"),
)
_TEXT = (".jsonl", ".json", ".ndjson", ".txt")


def open_paths(
    paths: Sequence[PathLike],
    dtype: DTypeLike | None = None,
    offsets: Any = None,
    join_files: bool = False,
    format: str | None = None,
) -> Source:
    """The source that reads `paths`, globs or addresses; `format_of` each unless `format` says it.

    Raises:
        ArgumentError: files of several formats, or of text; `offsets`, `join_files` or a `dtype`
            where the format has no place for it.
        SourceError, SourceNotFoundError, MissingExtraError: see the sources.
    """
    if format is not None and format not in FORMATS:
        raise ArgumentError(f"format: expected one of {', '.join(FORMATS)}, got {format!r}")
    names: list[PathLike] = []
    for path in paths:
        name = local_path(path) if isinstance(path, str) and is_address(path) else path
        folder = not is_address(name) and os.path.isdir(name)
        names += [name] if folder or is_address(name) else expand(name)
    if any(map(is_address, names)):
        return _open_addresses(names, dtype, offsets, join_files, format)
    chosen = _one_format(names) if format is None else format
    if chosen in ("flat", "npy"):
        if chosen == "flat" and dtype is None:
            _ask_dtype(names)
        return FileSource(names, dtype, join_files, offsets, format)
    refuse_boundaries(chosen, offsets, join_files)
    return _open_local(chosen, names, dtype)


def format_of(path: PathLike) -> str:
    """The format that a file's or folder's name, and what lies beside it, says; its content is
    not looked at but for the first bytes of a `.npy`.

    Raises:
        ArgumentError: text; an index with both its token file and shards of it.
        SourceError: a folder of no known kind.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        return _format_of_folder(Path(name))
    suffix = Path(name).suffix.lower()
    if suffix == ".idx":
        return _format_of_index(Path(name))
    if suffix == ".npy":
        return "dolma" if is_headerless(name) else "npy"
    packed = suffix in (".zst", ".gz")
    if packed or suffix in _TEXT:
        raise ArgumentError(
            f"tokens: expected files of token ids, got text, {name}: give TextSource(paths, "
            "tokenizer), or --tokenizer on the command line; or say format='flat'"
        )
    return {".ds": "datatrove", ".parquet": "parquet"}.get(suffix, "flat")


def _one_format(names: Sequence[PathLike]) -> str:
    found: dict[str, PathLike] = {}
    for name in names:
        found.setdefault(format_of(name), name)
    if set(found) <= {"flat", "npy"}:  # read by one source
        return "flat" if "flat" in found else "npy"
    if len(found) > 1:
        listed = ", ".join(f"{kind} ({os.fspath(name)})" for kind, name in found.items())
        raise ArgumentError(f"tokens: expected files of one format, got {listed}")
    return next(iter(found))


def _format_of_folder(folder: Path) -> str:
    from .hugging_face import is_dataset_folder

    if is_dataset_folder(folder):
        return "hugging-face"
    if any(numbered(path) for path in folder.glob("*-of-*.bin")):
        return "pythia"
    raise SourceError(
        f"tokens: expected a file or a glob, got the folder {str(folder)!r}, which holds neither "
        "shards X-00000-of-NNNNN.bin nor a data set of Hugging Face"
    )


def _format_of_index(index: Path) -> str:
    stem = index.name[: -len(index.suffix)]
    shards = [
        path
        for path in index.parent.glob("*-of-*.bin")
        if (parsed := numbered(path)) and parsed[0] == stem
    ]
    if shards and index.with_suffix(".bin").exists():
        raise ArgumentError(
            f"format: expected 'megatron' (documents of {stem}.bin) or 'pythia' (rows of "
            f"{shards[0].name} and so on) for {index}, got None"
        )
    return "pythia" if shards else "megatron"


def _ask_dtype(names: Sequence[PathLike]) -> None:
    """Raises ArgumentError for a flat file, which does not say its token type."""
    for name in names:
        if Path(name).suffix == ".npy" or not os.path.isfile(name) or read_sidecar(name):
            continue
        parsed, index = numbered(Path(name)), Path(name).with_suffix(".idx")
        hint = ""
        if index.exists():
            hint = f"; {index} lies beside it: pass that to read type and documents from it"
        elif parsed:
            hint = "; if it is a shard of Pythia's data, pass its folder, or format='pythia'"
        raise ArgumentError(
            f"dtype: expected the token type of {os.fspath(name)} (flat files do not say it), "
            f"such as 'uint16' or 'uint32', got None{hint}"
        )


def _open_local(format: str, names: Sequence[PathLike], dtype: DTypeLike | None) -> Source:
    if format == "datatrove":
        return DatatroveSource(names, dtype)
    if format == "dolma":
        return DolmaSource(names, dtype)
    source = _open_typed(format, names)
    known = {entry["dtype"] for entry in source.describe() if "dtype" in entry}
    if dtype is not None and known != {str(token_dtype("dtype", dtype))}:
        told = " and ".join(sorted(known)) or "None"
        raise ArgumentError(f"dtype: expected {told}, as {source.name} says, got {dtype}")
    return source


def _open_typed(format: str, names: Sequence[PathLike]) -> Source:
    """Formats that say their token type."""
    if format == "megatron":
        return MegatronSource(names)
    if format == "pythia":
        return PythiaSource(names)
    if format == "parquet":
        from .parquet import ParquetSource

        return ParquetSource(names)
    if len(names) != 1:
        raise ArgumentError(f"tokens: expected one folder of hugging-face, got {len(names)} paths")
    from .hugging_face import HuggingFaceSource

    return HuggingFaceSource(names[0])


def _open_addresses(
    names: Sequence[PathLike],
    dtype: DTypeLike | None,
    offsets: Any,
    join_files: bool,
    format: str | None,
) -> Source:
    from .paths import expand_one
    from .remote_flat import open_address

    found = [each for name in names for each in expand_one(name)]
    source: Source = open_address(
        found, dtype=dtype, offsets=offsets, join_files=join_files, format=format
    )
    return source
