"""What is trained and how: a size for two processor cores, one for a GPU."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from ...arguments import integer
from ...errors import ArgumentError

_POSITIVE = ("learning_rate", "megabytes", "held_out_share")


@dataclass(frozen=True)
class Setup:
    """A model of the Qwen2.5 architecture, its tokenizer and its training.

    Attributes:
        vocab_size: of the tokenizer that is trained; a small corpus may fill less.
        width, layers, heads, key_value_heads, inner_width: of the model. Input and output
            embedding are two matrices.
        sequence_length, batch: tokens predicted a row, rows a step.
        steps: of AdamW, betas 0.9 and 0.95, weight decay 0.1 on matrices, gradients clipped at 1.
        learning_rate: its largest, after `warmup` steps; it falls to a tenth along a cosine.
        megabytes: of text that are taken, in millions of bytes.
        held_out_share: of the text, whole documents, that is not trained on.
        loss_rows: rows, of training and held-out text each, that a loss is the mean over.
        min_support: of the signatures' rows: rarer tokens are not compared.
        bfloat16: products of the training in 16 bits, on a CUDA device.
    """

    vocab_size: int = 2048
    width: int = 128
    layers: int = 2
    heads: int = 4
    key_value_heads: int = 2
    inner_width: int = 384
    sequence_length: int = 128
    batch: int = 16
    steps: int = 1500
    learning_rate: float = 2e-3
    warmup: int = 50
    megabytes: float = 32.0
    held_out_share: float = 0.05
    loss_rows: int = 32
    min_support: int = 20
    bfloat16: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _POSITIVE:
                if not 0 < value < float("inf"):
                    raise ArgumentError(f"{field.name}: expected above 0 and finite, got {value}")
            elif field.name != "bfloat16":
                integer(field.name, value, 0 if field.name in ("warmup", "min_support") else 1)
        if self.width % (2 * self.heads) or self.heads % self.key_value_heads:
            raise ArgumentError(
                "heads: expected an even width a head and a multiple of key_value_heads = "
                f"{self.key_value_heads}, got {self.heads} for width = {self.width}"
            )
        if self.held_out_share >= 1:
            raise ArgumentError(f"held_out_share: expected below 1, got {self.held_out_share}")


SETUPS = {
    "tiny": Setup(),
    "small": Setup(
        vocab_size=4096,
        width=512,
        layers=8,
        heads=8,
        inner_width=1536,
        sequence_length=512,
        batch=32,
        steps=5000,
        learning_rate=6e-4,
        warmup=200,
        megabytes=512.0,
        held_out_share=0.01,
        min_support=100,
        bfloat16=True,
    ),
}


def make_setup(size: str, **changes: Any) -> Setup:
    """One of `SETUPS`, with changes; those that are None leave it alone.

    Raises:
        ArgumentError: an unknown size, or a setup that cannot be.
    """
    if size not in SETUPS:
        raise ArgumentError(f"size: expected {' or '.join(SETUPS)}, got {size!r}")
    return replace(SETUPS[size], **{k: v for k, v in changes.items() if v is not None})
