"""Text files, tokenized as they are read."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arguments import check_id
from ..errors import ArgumentError, SourceError, SubsetNeverOccursWarning
from ..pool import thread_count
from .batches import Piece, streams_of
from .fingerprint import file_fingerprint
from .paths import PathLike, expand_all
from .pile_text import (
    check_length,
    check_subsets,
    check_text_files,
    numbered_documents,
    text_pieces,
)
from .remote import RemoteFile, is_address, lasting
from .stream import Stream
from .tokenizing import Coder, Seconds, Text, tokenize

#: One JSON value a line; and one document a file.
LINES, WHOLE = (".jsonl", ".json", ".ndjson"), (".txt",)
COMPRESSED = (".zst", ".gz")


class TextSource:
    """Text files through a tokenizer; each document is a sequence.

    Files are read, decompressed and tokenized as the count goes on: what is in memory at a time is
    one stream of some 16 M tokens, some 256 thousand characters a thread, and the longest document.
    A count that is resumed tokenizes again what it has counted: where that takes long, make a flat
    file first, by `probsig tokenize`.

    Args:
        paths: a file or a glob, or several, in the order in which they are read; fsspec addresses
            too. `.jsonl`, `.json` and `.ndjson` hold one JSON value a line, as the Pile does (see
            `read_pile`); a `.txt` file is one document. Each may end in `.zst` or `.gz`.
        tokenizer: see `Coder`.
        subsets: names of the Pile's subsets; documents of others, or of none, are left out.
        append_eos: this id ends each document, also one without text.
        threads: that tokenize; None takes the processors that this process may use.

    Attributes:
        vocab_size: the tokenizer's highest id + 1. Models may have more rows.
        seconds: of the last run, in reading and in the tokenizer.
        documents: of the last run: those taken, by file; `left_out`: those of other subsets.
        bytes: of all files; `bytes_read`: of them, in the last run.

    Raises:
        As `Coder` does; ArgumentError: an unknown subset, an id outside the vocabulary, a file of
        another kind; SourceNotFoundError: a missing file; MissingExtraError: zstandard is not
        installed. While it is read, SourceError: a damaged file or line, a text that the tokenizer
        refuses, no document of any of the subsets.

    Warns:
        SubsetNeverOccursWarning: while it is read: no document of some of the subsets.
    """

    device = None
    total = None
    inputs_only = False

    def __init__(
        self,
        paths: PathLike | Sequence[PathLike],
        tokenizer: Any,
        subsets: Iterable[str] | None = None,
        append_eos: int | None = None,
        threads: int | None = None,
    ) -> None:
        self._paths = expand_all(paths)
        for path in self._paths:
            _check_kind(path)
        self.subsets = None if subsets is None else check_subsets(subsets)
        if self.subsets and any(_is_whole(path) for path in self._paths):
            path = next(path for path in self._paths if _is_whole(path))
            raise ArgumentError(
                f"subset: expected None for {path}, as a whole file names no subset, got "
                f"{', '.join(self.subsets)}"
            )
        self._threads = thread_count(threads)
        sizes = check_text_files(self._paths)
        self._places = [lasting(path) for path in self._paths]
        self._coder = Coder(tokenizer)
        self.vocab_size = self._coder.vocab_size
        if append_eos is not None:
            check_id("append_eos", append_eos, self.vocab_size)
        self.append_eos = append_eos
        self.dtype = self._coder.dtype
        self.bytes = sum(sizes)
        self._files = [_told(path, size) for path, size in zip(self._paths, sizes, strict=True)]
        more = f" and {len(self._paths) - 1} more" if len(self._paths) > 1 else ""
        self.name = self._paths[0] + more
        self._reset()

    @property
    def tokenizer(self) -> Any:
        """As strings of ids are made of it: `counts.with_tokens(source.tokenizer)`."""
        return self._coder.inner

    @property
    def tokenizer_name(self) -> str:
        return self._coder.name

    @property
    def tokenizer_sha256(self) -> str:
        return self._coder.sha256

    def check_vocab_size(self, vocab_size: int) -> None:
        """Raises ArgumentError: ids of the tokenizer lie outside a vocabulary of this size."""
        self._coder.check_vocab_size(vocab_size)

    def streams(self, batch_tokens: int | None = None) -> Iterator[Stream]:
        """Streams of up to `batch_tokens`; None: some 16 M."""
        self._reset()
        return streams_of(self._pieces(), self.name, batch_tokens)

    def describe(self) -> list[dict[str, Any]]:
        return [
            {
                **file,
                "documents": int(self.documents[number]),
                "tokens": int(self.tokens[number]),
                "dtype": str(self.dtype),
                **self._how(),
            }
            for number, file in enumerate(self._files)
        ]

    def fingerprint(self) -> list[dict[str, Any]]:
        return [{**file_fingerprint(path), **self._how()} for path in self._places]

    def _how(self) -> dict[str, Any]:
        return {
            "tokenizer_sha256": self._coder.sha256,
            "subsets": None if self.subsets is None else sorted(self.subsets),
            "append_eos": self.append_eos,
        }

    def _reset(self) -> None:
        files = len(self._paths)
        self.seconds = Seconds()
        self.bytes_read = self.left_out = 0
        self.documents: NDArray[np.int64] = np.zeros(files, np.int64)
        self.tokens: NDArray[np.int64] = np.zeros(files, np.int64)
        self._found: Counter[str | None] = Counter()

    def _pieces(self) -> Iterator[Piece]:
        for done in tokenize(
            self._texts(), self._coder, self.append_eos, self._threads, self.seconds
        ):
            np.add.at(self.documents, done.files, 1)
            np.add.at(self.tokens, done.files, done.piece.lengths)
            yield done.piece
        self._check_found()

    def _texts(self) -> Iterator[Text]:
        for number, path in enumerate(self._places):
            if _is_whole(path):
                yield Text(self._whole(path), number, path)
                continue
            for line, document in numbered_documents(path, self._advance):
                self._found[document.subset] += 1
                if self.subsets is None or document.subset in self.subsets:
                    yield Text(document.text, number, f"line {line} of {path}")
                else:
                    self.left_out += 1

    def _whole(self, path: str) -> str:
        pieces, size = [], 0
        for piece in text_pieces(path, self._advance):
            pieces.append(piece)
            size += len(piece)
            check_length(size, path)
        data = b"".join(pieces)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise SourceError(
                f"text: expected UTF-8 in {path}, got byte {data[error.start]:#04x} at byte "
                f"{error.start}"
            ) from error

    def _advance(self, read: int) -> None:
        self.bytes_read += read

    def _check_found(self) -> None:
        """An empty result for a subset that was asked for is never what is wanted."""
        missing = [name for name in self.subsets or () if not self._found[name]]
        if not missing:
            return
        found = sorted(self._found.items(), key=lambda item: (-item[1], str(item[0])))
        there = ", ".join(f"{name or 'none named'} ({n})" for name, n in found) or "no documents"
        told = f"no document of {', '.join(missing)} in {self.name}, which has {there}"
        if len(missing) == len(self.subsets or ()):
            raise SourceError(f"subset: expected some documents, got {told}")
        warnings.warn(f"subset: {told}", SubsetNeverOccursWarning, stacklevel=2)


def _stem_kind(path: str) -> str:
    """The suffix before those of compression."""
    stem, suffix = os.path.splitext(path)
    return os.path.splitext(stem)[1] if suffix in COMPRESSED else suffix


def is_text(path: PathLike) -> bool:
    """Whether the name is one of a file that needs a tokenizer."""
    return _stem_kind(os.fspath(path)) in (*LINES, *WHOLE)


def _is_whole(path: str) -> bool:
    return _stem_kind(path) in WHOLE


def _check_kind(path: str) -> None:
    if not is_text(path):
        raise ArgumentError(
            f"tokenizer: expected files of text ({', '.join((*LINES, *WHOLE))}; and "
            f"{' or '.join(COMPRESSED)} of them), got {path!r}, which holds tokens or is of "
            "another kind"
        )


def _told(path: str, size: int) -> dict[str, Any]:
    modified = RemoteFile.look(path).modified if is_address(path) else os.stat(path).st_mtime
    return {"path": path, "bytes": size, "modified": modified}
