"""Files by an fsspec address, on the file system that fsspec keeps in memory."""

from __future__ import annotations

import io
import pickle
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from oracle import check_counts, expect
from text_support import DOCUMENTS, ids, lines, sequences_of, word_tokenizer, write_zst

import probsig_fast as ps
from probsig_fast.errors import (
    ArgumentError,
    MissingExtraError,
    SourceError,
    SourceNotFoundError,
)
from probsig_fast.sources import remote
from probsig_fast.sources.parquet import ParquetSource
from probsig_fast.sources.paths import expand_one
from probsig_fast.sources.remote import RemoteFile, address_of, is_address, local_path
from probsig_fast.sources.remote_flat import RemoteFileSource, open_address
from probsig_fast.sources.text import TextSource

fsspec = pytest.importorskip("fsspec")

V = 7
TOKENS = [1, 2, 3, 0, 6, 6, 5, 0, 1, 2, 4]


@pytest.fixture
def store() -> Iterator[Any]:
    """Writes files to memory://; they are gone afterwards."""
    system = fsspec.filesystem("memory")

    def put(name: str, data: bytes) -> str:
        system.pipe_file(f"/{name}", data)
        return f"memory://{name}"

    remote._BLOCKS.clear()
    yield put
    system.rm("/", recursive=True)
    remote._BLOCKS.clear()


def u16(tokens: list[int]) -> bytes:
    return struct.pack(f"<{len(tokens)}H", *tokens)


def test_what_is_an_address() -> None:
    for text in ("s3://b/x.bin", "memory://x", "hf://datasets/a/b", "simplecache::s3://b/x"):
        assert is_address(text)
        assert address_of(text) == address_of(Path(text)) == text
    for path in ("x.bin", "/a://b", "C:/x.bin", "", "a b://c", Path("s3://x"), 3, b"s3://x"):
        assert not is_address(path)
    for name in ("x.bin", "/a://b", "C:/x.bin", "a b:/c", "s3:x", "C://x"):
        assert address_of(Path(name)) is None
    assert local_path("file:///a/b.bin") == "/a/b.bin"
    assert local_path("s3://a/b.bin") == "s3://a/b.bin"


@pytest.mark.parametrize("block", [2, 6, 2**22])
@pytest.mark.parametrize("chunk", [1, 4, None])
def test_flat_tokens(
    store: Any, block: int, chunk: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "BLOCK", block)
    source = RemoteFileSource([store("x.bin", u16(TOKENS))], "uint16")
    assert source.total == len(TOKENS)
    counts = ps.count(
        source, vocab_size=V, eos=0, backend="reference", chunk_tokens=chunk, threads=3
    )
    documents = [[1, 2, 3, 0], [6, 6, 5, 0], [1, 2, 4]]
    check_counts(counts, expect(documents, ps.Next(), V))
    (told,) = counts.provenance["sources"]
    assert (told["path"], told["bytes"], told["tokens"]) == ("memory://x.bin", 22, 11)


def test_files_are_sequences_unless_joined(store: Any) -> None:
    names = [store("a.bin", u16(TOKENS[:5])), store("b.bin", b""), store("c.bin", u16(TOKENS[5:]))]
    apart = ps.count(RemoteFileSource(names, "<u2"), vocab_size=V, backend="reference")
    check_counts(apart, expect([TOKENS[:5], TOKENS[5:]], ps.Next(), V))
    joined = RemoteFileSource(names, "<u2", join_files=True, offsets=[0, 2, 11])
    counts = ps.count(joined, vocab_size=V, backend="reference")
    check_counts(counts, expect([TOKENS[:2], TOKENS[2:]], ps.Next(), V))
    with pytest.raises(ArgumentError, match="offsets: expected a single file or join_files=True"):
        RemoteFileSource(names, "<u2", offsets=[0, 11])


