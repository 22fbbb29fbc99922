"""A folder in which a count works: what it has done so far lies there, whole, at any moment.

`plan.json` says what is counted. `state.json` says how far that is and names every other file that
belongs to it, with its size and checksum: to replace it is what commits. Files that it does not
name are of a step that did not end, and are deleted when the count goes on.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .errors import WorkDirError
from .files import Written, atomic_write, written_of

#: Of the plan, the state, and all files that belong to it.
FORMAT_VERSION = 1
PLAN, STATE, LOCK = "plan.json", "state.json", ".lock"
#: The last file of what the work makes: where it is, the work is done.
DONE = "index.safetensors"
#: Names of the files that a count makes on its way, all of which are deleted at its end.
_OWN = ("run-*.safetensors", "tally-*.safetensors", ".*.partial")


class WorkDir:
    """A folder that is this process's own until `close`.

    Attributes:
        folder: its path.
        state: what the last `commit` said; None if there was none.
    """

    def __init__(self, folder: Path, plan: Mapping[str, Any], lock: Any) -> None:
        self.folder, self._plan, self._lock = folder, plan, lock
        self._written: dict[str, Written] = {}
        self._is_new = False
        self.state: dict[str, Any] | None = None

    @classmethod
    def opened(cls, folder: Path, plan: Mapping[str, Any], resume: bool) -> WorkDir:
        """A folder for this plan.

        Args:
            plan: JSON values: all that a later run must have in common with this one.
            resume: take what is there; else the folder must be new or empty.

        Raises:
            WorkDirError: it holds something else, the work of another plan or of another version,
                or a damaged file; or another run works in it.
        """
        plan = json.loads(json.dumps(plan))  # as it will be read
        _make(folder)
        # Before a lock is put into what may be anyone's folder.
        (_check_planned if resume else _check_empty)(folder)
        lock = _locked(folder)
        try:
            if not resume:
                _check_empty(folder)
            result = cls(folder, plan, lock)
            if _is_empty(folder):
                _write_json(folder / PLAN, plan)
                result._is_new = True
            else:
                result._take_over()
        except BaseException:
            lock.release()
            raise
        return result

    def __enter__(self) -> WorkDir:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        is_begun = self.state is None and not (self.folder / DONE).exists()
        if kind is not None and self._is_new and is_begun:
            self._clear()
        self.close()

    def record(self, written: Mapping[str, Written]) -> None:
        """Files of this folder that a commit may name."""
        self._written |= written

    @property
    def is_done(self) -> bool:
        """Whether what the work makes is there."""
        return (self.folder / DONE).is_file()

    def commit(self, state: Mapping[str, Any], names: Iterable[str]) -> None:
        """From now on the work so far is `state`, and `names` are the files that belong to it.

        Files that belonged to it before and do no longer are deleted.
        """
        kept = {name: self._written[name] for name in names}
        listed = {name: list(written) for name, written in sorted(kept.items())}
        _write_json(self.folder / STATE, {**state, "files": listed})
        for name in self._written.keys() - kept.keys():
            (self.folder / name).unlink(missing_ok=True)
        self._written, self.state = kept, {**state, "files": listed}

    def finish(self) -> None:
        """The work is done: all of its files but the plan are deleted."""
        (self.folder / STATE).unlink(missing_ok=True)
        self._delete_others(set())

    def close(self) -> None:
        """Let others have the folder. The lock's file stays: whoever has it open already would
        else hold a lock that nobody sees."""
        self._lock.release()

    def _clear(self) -> None:
        """Nothing was saved that a later run could use: leave the folder as it was."""
        for name in (PLAN, LOCK):
            (self.folder / name).unlink(missing_ok=True)
        for path in self.folder.glob("rows-*.safetensors"):
            path.unlink(missing_ok=True)
        self._delete_others(set())

    def _take_over(self) -> None:
        """What an earlier run left."""
        _check_plan(self.folder, self._plan)
        path = self.folder / STATE
        self.state = _read_json(path) if path.is_file() else None
        listed = self.state["files"] if self.state else {}
        self._written = {name: Written(*written) for name, written in listed.items()}
        for name, expected in self._written.items():
            _check_file(self.folder / name, expected)
        self._delete_others(set(self._written))

    def _delete_others(self, kept: set[str]) -> None:
        for pattern in _OWN:
            for path in self.folder.glob(pattern):
                if path.name not in kept:
                    path.unlink(missing_ok=True)


def new_or_own(folder: Path, resume: bool, own: str) -> Path:
    """A folder for several counts: new or empty; with `resume`, one that holds no more than such
    counts' folders and the file `own`, too.

    Raises:
        WorkDirError: it holds something else, or cannot be made.
    """
    _make(folder)
    foreign = [path for path in folder.iterdir() if path.name != own and not path.is_dir()]
    if foreign or (any(folder.iterdir()) and not resume):
        raise WorkDirError(
            "work_dir: expected an empty folder, or a new one in an existing folder, got "
            f"{str(folder)!r}, which holds {_first(folder)!r}"
            f"{'' if foreign else '; resume=True goes on with what was interrupted there'}"
        )
    return folder


def planned(folder: Path) -> dict[str, Any]:
    """The plan of the count that was started in a folder; empty if there is none.

    Raises:
        WorkDirError: it is damaged, or of another version.
    """
    path = folder / PLAN
    return _read_json(path) if path.is_file() else {}


def _make(folder: Path) -> None:
    if not folder.is_dir() and (folder.exists() or not folder.parent.is_dir()):
        raise WorkDirError(
            f"work_dir: expected an empty folder, or a new one in an existing folder, "
            f"got {str(folder)!r}"
        )
    folder.mkdir(exist_ok=True)


def _locked(folder: Path) -> Any:
    """The folder's lock, which ends with this process, however that ends."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise WorkDirError(
            f"work_dir: expected a folder that no other run uses, got {str(folder)!r}, in which "
            "one is at work"
        ) from None
    return lock


