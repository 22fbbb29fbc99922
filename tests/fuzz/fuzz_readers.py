"""Damaged token files: an error of the package, or tokens and boundaries that hold together.

Another reader joins by a line in `_READERS`: how its files are written, and how they are opened.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_support import Draw, Finding, Fuzzer, check
from mutations import mutated
from reader_files import (
    VOCABULARY,
    Documents,
    Write,
    packed,
    unpacked,
    write_bin,
    write_dataset,
    write_datatrove,
    write_dolma,
    write_jsonl,
    write_jsonl_gz,
    write_jsonl_zst,
    write_megatron,
    write_npy,
    write_parquet,
    write_pythia,
    write_sidecar,
)

import probsig_fast as ps
from probsig_fast.errors import ProbsigError

#: What a small file may cost, whatever it says of itself.
MEMORY = 2**28
#: Libraries that reserve address space for their own allocators.
_RESERVED = 2**32
Open = Callable[[Path], Any]


@dataclass(frozen=True)
class Reader:
    """A format.

    Attributes:
        write: makes good files in a folder; gives what they hold.
        open: a source of the files in a folder.
        tail: bytes at the end of each file that are looked at first.
    """

    name: str
    write: Write
    open: Open
    tail: int = 0
    needs: tuple[str, ...] = ()

    def fuzzer(self) -> Fuzzer:
        memory = MEMORY + (_RESERVED if self.needs else 0)
        return Fuzzer(f"read-{self.name}", self.run, memory, self.needs)

    def run(self, draw: Draw, folder: Path) -> None:
        found = self.write(draw, folder)
        if draw.chance(0.1):
            self._check_good(folder, found)
            return
        paths = sorted(path for path in folder.iterdir())
        later = draw.chance(0.1)  # the files change between being opened and being read
        if not later:
            self._damage(draw, paths)
        try:
            source = self.open(folder)
            if later:
                self._damage(draw, paths)
            _check_whole(list(source.streams()))
            ps.count(source, vocab_size=VOCABULARY, backend="native_cpu", threads=1)
        except (ProbsigError, OSError):
            pass
        except Finding:
            raise
        except Exception as error:
            raise Finding(f"another error of {self.name}") from error

    def _check_good(self, folder: Path, found: Documents) -> None:
        got = [document for stream in self.open(folder).streams() for document in _cut(stream)]
        expected = [document for document in found if document]
        check(got == expected, f"{self.name}: expected {expected}, got {got}")

    def _damage(self, draw: Draw, paths: list[Path]) -> None:
        for _ in range(draw.one_of([1, 1, 1, 2])):
            path = draw.one_of(paths)
            if draw.chance(0.05):
                path.unlink(missing_ok=True)
                continue
            if not path.is_file():
                continue
            path.write_bytes(self._damaged(draw, path.suffix, path.read_bytes()))

    def _damaged(self, draw: Draw, suffix: str, content: bytes) -> bytes:
        if suffix in (".gz", ".zst") and draw.chance(0.5):
            return packed(suffix, mutated(draw, _inside(suffix, content)))
        if self.tail and draw.chance(0.6):
            split = max(len(content) - self.tail, 0)
            return content[:split] + mutated(draw, content[split:], self.tail)
        return mutated(draw, content, 60)


def _inside(suffix: str, content: bytes) -> bytes:
    try:
        return unpacked(suffix, content)
    except Exception:  # damaged before; the library's own errors
        return content


def _cut(stream: Any) -> list[list[int]]:
    """The documents of a stream that are not empty."""
    tokens = stream.raw(0, len(stream)).tolist() if len(stream) else []
    edges = [*stream.starts_within(0, len(stream)).tolist(), len(stream)]
    return [tokens[a:b] for a, b in pairwise(edges) if a < b]


def _check_whole(streams: list[Any]) -> None:
    """As many tokens as a stream says, and its boundaries among them."""
    for stream in streams:
        check(stream.raw(0, len(stream)).size == len(stream) if len(stream) else True, "size")
        starts = stream.starts_within(0, len(stream))
        inside = bool(((starts >= 0) & (starts < len(stream))).all())
        check(inside and bool((np.diff(starts) > 0).all()), "starts", starts)


@lru_cache(None)
def _tokenizer() -> Any:
    """Token i is the word wi."""
    import tokenizers

    words = {f"w{i}": i for i in range(VOCABULARY - 1)} | {"<unk>": VOCABULARY - 1}
    words["w49"] = words.pop("<unk>")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, "w49"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    return tokenizer


def _source(module: str, name: str, **arguments: Any) -> Any:
    return lambda path: getattr(importlib.import_module(f"probsig_fast.sources.{module}"), name)(
        path, **arguments
    )


def _text(suffix: str) -> Open:
    def opened(folder: Path) -> Any:
        make = _source("text", "TextSource", tokenizer=_tokenizer(), threads=1)
        return make(folder / f"X.jsonl{suffix}")

    return opened


def _file(name: str, make: Any) -> Open:
    return lambda folder: make(folder / name)


_PYTHIA = _source("pythia", "PythiaSource", row_tokens=5, batch_rows=2)
_TEXT, _ARROW = ("tokenizers",), ("pyarrow",)
_READERS = [
    Reader("bin", write_bin, lambda f: ps.sources.open_source(f / "X.bin", dtype="uint16")),
    Reader("sidecar", write_sidecar, lambda f: ps.sources.open_source(f / "X.bin")),
    Reader("npy", write_npy, lambda f: ps.sources.open_source(f / "X.npy")),
    Reader("megatron", write_megatron, _file("X.idx", _source("megatron", "MegatronSource"))),
    Reader("pythia", write_pythia, _PYTHIA),
    Reader("datatrove", write_datatrove, _file("X.ds", _source("datatrove", "DatatroveSource"))),
    Reader("dolma", write_dolma, _file("X.npy", _source("dolma", "DolmaSource"))),
    Reader("jsonl", write_jsonl, _text(""), needs=_TEXT),
    Reader("jsonl-gz", write_jsonl_gz, _text(".gz"), needs=_TEXT),
    Reader("jsonl-zst", write_jsonl_zst, _text(".zst"), needs=(*_TEXT, "zstandard")),
    Reader(
        *("parquet", write_parquet, _file("X.parquet", _source("parquet", "ParquetSource"))),
        tail=600,
        needs=_ARROW,
    ),
    Reader("dataset", write_dataset, _source("hugging_face", "HuggingFaceSource"), needs=_ARROW),
]
READERS = [reader.fuzzer() for reader in _READERS]
