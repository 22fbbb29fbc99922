"""The thread pool: order, failures, Ctrl-C, fork, and how many threads there are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuda_module import needs_own_process

import probsig_fast as ps
from probsig_fast import accumulator
from probsig_fast import pool as pool_module
from probsig_fast.errors import ArgumentTypeError, TokenRangeError
from probsig_fast.kernels import registry
from probsig_fast.pool import WorkerPool, thread_count

WAIT = 30  # seconds until a test that hangs fails


def test_results_come_in_the_order_of_the_items() -> None:
    turns = [threading.Event() for _ in range(4)]

    def last_first(item: int) -> int:
        if item < 3:
            assert turns[item + 1].wait(WAIT)
        turns[item].set()
        return item * 10

    with WorkerPool(4) as pool:
        assert list(pool.map(last_first, range(4))) == [0, 10, 20, 30]
        assert list(pool.map(last_first, [])) == []
    assert pool.cancel[0] == 0


@pytest.mark.parametrize("threads", [1, 3])
def test_items_are_taken_as_they_are_needed(threads: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(1_000):
            taken += 1
            yield item

    with WorkerPool(threads) as pool:
        for done, _ in enumerate(pool.map(abs, items())):
            assert taken <= done + threads + 2


def test_the_first_item_that_fails_wins_though_it_fails_last() -> None:
    second_failed = threading.Event()

    def fail(item: int) -> int:
        if item == 2:
            assert second_failed.wait(WAIT)
            raise KeyError("first")
        if item == 3:
            second_failed.set()
            raise ValueError("second")
        return item

    results: list[int] = []
    with pytest.raises(KeyError, match="first"), WorkerPool(4) as pool:
        results.extend(pool.map(fail, range(6)))
    assert results == [0, 1]
    assert pool.cancel[0] == 1


@pytest.mark.parametrize("threads", [1, 2, 5, 16])
def test_a_failing_item_wins_over_a_later_failure_to_make_one(threads: int) -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ValueError("no item 5")

    def fail(item: int) -> int:
        if item == 1:
            raise KeyError("item 1")
        return item

    with pytest.raises(KeyError, match="item 1"), WorkerPool(threads) as pool:
        list(pool.map(fail, items()))
    with pytest.raises(ValueError, match="no item 5"), WorkerPool(threads) as pool:
        list(pool.map(abs, items()))


@pytest.mark.parametrize("threads", [1, 2, 5, 16])
def test_which_error_is_raised_does_not_depend_on_threads(backend: str, threads: int) -> None:
    def sequences() -> Iterator[Any]:
        yield np.array([0, 99], np.uint16)
        for dtype in ("uint32", "uint16", "uint32", "float32"):  # each a stream of its own
            yield np.array([0, 1], dtype)

    with pytest.raises(TokenRangeError, match="got id 99 at position 1 of sequence 0"):
        ps.count(sequences(), vocab_size=4, backend=backend, threads=threads)
    with pytest.raises(ArgumentTypeError, match="got float32 as sequence 4"):
        ps.count(sequences(), vocab_size=100, backend=backend, threads=threads)


@pytest.mark.parametrize("error", [MemoryError("no room"), RuntimeError("broken")], ids=repr)
@pytest.mark.parametrize("kernel", ["scan", "next_pairs", "merge"])
def test_a_failing_kernel_reaches_the_caller(
    backend: str, kernel: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "native_cuda" and kernel != "scan":
        pytest.skip("blocks stay on the device, in one running sum")
    kernels = registry.choose(backend).load()
    original = getattr(kernels, kernel)
    calls = 0

    def fails_the_third_time(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise error
        return original(*arguments)

    monkeypatch.setattr(kernels, kernel, fails_the_third_time)
    monkeypatch.setattr(accumulator, "_LAZY", 0)  # merge now and then, not in the end only
    tokens = np.arange(40, dtype=np.uint16)
    before = threading.active_count()
    with pytest.raises(type(error), match=str(error)):
        ps.count(tokens, vocab_size=40, backend=backend, threads=2, chunk_tokens=2)
    assert threading.active_count() == before


def test_no_thread_outlives_a_count(backend: str) -> None:
    before = threading.active_count()
    ps.count(np.zeros(100, np.uint16), vocab_size=1, backend=backend, threads=5, chunk_tokens=7)
    assert threading.active_count() == before


# Ctrl-C and fork


LONG_COUNT = """
import sys
import numpy as np
import probsig_fast as ps

def count(tokens, window):
    threads, chunk_tokens = 2, int(sys.argv[2])
    return ps.count(tokens, ps.Window(window), vocab_size=1000, backend=sys.argv[1],
                    threads=threads, chunk_tokens=chunk_tokens)

tokens = np.random.default_rng(0).integers(0, 1000, 8_000_000).astype(np.uint16)
count(tokens[:5000], 3)  # compiled, where that takes time
print("started", flush=True)
count(tokens, 20_000)
print("finished", flush=True)
"""


@pytest.mark.parametrize("chunk_tokens", [2**25, 2**20], ids=["one-chunk", "many-chunks"])
def test_ctrl_c_ends_a_long_count(backend: str, chunk_tokens: int) -> None:
    needs_own_process(backend)
    process = subprocess.Popen(
        [sys.executable, "-c", LONG_COUNT, backend, str(chunk_tokens)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        with pytest.raises(subprocess.TimeoutExpired):  # it takes minutes
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WAIT)
    finally:
        process.kill()
        process.communicate()
    assert out == ""
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert process.returncode != 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_counting_in_a_forked_child(backend: str) -> None:
    needs_own_process(backend)
    script = (
        "import os, sys, numpy as np, probsig_fast as ps\n"
        "def count():\n"
        "    tokens = np.arange(3000, dtype=np.uint16) % 7\n"
        "    return ps.count(tokens, ps.Window(2), vocab_size=7, backend=sys.argv[1],\n"
        "                    threads=2, chunk_tokens=100)\n"
        "before = count()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if count() == before else 3)\n"
        "_, status = os.waitpid(child, 0)\n"
        "sys.exit(os.waitstatus_to_exitcode(status) if count() == before else 4)\n"
    )
    command = [sys.executable, "-c", script, backend]
    result = subprocess.run(command, capture_output=True, text=True, timeout=4 * WAIT)
    if backend == "native_cuda":  # CUDA does not outlive a fork: the child is told
        assert result.returncode != 0
        assert "BackendError: backend: 'native_cuda' is not available here" in result.stderr
    else:
        assert result.returncode == 0, result.stderr[-500:]


# How many threads


@pytest.mark.parametrize(
    ("files", "processors"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "400000 100000\n"}, 4.0),
        ({"cpu.max": "nonsense"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "0\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_the_quota_of_a_container(
    files: dict[str, str], processors: float | None, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert pool_module._cgroup_quota(tmp_path) == processors


@pytest.mark.parametrize(
    ("affinity", "quota", "threads"),
    [(8, None, 8), (8, 1.5, 2), (8, 0.2, 1), (2, 6.0, 2), (1, None, 1)],
)
def test_threads_default_to_affinity_and_quota(
    affinity: int, quota: float | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(affinity), raising=False)
    monkeypatch.setattr(pool_module, "_cgroup_quota", lambda: quota)
    assert thread_count(None) == threads
    assert thread_count(np.int64(3)) == 3
    counts = ps.count(np.zeros(3, np.uint16), vocab_size=1)
    assert counts.provenance["threads"] == threads
