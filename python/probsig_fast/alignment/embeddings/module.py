"""The embeddings of a `torch.nn.Module`."""

from __future__ import annotations

from typing import Any

import torch

from .embedding import Which
from .tensors import LoadedTensors

_ALONE: dict[Which, type[torch.nn.Module]] = {
    "input": torch.nn.Embedding,
    "output": torch.nn.Linear,
}


class ModuleTensors(LoadedTensors):
    """The parameters of a module; what is read shares its memory.

    A tied parameter is there under each of its names.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        parameters = dict(module.named_parameters(remove_duplicate=False))
        super().__init__(type(module).__name__, parameters)
        self._module = module

    def told(self, which: Which) -> str | None:
        """The name of the parameter that the module itself says is the embedding: transformers
        have a method for it, and a lone `Embedding` or `Linear` is one."""
        if isinstance(self._module, _ALONE[which]):
            return "weight"
        weight = getattr(_told(self._module, which), "weight", None)
        return next((name for name, each in self._tensors.items() if each is weight), None)

    @property
    def config(self) -> Any:
        """As a transformers model has it."""
        to_dict = getattr(getattr(self._module, "config", None), "to_dict", None)
        return to_dict() if callable(to_dict) else None


def _told(module: torch.nn.Module, which: Which) -> Any:
    method = getattr(module, f"get_{which}_embeddings", None)
    try:
        return method() if callable(method) else None
    except (NotImplementedError, AttributeError):  # of transformers that have no such thing
        return None