def _check_empty(folder: Path) -> None:
    if _is_empty(folder):
        return
    interrupted = "; resume=True goes on with the count that was interrupted there"
    raise WorkDirError(
        "work_dir: expected an empty folder, or a new one in an existing folder, got "
        f"{str(folder)!r}, which holds {_first(folder)!r}"
        f"{interrupted if (folder / PLAN).is_file() else ''}"
    )


def _check_planned(folder: Path) -> None:
    if not (folder / PLAN).is_file() and not _is_empty(folder):
        raise WorkDirError(
            f"work_dir: expected a folder that a count was started in, got {str(folder)!r}, which "
            f"has no {PLAN} but holds {_first(folder)!r}"
        )


def _first(folder: Path) -> str | None:
    """What the folder holds beside the lock; None: nothing."""
    return min((path.name for path in folder.iterdir() if path.name != LOCK), default=None)


def _is_empty(folder: Path) -> bool:
    """Nothing but what a run leaves that was killed before its plan was written."""
    return all(path.name == LOCK or path.name.startswith(f".{PLAN}.") for path in folder.iterdir())


def _check_plan(folder: Path, plan: Mapping[str, Any]) -> None:
    path = folder / PLAN
    found = _read_json(path)
    for name, expected in plan.items():
        if name == "sources":
            _check_sources(folder, found.get(name), expected)
        elif found.get(name) != expected:
            raise WorkDirError(
                f"work_dir: expected a count with {name} = {expected}, as is asked for now, "
                f"got {found.get(name)} in {path}"
            )


def _check_sources(folder: Path, found: Any, expected: list[dict[str, Any]]) -> None:
    found = found if isinstance(found, list) else []
    if len(found) != len(expected):
        raise WorkDirError(
            f"work_dir: expected a count of {len(expected)} sources, as are given now, "
            f"got {len(found)} in {folder / PLAN}"
        )
    for index, (before, now) in enumerate(zip(found, expected, strict=True)):
        for name in sorted({**before, **now}):
            if before.get(name) != now.get(name):
                raise WorkDirError(
                    f"work_dir: source {now.get('path', index)} is not as it was when the count "
                    f"in {str(folder)!r} was started: its {name} was {before.get(name)}, "
                    f"and is {now.get(name)}"
                )


def _check_file(path: Path, expected: Written) -> None:
    if not path.is_file():
        raise WorkDirError(f"{path}: expected a file, as {STATE} says, got none: lost or deleted")
    got = path.stat().st_size
    if got != expected.size:
        raise WorkDirError(f"{path}: expected {expected.size} bytes, got {got}: damaged")
    if written_of(path) != expected:
        raise WorkDirError(f"{path}: its checksum is not the one in {STATE}: damaged")


def _write_json(path: Path, body: Mapping[str, Any]) -> None:
    text = _text(body)
    whole = {"format_version": FORMAT_VERSION, "crc32": zlib.crc32(text), "body": body}
    with atomic_write(path) as file:
        file.write(json.dumps(whole, indent=1, sort_keys=True).encode() + b"\n")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        whole = json.loads(path.read_bytes())
        version, body, checksum = (whole[name] for name in ("format_version", "body", "crc32"))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise WorkDirError(
            f"{path}: expected JSON with a checksum, got {error!r}: damaged"
        ) from error
    if version != FORMAT_VERSION:
        raise WorkDirError(
            f"{path}: expected format_version {FORMAT_VERSION}, got {version}: of another version "
            "of probsig_fast, or damaged"
        )
    if not isinstance(body, dict) or zlib.crc32(_text(body)) != checksum:
        raise WorkDirError(f"{path}: its checksum is not that of what it says: damaged")
    return body


def _text(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
