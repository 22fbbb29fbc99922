"""What is timed, by the public names that commits have had all along."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

USUAL = ("next", "window-10", "window-64", "prefix-1024", "same-sequence", "merge")
#: Of `same-sequence`: each row a sequence.
ROW_LENGTH = 2048
#: Of `merge`: the counts of so many parts of the tokens are added.
PARTS = 8

Task = Callable[[], Any]


def is_task(name: str) -> bool:
    return re.fullmatch(r"next|same-sequence|merge|(window|prefix)-[1-9][0-9]*", name) is not None


def maker(package: Any, tokens: NDArray[Any], **options: Any) -> Callable[[str], Task]:
    """A function that gives the task of a name: a call that makes counts.

    Args:
        package: `probsig_fast`, of whichever commit.
        options: of every `count`.
    """
    count = partial(package.count, **options)

    def make(name: str) -> Task:
        kind, _, number = name.partition("-")
        if kind == "merge":
            parts = [count(part) for part in np.array_split(tokens, PARTS)]
            return partial(package.Counts.merge, parts)
        if kind == "window":
            return partial(count, tokens, package.Window(int(number)))
        if kind == "prefix":
            return partial(count, tokens, package.Prefix(int(number)))
        if kind == "same":
            return partial(count, tokens, package.SameSequence(), sequence_length=ROW_LENGTH)
        return partial(count, tokens, package.Next())

    return make


def checksum(counts: Any) -> str:
    """Of the arrays of counts, whatever the width of their integers."""
    matrix = counts.to_scipy()
    told = hashlib.sha256(str(matrix.shape).encode())
    for array in (matrix.indptr, matrix.indices, matrix.data):
        told.update(np.ascontiguousarray(array, np.int64))
    return told.hexdigest()
