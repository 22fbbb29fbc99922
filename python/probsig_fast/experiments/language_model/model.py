"""Qwen2.5's architecture from scratch, and what it is asked for."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ...errors import missing_extra
from .setup import Setup

#: Targets that no loss is taken of, as torch's cross-entropy calls them.
IGNORED = -100


def make_model(setup: Setup, vocab_size: int, end: int, seed: int) -> torch.nn.Module:
    """transformers' `Qwen2ForCausalLM` with random weights; W^E and W^U are two matrices.

    Torch's global random state is as before.

    Raises:
        MissingExtraError: transformers is not installed.
    """
    config_type, model_type = qwen2_classes()
    config = config_type(
        vocab_size=vocab_size,
        hidden_size=setup.width,
        intermediate_size=setup.inner_width,
        num_hidden_layers=setup.layers,
        num_attention_heads=setup.heads,
        num_key_value_heads=setup.key_value_heads,
        max_position_embeddings=setup.sequence_length,
        tie_word_embeddings=False,
        use_cache=False,
        bos_token_id=end,
        eos_token_id=end,
        attn_implementation="sdpa",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: torch.nn.Module = model_type(config)
    return model


def embeddings(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """W^E [V, d] and W^U [V, d], without gradients; no copies."""
    found = (model.get_input_embeddings().weight, model.get_output_embeddings().weight)
    return found[0].detach(), found[1].detach()


def loss_of(model: Any, rows: torch.Tensor, end: int) -> torch.Tensor:
    """Mean cross-entropy in nats of the next tokens of rows [B, L + 1].

    What follows an end token begins another document: no prediction of it is asked for, as no
    count has that pair.
    """
    inputs, targets = rows[:, :-1], rows[:, 1:]
    targets = targets.masked_fill(inputs == end, IGNORED)
    logits = model(input_ids=inputs).logits
    loss: torch.Tensor = torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED
    )
    return loss


def qwen2_classes() -> tuple[Any, Any]:
    """Of the configuration and the model. Raises MissingExtraError."""
    try:
        with _quiet_import():
            from transformers import Qwen2Config, Qwen2ForCausalLM
    except ImportError as error:
        raise missing_extra(
            "transformers", "experiments", "the language-model experiment"
        ) from error
    return Qwen2Config, Qwen2ForCausalLM


@contextmanager
def _quiet_import() -> Iterator[None]:
    """Transformers' import, without its warnings of what its dependencies will drop."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning, PendingDeprecationWarning):
            warnings.simplefilter("ignore", category)
        yield
