"""Text that every machine has: the Python files of the standard library that runs this."""

from __future__ import annotations

import os
import sysconfig
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import SourceNotFoundError

#: Other people's packages; and tables of characters and of help texts, which are no one's prose.
_LEFT_OUT = frozenset({"site-packages", "dist-packages", "encodings", "pydoc_data"})


def stdlib_folder() -> Path:
    return Path(sysconfig.get_paths()["stdlib"])


def source_files(folder: Path, max_bytes: float) -> list[Path]:
    """The Python files below `folder`, up to about `max_bytes` in all, in bytewise order.

    Where they are more, an even sample by a hash of their names: the first ones by name would be
    a few packages only.

    Raises:
        SourceNotFoundError: there is none.
    """
    files = [
        path
        for path in folder.rglob("*.py")
        if path.is_file() and not _LEFT_OUT.intersection(path.relative_to(folder).parts)
    ]
    if not files:
        raise SourceNotFoundError(
            f"text: expected the Python standard library's source in {folder}, found no .py file"
        )
    names = {path: path.relative_to(folder).as_posix().encode() for path in files}
    files.sort(key=lambda path: (zlib.crc32(names[path]), names[path]))
    kept: list[Path] = []
    size = 0
    for path in files:
        size += path.stat().st_size
        if kept and size > max_bytes:
            break
        kept.append(path)
    return sorted(kept, key=os.fsencode)


def read_texts(files: Iterable[Path]) -> Iterator[str]:
    """One text a file; none for the few (tests of encodings) that are not UTF-8."""
    for path in files:
        try:
            yield path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            continue
