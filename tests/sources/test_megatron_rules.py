"""Every rule of a Megatron data set that a file can break; and damaged ones, read plainly."""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import check_counts, expect
from writers import MEGATRON_CODES, legacy_index, megatron_index, pack, write_megatron

import probsig_fast as ps
from probsig_fast.errors import ProbsigError, SourceError, SourceNotFoundError
from probsig_fast.sources import MegatronSource, documents, megatron_checks
from probsig_fast.sources import megatron_index as index_module

V = 5
sequences = st.lists(st.integers(0, V - 1), max_size=4)
corpora = st.lists(st.lists(sequences, max_size=3), max_size=6)
JOINED = [[0, 1, 2, 3, 4], [4, 0]]


def write(folder: Path, index: bytes, data: bytes, name: str = "x") -> Path:
    (folder / f"{name}.idx").write_bytes(index)
    (folder / f"{name}.bin").write_bytes(data)
    return folder / f"{name}.idx"


LENGTHS, STARTS = [2, 3, 0, 2], [0, 2, 4]
TOKENS = pack("H", [0, 1, 2, 3, 4, 4, 0])
GOOD = megatron_index(LENGTHS, STARTS)
assert len(GOOD) == 34 + 12 * 4 + 8 * 3


def patched(at: int, form: str, value: int) -> bytes:
    new = struct.pack("<" + form, value)
    return GOOD[:at] + new + GOOD[at + len(new) :]


INDEX_ERRORS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", r"expected the magic b'MMIDIDX\\x00\\x00' at byte 0 of x.idx, got b''"),
    "other": (b"PK\3\4" + GOOD[4:], "expected the magic .* at byte 0 of x.idx, got b'PK"),
    "legacy": (legacy_index([2, 3]), "at byte 0 of x.idx, got TNTIDX: the older format, which is"),
    "header": (GOOD[:25], "expected a header of 26 bytes in x.idx, got 25 bytes: truncated"),
    "version": (patched(9, "Q", 2), "expected version 1 at byte 9 of x.idx, got 2"),
    "code 0": (
        patched(17, "B", 0),
        "expected the code of an integer .* at byte 17 of x.idx, got 0",
    ),
    "code 6": (patched(17, "B", 6), "at byte 17 of x.idx, got 6, a float type"),
    "code 7": (patched(17, "B", 7), "at byte 17 of x.idx, got 7, a float type"),
    "code 11": (patched(17, "B", 11), "at byte 17 of x.idx, got 11$"),
    "N": (
        patched(18, "Q", 2**60),
        rf"at least {34 + 12 * 2**60} bytes in x.idx, as its {2**60} seq",
    ),
    "N, all bits": (patched(18, "Q", 2**64 - 1), r"its 18446744073709551615 sequences \(byte 18\)"),
    "N, one more": (patched(18, "Q", 5), r"got 106: truncated, or damaged"),
    "N, one less": (patched(18, "Q", 3), r"and 3 document starts \(byte 26\) say, got 106: trunc"),
    "D": (patched(26, "Q", 2**60), rf"expected {82 + 2**63} or, with modes, {86 + 2**63} bytes in"),
    "D, one less": (
        patched(26, "Q", 2),
        "expected 98 or, with modes, 102 bytes in x.idx, as its 4",
    ),
    "a byte less": (GOOD[:-1], "got 105: truncated, or damaged"),
    "a byte more": (GOOD + b"\0", "got 107: truncated, or damaged"),
    "half": (
        GOOD[:60],
        r"expected at least 82 bytes .* 4 sequences \(byte 18\) say, got 60: trunc",
    ),
    "length": (
        patched(34 + 4, "i", -3),
        "a length that is not negative, of sequence 1, at byte 38 of x.idx, got -3",
    ),
    "offset": (
        patched(50 + 8, "q", 6),
        "the offset 4 of sequence 1, .* at byte 58 of x.idx, got 6: sequences that do not lie",
    ),
    "offset, too early to overflow": (
        patched(50 + 8, "q", 4 - 2**32),
        "the offset 4 of sequence 1, .* at byte 58 of x.idx, got -4294967292",
    ),
    "first offset": (patched(50, "q", 2), "the offset 0 of sequence 0, .* at byte 50 of x.idx"),
    "doc_idx, first": (patched(82, "q", 1), "doc_idx to start with 0 at byte 82 of x.idx, got 1"),
    "doc_idx, below 0": (
        patched(90, "q", -1),
        "an entry of doc_idx from 0 to 4 at byte 90 of x.idx, got -1",
    ),
    "doc_idx, falls": (
        patched(98, "q", 1),
        "an entry of doc_idx from 2 to 4 at byte 98 of x.idx, got 1",
    ),
    "doc_idx, above": (
        patched(98, "q", 5),
        "an entry of doc_idx from 2 to 4 at byte 98 of x.idx, got 5",
    ),
    "doc_idx, wraps": (
        megatron_index(LENGTHS, [0, 3, -(2**63)]),
        "an entry of doc_idx from 3 to 4 at byte 98 of x.idx, got -9223372036854775808",
    ),
    "lengths, too long": (
        megatron_index([2, 3, 0, 3], STARTS),
        "expected 16 bytes in x.bin, 8 tokens of uint16 as x.idx says, got 14: truncated, or of",
    ),
    "lengths, too short": (
        megatron_index([2, 3, 0, 1], STARTS),
        "expected 12 bytes in x.bin, 6 tokens of uint16 as x.idx says, got 14: truncated, or of",
    ),
}


