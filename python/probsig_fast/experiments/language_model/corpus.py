"""Text to the tokens that a model is trained on, and their counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...counting import count
from ...counts import Counts
from ...errors import ArgumentError
from ...relations import Next
from ...sources.pile_text import check_subsets, read_pile
from ...sources.stdlib_text import read_texts, source_files, stdlib_folder
from ...token_strings import load_tokenizer
from .setup import Setup
from .tokenizer import encode, end_token, strings_of, train_tokenizer


@dataclass(frozen=True)
class Texts:
    """Documents, none of them empty, and how they came.

    Attributes:
        documents: the texts.
        origin: in words.
        empty: documents without text, which were left out.
        others: documents of other subsets than asked for, or of none.
        cut: whether there was more text than asked for.
    """

    documents: tuple[str, ...] = field(repr=False)
    origin: str
    empty: int = 0
    others: int = 0
    cut: bool = False


@dataclass(frozen=True)
class Corpus:
    """The tokens of documents, each closed by the end token.

    Attributes:
        tokens: of training: rows x sequence_length + 1, uint16 or uint32. Each adjacent pair in
            one document is predicted, and counted, and no other.
        held_out: of other documents.
        end: the id of the end token.
        tokenizer: of the package `tokenizers`; its JSON is the file.
        token_strings: readable, by id.
        notes: figures that a report tells.
    """

    tokens: NDArray[Any] = field(repr=False)
    held_out: NDArray[Any] = field(repr=False)
    end: int
    tokenizer: Any = field(repr=False)
    token_strings: tuple[str, ...] = field(repr=False)
    notes: dict[str, Any]

    @property
    def vocab_size(self) -> int:
        return len(self.token_strings)

    def count(self, backend: str | None = None, threads: int | None = None) -> Counts:
        """Next-token pairs of the tokens of training. An end token has a predecessor, no
        successor."""
        ends = bool((self.tokens == self.end).any())
        counts = count(
            self.tokens,
            Next(),
            vocab_size=self.vocab_size,
            eos=self.end if ends else None,
            backend=backend,
            threads=threads,
            progress=False,
        )
        return counts.with_tokens(self.token_strings)


def pile_texts(paths: Sequence[str | Path], subsets: Sequence[str], megabytes: float) -> Texts:
    """Documents of files of the Pile's form; of some subsets, or all if none is given.

    Raises:
        ArgumentError: an unknown subset, or no document of these; names the subsets found.
        SourceError, SourceNotFoundError, MissingExtraError: see `read_pile`.
    """
    wanted = frozenset(check_subsets(subsets)) if subsets else None
    kept: list[str] = []
    found: dict[str, int] = {}
    others, size, cut = 0, 0, False
    for text, subset in read_pile(paths):
        found[subset or "none named"] = found.get(subset or "none named", 0) + 1
        if wanted is not None and subset not in wanted:
            others += 1
            continue
        if size >= megabytes * 1e6:
            cut = True
            break
        kept.append(text)
        size += len(text.encode())
    names = ", ".join(subsets) if subsets else "all subsets"
    if not kept:
        there = ", ".join(f"{name} ({n})" for name, n in sorted(found.items())) or "no documents"
        raise ArgumentError(f"data: expected documents of {names}, got {there}")
    origin = f"{names} of {', '.join(Path(path).name for path in paths)}"
    return _filled(kept, origin, others, cut)


def library_texts(megabytes: float) -> Texts:
    """The source of the Python standard library on this machine: a file is a document.

    Raises:
        SourceNotFoundError: there is none.
    """
    library = stdlib_folder()
    everything = source_files(library, float("inf"))
    files = source_files(library, megabytes * 1e6)
    texts = list(read_texts(files))
    told = "the Python standard library's source"
    return _filled(texts, told, 0, len(files) < len(everything))


def _filled(texts: list[str], origin: str, others: int, cut: bool) -> Texts:
    documents = tuple(text for text in texts if text)
    return Texts(documents, origin, len(texts) - len(documents), others, cut)


def make_corpus(
    texts: Texts,
    setup: Setup,
    seed: int,
    tokenizer: str | Path | None = None,
    end: str | None = None,
) -> Corpus:
    """Documents in a random order, some held out; a tokenizer learned from the others.

    Args:
        tokenizer: a `tokenizer.json` to use instead.
        end: the string of its end token; None looks for the usual ones.

    Raises:
        ArgumentError: too little text; a tokenizer without an end token.
    """
    training, held_out = _split(texts.documents, setup.held_out_share, seed)
    if tokenizer is None:
        coder = train_tokenizer(training, setup.vocab_size)
    else:
        coder = load_tokenizer(tokenizer)
    strings = strings_of(coder)
    end_id = end_token(coder, end)
    stream = _stream(coder, training, end_id, len(strings))
    rows = min((stream.size - 1) // setup.sequence_length, setup.steps * setup.batch)
    if rows < 1:
        raise ArgumentError(
            f"corpus: expected more than sequence_length = {setup.sequence_length} tokens to train "
            f"on, got {stream.size} of {texts.origin}"
        )
    tokens = stream[: rows * setup.sequence_length + 1]
    rest = _stream(coder, held_out, end_id, len(strings))
    notes = {
        "origin": texts.origin,
        "documents": int((tokens == end_id).sum() + (tokens[-1] != end_id)),
        "held_out_documents": len(held_out),
        "empty_documents": texts.empty,
        "documents_of_other_subsets": texts.others,
        "more_text_than_read": texts.cut,
        "tokens": int(tokens.size),
        "tokens_left": int(stream.size - tokens.size),
        "held_out_tokens": int(rest.size),
        "vocab_size": len(strings),
        "tokenizer": "trained here" if tokenizer is None else Path(tokenizer).name,
        "end_token": strings[end_id],
    }
    return Corpus(tokens, rest, end_id, coder, strings, notes)


def _split(documents: Sequence[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Training and held-out documents, the latter about this share of the characters."""
    if len(documents) < 2:
        raise ArgumentError(
            f"corpus: expected at least 2 documents with text, got {len(documents)}"
        )
    order = np.random.default_rng(seed).permutation(len(documents)).tolist()
    wanted, size, taken = share * sum(map(len, documents)), 0, 0
    while taken < len(documents) - 1 and (taken == 0 or size < wanted):
        size += len(documents[order[taken]])
        taken += 1
    return [documents[i] for i in order[taken:]], [documents[i] for i in order[:taken]]


def _stream(coder: Any, texts: Iterable[str], end: int, vocab_size: int) -> NDArray[Any]:
    dtype = np.uint16 if vocab_size <= 2**16 else np.uint32
    parts = [np.array([*ids, end], dtype) for ids in encode(coder, texts)]
    return np.concatenate(parts)
