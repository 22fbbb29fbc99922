"""The texts of the Pile as it is published: files `NN.jsonl.zst` of one JSON value a line."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ..errors import ArgumentError, SourceError, SourceNotFoundError, missing_extra
from .remote import RemoteFile, is_address, open_remote, told

#: The names that `meta.pile_set_name` has, exactly.
PILE_SUBSETS = (
    *("Pile-CC", "PubMed Central", "Books3", "OpenWebText2", "ArXiv", "Github", "FreeLaw"),
    *("StackExchange", "USPTO Backgrounds", "PubMed Abstracts", "Gutenberg (PG-19)"),
    *("OpenSubtitles", "Wikipedia (en)", "DM Mathematics", "Ubuntu IRC", "BookCorpus2"),
    *("EuroParl", "HackerNews", "YoutubeSubtitles", "PhilPapers", "NIH ExPorter"),
    "Enron Emails",
)

_BLOCK = 2**20
#: Compressed bytes taken at a time: at zstd's best ratio, a megabyte would make 32 GB.
_COMPRESSED_BLOCK = 2**11
#: Frames written with the longest window that zstd knows are read too.
_WINDOW = 2**31
#: Bytes of a document at most: some thirty long novels.
LONGEST = 2**26

#: Told of each piece of a file that was read, how many bytes it had there.
Advance = Callable[[int], object]


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
    no subset. Empty lines are no documents. A name that ends in `.zst` or `.gz` is read as such, of
    any number of frames or members; any other as plain text. Names may be fsspec addresses.

    Raises:
        SourceNotFoundError: no such file; before the first document.
        MissingExtraError: a `.zst` file without zstandard installed; likewise.
        SourceError: a damaged or truncated file, or a line that is none of this; says which.
    """
    check_text_files(paths)
    return (document for path in paths for _, document in numbered_documents(path))


def check_text_files(paths: Sequence[str | Path]) -> list[int]:
    """The sizes of the files, in bytes.

    Raises:
        As `read_pile`, of files and packages that are missing.
    """
    sizes = []
    for path in paths:
        if is_address(path):
            sizes.append(RemoteFile.look(str(path)).size)
        elif Path(path).is_file():
            sizes.append(Path(path).stat().st_size)
        else:
            raise SourceNotFoundError(f"text: expected a file, got {os.fspath(path)!r}: none")
    if any(os.fspath(path).endswith(".zst") for path in paths):
        _zstandard()
    return sizes


def numbered_documents(
    path: str | Path, advance: Advance = lambda read: None
) -> Iterator[tuple[int, Document]]:
    """The documents of one file, each with the number of its line, from 1."""
    for number, line in enumerate(_lines(text_pieces(path, advance), os.fspath(path)), start=1):
        if line.strip():
            yield number, _document(line, f"line {number} of {path}")


def text_pieces(path: str | Path, advance: Advance = lambda read: None) -> Iterator[bytes]:
    """What a file holds, decompressed as its name says."""
    name = os.fspath(path)
    remote = is_address(name)
    with (
        told(name) if remote else nullcontext(),
        open_remote(name) if remote else open(name, "rb") as file,
    ):
        if name.endswith(".zst"):
            yield from _decompressed(_blocks(file, _COMPRESSED_BLOCK, advance), name)
        elif name.endswith(".gz"):
            yield from _gunzipped(file, name, advance)
        else:
            yield from _blocks(file, _BLOCK, advance)


def _document(line: bytes, where: str) -> Document:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:  # of JSON or of UTF-8
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


def _lines(pieces: Iterable[bytes], name: str) -> Iterator[bytes]:
    """What line breaks part, without them."""
    started: list[bytes] = []  # of a line whose end is to come
    size, number = 0, 1
    for piece in pieces:
        first, *others = piece.split(b"\n")
        started.append(first)
        size += len(first)
        check_length(size, f"line {number} of {name}")
        for other in others:
            yield b"".join(started)
            started, size, number = [other], len(other), number + 1
            check_length(size, f"line {number} of {name}")
    yield b"".join(started)


def check_length(size: int, where: str) -> None:
    """Raises SourceError: a document is longer than any is, and memory may not hold what is made
    of it (some 40 bytes for each of its own)."""
    if size > LONGEST:
        raise SourceError(
            f"text: expected at most {LONGEST:,} bytes as a document, got more in {where}: no "
            "text, or several in one: part them"
        )


def _blocks(file: BinaryIO, size: int, advance: Advance) -> Iterator[bytes]:
    while block := file.read(size):
        advance(len(block))
        yield block


def _decompressed(blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Frame after frame, as a stream reader gives a truncated one as if it were whole."""
    zstandard = _zstandard()
    frame, begin, read = None, 0, 0  # where the frame begins, and how far it was read
    for block in blocks:
        while block:
            if frame is None:
                frame = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
                begin = read
            try:
                yield frame.decompress(block)
            except zstandard.ZstdError as error:
                raise SourceError(
                    f"text: expected zstd data in the frame at byte {begin} of {name}: {error}"
                ) from error
            rest = frame.unused_data if frame.eof else b""
            read += len(block) - len(rest)
            block = rest
            frame = None if frame.eof else frame
    if frame is not None:
        raise SourceError(
            f"text: expected whole zstd frames in {name}, got a truncated one at byte {begin}: the "
            f"file ends at byte {read}"
        )


def _gunzipped(file: BinaryIO, name: str, advance: Advance) -> Iterator[bytes]:
    read = 0
    try:
        with gzip.GzipFile(fileobj=file) as unzipped:
            while piece := unzipped.read1(_BLOCK):
                advance(file.tell() - read)
                read = file.tell()
                yield piece
    except (EOFError, OSError, zlib.error) as error:
        raise SourceError(
            f"text: expected whole gzip members in {name}, got none before byte {file.tell()}: "
            f"{error}"
        ) from error


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise missing_extra("zstandard", "text", "reading a .zst file") from error
    return zstandard