@pytest.mark.parametrize("block", [1, 2**21])
@pytest.mark.parametrize("case", INDEX_ERRORS)
def test_rules_that_an_index_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, block: int
) -> None:
    index, message = INDEX_ERRORS[case]
    write(tmp_path, index, TOKENS)
    monkeypatch.chdir(tmp_path)
    for module in (documents, index_module):
        monkeypatch.setattr(module, "BLOCK", block)
    with pytest.raises(SourceError, match=message):
        MegatronSource("x.idx")


def test_the_unbroken_one(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, TOKENS)
    check_counts(ps.count(MegatronSource(path), vocab_size=V), expect(JOINED, ps.Next(), V))


def test_hostile_headers_allocate_nothing(tmp_path: Path) -> None:
    """Numbers of sequences and documents that would need all memory, in files of 106 bytes; and
    lengths beyond 63 bits."""
    for at, value in itertools.product((18, 26), (2**31, 2**40, 2**60, 2**63, 2**64 - 1)):
        path = write(tmp_path, patched(at, "Q", value), TOKENS)
        with pytest.raises(SourceError, match="got 106: truncated, or damaged"):
            MegatronSource(path)
    path = write(tmp_path, megatron_index([2**31 - 1] * 3, [0, 3], code=10), TOKENS)
    with pytest.raises(SourceError, match=f"expected {3 * 8 * (2**31 - 1)} bytes in .*got 14"):
        MegatronSource(path)


