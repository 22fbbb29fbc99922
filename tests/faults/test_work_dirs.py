"""What stands in the way of going on: damage, other plans, changed sources, another run."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fault_support import (
    KILLED,
    SETTINGS,
    TOKENS,
    Setting,
    check_same,
    probsig,
    probsig_killed_at,
    resumed,
    undisturbed,
    write_sources,
)

import probsig_fast as ps
from probsig_fast.errors import ArgumentError, ProbsigError, WorkDirError

BY_NAME = {setting.name: setting for setting in SETTINGS}
NEXT, SETS, FOCUS = (BY_NAME[name] for name in ("next", "sets", "focus"))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an undisturbed count of next tokens leaves, but its plan, which names files."""
    folder = tmp_path_factory.mktemp("undisturbed")
    found, _ = undisturbed(NEXT, write_sources(folder), folder / "whole")
    return without_plan(found)


def without_plan(found: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in found.items() if name != "plan.json"}


def interrupted(setting: Setting, sources: list[Path], folder: Path, at: int) -> Path:
    """A folder in which a count was killed; gives its work_dir."""
    folder.mkdir()
    ended = probsig_killed_at(at, setting.command(folder, sources), 8_000)
    assert ended.returncode == KILLED, ended.stderr
    work = folder / "counts"
    assert (work / "state.json").is_file()
    return work


def live_files(work: Path) -> list[Path]:
    """The plan, the state, and all that the state names."""
    state = json.loads((work / "state.json").read_text())
    return [work / "plan.json", work / "state.json", *(work / n for n in state["body"]["files"])]


def held(work: Path) -> dict[str, bytes]:
    """What a folder holds beside its lock."""
    return {path.name: path.read_bytes() for path in work.iterdir() if path.name != ".lock"}


def resume(setting: Setting, sources: list[Path], work: Path) -> None:
    """As the command does, in this process."""
    relations = {"next": ps.Next(), "sets": ps.SameSequence(), "focus": ps.Prefix(3)}
    ps.count(
        sources,
        relations[setting.name],
        dtype="uint16",
        vocab_size=300,
        eos=None if setting is SETS else 0,
        sequence_length=150 if setting is SETS else None,
        focus=[3, 17] if setting is FOCUS else None,
        work_dir=work,
        resume=True,
    )


@pytest.mark.parametrize("setting", [NEXT, SETS, FOCUS], ids=lambda setting: setting.name)
def test_every_damaged_file_is_named(setting: Setting, tmp_path: Path) -> None:
    """Cut short, longer, a bit of it another, or lost: an error that names it; and put back as it
    was, all goes on."""
    sources = write_sources(tmp_path)
    work = interrupted(setting, sources, tmp_path / "killed", 100 if setting is FOCUS else 50)
    rng = random.Random(setting.name)
    live = live_files(work)
    assert {"plan.json", "state.json"} < {path.name for path in live}
    assert len(live) >= 5
    for path in live:
        content = path.read_bytes()
        places = sorted({0, len(content) - 1, *(rng.randrange(len(content)) for _ in range(12))})
        damaged = [content[:place] for place in places] + [content + b"\0"]
        damaged += [flipped(content, place, rng.randrange(8)) for place in places]
        for each in damaged:
            if says_the_same(path, each, content):
                continue
            path.write_bytes(each)
            with pytest.raises(ProbsigError, match=re.escape(str(path))):
                resume(setting, sources, work)
            assert path.read_bytes() == each
        path.unlink()
        if path.name == "state.json":  # what it named is of no use then: all begins anew
            path.write_bytes(content)
            continue
        told = (
            work if path.name == "plan.json" else path
        )  # without a plan it may be anyone's folder
        with pytest.raises(WorkDirError, match=re.escape(str(told))):
            resume(setting, sources, work)
        path.write_bytes(content)
    expected, _ = undisturbed(setting, sources, tmp_path / "undisturbed")
    check_same(resumed(setting, sources, tmp_path / "killed"), expected)


def says_the_same(path: Path, damaged: bytes, content: bytes) -> bool:
    """Spaces between JSON's values are nobody's."""
    try:
        return path.suffix == ".json" and json.loads(damaged) == json.loads(content)
    except ValueError:
        return False


def flipped(content: bytes, place: int, bit: int) -> bytes:
    damaged = bytearray(content)
    damaged[place] ^= 1 << bit
    return bytes(damaged)


def changed(path: Path, change: Callable[[bytearray], object], keep_time: bool = True) -> None:
    status = path.stat()
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)
    if keep_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def other(place: int) -> Callable[[bytearray], object]:
    def change(content: bytearray) -> None:
        content[place] ^= 1

    return change


