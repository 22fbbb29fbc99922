"""The experiment from text to answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...arguments import integer
from ...errors import ArgumentError
from ...progress import progress_bar
from .corpus import Corpus, Texts, library_texts, make_corpus
from .measure import Side, make_sides
from .model import embeddings, make_model, qwen2_classes
from .results import LanguageModelRun
from .setup import SETUPS, Setup
from .training import checkpoint_steps, train_model
from .verdict import LEAST_DIGIT_RISE, LEAST_RISE, Verdict, judge

#: Told of each checkpoint: the step, W^E and W^U.
Keep = Callable[[int, torch.Tensor, torch.Tensor], object]

_JUDGED = {
    "R_cos, raw": ("r_raw", LEAST_RISE),
    "R_cos, centred": ("r_centred", LEAST_RISE),
    "top 0.1 % of pairs": ("top_0_1_percent", LEAST_RISE),
    "digits": ("digits", LEAST_DIGIT_RISE),
}


def reproduce(
    texts: Texts | None = None,
    setup: Setup | None = None,
    *,
    seed: int = 0,
    tokenizer: str | Path | None = None,
    end: str | None = None,
    draws: int = 20,
    device: torch.device | str | None = None,
    threads: int | None = None,
    backend: str | None = None,
    keep: Keep | None = None,
    progress: bool | None = None,
) -> LanguageModelRun:
    """Train a Qwen2.5-like model from scratch and see how its embeddings come to follow the counts
    of the very tokens that it is trained on.

    Documents are joined to one stream, each closed by an end token, and the stream is cut into rows
    that overlap by one token. So each pair of adjacent tokens of a document is predicted once a
    pass, as it is counted once; the pair of an end token and what follows it is neither. A row may
    begin within a document and hold parts of several: attention is to the row, whatever documents
    it holds. Rows that the training would not reach are not counted either.

    Args:
        texts: `pile_texts(...)`, or `Texts` of your own; None takes the source of the Python
            standard library.
        setup: None is `SETUPS["tiny"]`: some minutes on two processor cores.
        seed: of the order of documents and rows, of the weights and of the permutations.
        tokenizer, end: as in `make_corpus`.
        draws: permutations behind each null, after the last step; 0: no nulls.
        device: of the training; None is CUDA where there is one, else the CPU.
        threads: of the counts and the alignment; and of torch, None leaving its number alone.
        backend: of the counts.
        keep: called at each checkpoint with the step, W^E and W^U.
        progress: a progress bar on standard error; None shows one if that is a terminal.

    Returns:
        `LanguageModelRun`. On the CPU the same arguments give the same result on the same machine,
        number of threads and versions; torch's global random state is not touched.

    Raises:
        MissingExtraError: transformers or tokenizers is not installed.
        ArgumentError: too little text; a device that is not there; `min_support` too high.

    Cost: O(steps batch sequence_length (parameters)), and at each of some thirty checkpoints about
    that of `cosine_correlation`, five times over.
    """
    setup = SETUPS["tiny"] if setup is None else setup
    seed, draws = integer("seed", seed, 0, 2**63 - 1), integer("draws", draws, 0)
    place = _device(device)
    qwen2_classes()  # what is missing is told before the work
    started = time.perf_counter()
    texts = library_texts(setup.megabytes) if texts is None else texts
    corpus = make_corpus(texts, setup, seed, tokenizer, end)
    counts = corpus.count(backend, threads)
    sides = make_sides(counts, setup.min_support, threads)
    model: Any = make_model(setup, corpus.vocab_size, corpus.end, seed).to(place)
    with _torch_threads(threads):
        steps, log = _trained(model, corpus, setup, seed, place, sides, keep, progress)
        W_E, W_U = (each.cpu() for each in embeddings(model))
        notes = {
            name: side.describe(W, draws, seed)
            for (name, side), W in zip(sides.items(), (W_E, W_U), strict=True)
        }
    return LanguageModelRun(
        setup,
        seed,
        str(place),
        corpus.notes,
        setup.steps * setup.batch * setup.sequence_length / (corpus.tokens.size - 1),
        steps,
        log,
        notes,
        _verdicts(sides, steps, log),
        W_E.numpy(),
        W_U.numpy(),
        counts,
        corpus.tokenizer,
        time.perf_counter() - started,
    )


def _trained(
    model: Any,
    corpus: Corpus,
    setup: Setup,
    seed: int,
    device: torch.device,
    sides: Mapping[str, Side],
    keep: Keep | None,
    progress: bool | None,
) -> tuple[Any, dict[str, Any]]:
    """Steps [T] and the log, [T] by name."""
    measured: list[dict[str, float]] = []

    def look(step: int, loss: float, held_out_loss: float) -> None:
        figures = {"loss": loss, "held_out_loss": held_out_loss}
        matrices = embeddings(model)
        for (name, side), W in zip(sides.items(), matrices, strict=True):
            for key, value in side.measure(W).items():
                figures[f"{name}_{key}"] = value
        measured.append(figures)
        if keep is not None:
            keep(step, *matrices)

    with progress_bar(setup.steps, "step", progress, "language model", scaled=False) as advance:
        train_model(model, corpus, setup, seed, device, look, advance)
    log = {name: np.array([each[name] for each in measured]) for name in measured[0]}
    return np.array(checkpoint_steps(setup.steps), np.int64), log


def _verdicts(sides: Mapping[str, Side], steps: Any, log: Mapping[str, Any]) -> tuple[Verdict, ...]:
    return tuple(
        judge(f"{side.matrix}, {side.signature.name}: {told}", steps, log[f"{name}_{key}"], least)
        for name, side in sides.items()
        for told, (key, least) in _JUDGED.items()
    )


def _device(device: torch.device | str | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ArgumentError(f"device: expected a torch device, got {device!r}") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ArgumentError(f"device: expected one that is there, got {device!r}: no CUDA here")
    return place


@contextmanager
def _torch_threads(threads: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(before if threads is None else threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
