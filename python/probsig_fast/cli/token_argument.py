"""TOKEN on the command line: an id, or a string that a tokenizer knows."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, SourceNotFoundError


def read_strings(path: Path, vocab_size: int) -> tuple[str, ...]:
    """The strings of a tokenizer.json, or of a JSON list or mapping (id -> string, or string -> id
    as in a vocab.json).

    Raises:
        SourceNotFoundError: no such file.
        ArgumentError: not JSON, or not one of these; too few strings.
        MissingExtraError: a tokenizer.json, and `tokenizers` is not installed.
    """
    from ..token_strings import token_strings

    return token_strings(_strings_in(path), vocab_size)


def find_token(text: str, strings: Sequence[str] | None) -> int:
    """The id that `text` is; where there are strings, of the token that has it as its string.

    Raises:
        ArgumentError: no id; the string of no token or of several.
    """
    if strings is None:
        try:
            return int(text)
        except ValueError:
            raise ArgumentError(
                f"TOKEN: expected an id, got {text!r}: strings need --tokenizer"
            ) from None
    for wanted in (text, _unescaped(text)):
        found = [token for token, string in enumerate(strings) if string == wanted]
        if len(found) > 1:
            raise ArgumentError(
                f"TOKEN: expected the string of one token, got {text!r}, "
                f"which tokens {found[:5]} have: give one of these with --id"
            )
        if found:
            return found[0]
    raise ArgumentError(f"TOKEN: no token is {text!r}{_similar(strings, _unescaped(text))}")


def _strings_in(path: Path) -> Any:
    """What `token_strings` takes."""
    if not path.is_file():
        raise SourceNotFoundError(f"--tokenizer: expected a file, got {str(path)!r}: no such file")
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArgumentError(f"--tokenizer: expected JSON, got {str(path)!r}: {error}") from error
    if isinstance(loaded, list) and all(isinstance(each, str) for each in loaded):
        return loaded
    if isinstance(loaded, dict) and "model" in loaded:
        return os.fspath(path)
    strings = _mapping(loaded) if isinstance(loaded, dict) else None
    if strings is None:
        raise ArgumentError(
            "--tokenizer: expected a tokenizer.json, or a JSON list or mapping of strings, "
            f"got neither in {str(path)!r}"
        )
    return strings


def _mapping(loaded: dict[str, Any]) -> dict[int, str] | None:
    if all(isinstance(token, int) for token in loaded.values()):
        return {token: string for string, token in loaded.items()}
    if all(key.isdecimal() and isinstance(text, str) for key, text in loaded.items()):
        return {int(key): text for key, text in loaded.items()}
    return None


def _unescaped(text: str) -> str:
    try:
        return text.encode("latin-1", "backslashreplace").decode("unicode_escape")
    except UnicodeDecodeError:
        return text


def _similar(strings: Sequence[str], text: str) -> str:
    """The usual slip is the space that belongs to a token."""
    bare = text.strip().lower()
    similar = [string for string in strings if string.strip().lower() == bare and bare]
    return f"; there is {', '.join(map(repr, similar[:5]))}" if similar else ""
