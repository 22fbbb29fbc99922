"""A real Dask cluster of two worker processes, and what is counted on it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import probsig_fast as ps

distributed = pytest.importorskip("distributed")

VOCAB = 300
RULES = {"eos": 5, "count_eos": False, "ignore_ids": [7], "sequence_length": 250}


#: How long Dask tries to reach a worker (30 s by itself, for which a test cannot wait); and after
#: how long a LocalCluster gives up a place whose worker happens to be dead just then, again.
PATIENCE = {
    "distributed.comm.timeouts.connect": "2s",
    "distributed.deploy.lost-worker-timeout": "1h",
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    dask = pytest.importorskip("dask")
    with (
        dask.config.set(PATIENCE),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=":0",
            memory_limit="1GiB",
            silence_logs="CRITICAL",
        ) as started,
    ):
        yield started


@pytest.fixture
def client(cluster: Any) -> Iterator[Any]:
    with distributed.Client(cluster, set_as_default=False) as connected:
        connected.wait_for_workers(2, timeout=60)
        yield connected
        wait_until(lambda: not held(connected))  # nothing is left of any count


def held(client: Any) -> int:
    """Tasks that the scheduler knows of."""
    gc.collect()  # errors of calls that met a dead worker hold what was alive then
    return int(client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))


def wait_until(is_so: Callable[[], bool], seconds: float = 30) -> None:
    begun = time.monotonic()
    while not is_so():
        assert time.monotonic() - begun < seconds
        time.sleep(0.02)


@pytest.fixture(scope="module")
def tokens() -> NDArray[np.uint16]:
    return (np.random.default_rng(4).zipf(1.2, 60_000) % VOCAB).astype(np.uint16)


@pytest.fixture(scope="module")
def path(tokens: NDArray[np.uint16], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tokens") / "tokens.bin"
    path.write_bytes(tokens.astype("<u2").tobytes())
    return str(path)


def saved(counts: ps.Counts, folder: Path) -> bytes:
    path = folder / "counts.safetensors"
    counts.save(path)
    return path.read_bytes()


CASES: list[tuple[Any, dict[str, Any]]] = [
    (ps.Next(), {}),
    (ps.Window(4, "harmonic", "symmetric"), {}),
    (ps.Window(3, direction="backward"), {}),
    (ps.Prefix(40), {"focus": [3, 11]}),
    (ps.SameSequence(), {}),
]
RELATIONS = pytest.mark.parametrize(("relation", "more"), CASES, ids=lambda each: repr(each)[:20])


@contextmanager
def on_progress(monkeypatch: pytest.MonkeyPatch, told: Callable[[int], None]) -> Iterator[None]:
    """`told` hears how many tokens are done, as tasks come home."""

    @contextmanager
    def bar(*_: object) -> Iterator[Callable[[int], None]]:
        done = 0

        def advance(more: int) -> None:
            nonlocal done
            done += more
            told(done)

        yield advance

    with monkeypatch.context() as patched:
        module = import_module("probsig_fast.distributed.count")  # not the function of that name
        patched.setattr(module, "progress_bar", bar)
        yield
