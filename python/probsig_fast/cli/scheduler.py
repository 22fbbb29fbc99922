"""`--scheduler ADDRESS`: the same command, counted on a Dask cluster."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, ClusterError

if TYPE_CHECKING:
    from ..counts import Counts

#: Seconds that a scheduler may take to answer.
TIMEOUT = 15.0
#: Arguments of `probsig_fast.count` that have no meaning on a cluster, as options.
_LOCAL = {
    "threads": "--threads: each task takes one, and a worker runs as many as it has",
    "resume": "--resume: tasks of lost workers run again by themselves",
    "checkpoint_seconds": "--checkpoint-seconds: nothing is saved on the way",
}


def add_arguments(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="count on the Dask cluster of this scheduler, such as tcp://10.0.0.1:8786; its "
        "workers read the files at the same paths, and --memory is for each of their threads",
    )


@contextmanager
def counter(address: str | None) -> Iterator[Callable[..., Counts]]:
    """What counts: `probsig_fast.count`, or with an address, the same on its cluster.

    Raises:
        ArgumentError: no address of a scheduler; an argument that a cluster has no use for.
        ClusterError: nobody answers there.
        MissingExtraError: `distributed` is not installed.
    """
    if address is None:
        from ..counting import count

        yield count
        return
    client = connected(address, TIMEOUT)
    try:
        yield partial(_count, client)
    finally:
        client.close()


def connected(address: str, timeout: float) -> Any:
    """A Dask client of the scheduler at an address.

    Raises:
        as `counter`.
    """
    from ..distributed.cluster import dask

    try:
        return dask("--scheduler").Client(address, timeout=timeout, set_as_default=False)
    except ValueError as error:  # no such protocol, no port
        raise ArgumentError(
            "--scheduler: expected an address such as tcp://10.0.0.1:8786, "
            f"got {address!r}: {error}"
        ) from error
    except OSError as error:  # its own timeouts among them
        raise ClusterError(
            f"--scheduler: expected a Dask scheduler at {address!r}, got no answer within "
            f"{timeout:g} s: {error}"
        ) from error


def _count(client: Any, *arguments: Any, **options: Any) -> Counts:
    from ..distributed import count

    for name, told in _LOCAL.items():
        if options.pop(name, None):
            raise ArgumentError(f"{told}; leave it out with --scheduler")
    return count(*arguments, client=client, **options)
