"""What goes wrong on a Dask cluster, and how it is told; and the command line."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from distributed_support import (
    VOCAB,
    client,
    cluster,
    on_progress,
    path,
    saved,
    tokens,
)
from numpy.typing import NDArray

import probsig_fast as ps
from probsig_fast.cli.entry import main
from probsig_fast.distributed import count
from probsig_fast.distributed.failures import told
from probsig_fast.errors import (
    ArgumentError,
    ArgumentTypeError,
    ClusterError,
    CountOverflowError,
    DeviceMemoryError,
    MemoryLimitError,
    SourceError,
    SourceNotFoundError,
    TokenRangeError,
)

distributed = pytest.importorskip("distributed")

__all__ = ["client", "cluster", "path", "tokens"]  # fixtures


def test_the_first_bad_token_is_told(
    client: Any, tokens: NDArray[np.uint16], tmp_path: Path
) -> None:
    """The first task meets its bad token after it has counted two chunks in slow motion; the others
    have theirs at once."""
    bad = tokens.copy()
    bad[2900] = 900
    bad[3005::3000] = 901
    path = tmp_path / "bad.bin"
    path.write_bytes(bad.astype("<u2").tobytes())
    given = {"vocab_size": VOCAB, "dtype": "uint16", "backend": "reference"}
    with pytest.raises(TokenRangeError) as local:
        ps.count(path, ps.Window(40), chunk_tokens=1000, **given)
    with pytest.raises(TokenRangeError, match=r"id 900 at position 2900 of .*bad\.bin") as caught:
        count(path, ps.Window(40), client=client, chunk_tokens=1000, chunks_per_task=3, **given)
    assert str(caught.value) == str(local.value)
    assert caught.value.position == 2900


def test_a_source_that_fails_is_told_unless_a_chunk_before_it_fails(client: Any) -> None:
    fine = [[0, 1]] * 5
    with pytest.raises(SourceError, match="sequence 5"):
        count([*fine, [[1]]], client=client, vocab_size=2)
    first: list[Any] = [np.array([0, 9], np.int8), np.array([1], np.uint16), np.zeros((2, 2), int)]
    with pytest.raises(TokenRangeError, match="id 9 at position 1 of sequence 0"):
        count(first, client=client, vocab_size=2)


@pytest.mark.parametrize(
    "error",
    [
        CountOverflowError("a"),
        DeviceMemoryError("b"),
        MemoryLimitError("c"),
        SourceNotFoundError("d"),
        TokenRangeError(7, 3, "e", 5),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_arrive_as_they_are(client: Any, error: Exception) -> None:
    def fail() -> None:
        raise error from KeyError("cause")

    arrived = client.submit(fail, pure=False).exception()
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)


def test_another_version_is_told(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probsig_fast.distributed.run.__version__", "0.0.0")
    with pytest.raises(ClusterError, match=r"expected probsig_fast 0\.0\.0 on all machines"):
        count(np.array([0, 1]), client=client, vocab_size=2)


def test_workers_that_die_at_one_task_are_told() -> None:
    worker = SimpleNamespace(address="tcp://10.0.0.3:1234")
    error = distributed.KilledWorker("count-1", worker, 3)
    with pytest.raises(ClusterError, match=r"several that died at one task.*10\.0\.0\.3"):
        raise told(error)


def test_no_client() -> None:
    with pytest.raises(ArgumentTypeError, match=r"client: expected a dask\.distributed\.Client"):
        count(np.array([0]), client="tcp://127.0.0.1:8786", vocab_size=1)


def test_a_client_that_is_closed(cluster: Any) -> None:
    with distributed.Client(cluster, set_as_default=False) as client:
        pass
    with pytest.raises(ArgumentError, match=r"client: expected one that is connected.*closed"):
        count(np.array([0]), client=client, vocab_size=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fan_in": 1}, "fan_in: expected at least 2, got 1"),
        ({"chunks_per_task": 0}, "chunks_per_task: expected at least 1, got 0"),
        ({"row_ranges": 0}, "row_ranges: expected at least 1, got 0"),
        ({"memory": "1KB"}, "memory: expected"),
        ({"focus": [0]}, r"focus: expected with Prefix"),
        ({"backend": "native_cuda"}, "backend: a cluster counts tokens in host memory"),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_arguments_are_checked_here(client: Any, arguments: Any, message: str) -> None:
    with pytest.raises((ValueError, RuntimeError), match=message):
        count(np.array([0]), client=client, vocab_size=1, **arguments)


def test_a_folder_that_holds_something(client: Any, tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    with pytest.raises(ArgumentError, match="work_dir: expected an empty folder"):
        count(np.array([0]), client=client, vocab_size=1, work_dir=tmp_path)


def test_the_counts_pass_the_memory_here(
    client: Any, path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = {"vocab_size": VOCAB, "dtype": "uint16"}
    monkeypatch.setattr("probsig_fast.distributed.result.memory_budget", lambda _: 100_000)
    with pytest.raises(MemoryLimitError, match=r"room for the counts on the client.*work_dir="):
        count(path, client=client, **given)
    counts = count(path, client=client, work_dir=tmp_path / "counts", **given)
    assert counts == ps.count(path, **given)


def test_a_cluster_that_is_lost(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        warnings.catch_warnings(),
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=":0",
            silence_logs="CRITICAL",
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        ending: list[threading.Thread] = []

        def end(done: int) -> None:
            if not ending:
                ending.append(threading.Thread(target=cluster.close))
                ending[0].start()

        with on_progress(monkeypatch, end), pytest.raises(ClusterError, match="client: expected"):
            count(path, client=client, vocab_size=VOCAB, dtype="uint16", chunk_tokens=200)
        ending[0].join()


# The command line


def test_the_command_counts_on_a_scheduler(
    cluster: Any, path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "counts.safetensors"
    command = ["count", path, "--dtype", "uint16", "--vocab-size", str(VOCAB), "--eos", "5"]
    assert main([*command, "--out", str(out), "--scheduler", cluster.scheduler_address]) == 0
    assert "counts.safetensors" in capsys.readouterr().out
    expected = ps.count(path, vocab_size=VOCAB, dtype="uint16", eos=5)
    assert out.read_bytes() == saved(expected, tmp_path / "..")


@pytest.mark.parametrize(
    "option", [["--threads", "2"], ["--checkpoint-seconds", "3"]], ids="-".join
)
def test_the_command_refuses_what_a_cluster_has_no_use_for(
    cluster: Any, path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    command = ["count", path, "--dtype", "uint16", "--vocab-size", str(VOCAB), *option]
    command += ["--out", str(tmp_path / "counts"), "--scheduler", cluster.scheduler_address]
    assert main(command) == 1
    assert f"{option[0]}: " in capsys.readouterr().err


def test_the_command_says_that_nobody_answers(
    path: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("probsig_fast.cli.scheduler.TIMEOUT", 0.5)
    command = ["count", path, "--dtype", "uint16", "--vocab-size", str(VOCAB), "--out"]
    command = [*command, str(tmp_path / "counts.safetensors"), "--scheduler"]
    assert main([*command, "tcp://127.0.0.1:1"]) == 1
    assert "expected a Dask scheduler at 'tcp://127.0.0.1:1'" in capsys.readouterr().err
    assert main([*command, "nowhere"]) == 1
    assert "expected an address such as tcp://" in capsys.readouterr().err
