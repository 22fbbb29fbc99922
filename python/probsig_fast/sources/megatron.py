"""Megatron and GPT-NeoX data sets: `X.idx`, which tells sequences and documents, and `X.bin`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SourceError
from .documents import DocumentSource, Ends, paths_of
from .fingerprint import file_fingerprint
from .mapped import PathLike, TokenFile, file_status, look_flat
from .megatron_checks import check_documents, check_modes, check_sequences
from .megatron_index import MegatronIndex


class MegatronSource(DocumentSource):
    """Data sets `X.idx` + `X.bin` (magic `MMIDIDX`), as Megatron-LM, GPT-NeoX and fairseq write
    them.

    A document is a sequence for counting. What the file calls sequences are often a document's
    sentences or parts, written one by one: those between two entries of doc_idx are joined, as
    training reads them joined, and nothing is counted across documents. Where doc_idx does not
    cover all sequences (one tool's merge never extends it), or is absent (fairseq), each sequence
    is a document; `describe` says which.

    An end-of-document token is there only if the writer appended one: it is read like any other.
    To count across documents instead, as in packed training, read `X.bin` as a flat file.

    Args:
        paths: `X.idx`, `X.bin` or the prefix `X`, or a glob, or several; in the order in which
            they are read. A data set that is named by both of its files (`X.*`) is read once.
        all_modes: count the sequences of all modes of a multimodal data set, as tokens of one
            vocabulary. False: a mode other than 0, text, is an error.

    Raises:
        SourceNotFoundError: a missing file.
        SourceError: any rule of the format that a file breaks, with the file and the byte:
            magic, version, token type, the size that the header makes, lengths, offsets (which
            may have overflowed, see `megatron_checks`), doc_idx, modes, the size of `X.bin`.

    Cost: the index is read once here, in blocks, and once more as it is counted; memory does not
    grow with the number of documents.
    """

    def __init__(self, paths: PathLike | Sequence[PathLike], all_modes: bool = False) -> None:
        super().__init__([_Pair.looked_at(*pair, all_modes) for pair in _pairs(paths_of(paths))])


@dataclass(frozen=True)
class _Pair:
    """An index and its token file.

    Attributes:
        by_document: doc_idx tells documents; False: each sequence is one.
    """

    index: MegatronIndex
    tokens: TokenFile
    by_document: bool

    @classmethod
    def looked_at(cls, index_path: Path, data_path: Path, all_modes: bool) -> _Pair:
        index = MegatronIndex.read(index_path)
        size = file_status(data_path, f"the token file of {index_path}").st_size
        tokens = check_sequences(index, size)
        expected = tokens * index.dtype.itemsize
        if size != expected:
            raise SourceError(
                f"tokens: expected {expected} bytes in {data_path}, {tokens} tokens of "
                f"{index.dtype} as {index_path} says, got {size}: truncated, or of another index"
            )
        by_document = check_documents(index)
        if not all_modes:
            check_modes(index)
        return cls(index, look_flat(data_path, index.dtype), by_document)

    def ends(self) -> Iterator[Ends]:
        entry, begin = 0, 0
        for first, lengths in self.index.lengths():
            ends = begin + np.concatenate([[0], np.cumsum(lengths)])
            begin = int(ends[-1])
            if not self.by_document:
                yield ends[1:]
                continue
            while entry < (self.index.documents or 0):
                starts = self.index.document_starts(entry)
                known = int(np.searchsorted(starts, first + lengths.size, side="right"))
                yield ends[np.clip(starts[:known] - first, 0, lengths.size)]
                entry += known
                if known < starts.size:
                    break

    def describe(self) -> dict[str, Any]:
        return {
            **self.tokens.describe(),
            "index": str(self.index.path),
            "sequences": self.index.sequences,
            "documents": "doc_idx" if self.by_document else "each sequence",
        }

    def fingerprint(self) -> dict[str, Any]:
        return {**self.tokens.fingerprint(), "index": file_fingerprint(self.index.location)}


def _pairs(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Index and token file, from either one or from what both names start with."""
    names = [os.fspath(path) for path in paths]
    found = []
    for i, name in enumerate(names):
        prefix = name[:-4] if name.endswith((".idx", ".bin")) else name
        other = prefix + {".idx": ".bin", ".bin": ".idx"}.get(name[len(prefix) :], "")
        if other == name or other not in names[:i]:
            found.append((Path(prefix + ".idx"), Path(prefix + ".bin")))
    return found
