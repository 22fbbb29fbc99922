"""What a `work_dir` refuses: other plans, changed sources, damage, strangers."""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from resume_support import (
    V,
    content,
    counted,
    interrupted,
    small,
    start,
    tokens,
)

import probsig_fast as ps
from probsig_fast import files
from probsig_fast.errors import (
    ArgumentError,
    ArgumentTypeError,
    SourceError,
    WorkDirError,
)
from probsig_fast.work_dir import WorkDir

pytestmark = pytest.mark.usefixtures("small")
__all__ = ["small", "tokens"]  # fixtures


# What does not go together


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eos": 1}, "expected a count with boundaries = {'eos': 1, "),
        ({"sequence_length": 31}, "expected a count with boundaries = "),
        ({"vocab_size": V + 1}, "expected a count with vocab_size = 91, as is asked for now, got "),
        ({"chunk_tokens": 701}, "expected a count with chunk_tokens = 701, as is asked for now"),
        ({"name": "backward"}, "expected a count with relation = {'name': 'window', "),
        ({"dtype": "int16"}, "source .*tokens.bin is not as it was .*: its dtype was uint16, and"),
    ],
)
def test_another_plan(change: dict[str, Any], message: str, tokens: Path, tmp_path: Path) -> None:
    folder = start(tokens, tmp_path)
    before = content(folder)
    with pytest.raises(WorkDirError, match=f"^work_dir: {message}"):
        counted(tokens, folder, **{"resume": True, **change})
    assert content(folder) == before
    counted(tokens, folder, resume=True)


def test_another_focus(tokens: Path, tmp_path: Path) -> None:
    folder = start(tokens, tmp_path, "focus")
    with pytest.raises(WorkDirError, match=r"focus = \[2\], as is asked for now, got \[1, 7\] in"):
        counted(tokens, folder, "focus", resume=True, focus=[2])


