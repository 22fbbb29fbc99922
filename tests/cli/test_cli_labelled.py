"""The command line on samples (X, y): `count-labelled`, `top` and `merge`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import SIZES, STRINGS, Q, V, X, Y, one_error

import probsig_fast as ps


def counts_of(X: Any = X, y: Any = Y, **options: Any) -> ps.LabelledCounts:
    return ps.count_labelled(X, y, vocab_size=V, n_labels=Q, backend="reference", **options)


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    return counts_of().save(tmp_path / "labelled.safetensors")


# count-labelled


def test_text(probsig: Any, texts: Path, labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    run = probsig("count-labelled", texts, labels, *SIZES, "--out", out, "--threads", 1)
    assert (run.code, run.err) == (0, "")
    assert ps.LabelledCounts.load(out, verify=True) == counts_of()
    lines = [line for line in run.out.splitlines() if not line.startswith("time")]
    assert lines == [
        "counted                  labelled, presence: 5 tokens, 3 labels",
        "backend                  reference, threads: 1",
        "samples                  5",
        "token-label pairs        7",
        "token pairs (unordered)  8",
        f"written                  {out} ({out.stat().st_size / 1000:.3g} kB)",
    ]
    sources = json.loads(out.with_suffix(".json").read_text())["sources"]
    assert [source["path"] for source in sources] == [str(texts), str(labels)]


@pytest.mark.parametrize("label_type", [np.uint8, np.int64])
def test_arrays(probsig: Any, tmp_path: Path, label_type: Any) -> None:
    out, offsets = tmp_path / "out.safetensors", tmp_path / "offsets.npy"
    np.save(tmp_path / "y.npy", np.array(Y, label_type))
    np.save(tmp_path / "flat.npy", np.concatenate(X).astype(np.uint16))
    np.save(offsets, np.cumsum([0, *map(len, X)]))
    files = (tmp_path / "flat.npy", tmp_path / "y.npy")
    run = probsig("count-labelled", *files, "--offsets", offsets, *SIZES, "--out", out)
    assert run.code == 0
    assert ps.LabelledCounts.load(out, verify=True) == counts_of()
    rows = np.random.default_rng(0).integers(0, V, (5, 4))
    np.save(tmp_path / "rows.npy", rows)
    run = probsig(
        *("count-labelled", tmp_path / "rows.npy", tmp_path / "y.npy", *SIZES, "--out", out),
        "--force",
    )
    assert run.code == 0
    assert ps.LabelledCounts.load(out) == counts_of(rows)


@pytest.mark.parametrize(
    ("options", "expected", "third"),
    [
        ([], {}, None),
        (["--incidence", "multiplicity"], {"incidence": "multiplicity"}, None),
        (["--third-order"], {"third_order": True}, V),
        (["--focus", "2", "1", "--memory", "1GB", "--threads", "2"], {"focus": [1, 2]}, 2),
    ],
)
def test_options_and_json(
    probsig: Any,
    texts: Path,
    labels: Path,
    tmp_path: Path,
    options: list[str],
    expected: dict[str, Any],
    third: int | None,
) -> None:
    out = tmp_path / "out.safetensors"
    run = probsig("count-labelled", texts, labels, *SIZES, *options, "--out", out, "--json")
    counts = ps.LabelledCounts.load(out, verify=True)
    assert counts == counts_of(**expected)
    told = json.loads(run.out)
    assert told.pop("seconds") >= 0
    assert told.pop("threads") >= 1
    if third is not None:
        triples = sum(counts.third_order(token).nnz for token in counts.focus)
        assert (told.pop("focus_tokens"), told.pop("triples")) == (third, triples)
    assert told == {
        "backend": "reference",
        "vocab_size": V,
        "n_labels": Q,
        "incidence": counts.incidence,
        "samples": 5,
        "token_label_pairs": counts.labels.nnz,
        "token_pairs": counts.pairs.nnz,
        "file": str(out),
        "bytes": out.stat().st_size,
    }


def test_third_order_is_told(probsig: Any, texts: Path, labels: Path, tmp_path: Path) -> None:
    run = probsig(
        *("count-labelled", texts, labels, *SIZES, "--third-order", "--progress"),
        *("--out", tmp_path / "out.safetensors"),
    )
    assert "third order              of 5 tokens: " in run.out
    assert "counting" in run.err


def test_no_samples(probsig: Any, tmp_path: Path) -> None:
    (tmp_path / "X.jsonl").write_text("")
    (tmp_path / "y.txt").write_text("")
    out = tmp_path / "a.safetensors"
    run = probsig("count-labelled", tmp_path / "X.jsonl", tmp_path / "y.txt", *SIZES, "--out", out)
    assert run.code == 0
    assert ps.LabelledCounts.load(out).n_samples == 0


# top


def test_top_labels(probsig: Any, labelled: Path, strings: Path) -> None:
    run = probsig("top", labelled, "7", "--tokenizer", strings)
    assert run.out.splitlines() == [
        "token 2 '7': 4 samples with it (labelled, presence)",
        "id  count  P(label | token)",
        " 0      2            0.5000",
        " 1      2            0.5000",
    ]
    run = probsig("top", labelled, "7", "--tokenizer", strings, "--side", "token", "--k", 1)
    assert run.out.splitlines() == [
        "token 2 '7': 4 samples with it (labelled, presence)",
        "id  count  P(other | token)  token",
        " 1      3            0.7500  ' the'",
    ]


def test_top_multiplicity(probsig: Any, tmp_path: Path) -> None:
    path = counts_of(incidence="multiplicity").save(tmp_path / "often.safetensors")
    run = probsig("top", path, 2, "--side", "token", "--k", 1)
    assert run.out.splitlines() == [
        "token 2: 5 occurrences (labelled, multiplicity)",
        "id  count  N[token, other] / N[token]",
        " 1      5                      1.0000",
    ]


@pytest.mark.parametrize("side", ["label", "token"])
@pytest.mark.parametrize("token", range(V))
def test_top_json(probsig: Any, labelled: Path, strings: Path, side: Any, token: int) -> None:
    run = probsig("top", labelled, token, "--side", side, "--json", "--tokenizer", strings, "--id")
    counts = counts_of()
    string = STRINGS if side == "token" else [None] * Q
    assert json.loads(run.out) == {
        "token": token,
        "string": STRINGS[token],
        "side": side,
        "support": counts.n_in[token],
        "top": [
            {**line._asdict(), "string": string[line.id]} for line in counts.top(token, side=side)
        ],
    }


def test_top_bad_input(probsig: Any, labelled: Path, strings: Path, tmp_path: Path) -> None:
    run = probsig("top", labelled, 1, "--side", "next")
    one_error(run, "--side: expected label or token for counts of labelled, presence, got 'next'")
    one_error(probsig("top", labelled, V), f"expected an id from 0 to {V - 1}, got {V}")
    one_error(probsig("top", labelled, 1, "--k", 0), "k: expected at least 1, got 0")
    run = probsig("top", labelled, "the", "--tokenizer", strings)
    one_error(run, "TOKEN: no token is 'the'; there is ' the'")
    strings.write_text(json.dumps(["a", "b", "a", "c", "d"]))
    run = probsig("top", labelled, "a", "--tokenizer", strings)
    one_error(run, "TOKEN: expected the string of one token, got 'a', which tokens [0, 2] have")


# merge


def test_merge(probsig: Any, tmp_path: Path) -> None:
    first, second, out = (tmp_path / f"{name}.safetensors" for name in ("a", "b", "sum"))
    counts_of(X[:2], Y[:2], focus=[2]).save(first)
    counts_of(X[2:], Y[2:], focus=[2]).save(second)
    run = probsig("merge", first, second, "--out", out)
    assert (run.code, run.err) == (0, "")
    assert ps.LabelledCounts.load(out, verify=True) == counts_of(focus=[2])
    assert "merged                   2 files of labelled, presence\n" in run.out
    assert "samples                  5\n" in run.out
    assert "third order              of 1 tokens: " in run.out
    told = json.loads(probsig("merge", second, first, "--out", out, "--force", "--json").out)
    assert (told["samples"], told["files"]) == (5, [str(second), str(first)])


def test_merge_bad_input(probsig: Any, labelled: Path, counted: Path, tmp_path: Path) -> None:
    out = tmp_path / "sum.safetensors"
    for files in ((labelled, counted), (counted, labelled)):
        one_error(
            probsig("merge", *files, "--out", out),
            f"FILE: expected counts of one kind, got labelled counts in {labelled} "
            f"and counts of a relation in {counted}",
        )
    other = counts_of(incidence="multiplicity").save(tmp_path / "often.safetensors")
    run = probsig("merge", labelled, other, "--out", out)
    one_error(run, "incidence: expected presence throughout", "got multiplicity in number 2")
    run = probsig("merge", labelled, labelled, "--out", tmp_path / "sum")
    one_error(run, "--out: expected a name ending in .safetensors, got")
    content = bytearray(labelled.read_bytes())
    content[-1] ^= 0x40
    other.write_bytes(content)
    one_error(probsig("merge", labelled, other, "--out", out), "damaged")
    assert not out.exists()
