"""Adapters for programs that are not Python: GloVe's `cooccur` and KenLM's counters. They are given
the tokens as a text of ids; writing it is not timed, what they write is.

`cooccur` counts with `-symmetric 0 -distance-weighting 0`, which is `Window` forward, uniform: its
sums of ones are exact. KenLM's `count_ngrams` writes all pairs; `lmplz` writes none, so it is timed
until it says that its first step, counting, is done, and only the number of tokens is compared.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..budget import available
from ..errors import ArgumentError
from .contender import Answer, Contender, Job, answer_of_keys

#: Neither program is given more memory than it needs.
_MEMORY = 4 * 2**30
_GLOVE = np.dtype([("first", "<i4"), ("second", "<i4"), ("count", "<f8")])
_KENLM = np.dtype([("first", "<u4"), ("second", "<u4"), ("count", "<u8")])
_COUNTED = "=== 2/"


class Files(NamedTuple):
    """Where a program reads and writes.

    Attributes:
        words: the ids in the order of the vocabulary that it is given.
    """

    text: Path
    vocabulary: Path
    scratch: Path
    words: NDArray[np.int64]


def outside_peers(cooccur: Path | None, kenlm: Path | None) -> tuple[Contender, ...]:
    """Those whose program is named; the others say that it is not.

    Raises:
        ArgumentError: a path that names no program.
    """
    glove = _program("cooccur", cooccur)
    counter = _program("kenlm", kenlm)
    only_counts = kenlm is None or "lmplz" not in kenlm.name
    return (
        Contender(
            "GloVe cooccur",
            ("window",),
            lambda job, files: _cooccur(str(glove), job, files),
            _of_cooccur,
            prepare=lambda job: _files(job, "glove", lines=True),
            reason=None if glove else "--cooccur PATH names the program",
            most=50_000_000,
            is_outside=True,
        ),
        Contender(
            "KenLM count_ngrams" if only_counts else "KenLM lmplz, its first step",
            ("next",),
            lambda job, files: (_count_ngrams if only_counts else _lmplz)(str(counter), job, files),
            _of_count_ngrams if only_counts else lambda job, tokens: Answer(tokens - 1),
            prepare=lambda job: _files(job, "kenlm", lines=False),
            threads=None,
            reason=None if counter else "--kenlm PATH names the program",
            most=20_000_000,
            is_outside=True,
        ),
    )


def _program(argument: str, path: Path | None) -> str | None:
    if path is None:
        return None
    found = shutil.which(path) or shutil.which(path, path=os.curdir)
    if found is None:
        raise ArgumentError(f"{argument}: expected a program that can be run, got {str(path)!r}")
    return os.path.abspath(found)


def _files(job: Job, name: str, lines: bool) -> Files:
    """The ids as text, a line a sequence where `lines` asks for it, and the vocabulary: ids and how
    often they are there, most frequent first."""
    stem = f"{name}-{job.task.name}-{job.tokens.size}"
    text, vocabulary, scratch = (job.folder / f"{stem}.{each}" for each in ("txt", "vocab", "tmp"))
    end = job.corpus.eos if lines else None
    words = [
        f"{token}\n" if token == end else f"{token} " for token in range(job.corpus.vocab_size)
    ]
    with text.open("w") as file:
        for begin in range(0, job.tokens.size, 2**20):
            part = job.tokens[begin : begin + 2**20].tolist()
            file.write("".join(map(words.__getitem__, part)))
        file.write("\n")
    counts = np.bincount(job.tokens)
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    vocabulary.write_text("".join(f"{token} {counts[token]}\n" for token in order))
    return Files(text, vocabulary, scratch, order)


def _records(command: list[str], files: Files, dtype: np.dtype[Any]) -> NDArray[Any]:
    """What the program writes to its standard output.

    Raises:
        OSError: it failed; with the last that it said.
    """
    output = files.scratch.with_suffix(".out")
    with files.text.open("rb") as text, output.open("wb") as written:
        run = subprocess.run(command, stdin=text, stdout=written, stderr=subprocess.PIPE)
    if run.returncode != 0:
        said = run.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise OSError(f"{command[0]} ended with {run.returncode}: {' '.join(said)}")
    return np.fromfile(output, dtype)


def _cooccur(program: str, job: Job, files: Files) -> tuple[NDArray[Any], Files]:
    command = [program, "-verbose", "0", "-symmetric", "0", "-distance-weighting", "0"]
    command += ["-window-size", str(job.task.reach)]
    command += ["-vocab-file", str(files.vocabulary), "-overflow-file", str(files.scratch)]
    command += ["-memory", f"{_memory() / 2**30:.2f}"]
    return _records(command, files, _GLOVE), files


def _of_cooccur(job: Job, result: tuple[NDArray[Any], Files]) -> Answer:
    records, files = result
    # Words are numbered from 1.
    return _of_records(
        job, records, files.words[records["first"] - 1], files.words[records["second"] - 1]
    )


def _count_ngrams(program: str, job: Job, files: Files) -> tuple[NDArray[Any], NDArray[Any]]:
    """The records, and the id of each of its words; -1: its own marks of a line's ends."""
    made = files.scratch.with_suffix(".words")
    command = [program, "--order", "2", "--memory", f"{_memory() // 2**20}M"]
    command += ["--temp_prefix", str(files.scratch), "--write_vocab_list", str(made)]
    records = _records(command, files, _KENLM)
    words = made.read_bytes().split(b"\0")[:-1]
    return records, np.array([int(word) if word.isdigit() else -1 for word in words])


def _of_count_ngrams(job: Job, result: tuple[NDArray[Any], NDArray[Any]]) -> Answer:
    records, words = result
    first, second = words[records["first"]], words[records["second"]]
    real = (first >= 0) & (second >= 0)
    return _of_records(job, records[real], first[real], second[real])


def _of_records(
    job: Job, records: NDArray[Any], first: NDArray[np.int64], second: NDArray[np.int64]
) -> Answer:
    size = job.corpus.vocab_size
    counts = np.rint(records["count"]).astype(np.int64)
    return answer_of_keys(first * size + second, counts, size, size)


def _lmplz(program: str, job: Job, files: Files) -> int:
    """How many tokens it counted.

    Raises:
        OSError: it ended before it had counted.
    """
    command = [program, "--order", "2", "--discount_fallback", "--text", str(files.text)]
    command += ["--arpa", os.devnull, "--memory", f"{_memory() // 2**20}M"]
    command += ["--temp_prefix", str(files.scratch)]
    return _until_counted(command)


def _until_counted(command: list[str]) -> int:
    said, tokens = "", None
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stderr is not None
        for line in process.stderr:
            said = line.strip() or said
            if said.startswith("Unigram tokens"):
                tokens = int(said.split()[2])
            if said.startswith(_COUNTED):
                break
        process.kill()
    if tokens is None:
        raise OSError(f"{command[0]} ended before it had counted: {said}")
    return tokens


def _memory() -> int:
    return min(_MEMORY, available() // 2)
