"""Streams counted in many ways: every backend, chunk size and number of threads agree exactly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_support import Draw, Finding, Fuzzer, check
from numpy.typing import NDArray
from oracle import ARRAYS, check_counts
from stream_cases import SIGNED, UNSIGNED, Case

import probsig_fast as ps
from probsig_fast.errors import ProbsigError
from probsig_fast.kernels import registry

#: On both sides of what fits 8, 16 and 20 bits.
VOCABULARIES = (1, 2, 3, 7, 50, 255, 256, 257, 2_000, 65_535, 65_536, 65_537, 300_000)
#: The 64-bit pairs of the C++ kernel begin here; such counts take half a GB, and so come rarely.
WIDE, WIDE_SHARE = 2**24 + 3, 1 / 400
#: Tokens times reach that the slow, but obvious ways are given.
_ORACLE, _REFERENCE = 3_000, 2 * 10**6


def backends() -> list[str]:
    """Those that are here, or those of them that PROBSIG_FUZZ_BACKENDS names; the slow one last."""
    known = {each.name: each for each in registry.BACKENDS if each.name != "native_cuda"}
    named = os.environ.get("PROBSIG_FUZZ_BACKENDS")
    return [name for name in (named.split(",") if named else known) if not known[name].missing()]


@dataclass
class StreamCase(Case):
    """A case that may lie in files."""

    reading: dict[str, Any] = field(default_factory=dict)
    joined: bool = False

    def count(self, **arguments: Any) -> ps.Counts:
        return super().count(**self.reading, **arguments)

    def __repr__(self) -> str:
        lengths = [len(document) for document in self.documents[:9]]
        return (
            f"{self.relation}, vocab_size {self.vocab_size}, {self.rules}, focus {self.focus}, "
            f"{type(self.tokens).__name__}, {self.reading}, documents {lengths}..."
        )


def run_streams(draw: Draw, folder: Path) -> None:
    case = make(draw, folder)
    reach = getattr(case.relation, "size", getattr(case.relation, "length", 1))
    ways = list(_ways(draw, case, reach))
    first = _outcome(case, ways[0])
    for way in ways[1:]:
        _check_same(case, ways[0], first, way, _outcome(case, way))
    if isinstance(first, str):
        return
    if case.size * reach <= _ORACLE and case.vocab_size <= 2_000:
        check_counts(first, case.expected())
    _check_parts(draw, case, first)


def _ways(draw: Draw, case: Case, reach: int) -> Iterator[dict[str, Any]]:
    for backend in backends():
        if backend == "reference" and case.size * reach > _REFERENCE:
            continue
        yield {"backend": backend, "threads": 1}
        if case.vocab_size >= WIDE:
            continue
        for _ in range(1 if backend == "reference" else 2):
            least = max(1, case.size // 40)  # a chunk takes O(vocabulary)
            chunk = draw.one_of([least, draw.between(least, case.size + 2), case.size + 1])
            yield {"backend": backend, "threads": draw.between(1, 4), "chunk_tokens": chunk}


def _outcome(case: Case, way: dict[str, Any]) -> ps.Counts | str:
    """The counts, or the package's error."""
    try:
        return case.count(**way)
    except ProbsigError as error:
        return f"{type(error).__name__}: {error}"
    except Exception as error:
        raise Finding(f"{way}, {case!r}") from error


def _check_same(case: Case, first: Any, one: Any, second: Any, other: Any) -> None:
    told = (first, second, repr(case))
    if isinstance(one, str) or isinstance(other, str):
        check(isinstance(one, str) and one == other, *told, one, other)
        return
    check(one == other, "other counts:", *told)
    names = [*ARRAYS, "n_in", "n_out"]
    for name in names:
        a, b = getattr(one, name), getattr(other, name)
        check(a.dtype == b.dtype and a.tobytes() == b.tobytes(), f"another {name}:", *told)
    for name in ("n_sequences", "n_tokens", "n_samples", "focus", "weight_scale"):
        check(getattr(one, name) == getattr(other, name), f"another {name}:", *told)