def test_lengths_whose_sum_passes_63_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a lower limit: the real one needs an index of 3 GB."""
    path = write(tmp_path, megatron_index([2**31 - 1] * 9, [0, 9], code=10), TOKENS)
    monkeypatch.setattr(index_module, "BLOCK", 2)
    monkeypatch.setattr(megatron_checks, "MOST_BYTES", 2**36)
    message = (
        f"expected lengths that sum to the 14 bytes .*, got {6 * 8 * (2**31 - 1)} bytes after 6"
    )
    with pytest.raises(SourceError, match=message):
        MegatronSource(path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["x.bin"], "expected an index file, got 'x.idx': no such file"),
        (["x.idx"], "expected the token file of x.idx, got 'x.bin': no such file"),
    ],
    ids=["no index", "no tokens"],
)
def test_a_file_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], message: str
) -> None:
    write(tmp_path, GOOD, TOKENS)
    for name in {"x.idx", "x.bin"} - set(files):
        (tmp_path / name).unlink()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceNotFoundError, match=f"^tokens: {re.escape(message)}$"):
        MegatronSource("x")


@pytest.mark.parametrize("end", ["", "/"])
def test_a_folder_in_place_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    write(tmp_path, GOOD, TOKENS)
    (tmp_path / "x.bin").unlink()
    (tmp_path / "x.bin").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=r"got the folder 'x.bin"):
        MegatronSource("x.bin" + end)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "x.idx").write_bytes(GOOD[:40]),
        lambda folder: (folder / "x.idx").write_bytes(patched(34, "i", 7)),
        lambda folder: (folder / "x.idx").write_bytes(patched(34, "i", -7)),
        lambda folder: (folder / "x.idx").write_bytes(patched(90, "q", 99)),
        lambda folder: (folder / "x.idx").write_bytes(patched(98, "q", 2)),
        lambda folder: (folder / "x.bin").write_bytes(TOKENS[:-2]),
        lambda folder: (folder / "x.bin").write_bytes(TOKENS + TOKENS),
        lambda folder: (folder / "x.bin").write_bytes(TOKENS[:-1]),
    ],
    ids=["index", "length", "negative", "far", "end", "tokens", "more tokens", "odd"],
)
def test_files_that_change_after_they_were_looked_at(
    tmp_path: Path, change: Callable[[Path], Any]
) -> None:
    source = MegatronSource(write(tmp_path, GOOD, TOKENS))
    change(tmp_path)
    with pytest.raises(SourceError, match=r"changed while it was counted|multiple of 2 bytes"):
        ps.count(source, vocab_size=V)


def plainly(index: bytes, data: bytes) -> list[list[int]]:
    """Documents of a valid pair by the description, a value at a time."""
    n, letter = struct.unpack_from("<Q", index, 18)[0], MEGATRON_CODES[index[17]]
    fairseq = len(index) == 26 + 12 * n
    d = 0 if fairseq else struct.unpack_from("<Q", index, 26)[0]
    lengths = struct.unpack_from(f"<{n}i", index, 26 if fairseq else 34)
    starts = struct.unpack_from(f"<{d}q", index, 34 + 12 * n) if d else ()
    tokens = list(struct.unpack(f"<{sum(lengths)}{letter}", data))
    found, at = [], 0
    for length in lengths:
        found.append(tokens[at : at + length])
        at += length
    if not starts or starts[-1] != n:
        return found
    pairs = itertools.pairwise(starts)
    return [[token for sequence in found[a:b] for token in sequence] for a, b in pairs]


@given(data=st.data())
def test_damaged_files_are_refused_or_read_as_they_are(
    data: st.DataObject, tmp_path_factory: Any
) -> None:
    folder = tmp_path_factory.mktemp("megatron")
    code = data.draw(st.sampled_from([1, 2, 4, 8, 10]))
    path = write_megatron(folder / "x", data.draw(corpora), code)
    files = {name: bytearray((folder / name).read_bytes()) for name in ("x.idx", "x.bin")}
    for _ in range(data.draw(st.integers(1, 3))):
        damage(files[data.draw(st.sampled_from(["x.idx", "x.idx", "x.bin"]))], data)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    try:
        counts = ps.count(MegatronSource(path), vocab_size=256)
    except ProbsigError:
        return
    plain = plainly(files["x.idx"], files["x.bin"])
    check_counts(counts, expect(plain, ps.Next(), 256))


def damage(content: bytearray, data: st.DataObject) -> None:
    if not content:
        content += b"\0\0"
        return
    at = data.draw(st.integers(0, len(content) - 1))
    kind = data.draw(st.sampled_from(["set", "set", "cut", "insert", "delete"]))
    some = data.draw(st.binary(min_size=1, max_size=8))
    if kind == "set":
        content[at : at + len(some)] = some[: len(content) - at]
    elif kind == "cut":
        del content[at:]
    elif kind == "insert":
        content[at:at] = some
    else:
        del content[at : at + len(some)]
