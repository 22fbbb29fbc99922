"""Sequences X and labels y from whatever the caller holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..device import from_tensor, on_cuda
from ..errors import ArgumentError, ArgumentTypeError
from ..sources import ArraySource, SequencesSource, Source, Stream
from ..sources.arrays import as_token_array, check_offsets


@dataclass(frozen=True)
class Samples:
    """Sequences, each a sample.

    Attributes:
        known: how many there are; None where only reading tells.
        longest: tokens of the longest; None likewise.
        pairs: sum of the squared lengths; None likewise.
        device: the CUDA device that X came from; None: host memory.
    """

    source: Source
    known: int | None = None
    longest: int | None = None
    pairs: int | None = None
    device: int | None = None

    def streams(self) -> Iterator[tuple[Stream, NDArray[np.int64]]]:
        """The streams, each with the edges of its samples: int64 [samples + 1]."""
        for stream in self.source.streams():
            starts = stream.starts_within(0, len(stream))
            yield stream, np.concatenate([starts, [len(stream)]]).astype(np.int64)


def open_samples(X: Any, offsets: ArrayLike | None) -> Samples:
    """The sequences of X.

    Raises:
        ArgumentError, ArgumentTypeError: as `count_labelled` does.
    """
    if on_cuda(X):
        flat, shape = from_tensor(X, "X", "X")
        return replace(open_samples(flat.to_host().reshape(shape), offsets), device=flat.device)
    if isinstance(X, (str, bytes)) or not isinstance(X, Iterable):
        raise ArgumentTypeError(
            f"X: expected a 2-D integer array or an iterable of sequences, got {type(X).__name__}"
        )
    if hasattr(X, "ndim") or hasattr(X, "__dlpack_device__"):
        source = ArraySource(as_token_array(X, "X", "X"), offsets, "X")
        return _of_array(source, offsets)
    if offsets is not None:
        raise ArgumentError(
            f"offsets: expected None for an iterable of sequences, got {type(offsets).__name__}"
        )
    return Samples(SequencesSource(_filled(X), argument="X"))


def labels_of(y: ArrayLike, n_labels: int) -> NDArray[Any]:
    """y as kernels take it, uint16 or uint32.

    Raises:
        ArgumentError: not 1-D; a label out of range, with its sample.
        ArgumentTypeError: no integers.
    """
    if isinstance(y, np.ma.MaskedArray):
        raise ArgumentTypeError(
            "y: expected a plain array, got a masked one: its mask would be lost"
        )
    try:
        array = np.asarray(y)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged, or a tensor NumPy cannot read
        raise ArgumentTypeError(
            f"y: expected integer labels, 1-D, got {type(y).__name__}: {error}"
        ) from error
    if array.ndim != 1:
        raise ArgumentError(
            f"y: expected one label a sequence, 1-D, got {array.ndim}-D ({type(y).__name__})"
        )
    if array.dtype.kind not in "iu" and array.size:
        raise ArgumentTypeError(f"y: expected integer labels, got {array.dtype}")
    outside = np.flatnonzero((array < 0) | (array >= n_labels))
    if outside.size:
        sample = int(outside[0])
        raise ArgumentError(
            f"y: expected labels from 0 to n_labels - 1 = {n_labels - 1}, "
            f"got {array[sample]} at sample {sample}"
        )
    return array.astype(np.uint16 if n_labels <= 2**16 else np.uint32)


def _of_array(source: ArraySource, offsets: ArrayLike | None) -> Samples:
    if offsets is not None:
        lengths = np.diff(check_offsets(offsets, source.total))
    elif len(source.shape) == 2:
        lengths = np.full(source.shape[0], source.shape[1])
    else:
        raise ArgumentError(
            "X: expected a 2-D array, an iterable of sequences, or a 1-D array with offsets, "
            "got a 1-D array"
        )
    empty = np.flatnonzero(lengths == 0)
    if empty.size:
        raise _is_empty(int(empty[0]))
    squares = int(np.square(lengths, dtype=np.float64).sum())
    return Samples(source, lengths.size, int(lengths.max(initial=0)), squares)


def _filled(X: Iterable[Any]) -> Iterator[Any]:
    for sample, sequence in enumerate(X):
        has_length = isinstance(sequence, Sized) and getattr(sequence, "ndim", 1) > 0
        if has_length and len(sequence) == 0:
            raise _is_empty(sample)
        yield sequence


def _is_empty(sample: int) -> ArgumentError:
    return ArgumentError(
        f"X: expected sequences of at least one token, got none at sample {sample}"
    )