def later(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda path: changed(path, other(0)), "pages"),
        (lambda path: changed(path, other(-1)), "pages"),
        (lambda path: changed(path, other(20_000)), "pages"),
        (lambda path: changed(path, lambda content: content.extend(b"\1\0")), "bytes"),
        (lambda path: changed(path, lambda content: content.__delitem__(slice(-2, None))), "bytes"),
        (later, "modified_ns"),
    ],
    ids=["first", "last", "middle", "longer", "shorter", "touched"],
)
def test_a_source_that_changed_is_named(
    change: Any, what: str, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    sources = write_sources(tmp_path)
    work = interrupted(NEXT, sources, tmp_path / "killed", 50)
    before = held(work)
    copies = [shutil.copy2(path, tmp_path / f"{path.name}.kept") for path in sources]
    change(sources[1])
    ended = probsig(NEXT.command(tmp_path / "killed", sources, "--resume"))
    assert ended.returncode == 1
    assert f"source {sources[1]} is not as it was" in ended.stderr
    assert f"its {what} was" in ended.stderr
    assert held(work) == before
    for path, copy in zip(sources, copies, strict=True):
        shutil.copy2(copy, path)
    check_same(without_plan(resumed(NEXT, sources, tmp_path / "killed")), expected)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--relation", "window", "--size", "2"], "a count with relation = "),
        (["--vocab-size", "301"], "a count with vocab_size = 301"),
        (["--eos", "1"], "a count with boundaries = "),
        (["--sequence-length", "9"], "a count with boundaries = "),
        (["--ignore-ids", "5"], "a count with boundaries = "),
        (["--no-count-eos"], "a count with boundaries = "),
        (["--chunk-tokens", "9000"], "a count with chunk_tokens = 9000"),
        (["--join-files"], "join_files"),
        (["--dtype", "int16"], "its dtype was uint16, and is int16"),
    ],
    ids=lambda value: value[0][2:] if isinstance(value, list) else None,
)
def test_another_rule_is_named(options: list[str], told: str, tmp_path: Path) -> None:
    sources = write_sources(tmp_path)
    interrupted(NEXT, sources, tmp_path / "killed", 50)
    ended = probsig([*NEXT.command(tmp_path / "killed", sources, "--resume"), *options])
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("probsig: error: work_dir: ")
    assert told in ended.stderr


def test_other_sources_are_named(tmp_path: Path) -> None:
    sources = write_sources(tmp_path)
    folder = tmp_path / "killed"
    interrupted(NEXT, sources, folder, 50)
    ended = probsig(NEXT.command(folder, sources[:2], "--resume"))
    assert "expected a count of 2 sources, as are given now, got 3" in ended.stderr
    ended = probsig(NEXT.command(folder, sources[::-1], "--resume"))
    assert f"source {sources[2]} is not as it was" in ended.stderr


@pytest.mark.parametrize("name", ["plan.json", "state.json"])
def test_another_version_is_told(name: str, tmp_path: Path) -> None:
    sources = write_sources(tmp_path)
    work = interrupted(NEXT, sources, tmp_path / "killed", 50)
    whole = json.loads((work / name).read_text())
    text = json.dumps(whole["body"], sort_keys=True, separators=(",", ":")).encode()
    assert zlib.crc32(text) == whole["crc32"]
    (work / name).write_text(json.dumps({**whole, "format_version": 2}))
    ended = probsig(NEXT.command(tmp_path / "killed", sources, "--resume"))
    assert ended.returncode == 1
    assert f"{work / name}: expected format_version 1, got 2: of another version" in ended.stderr


def test_an_interrupted_count_is_not_overwritten(tmp_path: Path) -> None:
    sources = write_sources(tmp_path)
    work = interrupted(NEXT, sources, tmp_path / "killed", 50)
    before = held(work)
    ended = probsig(NEXT.command(tmp_path / "killed", sources))
    assert ended.returncode == 1
    assert "--out: expected a new or empty folder" in ended.stderr
    assert held(work) == before


def test_two_runs_at_once(tmp_path: Path, expected: dict[str, bytes]) -> None:
    """The first is stopped in the midst of its work, while two others try theirs."""
    sources = write_sources(tmp_path)
    folder = tmp_path / "shared"
    folder.mkdir()
    command = [sys.executable, "-m", "probsig_fast", *NEXT.command(folder, sources)]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not (folder / "counts" / "state.json").is_file():
            assert first.poll() is None
            time.sleep(0.001)
        first.send_signal(signal.SIGSTOP)
        before = sorted(path.name for path in (folder / "counts").iterdir())
        for more in ([], ["--resume"]):
            second = probsig(NEXT.command(folder, sources, *more))
            assert second.returncode == 1
            told = "in which one is at work" if more else "--out: expected a new or empty folder"
            assert told in second.stderr
        assert sorted(path.name for path in (folder / "counts").iterdir()) == before
        first.send_signal(signal.SIGCONT)
        assert first.wait(60) == 0
    finally:
        first.kill()
        first.wait()
    check_same(without_plan(resumed(NEXT, sources, folder)), expected)


def test_a_finished_count_survives_what_befalls_its_index(tmp_path: Path) -> None:
    """Whatever is wrong with a count that is done, to resume it deletes nothing of it."""
    sources = write_sources(tmp_path)
    folder = tmp_path / "done"
    expected, _ = undisturbed(NEXT, sources, folder)
    index = folder / "counts" / "index.safetensors"
    content = index.read_bytes()
    index.write_bytes(content[:-1])
    ended = probsig(NEXT.command(folder, sources, "--resume"))
    assert ended.returncode == 1
    assert str(index) in ended.stderr
    assert set(expected) <= {path.name for path in index.parent.iterdir()}
    index.write_bytes(content)
    check_same(resumed(NEXT, sources, folder), expected)


def test_an_iterable_is_refused(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"vocab_size": 9, "work_dir": tmp_path / "w"}
    ps.count(iter([[1, 2], [3]]), **arguments)
    with pytest.raises(ArgumentError, match=r"^resume: expected False for sequences, as nothing"):
        ps.count(iter([[1, 2], [3]]), resume=True, **arguments)


def test_tokens_are_as_many_as_the_tests_take_them_to_be(tmp_path: Path) -> None:
    assert sum(path.stat().st_size for path in write_sources(tmp_path)) == 2 * TOKENS