@pytest.mark.parametrize("what", ["content", "size", "time", "number"])
def test_a_source_that_changed(what: str, tokens: Path, tmp_path: Path) -> None:
    folder = start(tokens, tmp_path)
    status = tokens.stat()
    given: Any = tokens
    if what == "content":
        data = bytearray(tokens.read_bytes())
        data[5001] ^= 1
        tokens.write_bytes(data)
        os.utime(tokens, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif what == "size":
        tokens.write_bytes(tokens.read_bytes()[:-2])
        os.utime(tokens, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif what == "time":
        os.utime(tokens, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    else:
        given = [tokens, tokens]
    message = {
        "content": rf"source {tokens} is not as it was .*: its pages was",
        "size": rf"source {tokens} is not as it was .*: its bytes was 16000, and is 15998$",
        "time": rf"source {tokens} is not as it was .*: its modified_ns was",
        "number": "expected a count of 2 sources, as are given now, got 1 in",
    }[what]
    with pytest.raises(WorkDirError, match=f"^work_dir: {message}"):
        counted(given, folder, resume=True) if what != "number" else ps.count(
            given,
            vocab_size=V,
            eos=0,
            sequence_length=30,
            dtype="uint16",
            work_dir=folder,
            resume=True,
        )


def test_arrays_are_told_apart_too(tmp_path: Path) -> None:
    array: NDArray[np.uint16] = (np.arange(8000) % V).astype(np.uint16)
    folder = tmp_path / "work"
    assert interrupted(array, folder, "next", 60)
    other = array.copy()
    other[0] = 5
    with pytest.raises(WorkDirError, match=r"^work_dir: source .* is not as it was"):
        counted(other, folder, resume=True)
    assert counted(array, folder, resume=True) == counted(array, None)


def test_an_iterable_cannot_be_resumed(tmp_path: Path) -> None:
    sequences = [[0, 2], [3]]
    message = "resume: expected False for sequences, as nothing tells whether an iterable is the"
    with pytest.raises(ArgumentError, match=f"^{message}"):
        counted(iter(sequences), tmp_path / "work", resume=True)
    assert counted(iter(sequences), tmp_path / "work") == counted(iter(sequences), None)


# Damage


def live(folder: Path) -> list[str]:
    return sorted(json.loads((folder / "state.json").read_text())["body"]["files"])


@pytest.mark.parametrize("name", ["next", "focus"])
@pytest.mark.parametrize("damage", ["flip", "cut", "lost"])
def test_every_damaged_file_is_named(name: str, damage: str, tokens: Path, tmp_path: Path) -> None:
    folder = start(tokens, tmp_path, name)
    names = live(folder)
    kinds = {re.sub(r"\d+", "", each) for each in names}
    assert len(kinds) == 3  # rows and index of runs, and the tally
    random = np.random.default_rng(len(names))
    for each in [*names, "state.json", "plan.json"]:
        path = folder / each
        good = path.read_bytes()
        bad = bytearray(good)
        if damage == "flip":
            bad[random.integers(len(bad))] ^= 1 << int(random.integers(8))
        elif damage == "cut":
            del bad[random.integers(len(bad)) :]
        if damage == "lost":
            path.unlink()
        else:
            path.write_bytes(bad)
        if (damage, each) == ("lost", "state.json"):
            path.write_bytes(good)
            continue  # as if nothing had been saved
        at = folder / each if each != "plan.json" or damage != "lost" else folder
        with pytest.raises(WorkDirError, match=re.escape(str(at))):
            counted(tokens, folder, name, resume=True)
        path.write_bytes(good)
    assert counted(tokens, folder, name, resume=True) == counted(tokens, None, name)


def test_a_lost_state_means_from_the_beginning(tokens: Path, tmp_path: Path) -> None:
    folder = start(tokens, tmp_path)
    (folder / "state.json").unlink()
    assert counted(tokens, folder, resume=True) == counted(tokens, None)
    assert not list(folder.glob("run-*"))


@pytest.mark.parametrize("name", ["plan.json", "state.json"])
def test_another_version(name: str, tokens: Path, tmp_path: Path) -> None:
    folder = start(tokens, tmp_path)
    path = folder / name
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | {"format_version": 2}))
    message = f"{path}: expected format_version 1, got 2: of another version of probsig_fast"
    with pytest.raises(WorkDirError, match=f"^{re.escape(message)}"):
        counted(tokens, folder, resume=True)


def test_a_state_that_contradicts_its_files(tokens: Path, tmp_path: Path) -> None:
    """With checksums that are right: as after a bug, or by someone's hand."""
    folder = start(tokens, tmp_path)
    path = folder / "state.json"
    whole = json.loads(path.read_text())
    body = whole["body"]
    tally = body["tally"]
    zeros = {"unigram": files.Stream.of(np.zeros(3, np.int64), files.INT64)}
    body["files"][tally] = list(files.write_arrays(folder / tally, zeros, {}))
    text = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    path.write_text(json.dumps(whole | {"crc32": zlib.crc32(text)}))
    with pytest.raises(WorkDirError, match=f"{tally}: expected {V} numbers as unigram: damaged"):
        counted(tokens, folder, resume=True)


# Folders


def test_a_folder_of_something_else(tokens: Path, tmp_path: Path) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")
    with pytest.raises(WorkDirError, match=r"has no plan\.json but holds 'thesis.txt'$"):
        counted(tokens, folder, resume=True)
    with pytest.raises(WorkDirError, match=r"which holds 'thesis\.txt'$"):
        counted(tokens, folder)
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_an_interrupted_count_is_not_begun_anew(tokens: Path, tmp_path: Path) -> None:
    folder = start(tokens, tmp_path)
    before = content(folder)
    message = "resume=True goes on with the count that was interrupted there$"
    with pytest.raises(WorkDirError, match=message):
        counted(tokens, folder)
    assert content(folder) == before


def test_two_at_once(tokens: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    told = []

    def sequences() -> Iterator[list[int]]:
        yield [0, 2]
        for resume in (False, True):
            with pytest.raises(WorkDirError) as caught:
                counted(tokens, folder, resume=resume)
            told.append(str(caught.value))
        yield [3]

    assert counted(sequences(), folder) == counted([[0, 2], [3]], None)
    assert told[0].startswith("work_dir: expected an empty folder")
    assert told[1] == (
        f"work_dir: expected a folder that no other run uses, got '{folder}', in which one is at "
        "work"
    )


def test_a_failure_keeps_what_was_saved(tokens: Path, tmp_path: Path) -> None:
    def sequences() -> Iterator[NDArray[np.int64]]:
        yield from np.arange(20_000_000).reshape(2, -1) % V
        raise SourceError("the reader failed")

    folder = tmp_path / "work"
    with pytest.raises(SourceError, match=r"^the reader failed$"):
        counted(sequences(), folder, chunk_tokens=10**7, sequence_length=None)
    assert json.loads((folder / "state.json").read_text())["body"]["chunks"] >= 1


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"resume": True}, ArgumentError, "resume: expected a work_dir with it, got True alone"),
        ({"checkpoint_seconds": 5}, ArgumentError, "checkpoint_seconds: expected a work_dir with"),
        ({"work_dir": 5}, ArgumentTypeError, "work_dir: expected the path of a folder, got int 5"),
        ({"work_dir": "w", "checkpoint_seconds": -1}, ArgumentError, "expected at least 0, got -1"),
        (
            {"work_dir": "w", "checkpoint_seconds": float("nan")},
            ArgumentError,
            "checkpoint_seconds: expected at least 0, got nan",
        ),
        (
            {"work_dir": "w", "checkpoint_seconds": "soon"},
            ArgumentTypeError,
            "checkpoint_seconds: expected a number, got str 'soon'",
        ),
    ],
)
def test_arguments_that_cannot_be_used(given: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        ps.count(np.arange(5), vocab_size=5, **given)


def test_the_lock_is_let_go(tokens: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    plan = {"relation": "none"}
    with WorkDir.opened(folder, plan, resume=False) as work:
        assert work.state is None
        assert (folder / "plan.json").is_file()
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "plan.json"]
    with WorkDir.opened(folder, plan, resume=True), pytest.raises(WorkDirError, match="no other"):
        WorkDir.opened(folder, plan, resume=True)
