"""The benchmark: its corpora, tasks and contenders; that all count the same and a wrong answer is
caught. How fast anything is, no test says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmark_support import checked, corpus

from probsig_fast.benchmark import Settings, benchmark, corpora, limits, peers, tasks
from probsig_fast.benchmark.contender import Answer, Contender, answer_of_keys
from probsig_fast.benchmark.measure import time_in_turn
from probsig_fast.benchmark.ours import ours, reference
from probsig_fast.benchmark.registry import Choice, contenders, of_task
from probsig_fast.benchmark.registry import peers as all_peers
from probsig_fast.benchmark.verify import Entry, entries
from probsig_fast.errors import ArgumentError, BenchmarkError, SourceError, SourceNotFoundError

RELATIONS = ("next", "window-3", "prefix-4", "same-sequence")
CHOICE = Choice(None, 2)


@pytest.fixture(autouse=True)
def small_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random increments need no large table to be right."""
    monkeypatch.setattr(limits, "_TABLE", 2**16)


# Corpora


@pytest.mark.parametrize("vocab_size", [7, 50_304, 151_936])
def test_synthetic_tokens_do_not_depend_on_blocks(vocab_size: int) -> None:
    whole = corpora.zipfian(3_000, vocab_size)
    assert whole.tokens.dtype == (np.uint16 if vocab_size <= 2**16 else np.uint32)
    assert whole.tokens.max() < vocab_size
    for block in (1, 48, 1_000):
        made = corpora.zipfian(2_000, vocab_size, block=block)
        assert np.array_equal(made.tokens, whole.tokens[:2_000])
    assert not np.array_equal(corpora.zipfian(3_000, vocab_size, seed=1).tokens, whole.tokens)


def test_synthetic_tokens_follow_their_law() -> None:
    made = corpora.zipfian(300_000, 1_000)
    weights = 1 / (np.arange(1, 1_001) + 2.7)
    found = np.sort(np.bincount(made.tokens, minlength=1_000))[::-1][:20] / made.tokens.size
    np.testing.assert_allclose(found, weights[:20] / weights.sum(), rtol=0.1)
    ends = np.count_nonzero(made.tokens == made.eos)
    assert 150 < made.tokens.size / ends < 8_000  # the nearest that so few ids allow


def test_flat_files(tmp_path: Path) -> None:
    path = tmp_path / "docs.bin"
    np.arange(10, dtype="<u4").tofile(path)
    made = corpora.flat(path, "uint32", 10, eos=3, limit=6)
    assert (made.name, made.path, made.eos) == ("docs.bin", path, 3)
    assert made.tokens.tolist() == list(range(6))
    with pytest.raises(
        ArgumentError, match=r"vocab_size: expected more than 9, an id of .*, got 9"
    ):
        corpora.flat(path, "uint32", 9)
    with pytest.raises(ArgumentError, match="dtype: expected uint16 or uint32, got int64"):
        corpora.flat(path, "int64", 10)
    path.write_bytes(b"abc")
    with pytest.raises(SourceError, match="tokens of 2 bytes, got 3 bytes"):
        corpora.flat(path, "uint16", 10)
    with pytest.raises(SourceNotFoundError, match="tokens: expected a flat file"):
        corpora.flat(tmp_path / "none.bin", "uint16", 10)
    with pytest.raises(ArgumentError, match="tokens: expected at least 1, got 0"):
        corpora.zipfian(0)


# Tasks


def test_tasks() -> None:
    made = tasks.task("window-64:1.5M")
    assert (made.kind, made.relation.to_dict()["size"], made.most) == ("window", 64, 1_500_000)
    reaches = [tasks.task(each).reach for each in (*RELATIONS, "prefix-1024")]
    assert reaches == [1, 3, 4, 1, 1024]
    assert tasks.task("next").rules(corpus()) == {"vocab_size": 40}
    assert tasks.task("prefix-4").rules(corpus())["eos"] == 0
    assert tasks.task("same-sequence").rules(corpus())["sequence_length"] == tasks.ROW
    assert tasks.count("tokens", "0.1G") == 10**8
    assert tasks.count("tokens", "2_000") == 2_000


