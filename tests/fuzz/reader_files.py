"""Files of every format that the package reads, written byte by byte from their descriptions."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_support import Draw

Documents = list[list[int]]
VOCABULARY = 50


def documents(draw: Draw, most: int = 12) -> Documents:
    """Some of them empty."""
    return [
        draw.integers(0, VOCABULARY - 1, draw.size(30)).tolist()
        for _ in range(draw.between(1, most))
    ]


def _packed(tokens: list[int], dtype: str) -> bytes:
    return np.array(tokens, np.dtype(dtype).newbyteorder("<")).tobytes()


def _flat(found: Documents) -> list[int]:
    return [token for document in found for token in document]


def write_bin(draw: Draw, folder: Path) -> Documents:
    tokens = _flat(documents(draw))
    (folder / "X.bin").write_bytes(_packed(tokens, "uint16"))
    return [tokens]


def write_sidecar(draw: Draw, folder: Path) -> Documents:
    """A flat file and, beside it, what `probsig tokenize` says of it."""
    tokens = _flat(documents(draw))
    dtype = draw.one_of(["uint16", "uint32", "int64"])
    (folder / "X.bin").write_bytes(_packed(tokens, dtype))
    beside = {"dtype": dtype, "tokens": len(tokens), "vocab_size": VOCABULARY}
    (folder / "X.json").write_text(json.dumps(beside))
    return [tokens]


def write_npy(draw: Draw, folder: Path) -> Documents:
    """Version 1.0: magic, version, length of the header, a Python literal, the array."""
    width = draw.one_of([None, None, 1, 3])
    tokens = _flat(documents(draw))
    tokens = tokens[: len(tokens) // width * width] if width else tokens
    dtype = draw.one_of(["<u2", "<i4", "<u4", "<i8", "|u1", ">i4"])
    shape = (len(tokens) // width, width) if width else (len(tokens),)
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    header = b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text
    (folder / "X.npy").write_bytes(header + np.array(tokens, dtype).tobytes())
    if width:
        return [tokens[i : i + width] for i in range(0, len(tokens), width)]
    return [tokens]


def write_megatron(draw: Draw, folder: Path) -> Documents:
    """A document of one or of several sequences, or a doc_idx that a merge did not extend."""
    sequences = documents(draw)
    code, dtype = draw.one_of([(8, "uint16"), (4, "int32"), (5, "int64"), (1, "uint8")])
    ends = sorted({*draw.integers(0, len(sequences), draw.size(4)).tolist(), 0, len(sequences)})
    if draw.chance(0.2):
        ends = ends[:1]
    lengths = [len(sequence) for sequence in sequences]
    width = np.dtype(dtype).itemsize
    offsets = [width * sum(lengths[:i]) for i in range(len(lengths))]
    index = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, code, len(sequences), len(ends))
    index += _packed(lengths, "int32") + _packed(offsets, "int64") + _packed(ends, "int64")
    (folder / "X.idx").write_bytes(index)
    (folder / "X.bin").write_bytes(_packed(_flat(sequences), dtype))
    if ends[-1] != len(sequences):
        return sequences
    return [_flat(sequences[a:b]) for a, b in itertools.pairwise(ends)]


def write_pythia(draw: Draw, folder: Path) -> Documents:
    """Rows of 5 tokens; slices cut anywhere; with or without an index."""
    rows = draw.integers(0, VOCABULARY - 1, 5 * draw.between(1, 9)).reshape(-1, 5)
    content = _packed(rows.reshape(-1).tolist(), "uint16")
    last = draw.between(0, 3)
    cuts = [0, *np.sort(draw.integers(0, len(content), last)).tolist(), len(content)]
    for number, (begin, end) in enumerate(itertools.pairwise(cuts)):
        name = f"document-{number:05}-of-{last:05}.bin"
        (folder / name).write_bytes(content[begin:end])
    if draw.chance(0.6):
        n = len(rows)
        index = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8, n, n + 1) + _packed([5] * n, "int32")
        index += _packed([10 * i for i in range(n)], "int64") + _packed([*range(n + 1)], "int64")
        (folder / "document.idx").write_bytes(index)
    return rows.tolist()  # type: ignore[no-any-return]


def write_datatrove(draw: Draw, folder: Path) -> Documents:
    found = documents(draw)
    found[-1] = found[-1] or [1]
    (folder / "X.ds").write_bytes(_packed(_flat(found), draw.one_of(["uint16", "uint32"])))
    ends = np.cumsum([len(document) for document in found]).tolist()
    (folder / "X.ds.index").write_bytes(_packed(ends, "uint64"))
    return found


def write_dolma(draw: Draw, folder: Path) -> Documents:
    found = documents(draw)
    found[-1] = found[-1] or [1]
    (folder / "X.npy").write_bytes(_packed(_flat(found), draw.one_of(["uint16", "uint32"])))
    text, begin = io.StringIO(), 0
    writer = csv.writer(text)
    for number, document in enumerate(found):
        writer.writerow([begin, begin + len(document), f'id "{number}"', "src,\u00e9", number])
        begin += len(document)
    (folder / "X.csv.gz").write_bytes(gzip.compress(text.getvalue().encode(), 1, mtime=0))
    return found


def _lines(found: Documents, draw: Draw) -> bytes:
    lines: list[Any] = []
    for document in found:
        text: Any = " ".join(f"w{token}" for token in document)
        if draw.chance(0.3):  # several, which are joined by two newlines
            text = text.split(" ", 1)
        value: Any = {"text": text, "meta": {"pile_set_name": draw.one_of(["ArXiv", "Github"])}}
        if draw.chance(0.2):
            value = {"text": text}
        if draw.chance(0.2) and isinstance(text, str):
            value = text
        lines.append(json.dumps(value))
    return "\n".join(lines).encode() + b"\n"


def write_jsonl(draw: Draw, folder: Path) -> Documents:
    found = documents(draw)
    (folder / "X.jsonl").write_bytes(_lines(found, draw))
    return found


def write_jsonl_gz(draw: Draw, folder: Path) -> Documents:
    found = documents(draw)
    (folder / "X.jsonl.gz").write_bytes(gzip.compress(_lines(found, draw), 1, mtime=0))
    return found


def write_jsonl_zst(draw: Draw, folder: Path) -> Documents:
    """In one frame or several."""
    import zstandard

    found = documents(draw)
    text = _lines(found, draw)
    at = draw.between(0, len(text))
    frames = [text] if draw.chance(0.5) else [text[:at], text[at:]]
    compressor = zstandard.ZstdCompressor(write_checksum=draw.chance(0.5))
    (folder / "X.jsonl.zst").write_bytes(b"".join(map(compressor.compress, frames)))
    return found


def _table(draw: Draw, found: Documents) -> Any:
    import pyarrow as pa

    kind = draw.one_of([pa.list_, pa.large_list])(
        draw.one_of([pa.int32(), pa.uint16(), pa.int64()])
    )
    columns = {draw.one_of(["input_ids", "token_ids"]): pa.array(found, kind)}
    if draw.chance(0.4):  # some padding behind each row
        padded = [[*document, 0, 0] for document in found]
        masks = [[1] * len(document) + [0, 0] for document in found]
        columns = {"input_ids": pa.array(padded, kind)}
        columns["attention_mask"] = pa.array(masks, pa.list_(pa.int8()))
    return pa.table(columns)


def write_parquet(draw: Draw, folder: Path) -> Documents:
    import pyarrow.parquet as pq

    found = documents(draw)
    pq.write_table(
        _table(draw, found),
        folder / "X.parquet",
        row_group_size=draw.between(1, 12),
        compression=draw.one_of(["none", "snappy", "zstd"]),
        use_dictionary=draw.chance(0.5),
    )
    return found


def write_dataset(draw: Draw, folder: Path) -> Documents:
    """As `save_to_disk` lays it out: state.json, dataset_info.json and a stream of Arrow."""
    import pyarrow as pa

    found = documents(draw)
    table = _table(draw, found)
    path = str(folder / "data-00000-of-00001.arrow")
    with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table, max_chunksize=draw.between(1, 12))
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": {}}))
    return found


#: How what is compressed is taken out and put back, so that damage reaches what is inside.
def unpacked(suffix: str, content: bytes) -> bytes:
    if suffix == ".gz":
        return gzip.decompress(content)
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj().decompress(content)  # type: ignore[no-any-return]


def packed(suffix: str, content: bytes) -> bytes:
    if suffix == ".gz":
        return gzip.compress(content, 1, mtime=0)
    import zstandard

    return zstandard.ZstdCompressor().compress(content)  # type: ignore[no-any-return]


Write = Callable[[Draw, Path], Documents]
