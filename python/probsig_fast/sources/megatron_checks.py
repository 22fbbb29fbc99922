"""The rules that the arrays of a Megatron index keep, looked at a block at a time."""

from __future__ import annotations

import numpy as np

from ..errors import SourceError
from .documents import falls
from .megatron_index import OVERFLOW, Int64s, MegatronIndex, damaged

#: Above any file's size, and so far below 2^63 that a block more does not pass that.
MOST_BYTES = 2**62


def check_sequences(index: MegatronIndex, data_bytes: int) -> int:
    """The number of tokens that the lengths make, each checked with its offset.

    Offsets are not used: they follow from the lengths, as sequences lie one after the other.
    A stored offset must be the exact one up to 2^31 bytes; from there on its lower 32 bits must,
    as common writers add lengths up in 32 bits and merge such files: their offsets overflow,
    and they are read all the same by tools that look at lengths.

    Args:
        data_bytes: the size of the token file, or of as much of it as there is.

    Raises:
        SourceError: a negative length; lengths that pass 2^62 bytes in all; an offset that does
            not follow from the lengths before it. With its byte in the index.
    """
    width = index.dtype.itemsize
    begin = 0
    for first, lengths in index.lengths():
        negative = np.flatnonzero(lengths < 0)
        if negative.size:
            i = int(negative[0])
            raise damaged(
                index.path,
                index.lengths_at + 4 * (first + i),
                f"a length that is not negative, of sequence {first + i},",
                int(lengths[i]),
            )
        ends = begin + np.cumsum(lengths) * width
        _check_offsets(index, first, np.concatenate([[begin], ends[:-1]]))
        begin = int(ends[-1])
        if begin > max(data_bytes, MOST_BYTES):
            raise SourceError(
                f"tokens: expected lengths that sum to the {data_bytes} bytes of the token file, "
                f"got {begin} bytes after {first + lengths.size} sequences of {index.path}"
            )
    return begin // width


def _check_offsets(index: MegatronIndex, first: int, exact: Int64s) -> None:
    stored = index.offsets(first, exact.size)
    differ = stored ^ exact.view(np.uint64)
    differ[exact >= OVERFLOW] &= np.uint64(0xFFFFFFFF)
    wrong = np.flatnonzero(differ)
    if wrong.size:
        i = int(wrong[0])
        raise damaged(
            index.path,
            index.offsets_at + 8 * (first + i),
            f"the offset {exact[i]} of sequence {first + i}, as the lengths before it say,",
            f"{stored[i : i + 1].view(np.int64)[0]}: sequences that do not lie one after the "
            "other are not read",
        )


def check_documents(index: MegatronIndex) -> bool:
    """Whether doc_idx covers all sequences, so that its entries are the documents.

    One tool merges data sets and never extends it; it then says nothing of the sequences beyond,
    and documents are told by the sequences alone.

    Raises:
        SourceError: it does not start with 0, it falls, or it names a sequence that is not there.
            With its byte in the index.
    """
    last = 0
    for first, starts in index.all_document_starts():
        at = index.documents_at + 8 * first
        if first == 0 and starts[0] != 0:
            raise damaged(index.path, at, "doc_idx to start with 0", int(starts[0]))
        wrong = starts > index.sequences
        wrong[falls(starts, last)] = True
        if wrong.any():
            i = int(wrong.argmax())
            before = int(starts[i - 1]) if i else last
            expected = f"an entry of doc_idx from {before} to {index.sequences}"
            raise damaged(index.path, at + 8 * i, expected, int(starts[i]))
        last = int(starts[-1])
    return bool(index.documents) and last == index.sequences


def check_modes(index: MegatronIndex) -> None:
    """That all sequences are of mode 0, text.

    Raises:
        SourceError: one is not. With its byte in the index.
    """
    for first, modes in index.modes():
        other = np.flatnonzero(modes)
        if other.size:
            i = int(other[0])
            raise damaged(
                index.path,
                index.modes_at + first + i,
                f"mode 0 (text) of sequence {first + i}",
                f"{modes[i]}: pass all_modes=True to count sequences of all modes as tokens of "
                "one vocabulary",
            )