@pytest.mark.parametrize("wrong", ["", "windows-3", "window", "prefix--1", "window-0"])
def test_unknown_relations(wrong: str) -> None:
    with pytest.raises(ArgumentError, match=r"(relation|size): expected"):
        tasks.task(wrong)


@pytest.mark.parametrize("wrong", ["", "many", "0", "1.5", "-3", "3T"])
def test_wrong_numbers(wrong: str) -> None:
    with pytest.raises(ArgumentError, match="tokens: expected a number such as 2000000 or 100M"):
        tasks.count("tokens", wrong)


# Contenders


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("eos", [0, None])
def test_every_contender_counts_as_the_definition_does(
    relation: str, dtype: Any, eos: int | None, tmp_path: Path
) -> None:
    task, made = tasks.task(relation), replace(corpus(dtype), eos=eos)
    choice = Choice(("reference", *(each.name for each in ours(None, 1))), 2)
    for entry in checked(task, of_task(task, contenders(choice)), made, tmp_path):
        if entry.contender.package or entry.contender.reason:
            assert entry.skipped is None or "installed" in entry.skipped or entry.contender.reason
        else:
            assert entry.skipped is None
        assert (entry.total > 0) == (entry.skipped is None)


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_limits_are_right(dtype: Any, tmp_path: Path) -> None:
    task = tasks.limits_task()
    for size in (1, 3, 1_001):  # fewer tokens than a word holds, and some left over
        made = corpus(dtype, size)
        group = checked(task, limits.limits(2), made, tmp_path)
        assert [entry.skipped for entry in group] == [None] * 6
        assert {entry.job.threads for entry in group} == {1, 2}


def test_ours() -> None:
    names = [(each.name, each.threads) for each in ours(None, 4)]
    assert names[:3] == [("native_cuda", None), ("native_cpu", None), ("native_cpu", 1)]
    assert [each.threads for each in ours(("numba_cpu",), 1)] == [None]
    assert "reference" not in [name for name, _ in names]
    with pytest.raises(ArgumentError, match=r"backend: expected of .*, got 'abacus'"):
        ours(("abacus",), 1)


def test_reasons_for_skipping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = reference().job(tasks.task("next"), corpus(), 1, tmp_path)
    found = {each.name: each for each in all_peers(CHOICE)}
    assert found["KenLM count_ngrams"].missing(job) == "--kenlm PATH names the program"
    absent = replace(found["polars group_by"], package="no_such_package")
    assert "no_such_package is not installed" in str(absent.missing(job))
    large = replace(found["numpy unique"], bytes_needed=lambda job: 1e15)
    assert "needs 1,000.0 TB of memory" in str(large.missing(job))
    (entry,) = entries(
        job.task, job.corpus, (found["numba dense V x V"],), 1, tmp_path, without_slow=True
    )
    assert entry.skipped == "takes too long for --quick"
    broken = replace(found["numpy unique"], run=lambda job, _: 1 / 0)
    (_, entry) = checked(job.task, (reference(), broken), corpus(), tmp_path)
    assert entry.skipped == "failed: ZeroDivisionError: division by zero"


def test_room_is_asked_for_again_before_a_call(tmp_path: Path) -> None:
    needed = iter([0.0, 1e15])
    large = replace(all_peers(CHOICE)[0], bytes_needed=lambda job: next(needed))
    _, entry = checked(tasks.task("next"), (reference(), large), corpus(), tmp_path)
    assert "needs 1,000.0 TB of memory" in str(entry.skipped)


