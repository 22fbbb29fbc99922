"""Texts to token ids, by the tokenizer that a model was trained with, in several threads."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError, ArgumentTypeError, SourceError, missing_extra
from ..pool import WorkerPool
from ..token_strings import load_tokenizer
from .batches import Piece

#: Characters and documents that a thread takes at a time: some 50 ms of work. A longer document is
#: a batch of its own.
BATCH_CHARACTERS, BATCH_DOCUMENTS = 2**18, 2**10


class Coder:
    """A tokenizer of the package `tokenizers`, as it encodes whole documents.

    It truncates and pads nothing, whatever its file says, and adds no special tokens. Special
    tokens that stand in a text become their ids, as where a model's training data is made.
    Pickled as its JSON text.

    Args:
        tokenizer: the path of a `tokenizer.json`, a `tokenizers.Tokenizer`, or a fast tokenizer of
            `transformers`; not changed.

    Attributes:
        name: for messages.
        json: the tokenizer's own text.
        sha256: of it.
        vocab_size: the highest id + 1.
        inner: the `tokenizers.Tokenizer`.
        dtype: of ids: `uint16` where all fit, else `uint32`.

    Raises:
        MissingExtraError: tokenizers is not installed.
        SourceNotFoundError, ArgumentError: no such file, or none that tokenizers reads; a
            tokenizer without tokens.
        ArgumentTypeError: none of these; a tokenizer of transformers that is not a fast one.
    """

    def __init__(self, tokenizer: Any) -> None:
        if isinstance(tokenizer, (str, os.PathLike)):
            self._start(load_tokenizer(tokenizer).to_str(), os.fspath(tokenizer))
            return
        inner = getattr(tokenizer, "backend_tokenizer", tokenizer)
        if not (hasattr(inner, "to_str") and hasattr(inner, "encode_batch")):
            raise ArgumentTypeError(
                "tokenizer: expected the path of a tokenizer.json, a tokenizers.Tokenizer or a "
                f"fast tokenizer of transformers, got {type(tokenizer).__name__}"
            )
        name = getattr(tokenizer, "name_or_path", "") or "the tokenizer given"
        self._start(inner.to_str(), str(name))

    def _start(self, json: str, name: str) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise missing_extra("tokenizers", "text", "tokenizing text") from error
        inner = Tokenizer.from_str(json)
        inner.no_truncation()
        inner.no_padding()
        ids = inner.get_vocab(with_added_tokens=True).values()
        if not ids:
            raise ArgumentError(f"tokenizer: expected tokens, got none in {name}")
        self.name, self.json, self.inner = name, inner.to_str(), inner
        self.sha256 = hashlib.sha256(self.json.encode()).hexdigest()
        self.vocab_size = max(ids) + 1
        self.dtype = np.dtype(np.uint16 if self.vocab_size <= 2**16 else np.uint32)
        # One document a call: the package's own threads would be as many as there are processors,
        # whatever the caller asked for.
        self._encode = getattr(inner, "encode_batch_fast", inner.encode_batch)

    def encode(self, text: str) -> NDArray[Any]:
        """The ids of one text. The tokenizer runs without Python's lock."""
        return np.array(self._encode([text], add_special_tokens=False)[0].ids, self.dtype)

    def check_vocab_size(self, vocab_size: int) -> None:
        """Raises ArgumentError: the tokenizer has ids that a vocabulary of this size lacks."""
        if vocab_size < self.vocab_size:
            raise ArgumentError(
                f"vocab_size: expected at least {self.vocab_size}, as ids of the tokenizer "
                f"{self.name} go up to {self.vocab_size - 1}, got {vocab_size}"
            )

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return _from_json, (self.json, self.name)


def _from_json(json: str, name: str) -> Coder:
    coder = Coder.__new__(Coder)
    coder._start(json, name)
    return coder


@dataclass(frozen=True)
class Text:
    """A document to be tokenized.

    Attributes:
        file: the number of its file.
        where: its place, for errors.
    """

    text: str
    file: int
    where: str


@dataclass
class Seconds:
    """Where the time went, of one run.

    Attributes:
        reading: decompressing and parsing, in the caller's thread.
        tokenizing: of all threads together.
    """

    reading: float = 0.0
    tokenizing: float = 0.0

    @property
    def share(self) -> float | None:
        """The tokenizer's of both; None before anything was read."""
        total = self.reading + self.tokenizing
        return self.tokenizing / total if total else None


@dataclass(frozen=True)
class Tokenized:
    """The tokens of a batch of documents.

    Attributes:
        files: int64, the number of each document's file.
    """

    piece: Piece
    files: NDArray[np.int64]
    seconds: float = field(compare=False, default=0.0)


def tokenize(
    texts: Iterable[Text], coder: Coder, append_eos: int | None, threads: int, seconds: Seconds
) -> Iterator[Tokenized]:
    """The tokens of the texts, in their order; each document one sequence.

    No more than `threads` + 1 batches wait, so that memory does not grow with the text.

    Raises:
        SourceError: a text that the tokenizer refuses; says where it stands.
    """

    def work(batch: list[Text]) -> Tokenized:
        return _encode(batch, coder, append_eos)

    with WorkerPool(threads) as pool:
        for tokenized in pool.map(work, _timed(_batches(texts), seconds)):
            seconds.tokenizing += tokenized.seconds
            yield tokenized


def _encode(batch: list[Text], coder: Coder, append_eos: int | None) -> Tokenized:
    started = time.perf_counter()
    end = np.array([] if append_eos is None else [append_eos], coder.dtype)
    parts: list[NDArray[Any]] = []
    for each in batch:
        try:
            parts.append(coder.encode(each.text))
        except (MemoryError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # tokenizers raises plain Exception, and Rust's panics
            raise SourceError(
                f"text: expected a text that the tokenizer {coder.name} takes in {each.where}: "
                f"{error}"
            ) from error
    lengths = np.array([part.size + end.size for part in parts], np.int64)
    tokens = np.concatenate([each for part in parts for each in (part, end)])
    piece = Piece(tokens, lengths, lengths.size)
    files = np.array([each.file for each in batch], np.int64)
    return Tokenized(piece, files, time.perf_counter() - started)


def _batches(texts: Iterable[Text]) -> Iterator[list[Text]]:
    batch: list[Text] = []
    characters = 0
    for each in texts:
        full = len(batch) == BATCH_DOCUMENTS or characters + len(each.text) > BATCH_CHARACTERS
        if batch and full:
            yield batch
            batch, characters = [], 0
        batch.append(each)
        characters += len(each.text)
    if batch:
        yield batch


def _timed(batches: Iterator[list[Text]], seconds: Seconds) -> Iterator[list[Text]]:
    while True:
        started = time.perf_counter()
        batch = next(batches, None)
        seconds.reading += time.perf_counter() - started
        if batch is None:
            return
        yield batch
