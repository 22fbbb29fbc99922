"""Errors of functions, in the words of the command that called them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ProbsigError


@contextmanager
def told_as(**arguments: str) -> Iterator[None]:
    """An error on an argument of these names names an argument of the command in its place.

    Raises:
        ProbsigError: of the type of the one caught.
    """
    try:
        yield
    except ProbsigError as error:
        name, separator, rest = str(error).partition(": ")
        if separator and name in arguments:
            raise type(error)(f"{arguments[name]}: {rest}") from error
        raise
