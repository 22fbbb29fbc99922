"""What `load_embedding` makes of damaged files, pickled code and missing shards."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="alignment needs torch")
safetensors = pytest.importorskip("safetensors.torch")

from embeddings_support import (  # noqa: E402
    INPUT,
    Small,
    V,
    model,
    refused,
    write_gguf,
    write_shards,
)

from probsig_fast.alignment.embeddings import load_embedding  # noqa: E402
from probsig_fast.errors import (  # noqa: E402
    MissingExtraError,
    SourceError,
    SourceNotFoundError,
)


def write(path: Path) -> Path:
    tensors = model("token_embd.weight", "output.weight")
    if path.suffix == ".safetensors":
        safetensors.save_file(tensors, path)
    elif path.suffix == ".gguf":
        write_gguf(path, tensors)
    elif path.suffix == ".npy":
        np.save(path, INPUT.numpy())
    else:
        torch.save(tensors, path)
    return path


DAMAGES: list[Callable[[bytes], bytes]] = [
    lambda whole: b"",
    lambda whole: b"no tensors here",
    lambda whole: whole[: len(whole) // 3],
    lambda whole: whole[:-40],
    lambda whole: b"\xff" * 64 + whole[64:],
]


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".bin", ".npy", ".gguf"])
@pytest.mark.parametrize("damage", range(len(DAMAGES)))
def test_damaged_files(tmp_path: Path, suffix: str, damage: int) -> None:
    path = write(tmp_path / f"model{suffix}")
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    text = refused(SourceError, "source: expected", path)
    assert str(path) in text
    assert "\n" not in text


class Code:
    """What a pickle could run."""

    def __reduce__(self) -> Any:
        return print, ("run",)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_code_is_refused(
    tmp_path: Path, zipped: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.pt"
    for evil in ({"wte.weight": INPUT, "evil": Code()}, Small(True)):
        torch.save(evil, path, _use_new_zipfile_serialization=zipped)
        text = refused(SourceError, "source: expected tensors and plain values alone in", path)
        assert ("print" in text) or ("Small" in text)
    assert capsys.readouterr().out == ""
    torch.save([1, 2], path)
    refused(SourceError, "source: expected tensors by name in", path)


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_shards_that_are_missing_or_lack_a_tensor(tmp_path: Path, suffix: str) -> None:
    index = write_shards(tmp_path, suffix)
    first, second = sorted(tmp_path.glob(f"*-of-00002{suffix}"))
    second.write_bytes(first.read_bytes())
    text = refused(SourceError, "source: expected 'lm_head.weight' in", index, "output")
    assert str(second) in text
    second.unlink()
    text = refused(SourceNotFoundError, "source: expected the file", index, "output")
    assert str(second) in text
    assert "'lm_head.weight'" in text
    refused(SourceNotFoundError, "source: expected the file", index, key="norm.weight")
    renamed = json.loads(index.read_text().replace("embed_tokens", "other"))
    index.write_text(json.dumps(renamed))
    with pytest.raises(SourceError, match=r"expected 'model\.other\.weight' in"):
        load_embedding(index)


def test_a_damaged_index(tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_bytes(b"\xff{")
    refused(SourceError, "source: expected JSON in", tmp_path)
    for content in ([], {}, {"weight_map": []}, {"weight_map": {}}):
        index.write_text(json.dumps(content))
        refused(SourceError, "source: expected a weight_map from tensors to files in", index)
    for file in ("../model.safetensors", "/model.safetensors", 3, "..", "", index.name):
        index.write_text(json.dumps({"weight_map": {"wte.weight": file}}))
        text = refused(SourceError, "source: expected the name of a file of the same", index)
        assert text.endswith(f"got {file!r}")


def test_a_gguf_type_that_cannot_be_dequantised(tmp_path: Path) -> None:
    path = write_gguf(
        tmp_path / "a.gguf", {"token_embd.weight": torch.ones(V, 4, dtype=torch.int8)}
    )
    text = refused(SourceError, "source: expected a type that gguf dequantises, got I8", path)
    assert str(path) in text


@pytest.mark.parametrize("package", ["gguf", "safetensors"])
def test_missing_extras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    path = write(tmp_path / f"model.{package}")
    imported = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ImportError(f"No module named {package!r}")
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    refused(MissingExtraError, f"reading a .{package} file needs {package}", path)
