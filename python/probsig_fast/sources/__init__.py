"""Where tokens come from: whatever the caller holds becomes a `Source` of `Stream`s."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, cast

from numpy.typing import ArrayLike, DTypeLike

from ..errors import ArgumentError, ArgumentTypeError
from .arrays import ArraySource, SequencesSource
from .datatrove import DatatroveSource
from .dolma import DolmaSource
from .flat import FileSource
from .formats import FORMATS, format_of, open_paths
from .hugging_face import HuggingFaceSource
from .megatron import MegatronSource
from .parquet import ParquetSource
from .pythia import PythiaSource
from .remote_flat import RemoteFileSource
from .stream import Part, Source, Stream
from .text import TextSource
from .token_dtype import MAX_VOCAB_SIZE, token_dtype

__all__ = [
    "FORMATS",
    "MAX_VOCAB_SIZE",
    "ArraySource",
    "DatatroveSource",
    "DolmaSource",
    "FileSource",
    "HuggingFaceSource",
    "MegatronSource",
    "ParquetSource",
    "Part",
    "PythiaSource",
    "RemoteFileSource",
    "SequencesSource",
    "Source",
    "Stream",
    "TextSource",
    "format_of",
    "open_source",
    "token_dtype",
]


def open_source(
    tokens: Any,
    *,
    dtype: DTypeLike | None = None,
    offsets: ArrayLike | None = None,
    join_files: bool = False,
    format: str | None = None,
) -> Source:
    """A source over `tokens`: an array, a path, a glob, an address, a list of these, a data set of
    Hugging Face, an iterable of sequences, or a source already.

    Args:
        dtype: the token type of files that do not say it, or of sequences that are no arrays.
        offsets: see `ArraySource`.
        join_files: see `FileSource`.
        format: one of `FORMATS`, where the files' names do not tell it (see `format_of`).

    Raises:
        ArgumentTypeError: none of these; `dtype` that is not the array's.
        ArgumentError: `offsets` or `join_files` where they have no meaning.
        SourceError, SourceNotFoundError: see the sources.
    """
    if hasattr(tokens, "streams") and hasattr(tokens, "describe"):
        _refuse("a source, which knows these itself", dtype=dtype, offsets=offsets, format=format)
        return cast(Source, tokens)
    if isinstance(tokens, (str, os.PathLike)):
        return open_paths([tokens], dtype, offsets, join_files, format)
    if isinstance(tokens, (list, tuple)) and tokens and isinstance(tokens[0], (str, os.PathLike)):
        for item in tokens:
            if not isinstance(item, (str, os.PathLike)):
                raise ArgumentTypeError(
                    f"tokens: expected paths throughout, got {type(item).__name__} {item!r}"
                )
        return open_paths(tokens, dtype, offsets, join_files, format)
    _refuse("tokens that are no files", format=format)
    if join_files:
        raise ArgumentError("join_files: expected False for tokens that are no files, got True")
    if hasattr(tokens, "__array__") or hasattr(tokens, "__dlpack_device__"):
        source = ArraySource(tokens, offsets)
        if dtype is not None and token_dtype("dtype", dtype) != source.dtype:
            raise ArgumentTypeError(
                f"dtype: expected {source.dtype}, as the tokens are, got {dtype}"
            )
        return source
    if isinstance(tokens, (list, tuple)) and tokens and isinstance(tokens[0], int):
        raise ArgumentTypeError(
            "tokens: expected an array or a list of sequences, got a flat list of ints: "
            "wrap it in numpy.array(...) for one stream, or in [...] for one sequence"
        )
    if type(tokens).__module__.partition(".")[0] == "datasets":
        _refuse("a data set, which knows these itself", dtype=dtype, offsets=offsets)
        return HuggingFaceSource(tokens)
    if isinstance(tokens, Iterable) and not isinstance(tokens, (bytes, dict, set)):
        _refuse("an iterable of sequences", offsets=offsets)
        return SequencesSource(tokens, dtype)
    raise ArgumentTypeError(
        "tokens: expected an integer array, a path, a glob or an iterable of sequences, "
        f"got {type(tokens).__name__}"
    )


def _refuse(what: str, **arguments: Any) -> None:
    for name, value in arguments.items():
        if value is not None:
            raise ArgumentError(f"{name}: expected None for {what}, got {type(value).__name__}")