@pytest.mark.parametrize(
    ("relation", "tokens"), [("next:4000", 300), ("window-7:4000", 43), ("window-7:20", 20)]
)
def test_a_peer_is_given_so_many_pairs_at_most(relation: str, tokens: int, tmp_path: Path) -> None:
    task = tasks.task(relation)
    peer = next(each for each in all_peers(CHOICE) if task.kind in each.kinds)
    _, entry = checked(task, (reference(), replace(peer, most=300)), corpus(), tmp_path)
    assert (entry.job.tokens.size, entry.skipped) == (tokens, None)


def test_slow_peers_get_as_many_pairs_whatever_the_reach(tmp_path: Path) -> None:
    made = replace(corpus(), tokens=np.zeros(60_000_000, np.uint8))
    for reach in (10, 64, 1024):
        for kind in ("window", "prefix"):
            task = replace(tasks.task(f"{kind}-{reach}"), most=None)
            for peer in of_task(task, all_peers(CHOICE)):
                size = peer.job(task, made, 1, tmp_path).tokens.size
                assert 0 <= size * reach - 50_000_000 < reach


def test_packed_keys() -> None:
    tokens = np.array([5, 65_535, 5], np.uint16)
    assert peers.packed(tokens[:-1], tokens[1:]).tolist() == [5 << 16 | 65_535, 65_535 << 16 | 5]
    keys, counts = peers.summed(np.array([3, 1, 3]), np.array([1, 5, 2]))
    assert (keys.tolist(), counts.tolist()) == ([1, 3], [5, 3])
    one = answer_of_keys(np.array([7, 3]), np.array([1, 2]), 4, 4)
    assert one == answer_of_keys(np.array([3, 7]), np.array([2, 1]), 4, 4)
    assert one != answer_of_keys(np.array([3, 6]), np.array([2, 1]), 4, 4)
    assert one.agrees(Answer(3))
    assert not one.agrees(Answer(4))


# A wrong contender


def wrong(where: str) -> Contender:
    """Counts right on the first tokens that are compared with the definition, or nowhere."""
    right = reference()

    def run(job: Any, prepared: Any) -> Any:
        counts = right.run(job, prepared)
        return counts + counts if where == "everywhere" or job.tokens.size > 2_000 else counts

    return replace(right, name="wrong", run=run, is_ours=where != "a peer")


@pytest.mark.parametrize("where", ["everywhere", "late", "a peer"])
def test_a_wrong_contender_is_caught(where: str, tmp_path: Path) -> None:
    task = replace(tasks.task("window-3"), reference=2_000)
    with pytest.raises(
        BenchmarkError, match=r"^window-3, [25],000 tokens of random: wrong \(1 threads\): expected"
    ):
        checked(task, (reference(), wrong(where)), corpus(), tmp_path)


def test_a_wrong_contender_ends_the_run(tmp_path: Path) -> None:
    settings = Settings([corpus], [tasks.task("next")], CHOICE)
    with pytest.raises(BenchmarkError, match=r"next, 5,000 tokens of random: wrong .*, got "):
        benchmark(settings, tmp_path / "out", among=(reference(), wrong("a peer")))
    assert list((tmp_path / "out").iterdir()) == []


# Order


def test_contenders_take_turns(tmp_path: Path) -> None:
    called: list[str] = []

    def entry(name: str, first: float, is_ours: bool = True) -> Entry:
        one = replace(
            reference(), name=name, is_ours=is_ours, run=lambda job, _: called.append(name)
        )
        job = one.job(tasks.task("next"), corpus(), 1, tmp_path)
        return Entry(one, job, first=first)

    group = [entry("a", 0.0), entry("b", 9.0), entry("slow", 4.0, is_ours=False), entry("c", 0.0)]
    group[3].skipped = "missing"
    steps: list[int] = []
    time_in_turn([group, [entry("limit", 0.0)]], 3, 8.0, steps.append)
    a_round = (["a", "b", "slow"], ["b", "slow", "a"], ["a", "b"])
    assert called == [name for names in a_round for name in [*names, "limit"]]
    assert [len(each.seconds) for each in group] == [3, 3, 2, 0]
    assert sum(steps) == 3 * 5
