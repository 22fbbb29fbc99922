"""`load_embedding`: one matrix out of whatever holds a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import torch

from ...arguments import integer
from ...errors import ArgumentError, ArgumentTypeError, SourceError, SourceNotFoundError
from .embedding import Embedding, Which
from .folder import SUFFIXES, is_part, model_file
from .gguf_file import GgufFile
from .module import ModuleTensors
from .names import might_be_embedding, named_like
from .npy_file import NpyFile
from .safetensors_file import SafetensorsFile
from .shards import Shards, read_json
from .tensors import LoadedTensors, Tensors, matrices, show
from .torch_file import model_tensors, torch_file


def load_embedding(
    source: torch.nn.Module | Mapping[str, torch.Tensor] | str | os.PathLike[str],
    which: Which = "input",
    key: str | None = None,
    rows: int | None = None,
) -> Embedding:
    """The input or output embedding of a model, found by the names of the common architectures.

    These are GPT-NeoX and Pythia (`embed_in`, `embed_out`), Llama, Qwen and SmolLM
    (`embed_tokens`, `lm_head`), GPT-2 (`wte`), BERT and BLOOM (`word_embeddings`), the first
    Llama (`tok_embeddings`, `output`) and GGUF (`token_embd`, `output`); `key` names any other
    tensor. A model without an output embedding has tied ones: then "output" is the input
    embedding, and `tied` says so; unless its config.json, or another matrix of the same shape,
    says otherwise.

    Args:
        source: a module (also of transformers) or its state dict; a file .safetensors,
            .safetensors.index.json (shards), .bin, .pt, .pth, .ckpt, .bin.index.json, .gguf
            (extra [gguf]) or .npy (an array [V, d]); or a folder of a Hugging Face checkpoint.
            What `torch.save` wrote is loaded with `weights_only`; code in it is refused. Tensors
            may lie in it under `state_dict`, `model_state_dict`, `model` or `module`.
        which: "input" or "output"; of an array, or with `key`, it is only a label.
        key: the name of the tensor.
        rows: how many rows to take, those of the vocabulary: models pad their embeddings beyond
            it. `rows_dropped` says how many were left; None takes all.

    Returns:
        `Embedding`. Its `weight` is a copy of the rows, in the type of the file (float32 for what
        is quantised); of a module it shares the memory.

    Raises:
        ArgumentTypeError: another kind of source, or another argument of a wrong type.
        ArgumentError: no embedding by name or several, a `key` that is not there (the names are
            listed), too few `rows`, several models in a folder, no output embedding by name
            where it does not seem tied.
        SourceNotFoundError: no such file or folder, or a shard that is missing.
        SourceError: damaged, not of two dimensions, no floats, or pickled code.
        MissingExtraError: safetensors or gguf is not installed.

    Cost: reads this one tensor, and the names and shapes of others; the older format of
    `torch.save` is read whole. Memory of the rows taken.

    Example:
        >>> import torch
        >>> model = torch.nn.ModuleDict({"wte": torch.nn.Embedding(5, 2)})
        >>> embedding = load_embedding(model, "output", rows=4)
        >>> embedding.name, tuple(embedding.weight.shape), embedding.tied, embedding.rows_dropped
        ('wte.weight', (4, 2), True, 1)
    """
    if which not in get_args(Which):
        raise ArgumentError(f"which: expected 'input' or 'output', got {which!r}")
    if key is not None and not isinstance(key, str):
        raise ArgumentTypeError(f"key: expected a str, got {type(key).__name__} {key!r}")
    if rows is not None:
        rows = integer("rows", rows, 1)
    tensors = _opened(source)
    name, tied = _chosen(tensors, which, key)
    where = f"{tensors.where}, {name}" if name else tensors.where
    shape = tensors.shape(name)
    if len(shape) != 2:
        raise SourceError(f"source: expected [V, d], got {len(shape)} dimensions in {where}")
    if rows is not None and shape[0] < rows:
        raise ArgumentError(f"source: expected at least {rows:,} rows, got {shape[0]:,} in {where}")
    weight = tensors.read(name, shape[0] if rows is None else rows)
    if not weight.is_floating_point() or weight.is_meta:
        got = "a tensor without values" if weight.is_meta else str(weight.dtype)
        raise SourceError(f"source: expected floats, got {got} in {where}")
    return Embedding(weight, name, tensors.where, which, tied, shape[0] - len(weight))


def _opened(source: Any) -> Tensors:
    if isinstance(source, torch.nn.Module):
        return ModuleTensors(source)
    if isinstance(source, Mapping):
        tensors = model_tensors(source)
        if tensors is None:
            raise ArgumentTypeError(
                "source: expected a mapping from names to tensors, got no tensor"
            )
        return LoadedTensors("a state dict", tensors)
    if not isinstance(source, (str, os.PathLike)):
        raise ArgumentTypeError(
            "source: expected a torch module, a state dict, or the path of a file or folder, "
            f"got {type(source).__name__}"
        )
    path = Path(source)
    if path.is_dir():
        path = model_file(path)
    if not path.is_file():
        raise SourceNotFoundError(
            f"source: expected a file or folder, got {str(path)!r}: no such file"
        )
    return _opened_file(path)


def _opened_file(path: Path) -> Tensors:
    name = path.name
    if not name.endswith(SUFFIXES):
        raise ArgumentError(
            f"source: expected a folder or a file ending in {', '.join(SUFFIXES)}, "
            f"got {str(path)!r}"
        )
    if name.endswith(".index.json"):
        return Shards(path, _opened_file)
    if path.suffix == ".npy":
        return NpyFile(path)
    if path.suffix == ".safetensors":
        return SafetensorsFile(path)
    return GgufFile(path) if path.suffix == ".gguf" else torch_file(path)


def _chosen(tensors: Tensors, which: Which, key: str | None) -> tuple[str, bool]:
    """The name, and whether it is the input embedding in place of an output embedding.

    Raises:
        ArgumentError: none is clear.
    """
    names = list(tensors.names())
    if key is not None:
        if names == [""]:
            raise ArgumentError(f"key: expected none for {tensors.where}, got {key!r}")
        if key not in names:
            raise ArgumentError(
                f"key: expected one of {show(names)} of {tensors.where}, got {key!r}"
            )
        return key, False
    if names == [""]:
        return "", False
    found = _found(tensors, which)
    if which == "input":
        return _only(tensors, which, found), False
    if found:
        name = _only(tensors, which, found)
        inputs = _found(tensors, "input")
        return name, len(inputs) == 1 and tensors.shared(name, inputs[0])
    inputs = _found(tensors, "input")
    if not inputs:
        return _only(tensors, "output", inputs), True
    name = _only(tensors, "input", inputs)
    _check_tied(tensors, name)
    return name, True


def _found(tensors: Tensors, which: Which) -> list[str]:
    if isinstance(tensors, ModuleTensors):
        told = tensors.told(which)
        if told is not None:
            return [told]
    return named_like(tensors.names(), which)


def _only(tensors: Tensors, which: Which, found: list[str]) -> str:
    if len(found) == 1:
        return found[0]
    shown = f"these are {show(found)}" if found else f"its matrices are {show(matrices(tensors))}"
    raise ArgumentError(
        f"key: expected the name of a tensor, as {tensors.where} has {len(found) or 'no'} "
        f"{which} embeddings by name; {shown}"
    )


def _check_tied(tensors: Tensors, name: str) -> None:
    """Raises ArgumentError: the input embedding of this name may not be the output embedding."""
    if tensors.folder is not None and is_part(Path(tensors.where)):
        raise ArgumentError(
            f"source: expected the whole model, got {tensors.where}, one of several parts, which "
            "has no output embedding: give the folder or the index"
        )
    config = tensors.config if isinstance(tensors, ModuleTensors) else _config(tensors.folder)
    tied = _says_tied(config)
    if tied:
        return
    alike = []
    if tied is None:  # an output embedding of a name that is not known would be overlooked
        shape = tensors.shape(name)
        alike = [
            other
            for other in matrices(tensors)
            if might_be_embedding(other)
            and tensors.shape(other) == shape
            and not tensors.shared(other, name)
        ]
    if alike or tied is False:
        why = "its config says tie_word_embeddings false" if not alike else f"{show(alike)} may be"
        raise ArgumentError(
            f"key: expected the name of a tensor, as {tensors.where} has no output embeddings by "
            f"name, but {why}; its matrices are {show(matrices(tensors))}"
        )


def _config(folder: Path | None) -> Any:
    path = folder / "config.json" if folder is not None else None
    return read_json(path) if path is not None and path.is_file() else None


def _says_tied(config: Any) -> bool | None:
    """Whether embeddings are tied, as a transformers config says, or that of its text part."""
    while isinstance(config, dict):
        if isinstance(config.get("tie_word_embeddings"), bool):
            return bool(config["tie_word_embeddings"])
        config = config.get("text_config")
    return None
