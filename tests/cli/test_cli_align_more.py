"""`probsig align` with several signatures, with all figures, and with a report."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import one_error

import probsig_fast as ps

pytest.importorskip("torch")

import torch

from probsig_fast.alignment import align, alignment_metrics, joint

V = 12
STRINGS = [*"0123456789", " if", "<script>"]


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.safetensors"
    corpus = np.random.default_rng(1).integers(0, V, 2000).astype(np.uint16)
    ps.count(corpus, vocab_size=V, backend="reference").save(path)
    (tmp_path / "strings.json").write_text(json.dumps(STRINGS))
    return path


def matrix(seed: int, rows: int = V) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(V + 3, 5, generator=generator)[:rows].contiguous()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Embeddings that are not tied."""
    save_file = pytest.importorskip("safetensors.torch").save_file
    path = tmp_path / "model.safetensors"
    weights = {"model.embed_tokens.weight": matrix(2, V + 3), "lm_head.weight": matrix(3, V + 3)}
    save_file(weights, path)
    return path


@pytest.fixture
def tied(tmp_path: Path) -> Path:
    save_file = pytest.importorskip("safetensors.torch").save_file
    path = tmp_path / "tied.safetensors"
    save_file({"model.embed_tokens.weight": matrix(2)}, path)
    return path


def told(run: Any) -> Any:
    assert (run.code, run.err) == (0, "")
    return json.loads(run.out)


def test_each_signature_has_its_embedding(probsig: Any, counts: Path, model: Path) -> None:
    names = ["phi_next", "psi_pre", "row_conditional", "column_conditional"]
    fields = told(probsig("align", counts, model, "--signature", *names, "--json"))
    loaded = ps.Counts.load(counts)
    assert [each["signature"] for each in fields["comparisons"]] == names
    for name, seed, which, each in zip(
        names, (2, 3, 2, 3), ("input", "output") * 2, fields["comparisons"], strict=True
    ):
        result = alignment_metrics(matrix(seed), getattr(loaded, name)(), centre=True)
        got = each["mean_centred"]
        assert (each["which"], each["rows_dropped"], each["tied"]) == (which, 3, False)
        assert got["r_cos"] == pytest.approx(result.correlation.pearson, abs=1e-12)
        assert got["interval"]["error"] == pytest.approx(result.interval.error, abs=1e-12)
        assert got["cka"] == pytest.approx(result.cka, abs=1e-12)
        assert got["debiased_cka"] == pytest.approx(result.debiased_cka, abs=1e-12)
        assert got["dropped"] == {"unseen": 0, "not_finite": 0, "zero": 0}


def test_which_and_a_file_for_the_output_embedding(
    probsig: Any, counts: Path, model: Path, tmp_path: Path
) -> None:
    def where(*options: object) -> str:
        fields = told(probsig("align", counts, model, "--json", *options))
        name: str = fields["embedding"]
        return name

    assert where("--which", "output").endswith("lm_head.weight")
    assert where("--signature", "psi_pre").endswith("lm_head.weight")
    assert where("--signature", "psi_pre", "--which", "input").endswith("embed_tokens.weight")
    np.save(tmp_path / "out.npy", matrix(4).numpy())
    other = ("--output-embedding", tmp_path / "out.npy")
    assert where("--signature", "psi_pre", *other).endswith("out.npy")
    fields = told(
        probsig("align", counts, model, "--json", "--signature", "phi_next", "psi_pre", *other)
    )
    sources = [Path(each["embedding"].split(",")[0]).name for each in fields["comparisons"]]
    assert sources == ["model.safetensors", "out.npy"]
    for options in ((), ("--signature", "psi_pre", "--which", "input")):
        run = probsig("align", counts, model, *other, *options)
        one_error(run, "--output-embedding: expected one of psi_pre, psi_X")


def test_joint_is_for_tied_embeddings(
    probsig: Any, counts: Path, model: Path, tied: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "array.npy", matrix(2).numpy())
    loaded = ps.Counts.load(counts)
    expected = alignment_metrics(matrix(2), joint(loaded.phi_next(), loaded.psi_pre()))
    for path in (tied, tmp_path / "array.npy"):
        fields = told(probsig("align", counts, path, "--signature", "joint", "--json"))
        assert fields["signature"] == "phi_next+psi_pre"
        assert fields["raw"]["r_cos"] == pytest.approx(expected.correlation.pearson, abs=1e-12)
    run = probsig("align", counts, tied, "--signature", "joint")
    assert "12 x 5, tied" in run.out
    run = probsig("align", counts, model, "--signature", "joint")
    one_error(run, "--signature joint: expected tied embeddings", "lm_head.weight", "--which")
    assert probsig("align", counts, model, "--signature", "joint", "--which", "input").code == 0