@pytest.mark.parametrize("version", [(1, 0), (2, 0)], ids=str)
@pytest.mark.parametrize("shape", [(12,), (3, 4), (0, 4)], ids=str)
def test_npy(store: Any, shape: tuple[int, ...], version: tuple[int, int]) -> None:
    array = (np.arange(np.prod(shape)) % V).astype("<i4").reshape(shape)
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version)
    source = RemoteFileSource([store("x.npy", file.getvalue())])
    rows = array.tolist() if len(shape) == 2 else [array.tolist()]
    counts = ps.count(source, vocab_size=V, backend="reference")
    check_counts(counts, expect(rows, ps.Next(), V))


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "expected a .npy array, got 'memory://x.npy'"),
        (b"\x93NUMPY\x01\x00", "expected a .npy array, got"),
        (npy(np.zeros(3)), "expected a 1-D or 2-D .npy array of integers, .* got 1-D float64"),
        (npy(np.zeros((1, 1, 1), int)), "got 3-D int64"),
        (npy(np.asfortranarray(np.zeros((2, 3), int))), "got 2-D int64 stored by columns in mem"),
        (
            npy(np.zeros(30, np.uint16))[:-1],
            "expected 188 bytes in .*, as its header says, got 187",
        ),
    ],
    ids=["empty", "cut", "float", "3-D", "columns", "truncated"],
)
def test_npy_that_cannot_be_read(store: Any, data: bytes, told: str) -> None:
    with pytest.raises(SourceError, match=told):
        RemoteFileSource([store("x.npy", data)])


