"""`load_embedding`: each format, each naming, tied or not, against the tensor that was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="alignment needs torch")
safetensors = pytest.importorskip("safetensors.torch")

from embeddings_support import (  # noqa: E402
    INNER,
    INPUT,
    V,
    check,
    check_both,
    matrix,
    model,
    write_gguf,
    write_shards,
)

from probsig_fast.alignment.embeddings import load_embedding  # noqa: E402
from probsig_fast.errors import ArgumentError  # noqa: E402

# Names

NAMES = [
    ("gpt_neox.embed_in.weight", "embed_out.weight"),
    ("model.embed_tokens.weight", "lm_head.weight"),
    ("model.embed_tokens.weight", None),
    ("wte.weight", None),
    ("transformer.wte.weight", "lm_head.weight"),
    ("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
    ("word_embeddings.weight", None),
    ("transformer.word_embeddings.weight", "lm_head.weight"),
    ("tok_embeddings.weight", "output.weight"),
    ("_orig_mod.model.embed_tokens.weight", "_orig_mod.lm_head.weight"),
]


@pytest.mark.parametrize(("input_name", "output_name"), NAMES)
def test_names_of_architectures(tmp_path: Path, input_name: str, output_name: str | None) -> None:
    tensors = model(input_name, output_name)
    check_both(tensors, input_name, output_name)
    safetensors.save_file(tensors, tmp_path / "model.safetensors")
    check_both(tmp_path / "model.safetensors", input_name, output_name)
    check_both(tmp_path, input_name, output_name)
    assert load_embedding(tmp_path).source == str(tmp_path / "model.safetensors")


def test_key_names_any_matrix(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.save_file(model("odd.name"), path)
    check(load_embedding(path, key="odd.name"), INPUT, "odd.name")
    embedding = load_embedding(str(path), "output", key="layers.0.attention.query.weight")
    check(embedding, INNER + 1, "layers.0.attention.query.weight")
    assert embedding.which == "output"


def test_rows_beyond_the_vocabulary_are_dropped_and_said(tmp_path: Path) -> None:
    for source in (model("wte.weight"), tmp_path / "model.safetensors", tmp_path / "array.npy"):
        if isinstance(source, Path) and source.suffix == ".npy":
            np.save(source, INPUT.numpy())
        elif isinstance(source, Path):
            safetensors.save_file(model("wte.weight"), source)
        embedding = load_embedding(source, rows=5)
        assert torch.equal(embedding.weight, INPUT[:5])
        assert embedding.rows_dropped == 2
        assert load_embedding(source, rows=V).rows_dropped == 0
        with pytest.raises(ArgumentError, match="expected at least 8 rows, got 7 in"):
            load_embedding(source, rows=8)


def test_it_prints_as_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.save_file(model("wte.weight"), path)
    tied = load_embedding(path, "output", rows=5)
    assert str(tied) == f"output (tied): {path}, wte.weight, 7 x 4; the last 2 rows dropped"
    np.save(tmp_path / "a.npy", INPUT.numpy())
    assert str(load_embedding(tmp_path / "a.npy")) == f"input: {tmp_path / 'a.npy'}, 7 x 4"


# Formats

DTYPES = ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".bin"])
def test_types_are_kept(tmp_path: Path, dtype: str, suffix: str) -> None:
    tensor = INPUT.to(getattr(torch, dtype))
    path = tmp_path / f"model{suffix}"
    write = safetensors.save_file if suffix == ".safetensors" else torch.save
    write({"wte.weight": tensor}, path)
    found = load_embedding(path, rows=5).weight
    assert found.dtype == tensor.dtype
    assert torch.equal(found.double(), tensor[:5].double())


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(tmp_path: Path, dtype: str, order: Any) -> None:
    array = np.asarray(INPUT.numpy(), dtype, order=order)
    np.save(tmp_path / "array.npy", array)
    embedding = load_embedding(tmp_path / "array.npy", "output", rows=6)
    np.testing.assert_array_equal(embedding.weight.numpy(), array[:6])
    assert (embedding.name, embedding.which, embedding.tied) == ("", "output", False)
    embedding.weight.add_(1)  # its own memory, which can be written
    np.testing.assert_array_equal(np.load(tmp_path / "array.npy"), array)


WRAPPERS: list[Callable[[Any], Any]] = [
    lambda tensors: tensors,
    lambda tensors: {"state_dict": tensors, "epoch": 3, "optimizer": {"state": {}}},
    lambda tensors: {"model": tensors, "step": 1000},
    lambda tensors: {"model_state_dict": tensors, "loss": 0.5},
    lambda tensors: {"module": {"model": tensors}},
]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
def test_torch_files(tmp_path: Path, wrap: Any, suffix: str, zipped: bool) -> None:
    path = tmp_path / f"model{suffix}"
    names = ("gpt_neox.embed_in.weight", "embed_out.weight")
    torch.save(wrap(model(*names)), path, _use_new_zipfile_serialization=zipped)
    check_both(path, *names)
    check_both(tmp_path, *names)


def test_a_tensor_alone_in_a_torch_file(tmp_path: Path) -> None:
    torch.save(INPUT, tmp_path / "a.pt")
    check(load_embedding(tmp_path / "a.pt"), INPUT, "")


def test_tensors_that_share_their_memory_are_tied(tmp_path: Path) -> None:
    tensors = {"wte.weight": INPUT, "lm_head.weight": INPUT}
    torch.save(tensors, tmp_path / "a.pt")
    check(load_embedding(tmp_path / "a.pt", "output"), INPUT, "lm_head.weight", tied=True)
    check(load_embedding(tensors, "output"), INPUT, "lm_head.weight", tied=True)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".npy"])
def test_what_is_read_outlives_its_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    if suffix == ".npy":
        np.save(path, INPUT.numpy())
    else:
        write = safetensors.save_file if suffix == ".safetensors" else torch.save
        write(model("wte.weight"), path)
    embedding = load_embedding(path)
    path.write_bytes(b"")  # of a mapping this would be the end of the process
    assert torch.equal(embedding.weight, INPUT)


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_shards(tmp_path: Path, suffix: str) -> None:
    index = write_shards(tmp_path, suffix)
    for source in (index, tmp_path):
        check_both(source, "model.embed_tokens.weight", "lm_head.weight")
        assert load_embedding(source).source == str(index)
    next(tmp_path.glob(f"*-00002-of-00002{suffix}")).unlink()  # not needed for the other
    check(load_embedding(tmp_path), INPUT, "model.embed_tokens.weight")


# GGUF


@pytest.mark.parametrize("kind", ["F32", "F64", "F16", "BF16", "Q8_0"])
def test_gguf(tmp_path: Path, kind: str) -> None:
    wide = {"token_embd.weight": matrix(5, V, 64), "output.weight": matrix(6, V, 64)}
    inner = {"blk.0.attn_output.weight": matrix(7, 64, 64), "output_norm.weight": torch.ones(64)}
    path = write_gguf(tmp_path / "model.gguf", {**wide, **inner}, kind)
    for which, name in (("input", "token_embd.weight"), ("output", "output.weight")):
        embedding = load_embedding(tmp_path, which, rows=5)  # type: ignore[arg-type]
        expected = wide[name][:5].to(torch.float64 if kind == "F64" else torch.float32)
        check(embedding, expected, name, exact=kind in ("F32", "F64"))
        assert embedding.rows_dropped == 2
        assert embedding.source == str(path)


def test_gguf_tied(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", {"token_embd.weight": INPUT})
    check(load_embedding(path, "output"), INPUT, "token_embd.weight", tied=True)
