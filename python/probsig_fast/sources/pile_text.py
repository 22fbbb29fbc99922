"""The texts of the Pile as it is published: files `NN.jsonl.zst` of one JSON value a line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ..errors import ArgumentError, SourceError, SourceNotFoundError, missing_extra

#: The names that `meta.pile_set_name` has, exactly.
PILE_SUBSETS = (
    *("Pile-CC", "PubMed Central", "Books3", "OpenWebText2", "ArXiv", "Github", "FreeLaw"),
    *("StackExchange", "USPTO Backgrounds", "PubMed Abstracts", "Gutenberg (PG-19)"),
    *("OpenSubtitles", "Wikipedia (en)", "DM Mathematics", "Ubuntu IRC", "BookCorpus2"),
    *("EuroParl", "HackerNews", "YoutubeSubtitles", "PhilPapers", "NIH ExPorter"),
    "Enron Emails",
)

_BLOCK = 2**20
#: Frames written with the longest window that zstd knows are read too.
_WINDOW = 2**31


class Document(NamedTuple):
    """A text, and the subset that its line names; None where it names none."""

    text: str
    subset: str | None


def check_subsets(subsets: Iterable[str]) -> tuple[str, ...]:
    """Raises ArgumentError: none, or one that the Pile does not have; lists those it has."""
    subsets = (subsets,) if isinstance(subsets, str) else tuple(subsets)
    for name in subsets:
        if name not in PILE_SUBSETS:
            raise ArgumentError(f"subset: expected some of {', '.join(PILE_SUBSETS)}; got {name!r}")
    if not subsets:
        raise ArgumentError("subset: expected at least one, got none")
    return subsets


def read_pile(paths: Sequence[str | Path]) -> Iterator[Document]:
    """The documents of these files in their order, one at a time.

    A line is `{"text": str, "meta": {"pile_set_name": str}}`; real files also hold bare strings,
    a text as a list (joined by two line breaks), and lines whose `meta` is missing, null or names
    no subset. Empty lines are no documents. A name that ends in `.zst` is read as zstd, of any
    number of frames; any other as plain text.

    Raises:
        SourceNotFoundError: no such file; before the first document.
        MissingExtraError: a `.zst` file without zstandard installed; likewise.
        SourceError: a damaged or truncated file, or a line that is none of this; says which.
    """
    files = [Path(path) for path in paths]
    for path in files:
        if not path.is_file():
            raise SourceNotFoundError(f"text: expected a file, got {os.fspath(path)!r}: none")
    if any(path.suffix == ".zst" for path in files):
        _zstandard()
    return (document for path in files for document in _documents(path))


def _documents(path: Path) -> Iterator[Document]:
    with open(path, "rb") as file:
        pieces = _decompressed(file, path) if path.suffix == ".zst" else _blocks(file)
        for number, line in enumerate(_lines(pieces), start=1):
            if line.strip():
                yield _document(line, f"line {number} of {path}")


def _document(line: bytes, where: str) -> Document:
    try:
        value = json.loads(line)
    except ValueError as error:  # of JSON or of UTF-8
        raise SourceError(f"text: expected JSON in {where}: {error}") from error
    meta = value.get("meta") if isinstance(value, dict) else None
    subset = meta.get("pile_set_name") if isinstance(meta, dict) else None
    text = value.get("text") if isinstance(value, dict) else value
    return Document(_joined(text, where), subset if isinstance(subset, str) else None)


def _joined(text: Any, where: str) -> str:
    if isinstance(text, list) and all(isinstance(part, str) for part in text):
        text = "\n\n".join(text)
    if isinstance(text, str):
        return _without_lone_surrogates(text)
    raise SourceError(
        f"text: expected a string or a list of strings as the text in {where}, "
        f"got {type(text).__name__}"
    )


def _without_lone_surrogates(text: str) -> str:
    """JSON may escape half a character, which no UTF-8 text has: U+FFFD in its place."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """What line breaks part, without them."""
    started: list[bytes] = []  # of a line whose end is to come
    for piece in pieces:
        first, *others = piece.split(b"\n")
        started.append(first)
        for other in others:
            yield b"".join(started)
            started = [other]
    yield b"".join(started)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def _decompressed(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """Frame after frame, as a stream reader gives a truncated one as if it were whole."""
    zstandard = _zstandard()
    frame, begun = None, False
    for block in _blocks(file):
        while block:
            if frame is None:
                frame = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
            try:
                yield frame.decompress(block)
            except zstandard.ZstdError as error:
                raise SourceError(f"text: expected zstd data in {path}: {error}") from error
            begun = not frame.eof
            block = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
    if begun:
        raise SourceError(f"text: expected whole zstd frames in {path}, got a truncated one")


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise missing_extra("zstandard", "text", "reading a .zst file") from error
    return zstandard