def test_an_id_outside_is_told_with_its_place(store: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(remote, "BLOCK", 4)
    source = RemoteFileSource([store("x.bin", u16([*TOKENS, 99]))], "uint16")
    with pytest.raises(ps.errors.TokenRangeError, match=r"id 99 at position 11 of memory://x.bin"):
        ps.count(source, vocab_size=V, backend="reference")


def test_blocks_are_fetched_once_and_forgotten(store: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(remote, "BLOCK", 20)
    monkeypatch.setattr(remote, "KEPT_BLOCKS", 3)
    fetched: list[int] = []
    read = remote._read

    def counted(address: str, begin: int, end: int) -> bytes:
        fetched.append(begin)
        return read(address, begin, end)

    monkeypatch.setattr(remote, "_read", counted)
    tokens = list(range(5)) * 20
    source = RemoteFileSource([store("x.bin", u16(tokens))], "uint16")
    counts = ps.count(source, vocab_size=5, backend="reference", chunk_tokens=3, threads=1)
    check_counts(counts, expect([tokens], ps.Next(), 5))
    assert sorted(fetched) == list(range(0, 200, 20))
    assert len(remote._BLOCKS._kept) == 3


def test_a_block_on_its_way_is_waited_for(store: Any, monkeypatch: Any) -> None:
    calls: list[int] = []
    read = remote._read

    def slow(address: str, begin: int, end: int) -> bytes:
        calls.append(begin)
        import time

        time.sleep(0.05)
        return read(address, begin, end)

    monkeypatch.setattr(remote, "_read", slow)
    source = RemoteFileSource([store("x.bin", u16(TOKENS))], "uint16")
    (stream,) = source.streams()
    found: list[Any] = []
    threads = [Thread(target=lambda: found.append(stream.raw(0, 11).tolist())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [TOKENS] * 4
    assert len(calls) == 1


def test_a_file_that_changes(store: Any) -> None:
    source = RemoteFileSource([store("x.bin", u16(TOKENS))], "uint16")
    mark = source.fingerprint()
    assert pickle.loads(pickle.dumps(source)).fingerprint() == mark
    store("x.bin", u16(TOKENS[:4]))
    with pytest.raises(SourceError, match=r"expected bytes 0 to 22 of memory://x.bin, got 8 bytes"):
        ps.count(source, vocab_size=V)
    store("x.bin", u16(TOKENS[::-1]))
    again = RemoteFileSource(["memory://x.bin"], "uint16")
    assert again.fingerprint() != mark
    check_counts(
        ps.count(again, vocab_size=V, backend="reference"),
        expect([TOKENS[::-1]], ps.Next(), V),
    )


def test_a_failed_request_is_made_anew(store: Any, monkeypatch: Any) -> None:
    source = RemoteFileSource([store("x.bin", u16(TOKENS))], "uint16")
    memory = type(fsspec.filesystem("memory"))
    works = memory.cat_file

    def fail(*_: Any, **__: Any) -> bytes:
        raise ConnectionError("the line is dead")

    monkeypatch.setattr(memory, "cat_file", fail)
    told = r"expected to read memory://x\.bin, got ConnectionError: the line is dead"
    with pytest.raises(SourceError, match=told):
        ps.count(source, vocab_size=V)
    monkeypatch.setattr(memory, "cat_file", works)
    assert ps.count(source, vocab_size=V).n_tokens == len(TOKENS)


def test_addresses_that_name_nothing(store: Any) -> None:
    store("folder/x.bin", b"123")
    cases: list[tuple[str, type, str]] = [
        ("memory://no.bin", SourceNotFoundError, "expected a file, got 'memory://no.bin': none"),
        ("memory://folder", SourceError, "expected a file or a glob, got the folder"),
        ("memory://folder/x.bin", SourceError, "a multiple of 2 bytes .uint16., got 3 bytes in"),
        ("nope://x.bin", ArgumentError, "a protocol that fsspec knows, got 'nope://x.bin'"),
    ]
    for address, error, told in cases:
        with pytest.raises(error, match=told):
            RemoteFileSource([address], "uint16")
    with pytest.raises(ArgumentError, match="dtype: expected the token type of memory://folder/x"):
        RemoteFileSource(["memory://folder/x.bin"])


def test_globs(store: Any) -> None:
    for name in ("b.bin", "a.bin", "c.txt"):
        store(f"g/{name}", u16([1]))
    assert expand_one("memory://g/*.bin") == ["memory:///g/a.bin", "memory:///g/b.bin"]
    assert RemoteFile.look("memory:///g/a.bin").size == 2
    with pytest.raises(
        SourceNotFoundError, match=r"glob that names files, got 'memory://g/\*\.no'"
    ):
        expand_one("memory://g/*.no")


def test_without_fsspec_or_the_package_of_a_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: str) -> Any:
        raise ImportError("Install s3fs to access S3")

    remote._fsspec_system.cache_clear()
    monkeypatch.setattr("fsspec.core.url_to_fs", refuse)
    with pytest.raises(
        MissingExtraError, match=r"s3://b/x\.bin needs another package: Install s3f"
    ):
        RemoteFile.look("s3://b/x.bin")
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingExtraError, match=r"needs fsspec.*probsig-fast\[remote\]"):
        RemoteFile.look("s3://b/x.bin")
    remote._fsspec_system.cache_clear()


# Other formats


def test_text(store: Any, tmp_path: Path) -> None:
    data = lines(DOCUMENTS)
    path = write_zst(tmp_path / "x.jsonl.zst", data[:30], data[30:])
    address = store("x.jsonl.zst", path.read_bytes())
    source = TextSource(["memory://*.zst"], word_tokenizer(), append_eos=0)
    assert sequences_of(source) == [[*ids(document), 0] for document, _ in DOCUMENTS]
    assert source.fingerprint()[0]["bytes"] == path.stat().st_size
    assert source.bytes_read == source.bytes
    store("x.jsonl.zst", path.read_bytes()[:-4])
    with pytest.raises(SourceError, match=r"whole zstd frames in memory://x\.jsonl\.zst"):
        sequences_of(TextSource(address, word_tokenizer()))
    with pytest.raises(SourceNotFoundError, match=r"got 'memory://y\.txt': none"):
        TextSource("memory://y.txt", word_tokenizer())


def test_parquet(store: Any) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    file = io.BytesIO()
    rows = [[1, 2], [], [3, 4, 5]]
    pq.write_table(pa.table({"input_ids": pa.array(rows, pa.list_(pa.int32()))}), file)
    address = store("x.parquet", file.getvalue())
    source = open_address([address])
    assert isinstance(source, ParquetSource)
    assert sequences_of(source) == rows
    assert source.fingerprint() == ParquetSource(address).fingerprint()
    store("x.parquet", file.getvalue()[:-9])
    with pytest.raises(SourceError, match=r"expected a Parquet file, got 'memory://x.parquet'"):
        ParquetSource(address)


def test_what_opens_an_address(store: Any) -> None:
    flat, array = store("x.bin", u16(TOKENS)), store("y.npy", npy(np.array(TOKENS, np.uint16)))
    assert sequences_of(open_address([flat, array], dtype="uint16")) == [TOKENS, TOKENS]
    assert sequences_of(open_address([store("z", u16([3]))], dtype="<u2", format="flat")) == [[3]]
    cases: list[tuple[list[str], dict[str, Any], str]] = [
        ([flat, "y.bin"], {}, "expected addresses alone or paths alone, got 'y.bin' among add"),
        (["memory://x.jsonl.zst"], {}, "got text, memory://x.jsonl.zst: give TextSource.*--tok"),
        (["memory://x.ds", flat], {}, "files of one format, got datatrove and flat"),
        (["memory://x.parquet"], {"dtype": "u2"}, "dtype: expected none for parquet, whose fi"),
        (["memory://x.ds"], {"offsets": [0]}, "offsets: expected none for files of format data"),
        (["memory://x.idx"], {"join_files": True}, "join_files: expected none for files of fo"),
        ([flat, flat], {"format": "hugging-face"}, "one folder of hugging-face, got 2 addresses"),
    ]
    for addresses, options, told in cases:
        with pytest.raises(ArgumentError, match=told):
            open_address(addresses, **options)
