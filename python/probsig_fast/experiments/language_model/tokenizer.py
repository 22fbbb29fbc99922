"""A byte-level BPE as Qwen2.5's: its own way to part text, learned on the corpus at hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from ...errors import ArgumentError, missing_extra
from ...token_strings import token_strings

END = "<|endoftext|>"
_USUAL_ENDS = (END, "</s>", "<eos>", "<|end_of_text|>", "<|eos|>", "[EOS]")
#: How Qwen2.5 parts text before pairs are merged: contractions, words with the character before
#: them, single digits, runs of punctuation, line breaks, spaces.
_PARTS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
#: The end token and a token for each byte.
LEAST_VOCABULARY = 257
_AT_ONCE = 1024


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Any:
    """A `tokenizers.Tokenizer` of at most `vocab_size` tokens: the end token, id 0; all bytes; and
    merges. Text comes back from its tokens unchanged. The same texts give the same tokenizer.

    Raises:
        MissingExtraError: tokenizers is not installed.
        ArgumentError: fewer tokens than the end token and the bytes.
    """
    if vocab_size < LEAST_VOCABULARY:
        raise ArgumentError(f"vocab_size: expected at least {LEAST_VOCABULARY}, got {vocab_size}")
    package = _tokenizers()
    tokenizer = package.Tokenizer(package.models.BPE())
    parts = package.pre_tokenizers
    tokenizer.pre_tokenizer = parts.Sequence(
        [
            parts.Split(package.Regex(_PARTS), "isolated"),
            parts.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = package.decoders.ByteLevel()
    trainer = package.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END],
        initial_alphabet=sorted(parts.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def strings_of(tokenizer: Any) -> tuple[str, ...]:
    """Readable tokens, one for each id up to the largest."""
    return token_strings(tokenizer, max(tokenizer.get_vocab().values()) + 1)


def end_token(tokenizer: Any, end: str | None) -> int:
    """The id of the token that closes documents.

    Raises:
        ArgumentError: the tokenizer lacks it, or has none of the usual ones.
    """
    for name in _USUAL_ENDS if end is None else (end,):
        if (found := tokenizer.token_to_id(name)) is not None:
            return int(found)
    wanted = repr(end) if end is not None else f"one of {', '.join(_USUAL_ENDS)}"
    raise ArgumentError(f"end: expected a token of the tokenizer to end documents with, {wanted}")


def encode(tokenizer: Any, texts: Iterable[str]) -> Iterator[list[int]]:
    """Ids, text by text. A text that happens to hold "<|endoftext|>" does not end there."""
    tokenizer.encode_special_tokens = True
    remaining = iter(texts)
    while some := list(islice(remaining, _AT_ONCE)):
        for encoding in tokenizer.encode_batch(some, add_special_tokens=False):
            yield encoding.ids


def _tokenizers() -> Any:
    try:
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ImportError as error:
        raise missing_extra("tokenizers", "experiments", "training a tokenizer") from error
    return tokenizers
