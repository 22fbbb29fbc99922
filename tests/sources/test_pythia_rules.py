"""Every rule of Pythia's data that files and arguments can break; and damaged ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import check_counts, expect
from writers import megatron_index, write_pythia

import probsig_fast as ps
from probsig_fast.errors import (
    ArgumentError,
    ArgumentTypeError,
    ProbsigError,
    SourceError,
    SourceNotFoundError,
)
from probsig_fast.sources import PythiaSource

V = 300
ROWS = [[0, 1, 2], [2, 2, 299], [1, 0, 256], [4, 3, 2], [1, 1, 1]]
ROW = {"row_tokens": 3, "batch_rows": 2}


def cut(folder: Path, number: int, size: int) -> None:
    path = folder / f"document-{number:05}-of-00002.bin"
    path.write_bytes(path.read_bytes()[:size])


def index(folder: Path, data: bytes) -> None:
    (folder / "document.idx").write_bytes(data)


def shard(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")


LENGTHS = [3] * 5
FILE_ERRORS: dict[str, tuple[Callable[[Path], None], type, str]] = {
    "no whole rows": (
        lambda folder: (cut(folder, 2, 2), (folder / "document.idx").unlink())[0],
        SourceError,
        r"expected a multiple of 6 bytes, a row of 3 tokens, in .*00000-of-00002\.bin and its "
        "other shards, got 22 bytes: truncated",
    ),
    "a row less than the index": (
        lambda folder: cut(folder, 2, 4),
        SourceError,
        r"expected 30 bytes in .* and its other shards, 5 rows as .*document\.idx says, got 24",
    ),
    "index: rows": (
        lambda folder: index(folder, megatron_index([3, 3, 3, 3], range(5))),
        SourceError,
        r"expected 24 bytes in .*, 4 rows as .*document\.idx says, got 30",
    ),
    "index: a row of another length": (
        lambda folder: index(folder, megatron_index([3, 3, 2, 4, 3], range(6))),
        SourceError,
        r"expected 3 tokens in row 2 at byte 42 of .*document\.idx, got 2",
    ),
    "index: token type": (
        lambda folder: index(folder, megatron_index(LENGTHS, range(6), code=4)),
        SourceError,
        r"expected the code 8 of uint16 tokens at byte 17 of .*document\.idx, got int32",
    ),
    "index: offsets": (
        lambda folder: index(folder, megatron_index(LENGTHS, range(6), offsets=[0, 6, 12, 19, 24])),
        SourceError,
        r"the offset 18 of sequence 3, .* at byte 78 of .*document\.idx, got 19",
    ),
    "index: documents": (
        lambda folder: index(folder, megatron_index(LENGTHS, [0, 1, 2, 9, 4, 5])),
        SourceError,
        r"an entry of doc_idx from 2 to 5 at byte 118 of .*document\.idx, got 9",
    ),
    "index: truncated": (
        lambda folder: index(folder, megatron_index(LENGTHS, range(6))[:-1]),
        SourceError,
        r"document\.idx, .* got 141: truncated, or damaged",
    ),
    "two files": (
        lambda folder: shard(folder, "other-00000-of-00001.bin"),
        SourceError,
        r"expected the shards of one file in .*, got those of several \(document-00000-of-00002"
        r"\.bin, other-00000-of-00001\.bin, \.\.\.\): pass the \.idx of one",
    ),
    "a shard beyond the last": (
        lambda folder: shard(folder, "document-00003-of-00002.bin"),
        SourceError,
        r"expected each shard up to 2 once, got .*document-00003-of-00002\.bin",
    ),
    "a shard twice": (
        lambda folder: shard(folder, "document-1-of-2.bin"),
        SourceError,
        r"expected each shard up to 2 once, got ",
    ),
    "the whole too": (
        lambda folder: shard(folder, "document.bin"),
        SourceError,
        r"expected document\.bin or its shards in .*, got both",
    ),
}


@pytest.mark.parametrize("case", FILE_ERRORS)
def test_rules_that_files_break(tmp_path: Path, case: str) -> None:
    change, error, message = FILE_ERRORS[case]
    write_pythia(tmp_path, ROWS, [8, 20])
    assert PythiaSource(tmp_path, **ROW).total == 15
    change(tmp_path)
    with pytest.raises(error, match=message):
        PythiaSource(tmp_path, **ROW)


ARGUMENT_ERRORS: list[tuple[dict[str, Any], type, str]] = [
    ({"rows": (0, 6)}, ArgumentError, "rows: expected at most the 5 rows there are, got (0, 6)"),
    (
        {"steps": (0, 3)},
        ArgumentError,
        "steps: expected at most the 5 rows there are (2 whole steps), got (0, 3)",
    ),
    ({"rows": (2, 1)}, ArgumentError, "rows: expected from 2 to "),
    ({"rows": (-1, 1)}, ArgumentError, "rows: expected from 0 to "),
    ({"rows": 3}, ArgumentTypeError, "rows: expected (begin, end), got 3"),
    ({"rows": (1, 2, 3)}, ArgumentTypeError, "rows: expected (begin, end), got (1, 2, 3)"),
    ({"steps": (0, 1.0)}, ArgumentTypeError, "steps: expected an int, got float 1.0"),
    (
        {"rows": (0, 1), "steps": (0, 1)},
        ArgumentError,
        "steps: expected None where rows are given, got (0, 1)",
    ),
    ({"row_tokens": 0}, ArgumentError, "row_tokens: expected from 1 to"),
    ({"batch_rows": 0}, ArgumentError, "batch_rows: expected from 1 to"),
    (
        {"row_tokens": 5},
        SourceError,
        "tokens: expected 5 tokens in row 0 at byte 34 of ",
    ),
]


@pytest.mark.parametrize(("arguments", "error", "message"), ARGUMENT_ERRORS, ids=str)
def test_arguments_that_cannot_be(
    tmp_path: Path, arguments: dict[str, Any], error: type, message: str
) -> None:
    write_pythia(tmp_path, ROWS, [8, 20])
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        PythiaSource(tmp_path, **{**ROW, **arguments})


def test_nothing_there(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path, r"expected shards X-00000-of-NNNNN\.bin, or one X\.bin with X\.idx, in .*got 0"),
        (tmp_path / "document.idx", r"expected an index file, got .*: no such file"),
        (tmp_path / "document-00000-of-00001.bin", r"no such file"),
        (tmp_path / "*.bin", r"expected a glob that names files"),
    ):
        with pytest.raises(SourceNotFoundError, match=message):
            PythiaSource(path)
    with pytest.raises(
        ArgumentError, match="paths: expected a folder, an index or shards, got non"
    ):
        PythiaSource([])
    index(tmp_path, megatron_index(LENGTHS, range(6)))
    with pytest.raises(
        SourceNotFoundError, match=r"document-00000-of-NNNNN\.bin, or document\.bin"
    ):
        PythiaSource(tmp_path / "document.idx")


def test_shards_of_several_files_in_a_list(tmp_path: Path) -> None:
    paths = write_pythia(tmp_path, ROWS, [8, 20])
    others = write_pythia(tmp_path, ROWS, [8], stem="other")
    for mixed in (paths[:2] + others[:1], [*paths, tmp_path / "document.idx"]):
        with pytest.raises(
            SourceError, match=r"expected the shards of one file, got .* with others"
        ):
            PythiaSource(mixed, **ROW)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("size", [0, 3, 40])
def test_a_shard_that_changes_after_it_was_looked_at(
    tmp_path: Path, number: int, size: int
) -> None:
    paths = write_pythia(tmp_path, ROWS, [9, 20])
    source = PythiaSource(tmp_path, **ROW)
    paths[number].write_bytes(bytes(size))
    with pytest.raises(SourceError, match=f"as when it was opened, got {size}: changed while it w"):
        ps.count(source, vocab_size=V)


def test_tokens_are_mapped_where_they_lie_well(tmp_path: Path) -> None:
    write_pythia(tmp_path, ROWS, [8])
    (stream,) = PythiaSource(tmp_path, **ROW).streams()
    assert isinstance(stream.raw(1, 3), np.memmap)


@given(data=st.data())
def test_damaged_files_are_refused_or_read_as_they_are(
    data: st.DataObject, tmp_path_factory: Any
) -> None:
    folder = tmp_path_factory.mktemp("pythia")
    paths = write_pythia(folder, ROWS, data.draw(st.sampled_from([[], [8], [9, 20]])))
    path = data.draw(st.sampled_from([*paths, folder / "document.idx"]))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content)))
    some = data.draw(st.binary(max_size=8))
    content[at : at + data.draw(st.integers(0, 8))] = some
    path.write_bytes(content)
    try:
        counts = ps.count(PythiaSource(folder, **ROW), vocab_size=2**16)
    except ProbsigError:
        return
    flat = np.frombuffer(b"".join(path.read_bytes() for path in paths), "<u2").tolist()
    rows = [flat[i : i + 3] for i in range(0, len(flat), 3)]
    assert len(rows) == 5
    plain = expect(rows, ps.Next(), 2**16)
    plain.unigram = dict(Counter(token for row in rows for token in row[:-1]))
    check_counts(counts, plain)
