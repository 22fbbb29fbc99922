"""`X.json` beside a flat file `X.bin`, as `probsig tokenize` writes it: what that cannot say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SourceError
from .mapped import PathLike, file_status, read_bytes
from .token_dtype import MAX_VOCAB_SIZE

_NAMES = tuple(f"{sign}int{bits}" for sign in ("u", "") for bits in (8, 16, 32, 64))
#: What is longer is no sidecar.
_MOST_BYTES = 2**24


@dataclass(frozen=True)
class Sidecar:
    """The token type of a flat file, and its number of ids if that is told."""

    dtype: np.dtype[Any]
    vocab_size: int | None


def read_sidecar(path: PathLike) -> Sidecar | None:
    """What lies beside the token file `path`; None where no JSON object does that has `dtype` and
    `tokens`.

    Raises:
        SourceError: one that does, but the file is not of that many tokens of that type: it was
            truncated or written anew, or the sidecar is another file's.
    """
    beside = Path(path).with_suffix(".json")
    if beside == Path(path) or not beside.is_file():
        return None
    found = _object(beside)
    if "dtype" not in found or "tokens" not in found:
        return None
    name, tokens = found["dtype"], found["tokens"]
    if name not in _NAMES:
        raise SourceError(f"dtype: expected one of {', '.join(_NAMES)} in {beside}, got {name!r}")
    dtype, size = np.dtype(name), file_status(path).st_size
    if type(tokens) is not int or tokens * dtype.itemsize != size:
        raise SourceError(
            f"tokens: expected {tokens} tokens of {dtype} in {path}, as {beside} says, got {size} "
            "bytes: truncated, or written anew; pass dtype to read it as it is"
        )
    vocab_size = found.get("vocab_size")
    known = type(vocab_size) is int and 1 <= vocab_size <= MAX_VOCAB_SIZE
    return Sidecar(dtype, vocab_size if known else None)


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_bytes(path, 0, _MOST_BYTES))
    except (ValueError, RecursionError):  # no JSON, no text, or more of it
        return {}
    return found if isinstance(found, dict) else {}
