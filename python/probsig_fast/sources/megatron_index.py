"""The index file of a Megatron, GPT-NeoX or fairseq data set: its header, and its arrays read a
block at a time.

All arrays are unaligned in the file, so they are read as bytes and never mapped as they lie.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SourceError
from .mapped import file_status, read_array, read_bytes
from .remote import lasting

MAGIC, LEGACY_MAGIC = b"MMIDIDX\0\0", b"TNTIDX\0\0"
#: Sequences of which lengths, offsets or modes are in memory at a time.
BLOCK = 2**20
#: The first sum of lengths in bytes that 32 bits do not hold.
OVERFLOW = 2**31

_DTYPES = {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2", 9: "<u4", 10: "<u8"}
_VERSION_AT, _CODE_AT, _SEQUENCES_AT, _DOCUMENTS_AT = 9, 17, 18, 26

Int64s = NDArray[np.int64]


@dataclass(frozen=True)
class MegatronIndex:
    """What an index file's header says, checked against the file's size.

    Attributes:
        location: its absolute path, as it is read later, maybe from another working folder.
        bytes: the file's size.
        dtype: the token type.
        sequences: N, of which the file has lengths and offsets.
        documents: D, entries of doc_idx; None for fairseq's layout, which has none.
        has_modes: whether the file ends with a mode for each sequence.
    """

    path: Path
    location: str
    bytes: int
    dtype: np.dtype[Any]
    sequences: int
    documents: int | None
    has_modes: bool

    @classmethod
    def read(cls, path: Path) -> MegatronIndex:
        """The header of `path`; nothing else is read, nor allocated.

        Raises:
            SourceNotFoundError: no such file.
            SourceError: another magic or version, no integer tokens, or a size that is not what
                the numbers of sequences and documents make it.
        """
        size = file_status(path, "an index file").st_size
        head = read_bytes(path, 0, _DOCUMENTS_AT + 8)
        _check_magic(path, head)
        if len(head) < _DOCUMENTS_AT:
            raise SourceError(
                f"tokens: expected a header of {_DOCUMENTS_AT} bytes in {path}, got {size} bytes: "
                "truncated"
            )
        version, code, sequences = struct.unpack_from("<QBQ", head, _VERSION_AT)
        if version != 1:
            raise damaged(path, _VERSION_AT, "version 1", version)
        if code not in _DTYPES:
            floats = ", a float type" if code in (6, 7) else ""
            raise damaged(
                path, _CODE_AT, f"the code of an integer token type ({_codes()})", f"{code}{floats}"
            )
        documents, has_modes = _layout(path, size, sequences, head)
        location = lasting(path)
        return cls(path, location, size, np.dtype(_DTYPES[code]), sequences, documents, has_modes)

    @property
    def lengths_at(self) -> int:
        return _DOCUMENTS_AT + 8 * (self.documents is not None)

    @property
    def offsets_at(self) -> int:
        return self.lengths_at + 4 * self.sequences

    @property
    def documents_at(self) -> int:
        return self.offsets_at + 8 * self.sequences

    @property
    def modes_at(self) -> int:
        return self.documents_at + 8 * (self.documents or 0)

    def lengths(self) -> Iterator[tuple[int, Int64s]]:
        """Blocks of sequence lengths, each with the number of its first sequence."""
        for first in range(0, self.sequences, BLOCK):
            count = min(BLOCK, self.sequences - first)
            yield first, self._array("<i4", self.lengths_at + 4 * first, count).astype(np.int64)

    def offsets(self, first: int, count: int) -> NDArray[np.uint64]:
        """Byte offsets of sequences, as bits."""
        return self._array("<u8", self.offsets_at + 8 * first, count)

    def document_starts(self, first: int) -> Int64s:
        """A block of doc_idx from its entry `first` on."""
        count = min(BLOCK, (self.documents or 0) - first)
        return self._array("<i8", self.documents_at + 8 * first, count)

    def all_document_starts(self) -> Iterator[tuple[int, Int64s]]:
        """Blocks of doc_idx, each with the number of its first entry."""
        for first in range(0, self.documents or 0, BLOCK):
            yield first, self.document_starts(first)

    def modes(self) -> Iterator[tuple[int, NDArray[np.int8]]]:
        """Blocks of modes, each with the number of its first sequence."""
        for first in range(0, self.sequences * self.has_modes, BLOCK):
            count = min(BLOCK, self.sequences - first)
            yield first, self._array("i1", self.modes_at + first, count)

    def _array(self, dtype: str, begin: int, count: int) -> NDArray[Any]:
        return read_array(self.location, dtype, begin, count)


def damaged(path: Path, byte: int, expected: str, got: Any) -> SourceError:
    return SourceError(f"tokens: expected {expected} at byte {byte} of {path}, got {got}")


def _check_magic(path: Path, head: bytes) -> None:
    if head.startswith(LEGACY_MAGIC):
        raise damaged(
            path,
            0,
            "the magic MMIDIDX of a memory-mapped data set",
            "TNTIDX: the older format, which is not read; write the data set anew in the newer one",
        )
    if not head.startswith(MAGIC):
        raise damaged(path, 0, f"the magic {MAGIC!r}", repr(head[: len(MAGIC)]))


def _codes() -> str:
    return ", ".join(f"{code} {np.dtype(name).name}" for code, name in _DTYPES.items())


def _layout(path: Path, size: int, sequences: int, head: bytes) -> tuple[int | None, bool]:
    """D, or None for fairseq's layout, and whether there are modes.

    Sizes tell the layouts apart: one with D is at least 8 bytes longer than one without.
    """
    least = _DOCUMENTS_AT + 12 * sequences
    if size == least:
        return None, False
    if size < least + 8:
        raise SourceError(
            f"tokens: expected at least {least + 8} bytes in {path}, as its {sequences} sequences "
            f"(byte {_SEQUENCES_AT}) say, got {size}: truncated, or damaged"
        )
    (documents,) = struct.unpack_from("<Q", head, _DOCUMENTS_AT)
    expected = least + 8 + 8 * documents
    if size not in (expected, expected + sequences):
        modes = f" or, with modes, {expected + sequences}" * (sequences > 0)
        raise SourceError(
            f"tokens: expected {expected}{modes} bytes in {path}, as its {sequences} sequences "
            f"(byte {_SEQUENCES_AT}) and {documents} document starts (byte {_DOCUMENTS_AT}) say, "
            f"got {size}: truncated, or damaged"
        )
    return documents, size != expected