def _check_parts(draw: Draw, case: StreamCase, whole: ps.Counts) -> None:
    """Counts of two halves of the sequences add up to the whole, either way round."""
    if case.joined or case.vocab_size >= WIDE or len(case.documents) < 2:
        return
    at = draw.between(1, len(case.documents) - 1)
    halves = []
    for documents in (case.documents[:at], case.documents[at:]):
        sequences = [np.array(document, np.int64) for document in documents]
        half = Case(
            sequences, documents, case.vocab_size, case.relation, case.rules, None, case.focus
        )
        halves.append(half.count(backend=draw.one_of(backends()[:2])))
    one, other = halves
    check(one + other == whole and other + one == whole, "halves, cut at", at, repr(case))


def make(draw: Draw, folder: Path) -> StreamCase:
    """A stream, rows, offsets, files or sequences."""
    vocab_size = WIDE if draw.chance(WIDE_SHARE) else draw.one_of(VOCABULARIES)
    relation = ps.Next() if vocab_size == WIDE else _relation(draw)
    ignored = sorted(set(draw.some_of([-100, -1, 0, vocab_size - 1, vocab_size, 40_000], 2)))
    eos = draw.one_of([None, 0, vocab_size - 1, draw.below(vocab_size)])
    rules = {
        "eos": eos,
        "count_eos": eos is None or draw.chance(0.5),
        "ignore_ids": ignored,
        "sequence_length": draw.one_of([None, None, 1, 2, draw.between(1, 500)]),
    }
    size = draw.size(_most_tokens(relation, vocab_size))
    tokens = tokens_of(draw, vocab_size, size)
    special = [*ignored, *([eos] if eos is not None else [])]
    if special and size:
        places = draw.rng.integers(size, size=draw.size(size // 2))
        tokens[places] = draw.rng.choice(special, places.size)
    if draw.chance(0.03) and size:  # no token: every way tells the same place
        tokens[draw.below(size)] = draw.one_of([-1, vocab_size, 2**31 - 1])
    focus = None
    if isinstance(relation, ps.Prefix) and relation.length < 50 and size < 2_000:
        focus = draw.one_of([None, None, [draw.below(min(vocab_size, 50))], [0, vocab_size - 1]])
    case = _laid_out(draw, tokens, folder)
    return StreamCase(
        case.tokens,
        case.documents,
        vocab_size,
        relation,
        rules,
        case.offsets,
        focus,
        case.reading,
        case.joined,
    )


def _most_tokens(relation: Any, vocab_size: int) -> int:
    if vocab_size >= 65_535:
        return 4_000
    if isinstance(relation, ps.SameSequence):
        return 6_000
    return 20_000 if getattr(relation, "size", getattr(relation, "length", 1)) < 40 else 4_000


def _relation(draw: Draw) -> Any:
    kind = draw.one_of(["next", "window", "weights", "harmonic", "prefix", "sets"])
    direction = draw.one_of(["forward", "backward", "symmetric"])
    if kind == "next":
        return ps.Next()
    if kind == "sets":
        return ps.SameSequence()
    if kind == "prefix":
        return ps.Prefix(draw.one_of([1, 2, 7, 30, 500, 2**20]))
    if kind == "harmonic":
        return ps.Window(draw.between(1, 22), "harmonic", direction)
    if kind == "window":
        return ps.Window(draw.one_of([1, 2, 5, 12, 64, 700]), "uniform", direction)
    weights = draw.some_of([0, 0, 1, 2, 65_536, 2**31 - 1], 12)
    weights.append(draw.one_of([1, 2**31 - 1]))
    return ps.Window(len(weights), weights, direction)


def tokens_of(draw: Draw, vocab_size: int, size: int) -> NDArray[np.int64]:
    """Skewed, flat, constant, in runs, alternating, rising, or at the vocabulary's edges only."""
    kind = draw.one_of(["zipf", "flat", "one", "runs", "two", "rising", "edges", "few"])
    if kind == "zipf":
        found = draw.rng.zipf(draw.one_of([1.05, 1.3, 2.0]), size) - 1
        return np.minimum(found, vocab_size - 1).astype(np.int64)
    if kind == "one":
        return np.full(size, draw.below(vocab_size), np.int64)
    if kind == "runs":
        lengths = draw.integers(1, max(size // 5, 1), size // 2 + 1)
        ids = draw.integers(0, vocab_size - 1, lengths.size)
        return np.resize(np.repeat(ids, lengths), size)
    if kind == "two":
        return np.resize(draw.integers(0, vocab_size - 1, 2), size).astype(np.int64)
    if kind == "rising":
        return np.arange(size, dtype=np.int64) % vocab_size
    if kind == "edges":
        return np.where(draw.rng.random(size) < 0.5, 0, vocab_size - 1).astype(np.int64)
    return draw.integers(0, min(vocab_size, 9 if kind == "few" else vocab_size) - 1, size)


def _laid_out(draw: Draw, tokens: NDArray[np.int64], folder: Path) -> Any:
    low, high = (int(tokens.min()), int(tokens.max())) if tokens.size else (0, 0)
    types = [
        each
        for each in (*SIGNED, *UNSIGNED)
        if np.iinfo(each).min <= low and high <= np.iinfo(each).max
    ]
    dtype = draw.one_of(types)
    layout = draw.one_of(["stream", "offsets", "rows", "sequences", "files", "files"])
    case = StreamCase(None, [], 1, ps.Next(), {})
    if layout == "rows":
        width = draw.between(1, 60)
        tokens = tokens[: tokens.size // width * width]
        case.tokens = _in_memory(draw, tokens.astype(dtype).reshape(-1, width))
        case.documents = case.tokens.tolist()
        return case
    if layout == "stream":
        case.tokens, case.documents = _in_memory(draw, tokens.astype(dtype)), [tokens.tolist()]
        return case
    edges = np.sort(draw.integers(0, tokens.size, draw.size(200)))  # some documents are empty
    case.offsets = [0, *edges.tolist(), tokens.size]
    pieces = np.split(tokens, edges)
    case.documents = [piece.tolist() for piece in pieces]
    if layout == "offsets":
        case.tokens = tokens.astype(dtype)
        return case
    case.offsets = None
    if layout == "sequences":
        case.tokens = [piece.astype(draw.one_of(types)) for piece in pieces]
        return case
    return _in_files(draw, case, pieces, dtype, folder)


def _in_memory(draw: Draw, tokens: NDArray[Any]) -> NDArray[Any]:
    """The same, in memory that is not aligned, not contiguous, or of the other byte order."""
    kind = draw.below(6)
    if kind == 0:
        shifted = np.frombuffer(b"\0" + tokens.tobytes(), tokens.dtype, tokens.size, 1)
        return shifted.reshape(tokens.shape)
    if kind == 1:
        return np.repeat(tokens, 2, axis=-1)[..., ::2]
    if kind == 2:
        return tokens.astype(tokens.dtype.newbyteorder())
    if kind == 3:
        return np.asfortranarray(tokens)
    return tokens


def _in_files(
    draw: Draw, case: StreamCase, pieces: list[NDArray[np.int64]], dtype: str, folder: Path
) -> StreamCase:
    """A file for each document; joined, they are one document."""
    pieces = pieces[:20]
    case.documents = [piece.tolist() for piece in pieces]
    little = np.dtype(dtype).newbyteorder("<")
    paths = []
    for index, piece in enumerate(pieces):
        path = folder / f"{index:04}.{draw.one_of(['bin', 'npy'])}"
        if path.suffix == ".bin":
            path.write_bytes(piece.astype(little).tobytes())
        else:
            np.save(path, piece.astype(dtype))
        paths.append(path)
    case.tokens, case.reading = paths, {"dtype": dtype}
    if draw.chance(0.4):
        case.joined, case.reading["join_files"] = True, True
        case.documents = [[token for document in case.documents for token in document]]
    return case


STREAMS = Fuzzer("streams", run_streams, weight=4)