def test_several_are_printed_one_below_the_other(probsig: Any, counts: Path, tied: Path) -> None:
    run = probsig("align", counts, tied, "--signature", "phi_next", "psi_pre", "phi_next")
    heads = [line for line in run.out.splitlines() if line.startswith("signature")]
    assert heads == [
        "signature  phi_next: P(next | token)",
        "signature  psi_pre: P(previous | token)",
    ]


def test_rows_that_are_left_out_are_said(probsig: Any, counts: Path, tmp_path: Path) -> None:
    W = matrix(2).numpy()
    W[3] = 0.0
    W[[5, 6]] = np.nan
    np.save(tmp_path / "holes.npy", W)
    run = probsig("align", counts, tmp_path / "holes.npy", "--strong-pairs", 0.1)
    # Less the mean, the row of zeros is none.
    assert "left out   rows of W: 0 zero, 2 not finite" in run.out
    assert [line.split()[1:] for line in run.out.splitlines() if line.startswith("tokens")] == [
        ["9", "10"]
    ]
    fields = told(probsig("align", counts, tmp_path / "holes.npy", "--json"))
    assert fields["raw"]["dropped"] == {"unseen": 0, "not_finite": 2, "zero": 1}


def test_full_prints_all_of_align(probsig: Any, counts: Path, tied: Path, tmp_path: Path) -> None:
    options = ("--full", "--draws", 4, "--seed", 3, "--strong-pairs", 0.1)
    fields = told(probsig("align", counts, tied, "--json", *options))
    phi = ps.Counts.load(counts).phi_next()
    expected = align(matrix(2), phi, centre=True, fraction=0.1, draws=4, seed=3)
    full = fields["mean_centred"]["full"]
    assert full["null"]["values"] == pytest.approx(expected.null.values.tolist(), abs=1e-12)
    assert full["neighbours"]["overlap"] == list(expected.neighbours.overlap)
    assert fields["mean_centred"]["strong_pairs"]["top"] == expected.strong_pairs.top
    run = probsig("align", counts, tied, *options, "--tokenizer", tmp_path / "strings.json")
    assert (run.code, run.err) == (0, "")
    spread = f"{expected.null.mean:.4f} ± {expected.null.deviation:.4f}"
    line = next(line for line in run.out.splitlines() if line.startswith("tokens permuted "))
    assert line.endswith(spread)
    for part in (
        f"{expected.spearman.value:.4f}",
        f"{expected.banded_null.z:.1f}",
        f"{expected.neighbours.overlap[1]:.4f}",
        f"{expected.strata[3].pearson:.4f}",
        "nearest in common",
        "R_cos by support",
        "R_cos of single tokens",
        "'<script>'",
    ):
        assert part in run.out, part
    assert "'" not in probsig("align", counts, tied, *options).out  # ids
    assert "raw" not in probsig("align", counts, tied, *options, "--centre").out


@pytest.fixture
def extras() -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")


