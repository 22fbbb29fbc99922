"""Tokens in files: flat and `.npy`, one or many, and what is said of those that are unreadable."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import by_offsets, check_counts, expect, joined

import probsig_fast as ps
from probsig_fast.errors import (
    ArgumentError,
    ArgumentTypeError,
    SourceError,
    SourceNotFoundError,
    TokenRangeError,
)
from probsig_fast.sources import FileSource

V = 5
token_lists = st.lists(st.integers(0, V - 1), max_size=10)


def write(folder: Path, files: dict[str, Any], dtype: str = "<u2") -> list[Path]:
    for name, tokens in files.items():
        np.array(tokens, dtype).tofile(folder / name)
    return [folder / name for name in files]


@given(files=st.lists(token_lists, min_size=1, max_size=4), data=st.data())
@pytest.mark.parametrize("suffix", ["bin", "npy"])
@pytest.mark.parametrize("join_files", [False, True], ids=["separate", "joined"])
def test_files(
    suffix: str,
    join_files: bool,
    files: list[list[int]],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / f"{i}.{suffix}" for i in range(len(files))]
    for path, tokens in zip(paths, files, strict=True):
        if suffix == "npy":
            np.save(path, np.array(tokens, np.uint32))
        else:
            np.array(tokens, "<u4").tofile(path)
    relation = data.draw(st.sampled_from([ps.Next(), ps.Window(3, "harmonic", "symmetric")]))
    rules = {"eos": None, "sequence_length": data.draw(st.none() | st.integers(1, 5))}
    counts = ps.count(
        paths if data.draw(st.booleans()) else folder / f"*.{suffix}",
        relation,
        vocab_size=V,
        dtype="uint32",
        join_files=join_files,
        chunk_tokens=data.draw(st.integers(1, 8)),
        threads=2,
        **rules,
    )
    documents = joined([file] for file in files) if join_files else files
    check_counts(counts, expect(documents, relation, V, **rules))


def test_a_glob_is_read_in_bytewise_order(tmp_path: Path) -> None:
    names = ["a10.bin", "B.bin", "a2.bin", "é.bin", "a.bin", "b.bin"]
    ordered = sorted(names, key=os.fsencode)
    assert ordered != sorted(names, key=str.lower)
    files = {name: [i, i] for i, name in enumerate(ordered)}
    write(tmp_path, {name: files[name] for name in names})
    (tmp_path / "folder.bin").mkdir()
    counts = ps.count(str(tmp_path / "*.bin"), vocab_size=6, dtype="uint16", join_files=True)
    check_counts(counts, expect(joined([f] for f in files.values()), ps.Next(), 6))
    sources = counts.provenance["sources"]
    assert [Path(source["path"]).name for source in sources] == ordered
    assert [source["tokens"] for source in sources] == [2] * 6


def test_offsets_over_joined_files(backend: str, tmp_path: Path) -> None:
    write(tmp_path, {"1": [0, 1, 2], "2": [], "3": [3, 4, 0, 1]})
    offsets = [0, 2, 5, 5, 7]
    counts = ps.count(
        tmp_path / "[1-3]",
        vocab_size=V,
        dtype="uint16",
        offsets=offsets,
        join_files=True,
        backend=backend,
        chunk_tokens=2,
    )
    check_counts(counts, expect(by_offsets([0, 1, 2, 3, 4, 0, 1], offsets), ps.Next(), V))


@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_of_npy_files(tmp_path: Path, order: str) -> None:
    rows = np.array([[0, 1, 2], [3, 4, 0]], np.int64, order=order)
    for name in ("1.npy", "2.npy"):
        np.save(tmp_path / name, rows)
    for join_files in (False, True):
        counts = ps.count(tmp_path / "*.npy", vocab_size=V, join_files=join_files)
        check_counts(counts, expect(rows.tolist() * 2, ps.Next(), V))


def test_flat_files_are_little_endian_whatever_the_machine(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(bytes([1, 0, 2, 0, 0, 1]))
    counts = ps.count(tmp_path / "t", vocab_size=257, dtype=">u2")
    check_counts(counts, expect([[1, 2, 256]], ps.Next(), 257))


def test_a_file_that_looks_like_a_glob(tmp_path: Path) -> None:
    write(tmp_path, {"a[1].bin": [1, 1], "a1.bin": [0]})
    counts = ps.count(tmp_path / "a[1].bin", vocab_size=2, dtype="uint16")
    check_counts(counts, expect([[1, 1]], ps.Next(), 2))


@pytest.mark.parametrize("threads", [1, 5])
@pytest.mark.parametrize(("file", "position"), [(0, 2), (1, 0), (1, 3), (3, 0)])
def test_an_invalid_id_is_named_with_its_file(
    backend: str, tmp_path: Path, threads: int, file: int, position: int
) -> None:
    tokens = {"1": [0, 1, 2], "2": [3, 4, 0, 2, 1], "3": [], "4": [1]}
    tokens[str(file + 1)][position] = 9
    paths = write(tmp_path, tokens)
    for join_files in (False, True):
        for chunk_tokens in (1, 2, None):
            message = f"got id 9 at position {position} of {re.escape(str(paths[file]))}$"
            with pytest.raises(TokenRangeError, match=message):
                ps.count(
                    paths,
                    ps.Window(2),
                    vocab_size=V,
                    dtype="uint16",
                    join_files=join_files,
                    backend=backend,
                    threads=threads,
                    chunk_tokens=chunk_tokens,
                )


def test_a_file_that_changes_after_it_was_looked_at(tmp_path: Path) -> None:
    (path,) = write(tmp_path, {"t": [0, 1, 2, 3]})
    source = FileSource([path], "uint16")
    path.write_bytes(path.read_bytes()[:4])
    with pytest.raises(SourceError, match=re.escape(str(path))):
        ps.count(source, vocab_size=V)


def test_more_files_than_may_be_open(tmp_path: Path) -> None:
    write(tmp_path, {f"{i:03}.bin": [0, 1] for i in range(100)})
    script = (
        "import resource, sys, probsig_fast as ps\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "counts = ps.count(sys.argv[1], vocab_size=2, dtype='uint16')\n"
        "assert counts.data.tolist() == [100], counts\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "*.bin")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-500:]


@pytest.fixture
def odd_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder holds files that are no token files, beside some that are."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"ok.bin": [0, 1]})
    Path("folder").mkdir()
    Path("3bytes.bin").write_bytes(b"abc")
    np.save("float.npy", np.zeros(2))
    np.save("cube.npy", np.zeros((1, 1, 1), np.uint16))
    np.save("u2.npy", np.zeros(2, np.uint16))
    np.save("u4.npy", np.zeros(2, np.uint32))
    np.save("rows.npy", np.zeros((2, 2), np.uint16))
    np.save("objects.npy", np.array([[1], None], object), allow_pickle=True)
    Path("short.npy").write_bytes(Path("u4.npy").read_bytes()[:-1])
    Path("zip.npy").write_bytes(b"PK\x03\x04 and so on")


FILE_ERRORS = [
    (
        "3bytes.bin",
        {"dtype": "uint16"},
        SourceError,
        "tokens: expected a size that is a multiple of 2 bytes (uint16), got 3 bytes in "
        "3bytes.bin: truncated, or of another dtype",
    ),
    (
        "no.bin",
        {"dtype": "uint16"},
        SourceNotFoundError,
        "tokens: expected a file, got 'no.bin': no such file",
    ),
    (["ok.bin", "no"], {"dtype": "uint16"}, SourceNotFoundError, "tokens: expected a file, got "),
    (
        "no*.bin",
        {"dtype": "uint16"},
        SourceNotFoundError,
        "tokens: expected a glob that names files, got 'no*.bin': none",
    ),
    (
        "folder",
        {"dtype": "uint16"},
        SourceError,
        "tokens: expected a file or a glob, got the folder 'folder'",
    ),
    ("ok.bin", {}, ArgumentError, "dtype: expected the token type of ok.bin (flat files do not"),
    ("ok.bin", {"dtype": "float32"}, ArgumentTypeError, "dtype: expected an integer token type, "),
    ("ok.bin", {"dtype": "uint15"}, ArgumentTypeError, "dtype: expected an integer token type, "),
    (
        "ok.bin",
        {"dtype": "6(u"},
        ArgumentTypeError,
        "dtype: expected an integer token type, got 6(u",
    ),
    (
        "ok.bin",
        {"dtype": "5)V,,("},
        ArgumentTypeError,
        "dtype: expected an integer token type, got 5)V",
    ),
    (
        "u4.npy",
        {"dtype": "uint16"},
        SourceError,
        "dtype: expected uint32, as u4.npy says, got uint16",
    ),
    (
        "float.npy",
        {},
        ArgumentTypeError,
        "tokens: expected integers, got float64 as float.npy",
    ),
    ("cube.npy", {}, SourceError, "tokens: expected a 1-D or 2-D array, got 3-D as cube.npy"),
    ("short.npy", {}, SourceError, "tokens: expected a .npy array, got 'short.npy': "),
    ("objects.npy", {}, SourceError, "tokens: expected a .npy array, got 'objects.npy': "),
    ("zip.npy", {}, SourceError, "tokens: expected a .npy array, got 'zip.npy': "),
    (
        ["u2.npy", "u4.npy"],
        {"join_files": True},
        SourceError,
        "join_files: expected one token type throughout, got uint16 in u2.npy and uint32 in u4.npy",
    ),
    (
        ["u2.npy", "rows.npy"],
        {"join_files": True},
        SourceError,
        "join_files: expected one row length throughout, got None in u2.npy and 2 in rows.npy",
    ),
    (
        ["ok.bin", "ok.bin"],
        {"dtype": "uint16", "offsets": [0, 4]},
        ArgumentError,
        "offsets: expected a single file or join_files=True, got 2 files",
    ),
    (
        "ok.bin",
        {"dtype": "uint16", "offsets": [0, 3]},
        ArgumentError,
        "offsets: expected the first to be 0 and the last 2, the number of tokens, got 0 and 3",
    ),
    (["ok.bin", 3], {"dtype": "uint16"}, ArgumentTypeError, "tokens: expected "),
]


@pytest.mark.usefixtures("odd_files")
@pytest.mark.parametrize(("tokens", "arguments", "error", "message"), FILE_ERRORS, ids=str)
def test_files_that_cannot_be_read(
    tokens: Any, arguments: dict[str, Any], error: type, message: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        ps.count(tokens, vocab_size=V, **arguments)
