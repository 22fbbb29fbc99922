"""The thread pool: chunks in, results out, failures and Ctrl-C to the caller."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .arguments import integer

Item = TypeVar("Item")
Result = TypeVar("Result")


class WorkerPool:
    """Threads for one count. Made for it and ended with it, so that nothing outlives a fork.

    Attributes:
        cancel: `uint8` [1]; kernels stop soon once it is not 0.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.cancel: NDArray[np.uint8] = np.zeros(1, np.uint8)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="probsig")

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.cancel[0] = 1
        self._executor.shutdown(wait=True, cancel_futures=True)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """`function` of each item, in order, with no more than one item waiting a thread.

        A failure is raised where its result would stand, also one of `items` itself. Items start
        in order, so the failure raised is the first in that order, whatever the threads do.
        """
        pending: deque[Future[Result]] = deque()
        fault: Exception | None = None
        remaining = iter(items)
        while True:
            try:
                item = next(remaining)
            except StopIteration:
                break
            except Exception as error:  # raised below, unless an earlier item fails too
                fault = error
                break
            if len(pending) > self.threads:
                yield pending.popleft().result()
            pending.append(self._executor.submit(function, item))
        while pending:
            yield pending.popleft().result()
        if fault is not None:
            raise fault


def thread_count(threads: int | None) -> int:
    """`threads`, or the processors that this process may use.

    Raises:
        ArgumentError, ArgumentTypeError: no int of at least 1.
    """
    return _available_processors() if threads is None else integer("threads", threads, 1)


def _available_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, min(processors, math.ceil(quota)) if quota else processors)


def _cgroup_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Processors that the container's quota allows (cgroup v2, then v1); None for no quota."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text()
            period = (root / "cpu/cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        processors = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return processors if processors > 0 else None
