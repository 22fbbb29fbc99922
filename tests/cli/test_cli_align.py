"""`probsig align`, against brute force."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import V, forbid_import, one_error

import probsig_fast as ps

# align


@pytest.fixture
def corpus_counts(tmp_path: Path) -> Path:
    pytest.importorskip("torch")
    path = tmp_path / "corpus.safetensors"
    corpus = np.random.default_rng(1).integers(0, 8, 500).astype(np.uint16)
    ps.count(corpus, vocab_size=8, backend="reference").save(path)
    return path


def embedding_of(rows: int = 8, seed: int = 2) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=(rows, 5)).astype(np.float32)


def brute_force(embedding: np.ndarray[Any, Any], signature: ps.Signature, centre: bool) -> float:
    matrices = [embedding.astype(np.float64), signature.to_scipy().toarray()]
    if centre:
        matrices[0] = matrices[0] - matrices[0].mean(axis=0)
    off_diagonal = ~np.eye(len(embedding), dtype=bool)
    cosines = []
    for matrix in matrices:
        unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
        cosines.append((unit @ unit.T)[off_diagonal])
    return float(np.corrcoef(*cosines)[0, 1])


@pytest.mark.parametrize("name", ["phi_next", "psi_pre", "row_conditional", "column_conditional"])
def test_align_against_brute_force(
    probsig: Any, corpus_counts: Path, tmp_path: Path, name: str
) -> None:
    np.save(tmp_path / "embedding.npy", embedding_of())
    run = probsig(
        *("align", corpus_counts, tmp_path / "embedding.npy", "--signature", name, "--json"),
        *("--threads", 1),
    )
    told = json.loads(run.out)
    counts = ps.Counts.load(corpus_counts)
    signature = getattr(counts, name)()
    assert told["signature"] == name
    assert told["raw"]["tokens"] == told["mean_centred"]["tokens"] == 8
    assert told["raw"]["pairs"] == 28
    for kind in ("raw", "mean_centred"):
        expected = brute_force(embedding_of(), signature, kind == "mean_centred")
        assert told[kind]["r_cos"] == pytest.approx(expected, abs=1e-9)


def test_align_prints_both_side_by_side(probsig: Any, corpus_counts: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "embedding.npy", embedding_of(rows=10))
    run = probsig("align", corpus_counts, tmp_path / "embedding.npy", "--min-support", 3)
    assert (run.code, run.err) == (0, "")
    lines = run.out.splitlines()
    assert "10 x 5; the last 2 rows, beyond the vocabulary, dropped" in lines[0]
    assert "phi_next: P(next | token), support at least 3" in lines[1]
    assert lines[3].split() == ["raw", "mean-centred"]
    assert lines[4].startswith("R_cos (Pearson)")
    assert [line[:23].rstrip() for line in lines[5:]] == [
        "  jackknife error",
        "CKA",
        "CKA, debiased",
        "mean embedding cosine",
        "mean signature cosine",
        "tokens",
        "pairs",
    ]
    assert lines[10].split() == ["tokens", "8", "8"]
    one = probsig("align", corpus_counts, tmp_path / "embedding.npy", "--centre")
    assert one.out.splitlines()[3].split() == ["mean-centred"]


@pytest.mark.parametrize(("option", "top"), [([], 1), ([0.2], 6)])
def test_align_strong_pairs(
    probsig: Any, corpus_counts: Path, tmp_path: Path, option: list[float], top: int
) -> None:
    np.save(tmp_path / "embedding.npy", embedding_of())
    run = probsig(
        *("align", corpus_counts, tmp_path / "embedding.npy", "--json", "--device", "cpu"),
        *("--strong-pairs", *option),
    )
    told = json.loads(run.out)
    signature = ps.Counts.load(corpus_counts).phi_next()
    first, second = np.triu_indices(8, 1)
    for kind in ("raw", "mean_centred"):
        W = embedding_of().astype(np.float64)
        W -= W.mean(axis=0) if kind == "mean_centred" else 0
        g, h = (unit(x) @ unit(x).T for x in (W, signature.to_scipy().toarray()))
        chosen = np.argsort(-g[first, second], kind="stable")[:top]
        found = told[kind]["strong_pairs"]
        assert (found["fraction"], found["top"]) == (option[0] if option else 0.001, top)
        pairs = [(pair["first"], pair["second"]) for pair in found["by_embedding"]["pairs"]]
        assert pairs == list(zip(first[chosen], second[chosen], strict=True))
        mean = found["by_embedding"]["mean_signature_cosine"]
        assert mean == pytest.approx(h[first, second][chosen].mean(), abs=1e-9)
        assert len(found["by_signature"]["pairs"]) == top


def unit(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    lengths: np.ndarray[Any, Any] = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / lengths


def test_align_prints_strong_pairs(probsig: Any, corpus_counts: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "embedding.npy", embedding_of())
    run = probsig("align", corpus_counts, tmp_path / "embedding.npy", "--strong-pairs", 0.2)
    assert (run.code, run.err) == (0, "")
    lines = run.out.splitlines()[13:]
    assert lines[0].split() == ["top", "0.2", "of", "pairs", "raw", "mean-centred"]
    assert lines[1].split() == ["pairs", "6", "6"]
    assert [line[:29].rstrip() for line in lines[2:]] == [
        "top by embedding cosine, from",
        "  mean signature cosine",
        "  over that of all pairs",
        "top by signature cosine, from",
        "  mean embedding cosine",
        "top by both",
    ]
    alone = probsig(
        "align", corpus_counts, tmp_path / "embedding.npy", "--centre", "--strong-pairs"
    )
    assert "raw" not in alone.out
    assert "top 0.001 of pairs" in alone.out


@pytest.mark.parametrize(
    ("relation", "names"),
    [
        (ps.Window(2), ["row_conditional", "column_conditional"]),
        (ps.Prefix(3), ["phi_y", "psi_X"]),
        (ps.SameSequence(), ["phi_X"]),
    ],
)
def test_align_other_relations(
    probsig: Any, corpus_counts: Path, tmp_path: Path, relation: Any, names: list[str]
) -> None:
    corpus = np.random.default_rng(1).integers(0, 8, (100, 5))
    counts = ps.count(corpus, relation, vocab_size=8, backend="reference")
    counts.save(corpus_counts)
    compare_all(probsig, corpus_counts, counts, tmp_path / "embedding.npy", names)
    run = probsig("align", corpus_counts, tmp_path / "embedding.npy", "--signature", "phi_next")
    one_error(run, "phi_next(): expected counts of Next", f"which has {names[0]}()")


def compare_all(
    probsig: Any, path: Path, counts: Any, embedding: Path, names: list[str], rows: int = 8
) -> None:
    """All these signatures, of which the first is the default."""
    np.save(embedding, embedding_of(rows))
    for name in names:
        option = [] if name == names[0] else ["--signature", name]
        told = json.loads(probsig("align", path, embedding, *option, "--json").out)
        signature = getattr(counts, name)()
        expected = brute_force(embedding_of(rows)[: signature.shape[0]], signature, False)
        assert told["signature"] == name
        assert told["raw"]["r_cos"] == pytest.approx(expected, abs=1e-9)


def test_align_labelled(probsig: Any, corpus_counts: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    sizes = {"vocab_size": 8, "n_labels": 5, "backend": "reference"}
    counts = ps.count_labelled(rng.integers(0, 8, (100, 3)), rng.integers(0, 5, 100), **sizes)
    counts.save(corpus_counts)
    embedding = tmp_path / "embedding.npy"
    compare_all(probsig, corpus_counts, counts, embedding, ["phi_y", "psi_X", "phi_X"])
    run = probsig("align", corpus_counts, embedding, "--signature", "psi_X")
    assert "the last 3 rows, beyond the labels, dropped" in run.out
    assert run.out.splitlines()[10].split() == ["labels", "5", "5"]
    run = probsig("align", corpus_counts, embedding, "--signature", "phi_next")
    one_error(
        run, "--signature: expected phi_y, psi_X or phi_X for labelled counts, got 'phi_next'"
    )
    np.save(embedding, embedding_of(rows=4))
    run = probsig("align", corpus_counts, embedding, "--signature", "psi_X")
    one_error(run, "EMBEDDING: expected at least 5 rows, got 4 in", "embedding.npy")


def test_align_undefined_is_null_in_json(probsig: Any, corpus_counts: Path, tmp_path: Path) -> None:
    same = np.ones((8, 3), np.float32)
    same[0] = (
        2.0  # of cosine 1 with the others; less the mean, of cosine -1 with all, which are alike
    )
    np.save(tmp_path / "same.npy", same)
    assert "nan" in probsig("align", corpus_counts, tmp_path / "same.npy").out
    told = json.loads(probsig("align", corpus_counts, tmp_path / "same.npy", "--json").out)
    assert told["raw"]["r_cos"] is None
    assert told["raw"]["interval"]["error"] is None


def test_align_reads_safetensors(probsig: Any, corpus_counts: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    save_file = pytest.importorskip("safetensors.torch").save_file
    embedding = torch.from_numpy(embedding_of()).bfloat16()  # which NumPy does not have
    path = tmp_path / "model.safetensors"
    save_file(
        {
            "model.embed_tokens.weight": embedding,
            "lm_head.weight": torch.from_numpy(embedding_of(seed=3)),
            "model.norm.weight": torch.ones(5),
        },
        path,
    )
    signature = ps.Counts.load(corpus_counts).phi_next()
    told = json.loads(probsig("align", corpus_counts, path, "--json").out)
    expected = brute_force(embedding.float().numpy(), signature, False)
    assert told["raw"]["r_cos"] == pytest.approx(expected, abs=1e-9)
    assert told["embedding"].endswith("model.embed_tokens.weight")
    other = json.loads(
        probsig("align", corpus_counts, path, "--key", "lm_head.weight", "--json").out
    )
    expected = brute_force(embedding_of(seed=3), signature, False)
    assert other["raw"]["r_cos"] == pytest.approx(expected, abs=1e-9)
    one_error(
        probsig("align", corpus_counts, path, "--key", "wte"),
        "--key: expected one of 'lm_head.weight', 'model.embed_tokens.weight'",
        "got 'wte'",
    )
    one_error(
        probsig("align", corpus_counts, path, "--key", "model.norm.weight"),
        "EMBEDDING: expected [V, d], got 1 dimensions",
    )
    save_file({"h.0.weight": torch.ones(8, 5)}, path)
    one_error(
        probsig("align", corpus_counts, path),
        "--key: expected the name of a tensor",
        "no input embeddings by name",
        "'h.0.weight'",
    )
    path.write_bytes(b"no tensors here")
    one_error(probsig("align", corpus_counts, path), "EMBEDDING: expected")


def test_align_bad_input(probsig: Any, corpus_counts: Path, tmp_path: Path) -> None:
    path = tmp_path / "embedding.npy"
    one_error(probsig("align", corpus_counts, path), "EMBEDDING: expected a file", "no such file")
    one_error(
        probsig("align", corpus_counts, corpus_counts.with_suffix(".json")),
        "EMBEDDING: expected a folder or a file ending in",
        ".npy",
    )
    path.write_bytes(b"no array")
    one_error(probsig("align", corpus_counts, path), "EMBEDDING: expected", ".npy")
    np.save(path, embedding_of(rows=7))
    one_error(probsig("align", corpus_counts, path), "EMBEDDING: expected at least 8 rows, got 7")
    np.save(path, np.ones(8, np.float32))
    one_error(probsig("align", corpus_counts, path), "EMBEDDING: expected [V, d], got 1 dimensions")
    np.save(path, np.ones((8, 2), np.int64))
    one_error(probsig("align", corpus_counts, path), "int64")
    np.save(path, embedding_of())
    one_error(probsig("align", corpus_counts, path, "--key", "x"), "--key: expected none")
    one_error(probsig("align", corpus_counts, path, "--min-support", -1), "min_support: expected")
    one_error(probsig("align", corpus_counts, path, "--strong-pairs", 2), "fraction: expected", "2")
    one_error(probsig("align", corpus_counts, path, "--device", "gpu"), "device: expected", "'gpu'")


def test_align_without_torch_names_the_extra(
    probsig: Any, counted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("probsig_fast.alignment")]:
        monkeypatch.delitem(sys.modules, name)
    forbid_import(monkeypatch, "torch")
    np.save(tmp_path / "embedding.npy", embedding_of(rows=V))
    run = probsig("align", counted, tmp_path / "embedding.npy")
    one_error(run, "needs torch, which is not installed: pip install 'probsig-fast[torch]'")
