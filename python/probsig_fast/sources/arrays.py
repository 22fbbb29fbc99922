"""Tokens in memory: one array, or an iterable of sequences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..device import from_tensor, is_device_array, on_cuda
from ..errors import ArgumentError, ArgumentTypeError, SourceError
from .fingerprint import array_fingerprint
from .stream import Part, Stream
from .token_dtype import token_dtype

#: Sequences are joined up to about so many tokens before they are counted.
BATCH_TOKENS = 2**24


class ArraySource:
    """A 1-D stream, or a 2-D array whose rows are sequences, of any integer type.

    Args:
        tokens: NumPy array or memory map; anything with `__dlpack__` (a torch tensor on CPU or
            CUDA, an Arrow array) or `__array__`. Not copied.
        offsets: int [sequences + 1], from 0 to the number of tokens, never falling: sequence i is
            tokens[offsets[i]:offsets[i + 1]]. 1-D tokens only.
        name: for messages.
    """

    vocab_size = None
    inputs_only = False

    def __init__(self, tokens: Any, offsets: ArrayLike | None = None, name: str = "tokens") -> None:
        flat, self.shape = _flat_tokens(tokens, name)
        self.name = name
        self.device = flat.device if is_device_array(flat) else None
        self.total, self.dtype = flat.size, flat.dtype
        row_length = None
        if len(self.shape) == 2:
            row_length = self.shape[1] or None
            if offsets is not None:
                raise ArgumentError(
                    "offsets: expected None for 2-D tokens, whose rows are the sequences"
                )
        starts = None if offsets is None else check_offsets(offsets, flat.size)
        self._stream = Stream((Part.of_array(name, flat),), starts, row_length)

    def streams(self) -> Iterator[Stream]:
        yield self._stream

    def describe(self) -> list[dict[str, Any]]:
        return [{"name": self.name, "shape": list(self.shape), "dtype": str(self.dtype)}]

    def fingerprint(self) -> list[dict[str, Any]] | None:
        """None for tokens on a device."""
        if self.device is not None:
            return None
        arrays = [self._stream.parts[0].tokens(), self._stream.starts]
        found = [array_fingerprint(array) for array in arrays if array is not None]
        return [{"name": self.name, "rows": list(self.shape)}, *found]


class SequencesSource:
    """An iterable of sequences of token ids (lists or 1-D integer arrays), read once.

    Args:
        sequences: each item is one sequence; empty ones are allowed.
        dtype: the token type of items that are not arrays; int64 if None.
        argument: for messages.
    """

    vocab_size = None
    device = None
    inputs_only = False
    name = "sequences"

    def __init__(
        self, sequences: Iterable[Any], dtype: DTypeLike | None = None, argument: str = "tokens"
    ) -> None:
        self._sequences, self._argument = sequences, argument
        self._dtype = token_dtype("dtype", np.int64 if dtype is None else dtype)
        self.total = None
        self._read = 0

    def streams(self) -> Iterator[Stream]:
        batch: list[NDArray[Any]] = []
        size = 0
        for index, sequence in enumerate(self._sequences):
            array = self._sequence(sequence, index)
            if batch and (array.dtype != batch[0].dtype or size + array.size > BATCH_TOKENS):
                yield self._stream(batch, index - len(batch))
                batch, size = [], 0
            batch.append(array)
            size += array.size
            self._read = index + 1
        if batch:
            yield self._stream(batch, self._read - len(batch))

    def describe(self) -> list[dict[str, Any]]:
        return [{"name": self.name, "sequences": self._read}]

    def fingerprint(self) -> None:
        """None: an iterable cannot be read twice."""

    def _sequence(self, sequence: Any, index: int) -> NDArray[Any]:
        name = f"sequence {index}"
        if isinstance(sequence, (str, bytes)):
            raise ArgumentTypeError(
                f"{self._argument}: expected sequences of token ids, "
                f"got {type(sequence).__name__} as {name}"
            )
        if isinstance(sequence, Sequence):
            sequence = _from_list(sequence, name, self._dtype, self._argument)
        array = as_token_array(sequence, name, self._argument)
        if array.ndim != 1:
            raise SourceError(
                f"{self._argument}: expected 1-D sequences, got {array.ndim}-D as {name}"
            )
        return array

    @staticmethod
    def _stream(batch: list[NDArray[Any]], first: int) -> Stream:
        ends = np.cumsum([array.size for array in batch], dtype=np.int64)
        part = Part.of_array("sequences", np.concatenate(batch))
        return Stream((part,), ends, first_sequence=first)


def _flat_tokens(tokens: Any, name: str) -> tuple[Any, tuple[int, ...]]:
    """The tokens one after the other, in host memory or on a device, and their shape."""
    if on_cuda(tokens):
        flat, shape = from_tensor(tokens, name, "tokens")
        _check_dimensions(len(shape), name, "tokens")
        return flat, shape
    array = as_token_array(tokens, name)
    return array.reshape(-1), array.shape


def _check_dimensions(ndim: int, name: str, argument: str) -> None:
    if ndim not in (1, 2):
        raise SourceError(f"{argument}: expected a 1-D or 2-D array, got {ndim}-D as {name}")


def as_token_array(tokens: Any, name: str, argument: str = "tokens") -> NDArray[Any]:
    """`tokens` as a 1-D or 2-D NumPy integer array, without a copy where its memory allows.

    Raises:
        ArgumentTypeError: float, bool or other tokens that are no integers; no array at all.
        SourceError: 0-D, 3-D and beyond; memory that the CPU cannot read.
    """
    if isinstance(tokens, np.ma.MaskedArray):
        raise ArgumentTypeError(
            f"{argument}: expected a plain array, got a masked one as {name}: its mask would be "
            f"lost{'; fill it with an id and name that in ignore_ids' * (argument == 'tokens')}"
        )
    if isinstance(tokens, np.ndarray):
        array = tokens
    elif hasattr(tokens, "__dlpack_device__"):
        array = _from_dlpack(tokens, name, argument)
    elif hasattr(tokens, "__array__"):
        array = np.asarray(tokens)
    else:
        raise ArgumentTypeError(
            f"{argument}: expected an integer array or a list of ids, "
            f"got {type(tokens).__name__} as {name}"
        )
    _check_dimensions(array.ndim, name, argument)
    if array.dtype.kind not in "iu":
        raise ArgumentTypeError(f"{argument}: expected integers, got {array.dtype} as {name}")
    return array


def refuse_boundaries(format: str, offsets: Any, join_files: bool) -> None:
    """Raises ArgumentError: one of these is given for files that know their own sequences."""
    for name, given in (("offsets", offsets), ("join_files", join_files or None)):
        if given is not None:
            raise ArgumentError(
                f"{name}: expected none for files of format {format}, which say themselves where "
                f"sequences end, got {type(given).__name__}"
            )


def check_offsets(offsets: ArrayLike, total: int) -> NDArray[np.int64]:
    """`offsets` as int64 sequence starts.

    Raises:
        ArgumentError: not 1-D integers from 0 to `total` that never fall.
    """
    array = np.asarray(offsets)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise ArgumentError(
            f"offsets: expected a 1-D integer array that starts with 0, "
            f"got {array.ndim}-D {array.dtype} of {array.size}"
        )
    array = array.astype(np.int64)
    if array[0] != 0 or array[-1] != total:
        raise ArgumentError(
            f"offsets: expected the first to be 0 and the last {total}, the number of tokens, "
            f"got {array[0]} and {array[-1]}"
        )
    falls = np.flatnonzero(np.diff(array) < 0)
    if falls.size:
        i = int(falls[0])
        raise ArgumentError(
            f"offsets: expected never to fall, got {array[i]} then {array[i + 1]} at index {i + 1}"
        )
    return array


def _from_dlpack(tokens: Any, name: str, argument: str) -> NDArray[Any]:
    try:
        return np.from_dlpack(tokens)
    except (RuntimeError, BufferError, TypeError, ValueError) as error:
        # torch's bfloat16, a CUDA tensor, one that requires grad: NumPy's message alone would not
        # say which argument is meant.
        raise SourceError(
            f"{argument}: expected integers in CPU memory, got {type(tokens).__name__} as {name} "
            f"on device {getattr(tokens, 'device', 'unknown')} with dtype "
            f"{getattr(tokens, 'dtype', 'unknown')} ({error})"
        ) from error


def _from_list(
    sequence: Sequence[Any], name: str, dtype: np.dtype[Any], argument: str
) -> NDArray[Any]:
    if len(sequence) == 0:
        return np.empty(0, dtype)
    try:
        array = np.array(sequence)
    except (ValueError, OverflowError) as error:
        raise SourceError(
            f"{argument}: expected a flat list of ids, got {name}: {error}"
        ) from error
    if array.dtype.kind in "fO" and all(isinstance(item, int) for item in sequence):
        array = np.array(sequence, object)  # ints that NumPy has no type for
    elif array.dtype.kind not in "iu":
        return array  # refused, with its type, by as_token_array
    info = np.iinfo(dtype)
    outside = (array < info.min) | (array > info.max)
    if array.ndim == 1 and outside.any():
        position = int(np.flatnonzero(outside)[0])
        raise SourceError(
            f"{argument}: expected ids that {dtype} holds, got {array[position]} "
            f"at position {position} of {name}"
        )
    return array.astype(dtype)
