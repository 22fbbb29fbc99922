"""The examples of --help are run as they stand, on files of the names that they use."""

from __future__ import annotations

import glob
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probsig_fast.cli import align, count, count_labelled, merge, top


def examples(epilog: str) -> Iterator[list[str]]:
    """The arguments of each example, after `probsig`."""
    for line in epilog.replace("\\\n", " ").splitlines():
        if line.startswith("  probsig "):
            yield shlex.split(line)[1:]


def expanded(arguments: list[str]) -> list[str]:
    """As a shell expands globs that are not quoted."""
    expansions = [sorted(glob.glob(each)) if "*" in each else [each] for each in arguments]
    return [each for expansion in expansions for each in expansion]


def write_inputs(folder: Path) -> None:
    rng = np.random.default_rng(3)
    (folder / "pile").mkdir()
    rng.integers(0, 50, 3000).astype(np.uint16).tofile(folder / "docs.u16.bin")
    rng.integers(0, 50, 300).astype(np.uint16).tofile(folder / "pile" / "a.bin")
    np.save(folder / "rows.npy", rng.integers(0, 50, (9, 8)))
    np.save(folder / "X.npy", rng.integers(0, 140, (60, 3)))
    np.save(folder / "tokens.npy", rng.integers(0, 140, 180))
    np.save(folder / "offsets.npy", np.arange(0, 181, 3))
    np.save(folder / "y.npy", rng.integers(0, 400, 60))
    (folder / "texts.jsonl").write_text("[284, 1890]\n[284, 7]\n")
    (folder / "labels.txt").write_text("1\n0\n")
    write_strings(folder / "probsig-demo")
    write_pile(folder)


def write_pile(folder: Path) -> None:
    """Raw text, its tokenizer, and five of Pythia's batches."""
    zstandard = pytest.importorskip("zstandard")
    write_tokenizer(folder, "20B_tokenizer.json")
    lines = [
        json.dumps({"text": "\n New", "meta": {"pile_set_name": subset}})
        for subset in ("Github", "ArXiv", "FreeLaw")
    ]
    compressed = zstandard.ZstdCompressor().compress("\n".join(lines).encode())
    (folder / "00.jsonl.zst").write_bytes(compressed)
    (folder / "pythia-pile").mkdir()
    data = bytes(5 * 1024 * 2049 * 2)
    for shard, begin, end in ((0, 0, 7_001), (1, 7_001, len(data))):
        name = f"document-{shard:05}-of-00001.bin"
        (folder / "pythia-pile" / name).write_bytes(data[begin:end])


def write_strings(folder: Path) -> None:
    """Of the demo."""
    folder.mkdir()
    (folder / "tokens.json").write_text(json.dumps(["a", "->", "b"]))


def write_model(folder: Path) -> None:
    torch = pytest.importorskip("torch")
    save_file = pytest.importorskip("safetensors.torch").save_file
    embedding = torch.randn(49_152, 4, generator=torch.Generator().manual_seed(1))
    np.save(folder / "embedding.npy", embedding.numpy())
    model = {"model.embed_tokens.weight": embedding, "lm_head.weight": embedding + 1}
    (folder / "checkpoint").mkdir()
    for path in (folder, folder / "checkpoint"):
        save_file(model, path / "model.safetensors")


def write_tokenizer(folder: Path, name: str = "tokenizer.json") -> None:
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {"\n": 0, " New": 1}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="\n"))
    tokenizer.save(str(folder / name))


def run_examples(probsig: Any, command: Any) -> None:
    for arguments in examples(command.EPILOG):
        run = probsig(*(arguments if command is count else expanded(arguments)))
        assert (run.code, run.err) == (0, ""), arguments


def test_count_and_top(probsig: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    write_tokenizer(tmp_path)
    run_examples(probsig, count)
    run_examples(probsig, count_labelled)
    demo = ("count", "demo.npy", "--vocab-size", 3, "--out", "probsig-demo/next.safetensors")
    np.save("demo.npy", np.array([0, 1, 2, 1]))
    assert probsig(*demo).code == 0
    run_examples(probsig, top)


def test_align(probsig: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for package in ("matplotlib", "jinja2"):
        pytest.importorskip(package)
    write_inputs(tmp_path)
    write_tokenizer(tmp_path)
    write_model(tmp_path)
    run_examples(probsig, count)
    # Tokens that are frequent enough for the examples' --min-support.
    rng = np.random.default_rng(4)
    rng.integers(0, 50, 150_000).astype(np.uint16).tofile(tmp_path / "docs.u16.bin")
    options = ("--dtype", "uint16", "--vocab-size", 49_152, "--eos", 0, "--force")
    run = probsig("count", "docs.u16.bin", *options, "--out", "docs.next.safetensors")
    assert run.code == 0
    monkeypatch.delenv("PROBSIG_BACKEND")  # the definition in NumPy takes minutes
    run_examples(probsig, align)
    assert (tmp_path / "out" / "report.html").is_file()


def test_merge(probsig: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    for shard in (0, 1):
        arguments = ("rows.npy", "--vocab-size", 50, "--out", f"shard-{shard}.safetensors")
        assert probsig("count", *arguments).code == 0
    steps = ("--vocab-size", 50_304, "--at-steps", 0, 1, 2, 4, "--out", "pythia-steps")
    assert probsig("count", "pythia-pile", *steps).code == 0
    run_examples(probsig, merge)
