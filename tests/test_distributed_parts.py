"""What a cluster's tasks are made of, without a cluster: chunks to send, parts that add up."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sources.writers import write_datatrove, write_dolma, write_megatron, write_pythia
from stream_cases import CUT_OFFSETS, CUT_TOKENS, CUTTING_RULES, Case, cases

import probsig_fast as ps
from probsig_fast.counting.job import Job
from probsig_fast.distributed import sending
from probsig_fast.distributed.failures import told
from probsig_fast.distributed.reduction import Part, Reduction
from probsig_fast.distributed.rows import Rows, added
from probsig_fast.distributed.sending import Sender, grouped
from probsig_fast.distributed.tasks import _mark_here, count_task, size_task
from probsig_fast.errors import (
    ArgumentError,
    BackendError,
    ClusterError,
    CountOverflowError,
    SourceError,
    SourceNotFoundError,
    TokenRangeError,
)
from probsig_fast.sources import (
    DatatroveSource,
    DolmaSource,
    FileSource,
    MegatronSource,
    PythiaSource,
    open_source,
)
from probsig_fast.version import __version__

MEMORY = 2**26
RELATIONS: list[Any] = [
    ps.Next(),
    ps.Window(3, "harmonic", "symmetric"),
    ps.Window(2, direction="backward"),
    ps.Prefix(3),
    ps.SameSequence(),
]


def job_of(case: Case, chunk_tokens: int) -> Job:
    return Job.checked(
        open_source(case.tokens, offsets=case.offsets),
        case.relation,
        case.vocab_size,
        case.rules,
        None,
        chunk_tokens,
        case.focus,
        1,
        MEMORY,
    )


def counted(job: Job, task_tokens: int) -> Rows:
    """The sum of all tasks, each packed and unpacked as if it were sent."""
    sender = Sender(job, MEMORY)
    groups = list(grouped(sender.chunks(), lambda: task_tokens, job))
    assert all(sum(each.core for each in group) <= max(task_tokens, 1) for group in groups)
    parts = [count_task(sender.packed(group), __version__) for group in groups]
    return parts[0] if len(parts) == 1 else added(parts, job.kernels)


@given(
    cases(st.sampled_from(RELATIONS)),
    st.integers(1, 9),
    st.integers(1, 20),
)
def test_tasks_add_up_to_the_count(case: Case, chunk_tokens: int, task_tokens: int) -> None:
    if not case.size:
        return
    expected = case.count()
    rows = counted(job_of(case, chunk_tokens), task_tokens)
    size = case.vocab_size
    assert_same_entries(rows.between(0, size), expected)
    if expected.third is not None:
        assert_same_entries(rows.between(size, rows.end), expected.third.table)
    assert np.array_equal(rows.vectors[0] - rows.vectors[2], expected.unigram)


def assert_same_entries(rows: Rows, table: Any) -> None:
    assert np.array_equal(rows.entries.indptr, table.indptr)
    assert np.array_equal(rows.entries.indices, table.indices)
    assert np.array_equal(rows.entries.stored, table.data)


@pytest.mark.parametrize("rules", CUTTING_RULES, ids=str)
@pytest.mark.parametrize("relation", RELATIONS, ids=repr)
def test_chunks_halved_anywhere_count_the_same(relation: Any, rules: dict[str, Any]) -> None:
    """Chunks of 12 tokens are halved until a task has 1, 2, ... tokens at most."""
    tokens = np.array(CUT_TOKENS)
    case = Case(tokens, [], 4, relation, rules, CUT_OFFSETS)
    expected = ps.count(tokens, relation, vocab_size=4, offsets=CUT_OFFSETS, **rules)
    for task_tokens in range(1, 13):
        rows = counted(job_of(case, 12), task_tokens)
        assert_same_entries(rows, expected)
        assert np.array_equal(rows.vectors[0], expected.unigram)


@pytest.mark.parametrize("relation", RELATIONS, ids=repr)
def test_a_task_takes_only_its_own_tokens_along(relation: Any) -> None:
    tokens = np.zeros(10**6, np.uint16)
    tokens[::100] = 1
    job = job_of(Case(tokens, [], 2, relation, {"eos": 1}), 1000)
    sender = Sender(job, MEMORY)
    sizes = {len(sender.packed([chunk])) for chunk in list(sender.chunks())[::100]}
    assert max(sizes) < 6000


def source_of(form: str, folder: Path) -> Any:
    documents = [[1, 2, 0], [3], [0, 0, 3, 2, 1, 1, 0], [2, 2]]
    if form == "megatron":
        return MegatronSource(write_megatron(folder / "x", [[each] for each in documents]))
    if form == "pythia":
        rows = [[1, 2, 0], [3, 3, 3], [0, 1, 1], [2, 2, 2], [1, 0, 0]]
        write_pythia(folder, rows, [5, 6, 17])
        return PythiaSource(folder, row_tokens=3, batch_rows=2)
    if form == "datatrove":
        return DatatroveSource(write_datatrove(folder / "x.ds", documents), "uint16")
    if form == "dolma":
        return DolmaSource(write_dolma(folder / "x.npy", documents), "uint16")
    path = folder / "x.bin"
    path.write_bytes(
        np.array([each for document in documents for each in document], "<u2").tobytes()
    )
    return open_source(str(path), dtype="uint16")


@pytest.mark.parametrize("form", ["megatron", "pythia", "datatrove", "dolma", "flat"])
@pytest.mark.parametrize("relation", RELATIONS, ids=repr)
def test_files_of_every_format(
    form: str, relation: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = source_of(form, Path("."))
    for rules in ({}, {"eos": 1, "sequence_length": 4}):
        expected = ps.count(source, relation, vocab_size=4, **rules)
        for chunk_tokens in (1, 2, 5, 100):
            job = job_of(Case(source, [], 4, relation, rules), chunk_tokens)
            sender = Sender(job, MEMORY)
            packed = [sender.packed([chunk]) for chunk in sender.chunks()]
            assert all(pickle.loads(each).files for each in packed)
            with monkeypatch.context() as elsewhere:  # where a worker runs
                elsewhere.chdir("/")
                parts = [count_task(each, __version__) for each in packed]
            rows = added(parts, job.kernels)
            assert_same_entries(rows, expected)
            assert np.array_equal(rows.vectors[0] - rows.vectors[2], expected.unigram)


def test_a_file_at_an_address(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    tokens = np.arange(5, dtype="<u2")
    with fsspec.open("memory://folder/tokens.bin", "wb") as file:
        file.write(tokens.tobytes())
    source = open_source("memory://folder/tokens.bin", dtype="uint16")
    rows = counted(job_of(Case(source, [], 5, ps.Next(), {}), 2), 4)
    assert_same_entries(rows, ps.count(tokens, vocab_size=5))
    job = job_of(Case(source, [], 5, ps.Next(), {}), 5)
    task = Sender(job, MEMORY).packed([*Sender(job, MEMORY).chunks()])
    with fsspec.open("memory://folder/tokens.bin", "wb") as file:
        file.write(tokens[::-1].tobytes())
    _mark_here.cache_clear()
    with pytest.raises(SourceError, match="to be the same file on all machines"):
        count_task(task, __version__)


def test_an_error_names_the_sequence_of_an_iterable() -> None:
    sequences = [[0, 1, 2], [], [3, 0], [1, 9, 1], [0]]
    job = job_of(Case(sequences, [], 4, ps.Next(), {}), 2)
    sender = Sender(job, MEMORY)
    packed = [sender.packed([chunk]) for chunk in sender.chunks()]
    with pytest.raises(TokenRangeError, match="id 9 at position 1 of sequence 3"):
        _ = [count_task(each, __version__) for each in packed]
    with pytest.raises(TokenRangeError, match="id 9 at position 1 of sequence 3"):
        ps.count(sequences, vocab_size=4)


def test_an_error_names_the_file(tmp_path: Path) -> None:
    paths = []
    for name, tokens in (("a", [1, 2, 3]), ("b", [0, 0, 0, 7])):
        paths.append(tmp_path / f"{name}.bin")
        paths[-1].write_bytes(np.array(tokens, "<u2").tobytes())
    job = job_of(Case(FileSource(paths, "uint16"), [], 4, ps.Next(), {}), 3)
    sender = Sender(job, MEMORY)
    first, *others = [sender.packed([chunk]) for chunk in sender.chunks()]
    assert count_task(first, __version__).n_read == 3
    for each in others:  # one looks ahead to it, the other owns it
        with pytest.raises(TokenRangeError, match=r"id 7 at position 3 of .*b\.bin$"):
            count_task(each, __version__)


@pytest.fixture
def one_file(tmp_path: Path) -> tuple[Path, bytes]:
    """A file of tokens and a task that counts them."""
    path = tmp_path / "tokens.bin"
    path.write_bytes(np.arange(8, dtype="<u2").tobytes())
    job = job_of(Case(FileSource([path], "uint16"), [], 8, ps.Next(), {}), 8)
    sender = Sender(job, MEMORY)
    return path, sender.packed(list(sender.chunks()))


def test_a_worker_without_the_file_says_so(one_file: tuple[Path, bytes]) -> None:
    path, task = one_file
    path.unlink()
    message = r"tokens\.bin.*worker .*: files must be at the same path on all machines"
    with pytest.raises(SourceNotFoundError, match=message):
        count_task(task, __version__)


@pytest.mark.parametrize("tokens", [np.arange(8)[::-1], np.arange(7)], ids=["other", "shorter"])
def test_a_worker_with_another_file_says_so(
    one_file: tuple[Path, bytes], tokens: NDArray[Any]
) -> None:
    path, task = one_file
    count_task(task, __version__)
    path.write_bytes(tokens.astype("<u2").tobytes())
    with pytest.raises(SourceError, match=r"tokens\.bin to be the same file on all machines"):
        count_task(task, __version__)


def test_a_copy_with_another_time_is_the_same_file(one_file: tuple[Path, bytes]) -> None:
    path, task = one_file
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    assert count_task(task, __version__).n_read == 8


def test_another_version_is_refused_before_the_task_is_read() -> None:
    with pytest.raises(ClusterError, match=r"expected probsig_fast 0\.0\.0 on all machines"):
        count_task(b"not a task", "0.0.0")


def test_a_worker_without_the_backend_says_so(
    one_file: tuple[Path, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, task = one_file
    monkeypatch.setattr("probsig_fast.kernels.registry.BACKENDS", ())
    with pytest.raises(BackendError, match=r"on worker"):
        count_task(task, __version__)


def test_tokens_in_memory_are_sent_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sending, "MOST_SENT", 10_000)
    tokens = np.zeros(6000, np.uint16)
    sender = Sender(job_of(Case(tokens, [], 2, ps.Next(), {}), 1000), MEMORY)
    with pytest.raises(ArgumentError, match=r"at most 10\.0 kB that are no files.*got more from"):
        _ = [sender.packed([chunk]) for chunk in sender.chunks()]
    path = tmp_path / "x.npy"
    np.save(path, tokens)
    sender = Sender(job_of(Case(str(path), [], 2, ps.Next(), {}), 1000), MEMORY)
    for chunk in sender.chunks():
        sender.packed([chunk])


def test_a_source_that_cannot_be_sent() -> None:
    source = open_source(np.zeros(5, np.uint16))
    part = next(iter(source.streams())).parts[0]
    object.__setattr__(part, "open", lambda: np.zeros(5, np.uint16))
    sender = Sender(job_of(Case(source, [], 2, ps.Next(), {}), 5), MEMORY)
    with pytest.raises(ArgumentError, match="expected a source that can be sent to workers"):
        sender.packed(list(sender.chunks()))


def test_sizes_cut_rows_by_their_bytes() -> None:
    tokens = np.random.default_rng(3).integers(0, 60, 5000)
    rows = counted(job_of(Case(tokens, [], 60, ps.Next(), {}), 500), 500)
    assert size_task(rows, 2**30, 1).cuts == ()
    most = rows.nbytes // 5
    cuts = size_task(rows, most, 1).cuts
    edges = [0, *cuts, 60]
    assert edges == sorted(set(edges))
    pieces = [rows.between(*edge) for edge in pairwise(edges)]
    assert max(piece.nbytes for piece in pieces) < most
    assert len(size_task(rows, 2**30, 4).cuts) == 3
    assert rows.between(5, 6).sizes(1).cuts == ()


def test_a_sum_past_63_bits() -> None:
    one = counted(job_of(Case(np.array([0, 0]), [], 1, ps.Next(), {}), 2), 2)
    huge = Rows(0, type(one.entries)(one.entries.indptr, one.entries.indices, HUGE, 1), one.vectors)
    with pytest.raises(CountOverflowError):
        added([huge, huge], job_of(Case(np.array([0]), [], 1, ps.Next(), {}), 2).kernels)


HUGE = np.array([2**62], np.int64)


def test_rows_travel_as_they_are() -> None:
    rows = counted(job_of(Case(np.arange(9), [], 9, ps.Prefix(2), {}, focus=[3]), 4), 4)
    back = pickle.loads(pickle.dumps(rows, protocol=5))
    assert np.array_equal(back.entries.indices, rows.entries.indices)
    assert np.array_equal(back.vectors, rows.vectors)
    assert rows.__sizeof__() >= rows.entries.indices.nbytes + rows.vectors.nbytes


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ModuleNotFoundError("No module named 'probsig_fast'", name="probsig_fast"),
            "on all machines",
        ),
        (RuntimeError("Error during deserialization of the task graph."), "same versions"),
        (CancelledError("lost"), "expected the cluster to stay"),
    ],
    ids=["no package", "other versions", "lost"],
)
def test_failures_of_the_cluster_are_told(error: Exception, message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        raise told(error)


def test_other_failures_are_not_touched() -> None:
    error = ModuleNotFoundError("No module named 'numba'", name="numba")
    assert told(error) is error
    assert told(error := RuntimeError("x")) is error


# The reduction, over parts that are plain arrays


class Arrays:
    """Sums arrays at once or later, in any order."""

    def __init__(self, rows: int, fan_in: int, most: int, part_most: int) -> None:
        self.reduction: Reduction[NDArray[np.int64]] = Reduction(rows, fan_in, most, self)
        self.part_most = part_most
        self.later: list[Callable[[], None]] = []
        self.largest = 0

    def part(self, begin: int, values: NDArray[np.int64], level: int) -> Part[NDArray[np.int64]]:
        end, cuts = begin + values.size, ()
        if values.size > self.part_most:
            cuts = tuple(range(begin + self.part_most, end, self.part_most))
        return Part(values, begin, end, level, values.size, values.size, cuts)

    def add(self, parts: Sequence[Part[NDArray[np.int64]]], level: int) -> None:
        assert len({(part.begin, part.end) for part in parts}) == 1
        self.largest = max(self.largest, len(parts))
        total = np.sum([part.handle for part in parts], axis=0)
        self.later.append(lambda: self.reduction.arrive(self.part(parts[0].begin, total, level)))

    def cut(self, part: Part[NDArray[np.int64]], begin: int, end: int) -> NDArray[np.int64]:
        return part.handle[begin - part.begin : end - part.begin]


@given(st.data())
def test_every_part_is_added_once_whatever_the_order(data: st.DataObject) -> None:
    rows, fan_in = data.draw(st.integers(1, 12)), data.draw(st.integers(2, 5))
    arrays = Arrays(rows, fan_in, data.draw(st.integers(1, 40)), data.draw(st.integers(1, 12)))
    parts = [
        np.array(values, np.int64)
        for values in data.draw(
            st.lists(st.lists(st.integers(0, 9), min_size=rows, max_size=rows), max_size=25)
        )
    ]
    coming: Iterator[NDArray[np.int64]] = iter(parts)
    while True:
        part = next(coming, None) if data.draw(st.booleans()) else None
        if part is not None:
            arrays.reduction.arrive(arrays.part(0, part, 0))
        elif arrays.later:
            arrays.later.pop(data.draw(st.integers(0, len(arrays.later) - 1)))()
        elif (part := next(coming, None)) is not None:
            arrays.reduction.arrive(arrays.part(0, part, 0))
        elif not arrays.reduction.finish():
            break
    result = arrays.reduction.result()
    if not parts:
        assert result == []
        return
    assert [part.begin for part in result] == [0, *(part.end for part in result)][:-1]
    assert np.array_equal(np.concatenate([part.handle for part in result]), np.sum(parts, axis=0))
    assert arrays.largest <= max(fan_in, 2)


def test_merges_are_trees() -> None:
    """1,000 parts of 10 bytes, 10 at a time: 111 merges of 10, whose inputs are 3,330 bytes."""
    arrays = Arrays(1, 10, 10**9, 10**9)
    merges = []
    arrays.add = lambda parts, level: (merges.append(len(parts)), Arrays.add(arrays, parts, level))  # type: ignore[method-assign, assignment, func-returns-value]
    for _ in range(1000):
        arrays.reduction.arrive(arrays.part(0, np.ones(1, np.int64), 0))
        while arrays.later:
            arrays.later.pop()()
    while arrays.reduction.finish():
        while arrays.later:
            arrays.later.pop()()
    assert merges == [10] * 111 or sorted(merges) == [10] * 111
    assert arrays.reduction.result()[0].handle[0] == 1000
