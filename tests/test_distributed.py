"""Counts on a real Dask cluster: two worker processes, which are also killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed_support import (
    RELATIONS,
    RULES,
    VOCAB,
    client,
    cluster,
    held,
    on_progress,
    path,
    saved,
    tokens,
    wait_until,
)
from numpy.typing import NDArray

import probsig_fast as ps
from probsig_fast.distributed import count
from probsig_fast.errors import (
    EosNeverOccursWarning,
    MemoryLimitError,
)

distributed = pytest.importorskip("distributed")

__all__ = ["client", "cluster", "path", "tokens"]  # fixtures


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


@pytest.mark.long
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
