"""Byte slices of one token file, read as if they were still one: which there are, and the parts of
the stream that they make."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SourceError, SourceNotFoundError
from .mapped import file_status, read_bytes
from .remote import RemoteFile, address_of, lasting
from .stream import Part

_NAME = re.compile(r"(?P<stem>.+)-(?P<number>[0-9]{1,9})-of-(?P<last>[0-9]{1,9})\.bin", re.DOTALL)
TOKEN = np.dtype("<u2")


@dataclass(frozen=True)
class Shards:
    """Slices in order, as they were when the source was made.

    Attributes:
        paths: from the first slice on, without a gap.
        places: the same for later use, maybe from another working folder.
        sizes: their bytes.
        missing: the slice after them, which is not there; None where the last is.
        index: the index of the whole file; None where there is none.
    """

    paths: tuple[Path, ...]
    places: tuple[str, ...]
    sizes: tuple[int, ...]
    missing: Path | None
    index: Path | None

    @classmethod
    def found(cls, paths: Sequence[Path]) -> Shards:
        """The slices that a folder, an index or the slices themselves name.

        Raises:
            SourceNotFoundError: there are none, or not the first.
            SourceError: slices of several files, or a slice and the whole.
        """
        if len(paths) == 1 and paths[0].is_dir():
            paths = _in_folder(paths[0])
        elif len(paths) == 1 and paths[0].suffix == ".idx":
            paths = _of_index(paths[0])
        ordered, missing = _ordered(paths)
        sizes = tuple(file_status(path).st_size for path in ordered)
        places = tuple(lasting(path) for path in ordered)
        return cls(tuple(ordered), places, sizes, missing, _index_of(ordered))

    @property
    def bytes(self) -> int:
        return sum(self.sizes)

    def parts(self) -> tuple[Part, ...]:
        """The tokens; one whose two bytes lie in two slices is a part of its own."""
        edges = [0, *accumulate(self.sizes)]
        parts = []
        for i, path in enumerate(self.paths):
            first, last = (edges[i] + 1) // 2, edges[i + 1] // 2
            if first < last and (address := address_of(path)):
                remote = RemoteFile(address, self.sizes[i], None)
                parts.append(remote.part(TOKEN, 2 * first - edges[i], last - first))
            elif first < last:
                place = (self.places[i], self.sizes[i], 2 * first - edges[i], last - first)
                parts.append(Part(str(path), last - first, TOKEN, partial(_mapped, *place)))
            if edges[i + 1] % 2 and self.sizes[i] and edges[i + 1] < self.bytes:
                after = next(j for j in range(i + 1, len(self.sizes)) if self.sizes[j])
                pair = tuple((self.places[j], self.sizes[j]) for j in (i, after))
                name = f"{path} and {self.paths[after]}"
                parts.append(Part(name, 1, TOKEN, partial(_straddling, *pair)))
        return tuple(parts)


def numbered(path: Path) -> tuple[str, int, int] | None:
    """What a slice's name says: its stem, its number and the last one's; None: no slice."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    return match["stem"], int(match["number"]), int(match["last"])


def _in_folder(folder: Path) -> list[Path]:
    found: dict[tuple[str, int], list[Path]] = {}
    for path in sorted(folder.glob("*-of-*.bin"), key=os.fsencode):
        if parsed := numbered(path):
            found.setdefault((parsed[0], parsed[2]), []).append(path)
    if len(found) > 1:
        names = ", ".join(str(group[0].name) for group in found.values())
        raise SourceError(
            f"tokens: expected the shards of one file in {str(folder)!r}, got those of several "
            f"({names}, ...): pass the .idx of one"
        )
    if found:
        (group,) = found.values()
        _refuse_whole(group[0])
        return group
    whole = [path.with_suffix(".bin") for path in folder.glob("*.idx")]
    whole = [path for path in whole if path.exists()]
    if len(whole) != 1:
        raise SourceNotFoundError(
            "tokens: expected shards X-00000-of-NNNNN.bin, or one X.bin with X.idx, in "
            f"{str(folder)!r}, got {len(whole)} such files"
        )
    return whole


def _of_index(index: Path) -> list[Path]:
    file_status(index, "an index file")
    stem = index.name[: -len(".idx")]
    group = [
        path
        for path in index.parent.glob("*-of-*.bin")
        if (parsed := numbered(path)) and parsed[0] == stem
    ]
    if not group and (whole := index.with_suffix(".bin")).exists():
        return [whole]
    if not group:
        raise SourceNotFoundError(
            f"tokens: expected shards {stem}-00000-of-NNNNN.bin, or {stem}.bin, beside "
            f"{str(index)!r}: no such files"
        )
    _refuse_whole(group[0])
    return group


def _refuse_whole(shard: Path) -> None:
    parsed = numbered(shard)
    if parsed and (whole := shard.with_name(parsed[0] + ".bin")).exists():
        raise SourceError(
            f"tokens: expected {whole.name} or its shards in {str(shard.parent)!r}, got both: pass "
            "the one or a list of the others"
        )


def _ordered(paths: Sequence[Path]) -> tuple[list[Path], Path | None]:
    """Slices in the order of their numbers up to the first gap, and what is missing there; files
    that are not numbered as they come."""
    names = [numbered(path) for path in paths]
    if not any(names):
        return list(paths), None
    kinds = {
        name and (path.parent, name[0], name[2]) for path, name in zip(paths, names, strict=True)
    }
    if len(kinds) > 1:
        raise SourceError(
            f"tokens: expected the shards of one file, got {paths[0]} with others, "
            "of another name, folder or number of shards"
        )
    (kind,) = kinds
    assert kind is not None
    folder, stem, last = kind
    by_number: dict[int, Path] = {}
    for path, name in zip(paths, names, strict=True):
        assert name is not None
        if name[1] in by_number or name[1] > last:
            raise SourceError(f"tokens: expected each shard up to {last} once, got {path}")
        by_number[name[1]] = path
    count = next(i for i in range(last + 2) if i not in by_number)
    width = len(_digits(paths[0]))
    missing = folder / f"{stem}-{count:0{width}}-of-{last:0{width}}.bin"
    if count == 0:
        raise SourceNotFoundError(f"tokens: expected the shard {str(missing)!r}: no such file")
    return [by_number[i] for i in range(count)], None if count > last else missing


def _digits(path: Path) -> str:
    match = _NAME.fullmatch(path.name)
    return match["number"] if match else ""


def _index_of(paths: Sequence[Path]) -> Path | None:
    parsed = numbered(paths[0]) if paths else None
    if not paths or (parsed is None and len(paths) > 1):
        return None
    stem = parsed[0] if parsed else paths[0].name[: -len(".bin")]
    index = paths[0].with_name(stem + ".idx")
    return index if index.exists() else None


def _mapped(path: str, size: int, begin: int, count: int) -> NDArray[Any]:
    _check_size(path, size)
    try:
        return np.memmap(path, TOKEN, "r", begin, (count,))
    except (OSError, ValueError) as error:
        raise SourceError(f"tokens: expected a file to map, got {path!r}: {error}") from error


def _straddling(first: tuple[str, int], second: tuple[str, int]) -> NDArray[Any]:
    for path, size in (first, second):
        _check_size(path, size)
    data = read_bytes(first[0], first[1] - 1, 1) + read_bytes(second[0], 0, 1)
    return np.frombuffer(data, TOKEN)


def _check_size(path: str, size: int) -> None:
    now = file_status(path).st_size
    if now != size:
        raise SourceError(
            f"tokens: expected {size} bytes in {path}, as when it was opened, got {now}: changed "
            "while it was counted"
        )
