"""What a cluster has: threads, workers, memory."""

from __future__ import annotations

from importlib import import_module
from typing import Any, TypeAlias

from ..budget import SMALLEST
from ..errors import missing_extra

#: Dask's own types, which only a part of its versions declare.
Client: TypeAlias = Any
Future: TypeAlias = Any

#: The share of a worker's limit that tasks may take; the rest is for the parts that it holds.
_SHARE = 0.5
#: Of a worker that has no limit, or that is not there yet.
_USUAL_LIMIT = 4 * 10**9


def dask(purpose: str = "counting on a cluster") -> Any:
    """The package `distributed`.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module("distributed")
    except ImportError as error:
        raise missing_extra("distributed", "dask", purpose) from error


class Cluster:
    """A cluster as it is now; workers may come and go.

    Attributes:
        workers: how many.
        threads: of all workers; at least 1.
    """

    def __init__(self, client: Client) -> None:
        known = client.scheduler_info(n_workers=-1)["workers"].values()
        self._workers = [(int(each["nthreads"]), int(each["memory_limit"] or 0)) for each in known]
        self.workers = len(self._workers)
        self.threads = sum(threads for threads, _ in self._workers) or 1

    def task_memory(self) -> int:
        """Bytes that each task may take where the user does not say."""
        shares = [
            int((limit or _USUAL_LIMIT) * _SHARE / max(threads, 1))
            for threads, limit in self._workers or [(1, 0)]
        ]
        return max(min(shares), SMALLEST)
