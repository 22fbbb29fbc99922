"""Checkpoints to read embeddings from, and the check of what is read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="alignment needs torch")
safetensors = pytest.importorskip("safetensors.torch")

from probsig_fast.alignment.embeddings import Embedding, load_embedding  # noqa: E402
from probsig_fast.errors import ProbsigError  # noqa: E402

V, D = 7, 4


def matrix(seed: int, rows: int = V, columns: int = D) -> Any:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


INPUT, OUTPUT, INNER = matrix(1), matrix(2), matrix(3, D, D)


def model(input_name: str, output_name: str | None = None) -> dict[str, Any]:
    """A checkpoint's tensors, with others that are no embeddings."""
    tensors = {
        input_name: INPUT,
        "layers.0.attention.output.weight": INNER,
        "layers.0.attention.query.weight": INNER + 1,
        "norm.weight": torch.ones(D),
    }
    return tensors | ({output_name: OUTPUT} if output_name else {})


def check(
    embedding: Embedding, expected: Any, name: str, tied: bool = False, exact: bool = True
) -> None:
    assert embedding.name == name
    assert embedding.tied is tied
    if exact:
        assert embedding.weight.dtype == expected.dtype
        assert torch.equal(embedding.weight, expected)
    else:
        torch.testing.assert_close(embedding.weight, expected, atol=0.02, rtol=0.01)


def check_both(source: Any, input_name: str, output_name: str | None) -> None:
    check(load_embedding(source), INPUT, input_name)
    if output_name is None:
        check(load_embedding(source, "output"), INPUT, input_name, tied=True)
    else:
        check(load_embedding(source, "output"), OUTPUT, output_name)


def write_shards(folder: Path, suffix: str) -> Path:
    """Two shards, the input embedding in the first, the output embedding in the second."""
    tensors = model("model.embed_tokens.weight", "lm_head.weight")
    of_second = {"lm_head.weight", "norm.weight"}
    stem = {".safetensors": "model", ".bin": "pytorch_model"}[suffix]
    weight_map = {}
    for number in (1, 2):
        file = f"{stem}-0000{number}-of-00002{suffix}"
        part = {k: v for k, v in tensors.items() if (k in of_second) == (number == 2)}
        (safetensors.save_file if suffix == ".safetensors" else torch.save)(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    index = folder / f"{stem}{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return index


def write_gguf(path: Path, tensors: dict[str, Any], kind: str = "F32") -> Path:
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(path, "llama")
    for name, tensor in tensors.items():
        array = tensor.numpy()
        quantised = kind not in ("F32", "F64") and array.ndim == 2
        if quantised:
            type_ = gguf.GGMLQuantizationType[kind]
            writer.add_tensor(name, gguf.quantize(array, type_), raw_dtype=type_)
        else:
            writer.add_tensor(name, array.astype(np.float64) if kind == "F64" else array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


class Small(torch.nn.Module):
    """A model of one's own."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.wte = torch.nn.Embedding(V, D)
        self.layers = torch.nn.ModuleList([torch.nn.Linear(D, D)])
        self.lm_head = torch.nn.Linear(D, V, bias=False)
        if tied:
            self.lm_head.weight = self.wte.weight


def refused(error: type[ProbsigError], message: str, *arguments: Any, **options: Any) -> str:
    """The error whose message begins so; its text."""
    with pytest.raises(error, match=f"^{re.escape(message)}") as caught:
        load_embedding(*arguments, **options)
    return str(caught.value)
