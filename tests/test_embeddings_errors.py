"""What `load_embedding` refuses: each fault with the file and what was expected."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="alignment needs torch")
safetensors = pytest.importorskip("safetensors.torch")

from embeddings_support import (  # noqa: E402
    INPUT,
    Small,
    V,
    matrix,
    model,
    refused,
    write_gguf,
    write_shards,
)

from probsig_fast.alignment.embeddings import load_embedding  # noqa: E402
from probsig_fast.errors import (  # noqa: E402
    ArgumentError,
    ArgumentTypeError,
    SourceError,
    SourceNotFoundError,
)

# Arguments


def test_arguments() -> None:
    tensors = model("wte.weight")
    refused(ArgumentError, "which: expected 'input' or 'output', got 'both'", tensors, "both")
    refused(ArgumentTypeError, "key: expected a str, got int 3", tensors, key=3)
    refused(ArgumentTypeError, "rows: expected an int, got float", tensors, rows=2.0)
    refused(ArgumentError, "rows: expected at least 1, got 0", tensors, rows=0)
    for source in (INPUT, INPUT.numpy(), 3, None):
        refused(ArgumentTypeError, "source: expected a torch module, a state dict, or", source)
    refused(ArgumentTypeError, "source: expected a mapping from names to tensors", {"a": 1})


def test_paths(tmp_path: Path) -> None:
    missing = tmp_path / "model.safetensors"
    refused(
        SourceNotFoundError, f"source: expected a file or folder, got {str(missing)!r}", missing
    )
    (tmp_path / "config.json").write_text("{}")
    text = refused(
        ArgumentError, "source: expected a folder or a file ending in", tmp_path / "config.json"
    )
    assert ".safetensors.index.json" in text
    refused(SourceNotFoundError, "source: expected a file ending in", tmp_path)


# Which tensor


def test_a_checkpoint_without_an_embedding_lists_its_matrices(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    tensors = {f"h.{i:02}.weight": matrix(i) for i in range(11)}
    safetensors.save_file(tensors | {"norm.weight": torch.ones(4)}, path)
    text = refused(
        ArgumentError,
        f"key: expected the name of a tensor, as {path} has no input embeddings by name; "
        "its matrices are 'h.00.weight', 'h.01.weight'",
        path,
    )
    assert text.endswith("'h.07.weight' and 3 more")
    assert "norm" not in text
    assert "no output embeddings by name" in refused(ArgumentError, "key:", path, "output")
    safetensors.save_file({"norm.weight": torch.ones(4)}, path)
    assert refused(ArgumentError, "key:", path).endswith("its matrices are none")


def test_several_by_name() -> None:
    tensors = {"encoder.embed_tokens.weight": INPUT, "decoder.embed_tokens.weight": INPUT}
    text = refused(
        ArgumentError, "key: expected the name of a tensor, as a state dict has 2", tensors
    )
    assert text.endswith("these are 'decoder.embed_tokens.weight', 'encoder.embed_tokens.weight'")
    assert "has 2 input embeddings" in refused(ArgumentError, "key:", tensors, "output")


def test_a_key_that_is_not_there(tmp_path: Path) -> None:
    text = refused(ArgumentError, "key: expected one of 'layers.0.", model("wte.weight"), key="wte")
    assert text.endswith("of a state dict, got 'wte'")
    np.save(tmp_path / "a.npy", INPUT.numpy())
    refused(ArgumentError, "key: expected none for", tmp_path / "a.npy", key="wte")


def test_an_untied_model_without_its_output(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.save_file(model("wte.weight"), path)
    for config in ({"tie_word_embeddings": False}, {"text_config": {"tie_word_embeddings": False}}):
        (tmp_path / "config.json").write_text(json.dumps(config))
        for source in (path, tmp_path):
            text = refused(ArgumentError, "key: expected the name of a tensor", source, "output")
            assert "its config says tie_word_embeddings false" in text
        assert load_embedding(path).name == "wte.weight"
    for config in ({}, {"tie_word_embeddings": True}, {"text_config": {}}):
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert load_embedding(tmp_path, "output").tied
    (tmp_path / "config.json").write_text("{")
    refused(SourceError, "source: expected JSON in", tmp_path, "output")


def test_a_matrix_like_the_input_may_be_the_output(tmp_path: Path) -> None:
    tensors = {"wte.weight": INPUT, "wpe.weight": INPUT + 1, "h.0.x.weight": INPUT + 2}
    assert load_embedding(tensors, "output").tied
    tensors["top.weight"] = INPUT + 3
    text = refused(ArgumentError, "key: expected the name of a tensor", tensors, "output")
    assert "no output embeddings by name, but 'top.weight' may be; its matrices" in text
    assert torch.equal(load_embedding(tensors, "output", "top.weight").weight, INPUT + 3)
    assert load_embedding({**tensors, "top.weight": INPUT}, "output").tied  # the same memory
    safetensors.save_file(tensors, tmp_path / "model.safetensors")
    refused(ArgumentError, "key: expected the name of a tensor", tmp_path, "output")
    (tmp_path / "config.json").write_text('{"tie_word_embeddings": true}')
    assert load_embedding(tmp_path, "output").tied


def test_one_part_of_many_is_not_taken_for_a_tied_model(tmp_path: Path) -> None:
    write_shards(tmp_path, ".safetensors")
    part = tmp_path / "model-00001-of-00002.safetensors"
    refused(ArgumentError, "source: expected the whole model", part, "output")
    assert torch.equal(load_embedding(part).weight, INPUT)
    path = write_gguf(tmp_path / "m-00001-of-00002.gguf", {"token_embd.weight": INPUT})
    refused(ArgumentError, "source: expected the whole model", path, "output")


def test_wrong_dimensions_and_types(tmp_path: Path) -> None:
    for tensor, got in (
        (torch.ones(4), "1 dimensions"),
        (torch.ones(2, 2, 2), "3 dimensions"),
        (torch.ones(V, 2, dtype=torch.int8), "torch.int8"),
        (torch.ones(V, 2).to_sparse(), "torch.sparse_coo"),
        (torch.ones(V, 2, device="meta"), "a tensor without values"),
    ):
        text = refused(SourceError, "source: expected", {"wte.weight": tensor})
        assert text.endswith(f"got {got} in a state dict, wte.weight")
    np.save(tmp_path / "a.npy", np.ones((V, 2), np.int64))
    refused(SourceError, "source: expected an array of float16, float32", tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.ones(V))
    refused(SourceError, "source: expected [V, d], got 1 dimensions", tmp_path / "a.npy")
    refused(
        ArgumentError, "source: expected at least 8 rows, got 7 in Small, wte", Small(True), rows=8
    )


# Folders


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["model.safetensors", "pytorch_model.bin"], "model.safetensors"),
        (["model.safetensors", "consolidated.safetensors"], "model.safetensors"),
        (["own.safetensors", "optimizer.pt", "rng_state.pth"], "own.safetensors"),
        (["pytorch_model.bin", "training_args.bin", "optimizer.bin"], "pytorch_model.bin"),
        (["epoch=0-step=5.ckpt", "model-q8.gguf"], "epoch=0-step=5.ckpt"),
        (["a.gguf", "a.npy"], "a.gguf"),
        (["a.safetensors", "b.safetensors"], None),
        (["a.pt", "b.ckpt"], None),
        (["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"], None),
    ],
)
def test_which_file_of_a_folder(tmp_path: Path, files: list[str], chosen: str | None) -> None:
    tensors = model("token_embd.weight")
    for file in files:
        path = tmp_path / file
        if path.suffix == ".safetensors":
            safetensors.save_file(tensors, path)
        elif path.suffix == ".gguf":
            write_gguf(path, tensors)
        elif path.suffix == ".npy":
            np.save(path, INPUT.numpy())
        else:
            torch.save(tensors, path)
    if chosen:
        assert load_embedding(tmp_path).source == str(tmp_path / chosen)
        return
    text = refused(ArgumentError, "source: expected one model in the folder", tmp_path)
    assert all(repr(file) in text for file in files)
