"""Counts on a real Dask cluster: two worker processes, which are also killed."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
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
    EosNeverOccursWarning,
    MemoryLimitError,
    SourceError,
    SourceNotFoundError,
    TokenRangeError,
)

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


@RELATIONS
@pytest.mark.parametrize("rules", [{}, RULES], ids=["plain", "rules"])
def test_the_same_bytes(
    client: Any, path: str, tmp_path: Path, relation: Any, more: Any, rules: Any
) -> None:
    given = {"vocab_size": VOCAB, "dtype": "uint16", **more, **rules}
    if relation == ps.SameSequence():
        given = {"sequence_length": 500, **given}
    expected = ps.count(path, relation, **given)
    cut = {"chunk_tokens": 1999, "chunks_per_task": 3, "fan_in": 3, "row_ranges": 3}
    counts = count(path, relation, client=client, **cut, **given)
    assert saved(counts, tmp_path) == saved(expected, tmp_path)
    assert counts.stored.dtype == expected.stored.dtype
    assert counts.provenance["workers"] == 2
    assert counts.provenance["sources"] == expected.provenance["sources"]


@RELATIONS
def test_a_folder_of_the_same_bytes(
    client: Any, path: str, tmp_path: Path, relation: Any, more: Any
) -> None:
    given = {"vocab_size": VOCAB, "dtype": "uint16", "sequence_length": 300, **more}
    folder = tmp_path / "counts"
    counts = count(
        path, relation, client=client, chunk_tokens=5000, row_ranges=4, work_dir=folder, **given
    )
    ps.count(path, relation, **given).save(tmp_path / "expected")
    names = sorted(each.name for each in (tmp_path / "expected").glob("*.safetensors"))
    assert sorted(each.name for each in folder.glob("*.safetensors")) == names
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()
    assert ps.Counts.load(folder, verify=True) == counts


@pytest.mark.parametrize("form", ["array", "rows", "offsets", "lists", "files", "joined"])
def test_every_form_of_tokens(
    client: Any, tokens: NDArray[np.uint16], tmp_path: Path, form: str
) -> None:
    given: dict[str, Any] = {"vocab_size": VOCAB, "eos": 5}
    source: Any = tokens
    if form == "rows":
        source = tokens.reshape(-1, 100)
    elif form == "offsets":
        given["offsets"] = [0, 7, 7, 30_000, tokens.size]
    elif form == "lists":
        source = [tokens[:20_000].tolist(), [], tokens[20_000:].tolist()]
    elif form in ("files", "joined"):
        given |= {"dtype": "uint16", "join_files": form == "joined"}
        source = str(tmp_path / "*.bin")
        for name, part in zip("abc", np.split(tokens, [12_345, 40_000]), strict=True):
            (tmp_path / f"{name}.bin").write_bytes(part.astype("<u2").tobytes())
    expected = ps.count(source, ps.Window(5), **given)
    counts = count(source, ps.Window(5), client=client, chunk_tokens=4097, **given)
    assert saved(counts, tmp_path) == saved(expected, tmp_path)


def test_files_are_found_from_another_folder(
    client: Any, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(path).parent)
    given = {"vocab_size": VOCAB, "dtype": "uint16"}
    assert count("tokens.bin", client=client, **given) == ps.count("tokens.bin", **given)


def test_no_tokens(client: Any, tmp_path: Path) -> None:
    for relation in (ps.Next(), ps.Prefix(2)):
        given: dict[str, Any] = {"vocab_size": 3}
        if relation == ps.Prefix(2):
            given["focus"] = [1]
        expected = ps.count(np.empty(0, np.uint16), relation, **given)
        counts = count(np.empty(0, np.uint16), relation, client=client, **given)
        assert saved(counts, tmp_path) == saved(expected, tmp_path)


def test_defaults_share_the_tokens_out(client: Any, path: str) -> None:
    given = {"vocab_size": VOCAB, "dtype": "uint16"}
    assert count(path, client=client, **given) == ps.count(path, **given)


def test_an_eos_that_never_occurs(client: Any) -> None:
    with pytest.warns(EosNeverOccursWarning, match="no token of tokens has id 2"):
        count(np.array([0, 1, 0]), client=client, vocab_size=3, eos=2)


def test_tasks_that_run_out_of_memory_run_again_as_smaller_ones(
    client: Any, tmp_path: Path
) -> None:
    """Some 6 M pairs in all: more than half of 16 MiB, which a task has."""
    tokens = np.random.default_rng(0).integers(0, 4000, 40_000).astype(np.uint16)
    given = {"vocab_size": 4000, "sequence_length": 400}
    expected = ps.count(tokens, ps.SameSequence(), **given)
    assert expected.nnz * 8 > 2**24
    counts = count(
        tokens, ps.SameSequence(), client=client, memory=2**24, chunk_tokens=40_000, **given
    )
    assert saved(counts, tmp_path) == saved(expected, tmp_path)


def test_a_sequence_that_no_task_has_room_for(client: Any) -> None:
    with pytest.raises(MemoryLimitError, match="expected room for the counts"):
        count(np.arange(4000), ps.SameSequence(), client=client, vocab_size=4000, memory=2**24)


# Workers that die


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


class Killer:
    """Kills a worker as soon as so many tokens are counted; another one each time."""

    def __init__(self, client: Any, at: list[int]) -> None:
        self.client, self.at, self.killed = client, at, list[int]()

    def __call__(self, done: int) -> None:
        if self.at and done >= self.at[0]:
            self.at.pop(0)
            wait_until(self.are_all_there)  # Dask gives up one that dies while it starts
            pids = sorted(self.client.run(os.getpid).values())
            self.killed.append(pids[len(self.killed) % len(pids)])
            os.kill(self.killed[-1], signal.SIGKILL)

    def are_all_there(self) -> bool:
        try:
            pids = set(self.client.run(os.getpid).values())
        except OSError:  # one that has just died
            return False
        processes = [nanny.process for nanny in self.client.cluster.workers.values()]
        up = [each for each in processes if each is not None and each.status.name == "running"]
        return len(up) == 2 and pids == {each.pid for each in up} and not pids & set(self.killed)


@RELATIONS
def test_a_worker_is_killed_mid_way(
    client: Any,
    path: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    relation: Any,
    more: Any,
) -> None:
    given = {"vocab_size": VOCAB, "dtype": "uint16", **RULES, **more}
    expected = ps.count(path, relation, **given)
    killer = Killer(client, [30_000])
    with on_progress(monkeypatch, killer):
        counts = count(
            path, relation, client=client, chunk_tokens=999, fan_in=4, row_ranges=2, **given
        )
    assert saved(counts, tmp_path) == saved(expected, tmp_path)
    assert len(killer.killed) == 1
    wait_until(killer.are_all_there)


@pytest.mark.slow
def test_workers_are_killed_again_and_again(
    client: Any, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"vocab_size": VOCAB, "dtype": "uint16"}
    expected = saved(ps.count(path, ps.Prefix(100), **given), tmp_path)
    for seed in range(5):
        at = sorted(np.random.default_rng(seed).integers(1, 60_000, 3).tolist())
        killer = Killer(client, at)
        with on_progress(monkeypatch, killer):
            counts = count(
                path, ps.Prefix(100), client=client, chunk_tokens=500, row_ranges=3, **given
            )
        assert saved(counts, tmp_path) == expected
        assert len(killer.killed) == 3
        wait_until(killer.are_all_there)


def test_ctrl_c_ends_the_tasks(client: Any, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    with on_progress(monkeypatch, interrupt), pytest.raises(KeyboardInterrupt):
        count(path, client=client, vocab_size=VOCAB, dtype="uint16", chunk_tokens=500)
    wait_until(lambda: not held(client))


# Failures


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
