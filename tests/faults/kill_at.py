"""`probsig` that is killed at one of its operations on files: kill_at.py N ENTRIES ARGUMENTS...

ENTRIES: of a row range and of a merge at most, so that there are several of small counts, too; 0:
as many as ever. Operations are counted from 1: those that make a folder, and that replace or
remove a file, each both before and after it is done. N = 0: nothing is killed, and the number of
operations is printed at the end.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

_OPERATIONS = ("replace", "unlink", "mkdir")
_done = 0


def counted(operation: Callable[..., Any], at: int) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        _step(at)
        result = operation(*arguments, **keywords)
        _step(at)
        return result

    return wrapped


def _step(at: int) -> None:
    global _done
    _done += 1
    if _done == at:
        os.kill(os.getpid(), signal.SIGKILL)


def _make_small(entries: int) -> None:
    from probsig_fast import row_files, runs
    from probsig_fast.counting import pair_sums, ranges

    row_files._RANGE_ENTRIES = runs._MERGE_ENTRIES = ranges._RANGE_ENTRIES = entries
    pair_sums._MOST_RUNS = 3


def main() -> int:
    at, entries = map(int, sys.argv[1:3])
    if entries:
        _make_small(entries)
    for name in _OPERATIONS:
        setattr(os, name, counted(getattr(os, name), at))
    from probsig_fast.cli import main as probsig

    code = probsig(sys.argv[3:])
    if at == 0:
        print(f"operations: {_done}")
    return code


if __name__ == "__main__":
    sys.exit(main())
