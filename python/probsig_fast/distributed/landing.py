"""Results as they come, each fetched without holding up the others."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

from .cluster import Future

#: Results that are fetched at the same time. To fetch from a worker that has just died takes as
#: long as Dask tries to reach it, half a minute as a rule.
_FETCHED_AT_ONCE = 16


class Landing:
    """Where the small results of tasks arrive: a future, and its result or what it raised."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._there: SimpleQueue[tuple[Future, Any]] = SimpleQueue()

    def expect(self, future: Future) -> None:
        future.add_done_callback(self._fetch_later)

    def next(self) -> list[tuple[Future, Any]]:
        """All that has arrived; waits for one."""
        arrived = [self._there.get()]
        while True:
            try:
                arrived.append(self._there.get_nowait())
            except Empty:
                return arrived

    def _fetch_later(self, future: Future) -> None:
        try:
            self._pool.submit(self._fetch, future)
        except RuntimeError:  # nobody waits any more
            return

    def _fetch(self, future: Future) -> None:
        try:
            result = future.result()
        except Exception as error:
            result = error
        self._there.put((future, result))


@contextmanager
def landing() -> Iterator[Landing]:
    pool = ThreadPoolExecutor(_FETCHED_AT_ONCE, thread_name_prefix="probsig-landing")
    try:
        yield Landing(pool)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
