"""A process that times the counts of one commit, one each time it is told to.

It reads `check TASK` or `time TASK` from standard input, a line each, and answers with a line of
JSON: `{"checksum": ...}` or `{"seconds": ...}`; `{"error": ...}` where the commit cannot do it. Its
first line is `{"package": ...}`, once the tokens are read.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from .tasks import Task, checksum, maker

Reply = Callable[[dict[str, Any]], None]


def serve(
    lines: Iterable[str],
    reply: Reply,
    make: Callable[[str], Task],
    told: Callable[[Any], str] = checksum,
) -> None:
    """Answer each line.

    Args:
        make: the task of a name.
        told: what is told of its result, by which commits are compared.
    """
    tasks: dict[str, Task] = {}
    for line in lines:
        verb, name = line.split()
        try:
            if verb == "check":  # which warms it up, too
                tasks[name] = make(name)
                reply({"checksum": told(tasks[name]())})
            else:
                reply({"seconds": _seconds(tasks[name])})
        except Exception as error:
            reply({"error": f"{type(error).__name__}: {error}"})


def _seconds(task: Task) -> float:
    gc.collect()
    began = time.perf_counter()
    result = task()
    seconds = time.perf_counter() - began
    del result
    return seconds


def main() -> None:
    given = json.loads(sys.argv[1])
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what else is printed does not get between the replies

    def reply(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=replies, flush=True)

    warnings.simplefilter("ignore")  # such as of an eos that never occurs

    import numpy as np

    import probsig_fast

    tokens = np.fromfile(given["tokens"], given["dtype"])
    reply({"package": probsig_fast.__file__})
    serve(sys.stdin, reply, maker(probsig_fast, tokens, **given["options"]))


if __name__ == "__main__":
    main()
