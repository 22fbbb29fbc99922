"""A tokeniser for Python source, learned on the spot: frequent lexemes whole, rare ones spelled.

Lossless: `decode(encode(text)) == text` for every text, as the vocabulary holds each ASCII
character and each other byte.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, count

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError

EOS = 0
_EOS_STRING = "<eos>"
#: `<eos>`, the ASCII characters, and a token for each byte that is no ASCII character.
BASE = (_EOS_STRING, *map(chr, range(128)), *(f"<0x{byte:02X}>" for byte in range(128, 256)))
#: Ids are uint16.
MAX_VOCAB_SIZE = 2**16

_OPERATORS = r"\*\*=|//=|>>=|<<=|\.\.\.|[-+*/%&|^@:=!<>]=|->|\*\*|//|>>|<<"
_QUOTES = r"[rbfuRBFU]{0,2}(?:\"\"\"|'''|[\"'])"
#: A space belongs to what follows it, as in language models' tokenizers; a line break takes the
#: next line's indentation with it, so that what begins a statement comes without a space.
_LEXEME = re.compile(
    rf"\n *| ?(?:{_QUOTES})| ?[^\W\d]\w*| ?\d| +(?= )| ?(?:{_OPERATORS}|[^\w\s])|.", re.DOTALL
)
#: What a lexeme that is not in the vocabulary is made of: the words of camelCase and snake_case.
_PIECE = re.compile(r" ?(?:_+|[A-Z]?[a-z]+|[A-Z]+(?![a-z]))| +|.", re.DOTALL)


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by id: those of `BASE`, then the most frequent lexemes."""

    strings: tuple[str, ...]
    _spelled: dict[str, tuple[int, ...]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def ids(self) -> dict[str, int]:
        return {string: token for token, string in enumerate(self.strings)}

    def encode(self, text: str) -> NDArray[np.uint16]:
        """Token ids [n]; no `<eos>` at the end."""
        return np.array([i for each in _LEXEME.findall(text) for i in self.spell(each)], np.uint16)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of these tokens; `<eos>` has none."""
        return b"".join(map(self._bytes, tokens)).decode("utf-8", "surrogatepass")

    def spell(self, lexeme: str) -> tuple[int, ...]:
        """The ids of a lexeme: one if it is known, else those of its parts, else its characters."""
        spelled = self._spelled.get(lexeme)
        if spelled is None:
            spelled = self._spelled[lexeme] = tuple(self._spell(lexeme))
        return spelled

    def _spell(self, lexeme: str) -> Iterable[int]:
        if lexeme in self.ids:
            return (self.ids[lexeme],)
        pieces = _PIECE.findall(lexeme)
        if len(pieces) > 1:
            return chain.from_iterable(map(self.spell, pieces))
        # Byte b has id 1 + b: the characters and bytes of BASE are in their own order.
        return (1 + byte for byte in lexeme.encode("utf-8", "surrogatepass"))

    def _bytes(self, token: int) -> bytes:
        if token == EOS:
            return b""
        if token < len(BASE):
            return bytes([token - 1])
        return self.strings[token].encode("utf-8", "surrogatepass")


def tokenise(texts: Iterable[str], vocab_size: int) -> tuple[NDArray[np.uint16], Vocabulary]:
    """Token ids of all texts, each closed by `<eos>`, and the vocabulary learned from them.

    The regular expression sees each text once: its lexemes are numbered as they appear, and the
    numbers replaced by ids once it is known which lexemes are frequent.

    Raises:
        ArgumentError: a vocabulary that is smaller than `BASE` or beyond 16 bits.
    """
    if not len(BASE) < vocab_size <= MAX_VOCAB_SIZE:
        raise ArgumentError(
            f"vocab_size: expected from {len(BASE) + 1} to {MAX_VOCAB_SIZE}, got {vocab_size}"
        )
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    end = numbers[_EOS_STRING]  # no lexeme: the regular expression splits it
    parts = []
    for text in texts:
        parts.append(np.fromiter(map(numbers.__getitem__, _LEXEME.findall(text)), np.int32))
        parts.append(np.array([end], np.int32))
    stream = np.concatenate([np.empty(0, np.int32), *parts])
    vocabulary = _learn(list(numbers), np.bincount(stream, minlength=len(numbers)), vocab_size)
    return _replace(stream, [vocabulary.spell(lexeme) for lexeme in numbers]), vocabulary


def _learn(lexemes: list[str], occurrences: NDArray[np.int64], vocab_size: int) -> Vocabulary:
    base = set(BASE)
    frequent = sorted((-n, lexeme) for lexeme, n in zip(lexemes, occurrences.tolist(), strict=True))
    new = [lexeme for _, lexeme in frequent if lexeme not in base]
    return Vocabulary((*BASE, *new[: vocab_size - len(BASE)]))


def _replace(stream: NDArray[np.int32], spelled: list[tuple[int, ...]]) -> NDArray[np.uint16]:
    """Each number replaced by the ids that `spelled` has for it."""
    lengths = np.array([len(each) for each in spelled], np.int64)
    flat = np.fromiter(chain.from_iterable(spelled), np.uint16, int(lengths.sum()))
    begins = np.cumsum(lengths) - lengths
    taken = lengths[stream]
    # The position of each id within the spelling that it comes from, added to where that begins.
    offset = np.arange(int(taken.sum())) - np.repeat(np.cumsum(taken) - taken, taken)
    return flat[np.repeat(begins[stream], taken) + offset]
