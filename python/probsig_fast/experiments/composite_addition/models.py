"""The models f_i = W^U sigma(sum_x c_ix W^E_x), one a seed, trained side by side as one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ...errors import ArgumentError

#: sigma of every model; GELU is the exact one. float64 throughout: the gradients are compared with
#: predictions to more digits than float32 has, and the models are tiny.
MODELS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "linear": lambda h: h,
    "relu": torch.relu,
    "gelu": torch.nn.functional.gelu,
    "silu": torch.nn.functional.silu,
    "tanh": torch.tanh,
}


def check_model(model: Any) -> str:
    """Raises ArgumentError: unknown."""
    if model not in MODELS:
        raise ArgumentError(f"model: expected one of {', '.join(MODELS)}, got {model!r}")
    return str(model)


def initial_weights(
    vocab_size: int, n_labels: int, width: int, std: float, seeds: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """W^E [R, V, d] and W^U [R, Q, d], normal with this deviation, one of R = len(seeds) a seed.

    Each seed has its own generator on the CPU, so a model does not depend on which others are
    trained beside it, and torch's global state is left alone.
    """
    drawn = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        drawn.append(
            [
                torch.randn(rows, width, generator=generator, dtype=torch.float64) * std
                for rows in (vocab_size, n_labels)
            ]
        )
    W_E, W_U = (torch.stack(each).requires_grad_() for each in zip(*drawn, strict=True))
    return W_E, W_U


def losses(
    model: str, c: torch.Tensor, y: torch.Tensor, W_E: torch.Tensor, W_U: torch.Tensor
) -> torch.Tensor:
    """Mean cross-entropy of each model, [R]; c [N, V], y [N]. O(R N (V + Q) d)."""
    logits = MODELS[model](c @ W_E) @ W_U.transpose(1, 2)
    n_models, n_samples, n_labels = logits.shape
    every = torch.nn.functional.cross_entropy(
        logits.reshape(-1, n_labels), y.repeat(n_models), reduction="none"
    )
    return every.view(n_models, n_samples).mean(dim=1)
