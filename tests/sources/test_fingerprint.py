"""Fingerprints: what they find, and what they leave alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from writers import write_datatrove, write_dolma, write_megatron, write_pythia

from probsig_fast.errors import SourceNotFoundError
from probsig_fast.sources import (
    ArraySource,
    DatatroveSource,
    DolmaSource,
    FileSource,
    MegatronSource,
    PythiaSource,
    SequencesSource,
)
from probsig_fast.sources.fingerprint import PAGE, PAGES, array_fingerprint, file_fingerprint

PYTHIA_ROWS = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def put(path: Path, at: int, byte: int) -> None:
    """One byte changed, with the time of modification as it was."""
    status = path.stat()
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(bytes([byte]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("pages", [1, PAGES - 1, PAGES])
def test_every_byte_of_a_short_file_is_seen(tmp_path: Path, pages: int) -> None:
    path = tmp_path / "t"
    path.write_bytes(bytes(pages * PAGE - 7))
    first = file_fingerprint(path)
    assert first == file_fingerprint(str(path))
    assert (first["path"], first["bytes"]) == (str(path), pages * PAGE - 7)
    assert first["modified_ns"] == path.stat().st_mtime_ns
    for at in {0, (pages - 1) * PAGE, pages * PAGE // 2, pages * PAGE - 8}:
        put(path, at, 1)
        assert file_fingerprint(path) != first, at
        put(path, at, 0)
        assert file_fingerprint(path) == first


def test_sampled_pages_of_a_long_file(tmp_path: Path) -> None:
    path = tmp_path / "t"
    pages = 10 * PAGES
    path.write_bytes(bytes(pages * PAGE + 5))
    first = file_fingerprint(path)
    seen = []
    for page in range(pages + 1):
        put(path, page * PAGE, 1)
        if file_fingerprint(path) != first:
            seen.append(page)
        put(path, page * PAGE, 0)
    assert len(seen) == PAGES
    assert (seen[0], seen[-1]) == (0, pages)
    assert max(np.diff(seen)) - min(np.diff(seen)) <= 1


@pytest.mark.parametrize("change", ["appended", "cut", "touched", "moved"])
def test_other_changes(tmp_path: Path, change: str) -> None:
    path = tmp_path / "t"
    path.write_bytes(bytes(100))
    first = file_fingerprint(path)
    if change == "appended":
        path.write_bytes(bytes(101))
    elif change == "cut":
        path.write_bytes(bytes(99))
    elif change == "touched":
        os.utime(path, ns=(0, first["modified_ns"] + 1))
    else:
        path = path.rename(tmp_path / "u")
    assert file_fingerprint(path) != first


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(
        SourceNotFoundError, match=r"expected a file that can be read, got '.*No suc"
    ):
        file_fingerprint(tmp_path / "no")


def test_a_path_does_not_depend_on_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t").write_bytes(b"t")
    monkeypatch.chdir(tmp_path)
    assert file_fingerprint("t") == file_fingerprint(tmp_path / "t")


@pytest.mark.parametrize("dtype", ["uint8", "<u2", ">u4", "int64"])
def test_arrays(dtype: str) -> None:
    array = np.arange(100).astype(dtype)
    first = array_fingerprint(array)
    assert first == array_fingerprint(array.copy())
    assert first == array_fingerprint(np.repeat(array, 2)[::2])
    assert first["size"] == 100
    others = [array[:-1], array[::-1], array.astype("uint16").astype("float32")]
    assert all(array_fingerprint(other) != first for other in others)


def test_long_arrays() -> None:
    array = np.zeros(PAGE * PAGES, np.uint16)  # twice as many pages as are sampled
    first = array_fingerprint(array)
    for at in (0, PAGE // 2 - 1, -1, -PAGE // 2):
        array[at] = 1
        assert array_fingerprint(array) != first
        array[at] = 0
    assert array_fingerprint(array) == first


def flat(folder: Path, **settings: Any) -> FileSource:
    paths = [folder / "a.bin", folder / "b.bin"]
    for path in paths:
        if not path.exists():
            path.write_bytes(bytes(range(12)))
    return FileSource(paths, **{"dtype": "uint16", **settings})


def pythia(folder: Path, **settings: Any) -> PythiaSource:
    if not list(folder.glob("*.bin")):
        write_pythia(folder, PYTHIA_ROWS, [5])
    return PythiaSource(folder, **{"row_tokens": 3, "batch_rows": 1, **settings})


def test_settings_that_change_the_tokens(tmp_path: Path) -> None:
    settings: list[dict[str, Any]] = [
        {},
        {"dtype": "uint32"},
        {"dtype": "int16"},
        {"join_files": True},
        {"join_files": True, "offsets": [0, 3, 12]},
        {"join_files": True, "offsets": [0, 4, 12]},
    ]
    found = [json.dumps(flat(tmp_path, **each).fingerprint()) for each in settings]
    assert len(set(found)) == len(settings)
    assert found == [json.dumps(flat(tmp_path, **each).fingerprint()) for each in settings]


def test_rows_of_pythia(tmp_path: Path) -> None:
    settings: list[dict[str, Any]] = [
        {},
        {"rows": (0, 1)},
        {"rows": (1, 3)},
    ]
    found = [json.dumps(pythia(tmp_path, **each).fingerprint()) for each in settings]
    assert len(set(found)) == len(settings)
    assert json.dumps(pythia(tmp_path, steps=(0, 1)).fingerprint()) == found[1]


@pytest.mark.parametrize(
    ("make", "source", "files"),
    [
        (write_megatron, MegatronSource, ["x.idx", "x.bin"]),
        (write_datatrove, DatatroveSource, ["x.ds", "x.ds.index"]),
        (write_dolma, DolmaSource, ["x.npy", "x.csv.gz"]),
    ],
    ids=["megatron", "datatrove", "dolma"],
)
def test_both_files_of_a_pair(
    tmp_path: Path, make: Callable[..., Path], source: Callable[..., Any], files: list[str]
) -> None:
    documents: Any = [[1, 2], [3]]
    prefix = tmp_path / ("x" if source is MegatronSource else files[0])
    path = make(prefix, [documents] if source is MegatronSource else documents)
    first = source(path).fingerprint()
    json.dumps(first)
    for name in files:
        before = (tmp_path / name).read_bytes()
        opened = source(path)
        put(tmp_path / name, len(before) - 1, before[-1] ^ 1)
        assert opened.fingerprint() != first
        put(tmp_path / name, len(before) - 1, before[-1])
    assert source(path).fingerprint() == first


def test_memory_and_iterables() -> None:
    rows = np.arange(6).reshape(2, 3)
    found = [
        json.dumps(source.fingerprint())
        for source in (
            ArraySource(rows),
            ArraySource(rows.T),
            ArraySource(rows.reshape(3, 2)),
            ArraySource(rows.reshape(-1)),
            ArraySource(rows.reshape(-1), [0, 2, 6]),
            ArraySource(rows.reshape(-1), [0, 3, 6]),
            ArraySource(rows.astype(np.uint16)),
        )
    ]
    assert len(set(found)) == len(found)
    assert SequencesSource([[1]]).fingerprint() is None
