"""The demo from beginning to end."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..counting import count
from ..counts import Counts
from ..errors import ArgumentError, MissingExtraError
from ..files import atomic_write
from ..kernels.registry import choose
from ..pool import thread_count
from ..relations import Next, Relation, Window
from ..signature import Signature
from ..sources.stdlib_text import read_texts, source_files, stdlib_folder
from ..version import __version__
from . import show
from .lexer import EOS, Vocabulary, tokenise

#: A folder with this file is an earlier demo's, which a new one may replace.
_VOCABULARY = "tokens.json"
_TOKENS = "tokens.u16.bin"
_PICTURE = "signature_cosines.png"
_WINDOW = Window(5, direction="symmetric")


def run_demo(
    folder: Path,
    max_mb: float = 32.0,
    vocab_size: int = 16_384,
    backend: str | None = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> None:
    """Tokenise the standard library's source, count it, print what comes out, write the files.

    Args:
        folder: where files go; made if it is missing.
        max_mb: the most text to take, in millions of bytes.
        progress: progress bars on standard error; None shows them on a terminal.

    Raises:
        ArgumentError: a folder that holds other things; no text to take.
        SourceNotFoundError: no standard library source on this machine.
    """
    _check_folder(folder)
    if not max_mb > 0:
        raise ArgumentError(f"max_mb: expected above 0, got {max_mb}")
    # Their faults are better told before the work than after.
    choose(backend)
    thread_count(threads)
    print(f"probsig_fast {__version__}: the source of the Python standard library, counted\n")
    vocabulary, n_tokens = _write_tokens(folder, max_mb, vocab_size, progress)

    def counted(name: str, relation: Relation) -> Counts:
        # Numba compiles at its first call, which is not counting.
        count(np.array([1, 2], np.uint16), relation, vocab_size=3, backend=backend)
        counts = count(
            folder / _TOKENS,
            relation,
            vocab_size=len(vocabulary.strings),
            eos=EOS,
            dtype="uint16",
            backend=backend,
            threads=threads,
            progress=progress,
        ).with_tokens(vocabulary.strings)
        counts.save(folder / name)
        _print_speed(counts)
        return counts

    pairs = counted("next.safetensors", Next())
    window = counted("window.safetensors", _WINDOW)
    _show(folder, pairs, window, n_tokens)
    _suggest(folder, len(vocabulary.strings))


def _write_tokens(
    folder: Path, max_mb: float, vocab_size: int, progress: bool | None
) -> tuple[Vocabulary, int]:
    started = time.perf_counter()
    library = stdlib_folder()
    files = source_files(library, max_mb * 1e6)
    tokens, vocabulary = tokenise(read_texts(_with_bar(files, progress)), vocab_size)
    seconds = time.perf_counter() - started
    folder.mkdir(exist_ok=True)
    _write(folder / _TOKENS, tokens.astype("<u2").tobytes())
    strings = json.dumps(vocabulary.strings, ensure_ascii=False, indent=0)
    _write(folder / _VOCABULARY, strings.encode("utf-8", "surrogatepass"))
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    print(f"text      {len(files):,} files, {megabytes:.1f} MB, from {library}")
    print(
        f"tokens    {tokens.size:,} in a vocabulary of {len(vocabulary.strings):,}, "
        f"tokenised in {seconds:.1f} s"
    )
    return vocabulary, tokens.size


def _print_speed(counts: Counts) -> None:
    told = counts.provenance
    seconds = max(told["seconds"], 1e-3)
    relation = "Next()" if isinstance(counts.relation, Next) else "Window(5, symmetric)"
    print(
        f"counted   {relation:<21}{told['backend']}, threads: {told['threads']}, {seconds:.2f} s, "
        f"{counts.n_tokens / seconds / 1e6:.1f} M tokens/s, {counts.nnz:,} distinct pairs"
    )


def _show(folder: Path, pairs: Counts, window: Counts, n_tokens: int) -> None:
    # Signatures of rare tokens are noise; 20 keeps the smallest demo readable.
    support = max(20, n_tokens // 20_000)
    phi, psi = pairs.phi_next(support), pairs.psi_pre(support)
    alone, known = show.bits_of_next_token(pairs, pairs.phi_next())
    print("\nWhat comes after a token and what before it: phi_next and psi_pre")
    print("  ('\\n'+8 is a line break and the 8 spaces that begin the next line)")
    show.show_neighbours(pairs)
    print(
        f"\nEntropy of the next token: {alone:.2f} bits by frequency alone, "
        f"{known:.2f} bits given the token before it."
    )
    print("\nNearest tokens by cosine of phi_next: followed by the same tokens")
    show.show_nearest(phi, show.NEAREST_BY_NEXT)
    print("\nNearest tokens by cosine of psi_pre: preceded by the same tokens")
    show.show_nearest(psi, show.NEAREST_BY_PREVIOUS)
    print("\nNearest tokens by cosine of the window's rows: in the same company, 5 tokens around")
    show.show_nearest(window.row_conditional(support * _WINDOW.size), show.NEAREST_BY_WINDOW)
    groups = show.groups_present([phi, psi])
    if groups:
        print("\nMean cosine of signatures within a group of tokens, and with the other groups")
        show.show_groups({"phi_next": phi, "psi_pre": psi}, groups)
        _draw(folder / _PICTURE, [phi, psi], groups)


def _draw(path: Path, signatures: list[Signature], groups: dict[str, list[int]]) -> None:
    from ..plots import signature_heatmap

    try:
        signature_heatmap(signatures, groups, path)
        print(f"\nThose cosines, token by token: {path}")
    except MissingExtraError:
        print(
            "\npip install 'probsig-fast[plot]' makes the demo draw those cosines, token by token."
        )


def _suggest(folder: Path, vocab_size: int) -> None:
    def at(name: str) -> str:
        return shlex.quote(str(folder / name))

    strings = f"--tokenizer {at(_VOCABULARY)}"
    print(f"\nWritten to {folder}: {_TOKENS}, {_VOCABULARY}, next and window.safetensors. Try:")
    print(f"  probsig top {at('next.safetensors')} self {strings}")
    print(f"  probsig top {at('window.safetensors')} ' ValueError' {strings}")
    print(
        f"  probsig count {at(_TOKENS)} --dtype uint16 --vocab-size {vocab_size} --eos {EOS} "
        f"--relation window --size 10 --weighting harmonic --out {at('harmonic.safetensors')}"
    )


def _check_folder(folder: Path) -> None:
    if not folder.parent.is_dir() or (folder.exists() and not folder.is_dir()):
        raise ArgumentError(f"--out: expected a folder in an existing one, got {str(folder)!r}")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _VOCABULARY).is_file():
        raise ArgumentError(
            f"--out: expected a new folder, an empty one or an earlier demo's, got {str(folder)!r}"
        )


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)


def _with_bar(files: list[Path], progress: bool | None) -> Iterable[Path]:
    """`files`, with a bar that advances as they are read."""
    from tqdm import tqdm

    shown = sys.stderr.isatty() if progress is None else progress
    bar: Iterable[Path] = tqdm(files, desc="reading", unit="file", disable=not shown)
    return bar
