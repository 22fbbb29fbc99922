"""Corpus files, byte by byte from the descriptions of their formats: nothing of the package, and
no other library's writer."""

from __future__ import annotations

import csv
import gzip
import io
import struct
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path

Documents = Sequence[Sequence[int]]

#: Megatron's codes of token types, and struct's letters for them.
MEGATRON_CODES = {1: "B", 2: "b", 3: "h", 4: "i", 5: "q", 8: "H", 9: "I", 10: "Q"}
LETTERS = {"uint8": "B", "int8": "b", "int16": "h", "int32": "i", "int64": "q"}
LETTERS |= {"uint16": "H", "uint32": "I", "uint64": "Q"}


def pack(letter: str, values: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(values)}{letter}", *values)


def flat(tokens: Sequence[int], dtype: str = "uint16") -> bytes:
    return pack(LETTERS[dtype], tokens)


def megatron_index(
    lengths: Sequence[int],
    documents: Sequence[int] | None,
    code: int = 8,
    modes: Sequence[int] | None = None,
    offsets: Sequence[int] | None = None,
    version: int = 1,
    magic: bytes = b"MMIDIDX\x00\x00",
) -> bytes:
    """`X.idx`. `documents` is doc_idx; None: fairseq's layout, which has no such array."""
    width = struct.calcsize("<" + MEGATRON_CODES.get(code, "f"))
    if offsets is None:
        offsets = [0, *accumulate(length * width for length in lengths)][: len(lengths)]
    header = magic + struct.pack("<QBQ", version, code, len(lengths))
    if documents is not None:
        header += struct.pack("<Q", len(documents))
    return (
        header
        + pack("i", lengths)
        + pack("q", offsets)
        + pack("q", documents or [])
        + pack("b", modes or [])
    )


def write_megatron(
    prefix: Path, documents: Sequence[Documents], code: int = 8, modes: Sequence[int] | None = None
) -> Path:
    """`X.idx` and `X.bin` of documents that are lists of sequences."""
    sequences = [sequence for document in documents for sequence in document]
    starts = [0, *accumulate(len(document) for document in documents)]
    index = megatron_index([len(s) for s in sequences], starts, code, modes)
    prefix.with_name(prefix.name + ".idx").write_bytes(index)
    tokens = [token for sequence in sequences for token in sequence]
    data = pack(MEGATRON_CODES[code], tokens)
    prefix.with_name(prefix.name + ".bin").write_bytes(data)
    return prefix.with_name(prefix.name + ".idx")


def legacy_index(lengths: Sequence[int]) -> bytes:
    """The older format's index."""
    ends = [0, *accumulate(lengths)]
    counts = (len(lengths), len(lengths), 2)
    return (
        b"TNTIDX\x00\x00"
        + struct.pack("<QQQ", 1, 8, 2)
        + struct.pack("<QQQ", *counts)
        + pack("q", range(len(lengths) + 1))
        + pack("q", ends)
        + pack("q", lengths)
        + pack("q", [0, len(lengths)])
    )


def write_pythia(
    folder: Path, rows: Documents, cuts: Sequence[int], index: bool = True, stem: str = "document"
) -> list[Path]:
    """Shards of one file of `rows` in uint16, cut at the bytes `cuts`; and `document.idx`."""
    data = pack("H", [token for row in rows for token in row])
    edges = [0, *cuts, len(data)]
    last = len(edges) - 2
    paths = [folder / f"{stem}-{i:05}-of-{last:05}.bin" for i in range(last + 1)]
    for path, begin, end in zip(paths, edges[:-1], edges[1:], strict=True):
        path.write_bytes(data[begin:end])
    if index:
        lengths = [len(row) for row in rows]
        (folder / f"{stem}.idx").write_bytes(megatron_index(lengths, range(len(rows) + 1)))
    return paths


def write_datatrove(path: Path, documents: Documents, dtype: str = "uint16") -> Path:
    """`X.ds` and `X.ds.index`."""
    path.write_bytes(flat([token for document in documents for token in document], dtype))
    ends = list(accumulate(map(len, documents)))
    path.with_name(path.name + ".index").write_bytes(pack("Q", ends))
    return path


def dolma_rows(documents: Documents) -> list[list[object]]:
    """start, end, id, src, loc; ids that need quotes among them."""
    edges = [0, *accumulate(map(len, documents))]
    return [
        [begin, end, f'id "{i}",\nof two lines', f"s3://bucket/{i}.json.gz", i]
        for i, (begin, end) in enumerate(pairwise(edges))
    ]


def dolma_table(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return gzip.compress(text.getvalue().encode(), mtime=0)


def write_dolma(path: Path, documents: Documents, dtype: str = "uint16") -> Path:
    """`X.npy`, which has no header, and `X.csv.gz`."""
    path.write_bytes(flat([token for document in documents for token in document], dtype))
    path.with_suffix(".csv.gz").write_bytes(dolma_table(dolma_rows(documents)))
    return path