@pytest.mark.usefixtures("extras")
def test_report(probsig: Any, counts: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--signature", "phi_next", "psi_pre", "--draws", 3, "--strong-pairs", 0.1)
    texts = ("--tokenizer", tmp_path / "strings.json")
    run = probsig("align", counts, model, *options, *texts, "--report", out)
    assert (run.code, run.err) == (0, "")
    assert f"report     {out / 'report.html'} (" in run.out
    assert "16 pictures" in run.out
    assert "tokens permuted" in run.out  # what --full prints
    page = (out / "report.html").read_text("utf-8")
    assert "corpus.safetensors" in page
    assert "lm_head.weight" in page
    assert "psi_pre and the output embedding" in page
    assert "<script>" not in page
    data = json.loads((out / "report.json").read_text())
    assert data["provenance"]["relation"] == "next"
    assert data["provenance"]["versions"]["torch"] == torch.__version__
    assert data["provenance"]["min_support"] == 0
    loaded = ps.Counts.load(counts)
    for each, seed, name in zip(data["comparisons"], (2, 3), ("phi_next", "psi_pre"), strict=True):
        expected = align(matrix(seed), getattr(loaded, name)(), fraction=0.1, draws=3)
        got = each["raw"]["metrics"]["correlation"]["pearson"]
        assert got == pytest.approx(expected.metrics.correlation.pearson, abs=1e-12)
        assert each["embedding"]["rows"] == V + 3
        assert each["embedding"]["rows_dropped"] == 3
        assert [group["name"] for group in each["groups"]] == ["digits"]
    fields = told(probsig("align", counts, model, *options, "--json", "--report", out))
    assert fields["report"][0] == str(out / "report.html")
    assert len(fields["comparisons"]) == 2


@pytest.mark.usefixtures("extras")
def test_report_of_own_groups(probsig: Any, counts: Path, tied: Path, tmp_path: Path) -> None:
    (tmp_path / "groups.json").write_text('{"few": ["1", "if", 7, "none"]}')
    run = probsig(
        *("align", counts, tied, "--report", tmp_path / "out", "--draws", 2),
        *("--groups", tmp_path / "groups.json", "--tokenizer", tmp_path / "strings.json"),
    )
    assert run.code == 0
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    (few,) = data["comparisons"][0]["groups"]
    assert few == {"name": "few", "tokens": [1, 10, 7], "missing": ["none"]}


@pytest.mark.usefixtures("extras")
def test_report_of_labelled_counts(probsig: Any, tied: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / "labelled.safetensors"
    sizes = {"vocab_size": V, "n_labels": V, "backend": "reference"}
    X, y = rng.integers(0, V, (300, 3)), rng.integers(0, V, 300)
    ps.count_labelled(X, y, **sizes).save(path)
    (tmp_path / "strings.json").write_text(json.dumps(STRINGS))
    run = probsig(
        *("align", path, tied, "--signature", "phi_y", "psi_X", "--draws", 2),
        *("--report", tmp_path / "out", "--tokenizer", tmp_path / "strings.json"),
    )
    assert (run.code, run.err) == (0, "")
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    phi, psi = data["comparisons"]
    assert [group["name"] for group in phi["groups"]] == ["digits"]
    assert psi["groups"] == []  # labels are no tokens, though they are as many
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "12 labels" in page
    assert "#0" in page


@pytest.mark.usefixtures("extras")
def test_report_with_a_trajectory(probsig: Any, counts: Path, tied: Path, tmp_path: Path) -> None:
    from probsig_fast.alignment import trajectory

    steps = {0: {"wte.weight": matrix(9)}, 5: {"wte.weight": matrix(2)}}
    track = trajectory(steps, ps.Counts.load(counts).phi_next(), progress=False)
    track.to_csv(tmp_path / "track.csv")
    out = tmp_path / "out"
    run = probsig(
        *("align", counts, tied, "--report", out, "--draws", 2),
        *("--trajectory", tmp_path / "track.csv"),
    )
    assert (run.code, run.err) == (0, "")
    page = (out / "report.html").read_text("utf-8")
    assert "Over training" in page
    assert "Step 0 is the untrained model" in page
    assert (out / "trajectory.png").is_file()
    rows = json.loads((out / "report.json").read_text())["trajectory"]["rows"]
    assert len(rows) == len(track.rows) == 4
    for row in track.rows:
        if row.centred:
            assert f"{row.r_cos:+.4f} ± {row.r_cos_error:.4f}" in page


@pytest.mark.usefixtures("extras")
def test_report_is_refused_before_any_work(
    probsig: Any, counts: Path, tied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    run = probsig("align", counts, tied, "--report", tmp_path / "full")
    one_error(run, "--report: expected a new folder, an empty one or that of an earlier report")
    run = probsig("align", counts, tied, "--report", tmp_path / "no" / "out")
    one_error(run, "--report: expected a folder in an existing one")
    run = probsig("align", counts, tied, "--report", tmp_path / "out", "--centre")
    one_error(run, "--centre: expected none with --report, which shows both")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    run = probsig("align", counts, tied, "--report", tmp_path / "out")
    one_error(run, "a report needs jinja2", "pip install 'probsig-fast[report]'")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--groups", "--trajectory"])
def test_options_of_the_report_alone(
    probsig: Any, counts: Path, tied: Path, option: str, tmp_path: Path
) -> None:
    run = probsig("align", counts, tied, option, tmp_path / "strings.json")
    one_error(run, f"{option}: expected --report with it, got none")


@pytest.mark.usefixtures("extras")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "--groups: expected a file"),
        ("{", "--groups: expected JSON"),
        ('["a"]', '--groups: expected {"name": ["token", ...], ...}'),
        ("{}", "--groups: expected"),
        ('{"a": []}', "--groups: expected"),
        ('{"a": [1.5]}', "--groups: expected"),
        ('{"a": [true]}', "--groups: expected"),
        ('{"a": "text"}', "--groups: expected"),
    ],
)
def test_bad_groups(
    probsig: Any, counts: Path, tied: Path, tmp_path: Path, content: str | None, message: str
) -> None:
    path = tmp_path / "groups.json"
    if content is not None:
        path.write_text(content)
    run = probsig("align", counts, tied, "--report", tmp_path / "out", "--groups", path)
    one_error(run, message, "groups.json")


@pytest.mark.usefixtures("extras")
def test_bad_trajectory(probsig: Any, counts: Path, tied: Path, tmp_path: Path) -> None:
    for name in ("none.csv", "strings.json"):
        run = probsig(
            "align", counts, tied, "--report", tmp_path / "out", "--trajectory", tmp_path / name
        )
        one_error(run, "--trajectory: expected", name)
    assert not (tmp_path / "out").exists()


def test_bad_numbers(probsig: Any, counts: Path, tied: Path) -> None:
    run = probsig("align", counts, tied, "--full", "--draws", 0)
    one_error(run, "draws: expected", "0")
    run = probsig("align", counts, tied, "--min-support", 10**6)
    one_error(run, "min_support: expected at least 3 tokens", "1,000,000")
