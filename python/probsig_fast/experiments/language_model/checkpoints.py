"""The two embeddings on disk, a folder a step, as Hugging Face names them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch

from ...errors import missing_extra
from ...files import atomic_write

WEIGHTS = "model.safetensors"
CONFIG = "config.json"


def save_checkpoint(folder: Path, step: int, W_E: torch.Tensor, W_U: torch.Tensor) -> Path:
    """W^E and W^U after `step` steps in `folder`/step`step`, which is made; the rest of the model
    is not kept. Gives the new folder.

    Raises:
        MissingExtraError: safetensors is not installed.
    """
    save = _safetensors_save()
    tensors = {"model.embed_tokens.weight": W_E, "lm_head.weight": W_U}
    config = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "vocab_size": W_E.shape[0],
        "hidden_size": W_E.shape[1],
        "tie_word_embeddings": False,
    }
    place = folder / f"step{step}"
    place.mkdir(parents=True, exist_ok=True)
    content = save({name: each.detach().cpu().contiguous() for name, each in tensors.items()})
    for name, data in ((WEIGHTS, content), (CONFIG, json.dumps(config, indent=2).encode())):
        with atomic_write(place / name) as file:
            file.write(data)
    return place


def remove_checkpoints(folder: Path) -> None:
    """Those that `save_checkpoint` has written there, and nothing else."""
    for place in sorted(folder.glob("step*")):
        for name in (WEIGHTS, CONFIG):
            (place / name).unlink(missing_ok=True)
        _remove_if_empty(place)
    _remove_if_empty(folder)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _safetensors_save() -> Callable[[dict[str, torch.Tensor]], bytes]:
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise missing_extra("safetensors", "torch", "saving checkpoints") from error
    return save
