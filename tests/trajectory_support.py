"""A small training to track: counts, and models written as checkpoints of several forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import probsig_fast as ps

torch = pytest.importorskip("torch", reason="alignment needs torch")
safetensors = pytest.importorskip("safetensors.torch")

V, D = 12, 5
STEPS = (0, 1, 16, 128)


def counts_of(seed: int = 1, tokens: int = 2000) -> ps.Counts:
    """Of a walk round a circle: tokens that are near follow the same ones."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.choice([0, 1, 2, 3], tokens, p=[0.1, 0.2, 0.3, 0.4])) % V
    return ps.count(walk.astype(np.uint16), vocab_size=V, backend="reference")


def model_at(step: int, rows: int = V) -> dict[str, Any]:
    """From noise towards the counts' own geometry, as if it were learning."""
    rng = np.random.default_rng(step)
    counts = counts_of()
    tensors = {}
    for name, signature in (
        ("gpt_neox.embed_in.weight", counts.phi_next()),
        ("embed_out.weight", counts.psi_pre()),
    ):
        W = rng.normal(size=(rows, D))
        left, sizes, _ = np.linalg.svd(signature.to_scipy().toarray())
        W[:V] += step / 4 * left[:, :D] * sizes[:D]
        tensors[name] = torch.from_numpy(W.astype(np.float32))
    return tensors


def write_training(folder: Path) -> Path:
    """Steps 0 and 1 as Pythia's folders, 16 as transformers', 128 as Lightning's file."""
    for step in STEPS[:2]:
        (folder / f"step{step}").mkdir(parents=True)
        safetensors.save_file(model_at(step), folder / f"step{step}" / "model.safetensors")
    (folder / "checkpoint-16").mkdir()
    torch.save(model_at(16, V + 4), folder / "checkpoint-16" / "pytorch_model.bin")
    torch.save({"state_dict": model_at(128), "epoch": 0}, folder / "epoch=0-step=128.ckpt")
    return folder
