"""Readable tokens from whatever holds them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import ArgumentError, ArgumentTypeError, SourceNotFoundError, missing_extra


def token_strings(tokens: Any, vocab_size: int) -> tuple[str, ...]:
    """One string for each of `vocab_size` ids.

    Args:
        tokens: a sequence of strings, a mapping id -> string, a tokenizer with `get_vocab()` and
            `decode(ids)` (tokenizers, transformers), or the path of a `tokenizer.json`.

    Ids that a mapping or a tokenizer does not know (rows that pad an embedding) read `<id>`.
    """
    if isinstance(tokens, (str, os.PathLike)):
        tokens = load_tokenizer(tokens)
    if hasattr(tokens, "get_vocab") and hasattr(tokens, "decode"):
        tokens = _decode_all(tokens)
    if isinstance(tokens, Mapping):
        if tokens and not any(isinstance(i, int) and 0 <= i < vocab_size for i in tokens):
            raise ArgumentError(
                f"tokens: expected a mapping from ids below {vocab_size} to strings, "
                f"got keys such as {next(iter(tokens))!r}"
            )
        return tuple(str(tokens.get(i, f"<{i}>")) for i in range(vocab_size))
    if not isinstance(tokens, Sequence):
        raise ArgumentTypeError(
            "tokens: expected strings, a mapping, a tokenizer or the path of a tokenizer.json, "
            f"got {type(tokens).__name__}"
        )
    if len(tokens) != vocab_size:
        raise ArgumentError(f"tokens: expected {vocab_size} strings, got {len(tokens)}")
    return tuple(str(token) for token in tokens)


def _decode_all(tokenizer: Any) -> dict[int, str]:
    """id -> text. A piece of a character has no text of its own: there the vocabulary's name.

    Decoders that drop the space before the first word would make two tokens read the same: there
    the name too, in which U+2581 stands for the space.
    """
    strings = {}
    for name, token in tokenizer.get_vocab().items():
        text = tokenizer.decode([token], skip_special_tokens=False)
        if "\u2581" in name:
            text = name.replace("\u2581", " ")
        strings[token] = name if not text or "\N{REPLACEMENT CHARACTER}" in text else text
    return strings


def load_tokenizer(path: str | os.PathLike[str]) -> Any:
    """The `tokenizers.Tokenizer` of a `tokenizer.json`.

    Raises:
        MissingExtraError: tokenizers is not installed.
        SourceNotFoundError, ArgumentError: no such file, or none that tokenizers reads.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise missing_extra("tokenizers", "text", "reading a tokenizer.json") from error
    if not os.path.exists(path):
        raise SourceNotFoundError(f"tokenizer: expected a file, got {os.fspath(path)!r}: none")
    try:
        return Tokenizer.from_file(os.fspath(path))
    except Exception as error:  # tokenizers raises plain Exception
        raise ArgumentError(
            f"tokenizer: expected a tokenizer.json, got {os.fspath(path)!r}: {error}"
        ) from error
