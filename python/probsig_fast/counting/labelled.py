"""`count_labelled`: samples (X, y) to `LabelledCounts`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arguments import integer
from ..budget import kept_memory, memory_budget
from ..errors import ArgumentError, ArgumentTypeError, CountOverflowError, TokenRangeError
from ..kernels.contract import Kernels, Spans, Summand
from ..kernels.registry import choose
from ..labelled import INCIDENCES, Incidence, LabelledCounts
from ..pool import WorkerPool, thread_count
from ..progress import progress_bar
from ..sources import MAX_VOCAB_SIZE
from ..third_order import checked_focus
from .focus import FocusSums, check_third_order
from .job import how
from .ranges import RangeSums
from .samples import Samples, labels_of, open_samples
from .sets import NO_WEIGHTS, weighted_set_spans


def count_labelled(
    X: Any,
    y: ArrayLike,
    *,
    vocab_size: int,
    n_labels: int,
    incidence: Incidence = "presence",
    third_order: bool = False,
    focus: Iterable[int] | None = None,
    offsets: ArrayLike | None = None,
    memory: int | str | None = None,
    backend: str | None = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> LabelledCounts:
    """Count samples (X, y): which tokens go with which labels, and with which other tokens.

    With c_ix = 1 where x stands in X_i (`"presence"`), or how often it does (`"multiplicity"`):
    N_{x,nu} = sum_i c_ix [y_i = nu], N_{x,x'} = sum_i c_ix c_ix', N_x = sum_i c_ix, N_nu, and for
    chosen x N_{x,nu,x'} = sum_i c_ix c_ix' [y_i = nu] (arXiv 2509.20124; THEORY, section 0).

    Args:
        X: N sequences of tokens, none empty: a 2-D integer array [N, L], an iterable of sequences,
            or a 1-D integer array with `offsets`. A CUDA tensor is copied to the host, where
            samples are cut, and counted on its device.
        y: N integers from 0 to `n_labels` - 1.
        vocab_size: V; tokens are 0..V-1.
        n_labels: Q.
        incidence: `"presence"` or `"multiplicity"`; a test against a model takes what the model
            does: one that adds up the embeddings of all positions sees multiplicities.
        third_order: count N_{x,nu,x'} for all x.
        focus: count it for these tokens only.
        offsets: int [N + 1], from 0 to the number of tokens, rising.
        memory: bytes (or a text as `"4GB"`) that the count may take; None takes three quarters of
            what is free.
        backend, threads, progress: as in `count`.

    Returns:
        `LabelledCounts`, the same for every backend and number of threads.

    Raises:
        ArgumentError: lengths of X and y that differ, an empty sequence, a label out of range,
            `focus` outside the vocabulary, another incidence.
        ArgumentTypeError: X or y without integers.
        TokenRangeError: a token outside the vocabulary; names the lowest position.
        MemoryLimitError: counts that do not fit in `memory`.
        CountOverflowError: a sum past 2^63 - 1.

    Cost: O(sum of the squares of the sequences' lengths), and as much again for each token of the
    focus that stands in them; memory for the result, and 8 bytes for each token of a batch.

    Example:
        >>> import probsig_fast as ps
        >>> counts = ps.count_labelled([[0, 1], [0, 2, 2]], [0, 1], vocab_size=3, n_labels=2)
        >>> counts.phi_y().row(0)
        (array([0, 1], dtype=int32), array([0.5, 0.5]))
    """
    vocab_size = integer("vocab_size", vocab_size, 1, MAX_VOCAB_SIZE)
    n_labels = integer("n_labels", n_labels, 1, MAX_VOCAB_SIZE)
    if incidence not in INCIDENCES:
        raise ArgumentError(f"incidence: expected 'presence' or 'multiplicity', got {incidence!r}")
    chosen = _checked_focus(third_order, focus, vocab_size)
    samples = open_samples(X, offsets)
    labels = labels_of(y, n_labels)
    if samples.known is not None:
        _check_as_many(samples.known, labels.size)
    best = choose(backend, None if backend else samples.device)
    kernels = best.load()
    threads = thread_count(threads)
    budget = memory_budget(memory)
    started = time.perf_counter()
    kernels.keep_memory(kept_memory(budget))
    try:
        with WorkerPool(threads) as pool, progress_bar(labels.size, "sample", progress) as advance:
            job = _Job(vocab_size, n_labels, incidence == "multiplicity", chosen, kernels, pool)
            sums = _Sums(job, samples, budget)
            for part in pool.map(job.work, _slices(samples, labels, job, sums.chunk_tokens)):
                sums.add(part)
                advance(part.n_samples)
                del part  # else it would live until the next one is there
            _check_as_many(sums.n_samples, labels.size)
            counts = sums.result(incidence, np.bincount(labels, minlength=n_labels))
    finally:
        kernels.release()
    return counts.with_provenance(
        {
            "sources": [{"name": "X", "samples": counts.n_samples}],
            **how(best.name, threads, time.perf_counter() - started),
        }
    )


@dataclass(frozen=True)
class _Slice:
    """Some samples: their tokens, where each begins and ends, and their labels."""

    tokens: NDArray[Any]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    labels: NDArray[Any]
    where: Any  # Stream
    begin: int


@dataclass
class _Part:
    """The spans of a slice."""

    n_samples: int
    pairs: Summand
    labels: Spans
    restricted: list[Spans]


@dataclass(frozen=True)
class _Job:
    """What is counted, and how a slice of samples becomes spans."""

    vocab_size: int
    n_labels: int
    multiplicity: bool
    focus: tuple[int, ...]
    kernels: Kernels
    pool: WorkerPool

    def work(self, part: _Slice) -> _Part:
        self._check_ids(part)
        sets = self.kernels.sequence_sets(
            part.tokens,
            part.starts,
            part.ends,
            self.vocab_size,
            self.multiplicity,
            self.pool.cancel,
        )
        pairs: Summand
        if self.multiplicity:
            pairs = weighted_set_spans(sets, self.vocab_size, self.kernels)
            weights = pairs.span_weights
        else:
            pairs, weights = self.kernels.set_spans(sets, self.vocab_size), NO_WEIGHTS
        sample = np.repeat(np.arange(part.labels.size), np.diff(sets.indptr)).astype(np.uint32)
        bounds = np.stack([sample, sample + np.uint32(1)], axis=1)
        indptr, bounds = self.kernels.group_spans(sets.ids, bounds, self.vocab_size)
        # Both groupings keep the order of the sets, so weights are those of the pairs.
        labels = Spans(part.labels, NO_WEIGHTS, indptr, bounds, weights)
        return _Part(
            part.labels.size,
            pairs,
            labels,
            [FocusSums.restrict(labels, token) for token in self.focus],
        )

    def _check_ids(self, part: _Slice) -> None:
        none = np.empty(0, part.tokens.dtype)
        invalid = self.kernels.scan(part.tokens, 0, self.vocab_size, none).invalid
        if invalid >= 0:
            position = part.begin + invalid
            token_id = int(part.where.raw(position, position + 1)[0])
            name, offset = part.where.locate(position)
            raise TokenRangeError(token_id, offset, name, self.vocab_size)


class _Sums:
    """The sums over all samples."""

    def __init__(self, job: _Job, samples: Samples, memory: int) -> None:
        self._job = job
        self.n_samples = 0
        self._squares = 0
        share = memory // 3 if job.focus else memory // 2
        size, labels, kernels, pool = job.vocab_size, job.n_labels, job.kernels, job.pool
        told: dict[str, Any] = {"is_share": True, "advice": "more memory="}
        self._labels = RangeSums(size, labels, False, kernels, pool, share, **told)
        self._pairs = RangeSums(size, size, True, kernels, pool, share, **told)
        self._third = None
        if job.focus:
            fits = check_third_order(len(job.focus), size, labels, samples.pairs, share)
            self._third = FocusSums(job.focus, size, labels, kernels, pool, share, fits)
        # Third order takes spans for each token of the focus that a sample holds.
        copies = 1 + min(len(job.focus), samples.longest or len(job.focus))
        self.chunk_tokens = max(memory // (64 * copies * (pool.threads + 2)), 1)

    def add(self, part: _Part) -> None:
        self.n_samples += part.n_samples
        self._check_total(part)
        self._labels.add(part.labels)
        self._pairs.add(part.pairs)
        if self._third:
            self._third.add(part.restricted)

    def result(self, incidence: Incidence, n_out: NDArray[np.int64]) -> LabelledCounts:
        labels = self._labels.table()
        return LabelledCounts(
            labels=labels,
            pairs=self._pairs.table(),
            n_in=labels.row_sum,
            n_out=n_out.astype(np.int64),
            incidence=incidence,
            third=self._third.result() if self._third else None,
        )

    def _check_total(self, part: _Part) -> None:
        """The pairs of all samples add up to sum_i |X_i|^2; no sum of them can pass that."""
        if not part.labels.span_weights.size:
            return
        row = part.labels.bounds[:, 0].astype(np.int64)
        lengths = np.zeros(part.n_samples, np.int64)
        np.add.at(lengths, row, part.labels.span_weights)
        self._squares += sum(length * length for length in lengths.tolist())
        if self._squares >= 2**63:
            raise CountOverflowError(
                f"counts: expected a total of at most 2^63 - 1, got {self._squares} or more"
            )


def _slices(
    samples: Samples, labels: NDArray[Any], job: _Job, chunk_tokens: int
) -> Iterator[_Slice]:
    """Samples a worker takes at a time, in order, with their labels."""
    first = 0
    for stream, edges in samples.streams():
        low = 0
        while low < edges.size - 1:
            high = int(np.searchsorted(edges, edges[low] + chunk_tokens, side="right")) - 1
            high = min(max(high, low + 1), edges.size - 1)
            begin = int(edges[low])
            mine = labels[first + low : first + high]
            if mine.size < high - low:
                _check_as_many(first + edges.size - 1, labels.size, " or more")
            yield _Slice(
                stream.read(begin, int(edges[high])),
                edges[low:high] - begin,
                edges[low + 1 : high + 1] - begin,
                mine,
                stream,
                begin,
            )
            low = high
        first += edges.size - 1


def _check_as_many(samples: int, labels: int, more: str = "") -> None:
    if samples != labels:
        raise ArgumentError(
            f"y: expected one label for each sequence of X, of which there are "
            f"{samples:,}{more}, got {labels:,}"
        )


def _checked_focus(third_order: bool, focus: Any, vocab_size: int) -> tuple[int, ...]:
    if not isinstance(third_order, bool):
        raise ArgumentTypeError(
            f"third_order: expected a bool, got {type(third_order).__name__} {third_order!r}"
        )
    if focus is not None:
        return checked_focus(focus, vocab_size)
    return tuple(range(vocab_size)) if third_order else ()
