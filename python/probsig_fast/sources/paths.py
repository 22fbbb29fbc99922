"""What paths, globs and addresses name, given one or several."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..errors import ArgumentError, ArgumentTypeError
from .flat import expand
from .remote import expand_address, is_address, local_path

PathLike = str | os.PathLike[str]


def expand_all(paths: PathLike | Sequence[PathLike], argument: str = "paths") -> list[str]:
    """The files that paths, globs and addresses name, in the order given.

    Raises:
        ArgumentTypeError: no paths.
        ArgumentError: an empty list; an address of an unknown protocol.
        SourceNotFoundError: a glob that names no file.
        SourceError: a folder; a store that does not answer.
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    if not isinstance(given, Sequence) or isinstance(given, (bytes, bytearray)):
        raise ArgumentTypeError(f"{argument}: expected paths, got {type(paths).__name__}")
    if not given:
        raise ArgumentError(f"{argument}: expected at least one path, got none")
    names: list[str] = []
    for path in given:
        if not isinstance(path, (str, os.PathLike)):
            raise ArgumentTypeError(
                f"{argument}: expected paths throughout, got {type(path).__name__} {path!r}"
            )
        names += expand_one(path)
    return names


def expand_one(path: PathLike) -> list[str]:
    """As `expand_all`, of one path. A `file://` address becomes a path of this machine."""
    name = local_path(path) if isinstance(path, str) and is_address(path) else path
    if is_address(name):
        return expand_address(str(name))
    return [os.fspath(each) for each in expand(name)]
