"""The training, with a look at the model at each checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .corpus import Corpus
from .model import loss_of
from .setup import Setup

#: Checkpoints that lie evenly over the training, besides those at powers of 2.
_EVEN = 20


def checkpoint_steps(steps: int, even: int = _EVEN) -> tuple[int, ...]:
    """0, 1, 2, 4, 8, ... until the even ones are as close; then those, and the last."""
    gap = max(1, math.ceil(steps / even))
    powers = {2**k for k in range(steps.bit_length()) if 2**k <= min(gap, steps)}
    return tuple(sorted({0, *powers, *range(gap, steps, gap), steps}))


def train_model(
    model: Any,
    corpus: Corpus,
    setup: Setup,
    seed: int,
    device: torch.device,
    look: Callable[[int, float, float], None],
    advance: Callable[[int], object],
) -> None:
    """AdamW on the corpus's rows, each seen as often as any other (but for one time less).

    Args:
        look: told of each of `checkpoint_steps`, its training loss and its held-out loss.
        advance: told of each step.
    """
    length = setup.sequence_length
    rows = torch.from_numpy(rows_of(corpus.tokens, length)).to(device)
    held_out = torch.from_numpy(rows_of(corpus.held_out, length)).to(device)
    looked_at = [_spread(part, setup.loss_rows) for part in (rows, held_out)]
    optimiser = _optimiser(model, setup)
    order = _order(len(rows), seed)
    wanted = set(checkpoint_steps(setup.steps))
    for step in range(setup.steps + 1):
        if step in wanted:
            losses = (_mean_loss(model, part, corpus.end, setup) for part in looked_at)
            look(step, *losses)
        if step == setup.steps:
            break
        batch = rows[torch.tensor([next(order) for _ in range(setup.batch)], device=device)]
        _step(model, optimiser, batch, corpus.end, step, setup)
        advance(1)


def rows_of(tokens: NDArray[Any], length: int) -> NDArray[np.int64]:
    """[R, length + 1], each row beginning with the token that the row before ends with, so that
    every adjacent pair lies in one row. What fills no row is left out; of fewer tokens than a row
    they are the one row."""
    length = min(length, tokens.size - 1)
    starts = np.arange((tokens.size - 1) // length) * length if length else np.zeros(0, np.int64)
    rows: NDArray[np.int64] = tokens[starts[:, None] + np.arange(length + 1)].astype(np.int64)
    return rows


def _spread(rows: torch.Tensor, wanted: int) -> torch.Tensor:
    """So many of these rows at equal distances: neighbours are of one document."""
    return rows[torch.linspace(0, len(rows) - 1, min(wanted, len(rows))).long()]


def _order(rows: int, seed: int) -> Iterator[int]:
    """Row numbers without end: all of them in a random order, then in another."""
    random = np.random.default_rng([seed, 1])
    while True:
        yield from random.permutation(rows).tolist()


def _optimiser(model: Any, setup: Setup) -> torch.optim.Optimizer:
    matrices = [each for each in model.parameters() if each.ndim > 1]
    others = [each for each in model.parameters() if each.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=setup.learning_rate, betas=(0.9, 0.95))


def learning_rate(step: int, setup: Setup) -> float:
    """Rising over `warmup` steps, then down to a tenth along half a cosine."""
    if step < setup.warmup:
        return setup.learning_rate * (step + 1) / setup.warmup
    share = (step - setup.warmup) / max(1, setup.steps - setup.warmup)
    return setup.learning_rate * (0.55 + 0.45 * math.cos(math.pi * min(1.0, share)))


def _step(
    model: Any,
    optimiser: torch.optim.Optimizer,
    batch: torch.Tensor,
    end: int,
    step: int,
    setup: Setup,
) -> None:
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(step, setup)
    model.train()
    optimiser.zero_grad()
    with _precision(batch.device, setup):
        loss = loss_of(model, batch, end)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()


@torch.no_grad()
def _mean_loss(model: Any, rows: torch.Tensor, end: int, setup: Setup) -> float:
    """NaN for no rows."""
    if not len(rows):
        return float("nan")
    model.eval()
    total = predicted = 0.0
    for part in torch.split(rows, setup.batch):
        asked = int((part[:, :-1] != end).sum())
        if asked:
            with _precision(rows.device, setup):
                total += float(loss_of(model, part, end)) * asked
            predicted += asked
    return total / predicted if predicted else float("nan")


def _precision(device: torch.device, setup: Setup) -> AbstractContextManager[Any]:
    if setup.bfloat16 and device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()
