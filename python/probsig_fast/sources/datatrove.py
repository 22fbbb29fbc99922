"""datatrove's files: `X.ds`, flat tokens, and `X.ds.index`, where its documents end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import SourceError
from .documents import BLOCK, DocumentSource, Ends, exact_dtype, falls, paths_of
from .fingerprint import file_fingerprint
from .mapped import PathLike, TokenFile, file_status, look_flat, read_array
from .remote import lasting


class DatatroveSource(DocumentSource):
    """Token files `X.ds` with `X.ds.index`: 8-byte unsigned ends of documents, in tokens.

    Args:
        paths: `X.ds`, a glob, or several; in the order in which they are read.
        dtype: the token type, which the files do not say. None: unsigned, of two or four bytes,
            whichever makes the file as long as the index says; that is exact, not a guess.

    Raises:
        SourceNotFoundError: a missing file.
        SourceError: an index that is no multiple of 8 bytes, ends that fall, a token file of
            another size than the last end says. With the file and the byte.

    Cost: the index is read once here, in blocks, and once more as it is counted.
    """

    def __init__(
        self, paths: PathLike | Sequence[PathLike], dtype: DTypeLike | None = None
    ) -> None:
        super().__init__([_Pair.looked_at(path, dtype) for path in paths_of(paths)])


@dataclass(frozen=True)
class _Pair:
    tokens: TokenFile
    index: str
    documents: int

    @classmethod
    def looked_at(cls, path: Path, dtype: DTypeLike | None) -> _Pair:
        index = Path(f"{path}.index")
        size = file_status(path).st_size
        index_size = file_status(index, f"the index of {path}").st_size
        if index_size % 8:
            raise SourceError(
                f"tokens: expected a size that is a multiple of 8 bytes, got {index_size} bytes in "
                f"{index}: truncated"
            )
        total = _checked_total(index, index_size // 8)
        found = exact_dtype(dtype, total, size, path, index)
        return cls(look_flat(path, found), lasting(index), index_size // 8)

    def ends(self) -> Iterator[Ends]:
        for block in _blocks(self.index, self.documents):
            # As bits: an end past 2^63, of an index that was changed, falls below 0 and is told.
            yield block.view(np.int64)

    def describe(self) -> dict[str, Any]:
        return {**self.tokens.describe(), "index": self.index, "documents": self.documents}

    def fingerprint(self) -> dict[str, Any]:
        return {**self.tokens.fingerprint(), "index": file_fingerprint(self.index)}


def _blocks(index: PathLike, documents: int) -> Iterator[NDArray[np.uint64]]:
    for first in range(0, documents, BLOCK):
        yield read_array(index, "<u8", 8 * first, min(BLOCK, documents - first))


def _checked_total(index: Path, documents: int) -> int:
    """The last end of an index; none falls below the one before it."""
    last = done = 0
    for ends in _blocks(index, documents):
        fallen = falls(ends, last)
        if fallen.size:
            i = int(fallen[0])
            before = int(ends[i - 1]) if i else last
            raise SourceError(
                f"tokens: expected an end of document {done + i} from {before} on at byte "
                f"{8 * (done + i)} of {index}, got {ends[i]}"
            )
        last = int(ends[-1])
        done += ends.size
    return last
