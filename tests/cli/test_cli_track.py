"""`probsig track`: its files and table against `trajectory`, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import Run, forbid_import, one_error
from test_cli_examples import examples

import probsig_fast as ps

pytest.importorskip("torch", reason="alignment needs torch")
pytest.importorskip("safetensors")

from trajectory_support import STEPS, V, counts_of, write_training

from probsig_fast.alignment import joint
from probsig_fast.alignment.trajectory import Trajectory, trajectory
from probsig_fast.cli.track import EPILOG


@pytest.fixture
def training(tmp_path: Path) -> Path:
    counts_of().save(tmp_path / "next.safetensors")
    return write_training(tmp_path / "training")


@pytest.fixture
def track(probsig: Any, training: Path, tmp_path: Path) -> Any:
    def call(*arguments: object, counts: tuple[str, ...] = ("next.safetensors",)) -> Run:
        paths = [tmp_path / name for name in counts]
        how = ("--out", tmp_path / "out", "--threads", 1)
        run: Run = probsig("track", training, *paths, *how, *arguments)
        return run

    return call


def same(a: Trajectory, b: Trajectory) -> None:
    assert repr(a) == repr(b)  # NaN is not itself


def test_files_and_table(track: Any, training: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pytest.importorskip("matplotlib")
    run = track("--min-support", 5, "--strong-pairs", 0.1, "--neighbours", 3)
    assert (run.code, run.err) == (0, "")
    counts = counts_of()
    signatures = [counts.phi_next(), counts.psi_pre()]
    expected = trajectory(training, signatures, None, 5, 0.1, 3, threads=1, backend="reference")
    assert run.out.startswith(f"{expected}\n\n4 checkpoints compared in ")
    names = ["trajectory.json", "trajectory.csv", "trajectory.parquet", "trajectory.png"]
    assert run.out.splitlines()[-1] == f"written to {tmp_path / 'out'}: {', '.join(names)}"
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(names)
    for name in names[:3]:
        same(Trajectory.read(tmp_path / "out" / name), expected)
    assert (tmp_path / "out" / "trajectory.png").read_bytes().startswith(b"\x89PNG")


def test_json_and_few_figures(track: Any, training: Path, tmp_path: Path) -> None:
    run = track("--json", "--quick", "--centre", "--signature", "psi_pre", "--no-progress")
    told = json.loads(run.out)
    expected = trajectory(
        training, counts_of().psi_pre(), fraction=None, neighbours=None, centre=True, threads=1
    )
    assert told["rows"] == expected.to_dict()["rows"]
    assert (told["fraction"], told["neighbours"]) == (None, None)
    assert told["checkpoints"] == str(training)
    assert told["counts"] == [str(tmp_path / "next.safetensors")]
    assert told["files"][:2] == ["trajectory.json", "trajectory.csv"]


def test_several_counts(track: Any, tmp_path: Path) -> None:
    tokens = np.random.default_rng(4).integers(0, V, (90, 6))
    ps.count(tokens, ps.Prefix(2), vocab_size=V, backend="reference").save(
        tmp_path / "prefix.safetensors"
    )
    both = ("next.safetensors", "prefix.safetensors")

    def sides(run: Run) -> dict[str, str]:
        return {row["signature"]: row["which"] for row in json.loads(run.out)["rows"]}

    assert sides(track("--json", "--quick", counts=both)) == {
        **{"phi_next": "input", "psi_pre": "output"},
        **{"phi_y": "input", "psi_X": "output"},
    }
    chosen = ("--signature", "phi_y", "joint")
    assert sides(track("--json", "--quick", *chosen, counts=both)) == {
        **{"phi_y": "input", "phi_next+psi_pre": "input"}
    }
    one_error(
        track(*chosen), "--signature: expected phi_y in one of COUNTS, got it in 0 of 1 (next)"
    )
    one_error(track(counts=both[:1] * 2), "expected phi_next in one of COUNTS, got it in 2 of 2")


def test_joint_and_which(track: Any, training: Path) -> None:
    run = track("--json", "--quick", "--signature", "joint", "--which", "output")
    signature = joint(counts_of().phi_next(), counts_of().psi_pre())
    expected = trajectory(
        training, signature, "output", fraction=None, neighbours=None, threads=1
    ).to_dict()
    assert json.loads(run.out)["rows"] == expected["rows"]


def test_keys(track: Any) -> None:
    options = ("--json", "--quick", "--signature", "psi_pre")
    plain = json.loads(track(*options).out)["rows"]
    of_key = track(*options, "--which", "input", "--input-key", "embed_out.weight")
    told = json.loads(of_key.out)["rows"]
    assert [row["r_cos"] for row in told] == [row["r_cos"] for row in plain]
    run = track("--output-key", "wte")
    one_error(run, "--input-key, --output-key: step 0: expected one of 'embed_out.weight'")


def test_counts_as_of_a_step(track: Any, training: Path, tmp_path: Path) -> None:
    folder = tmp_path / "counts"
    folder.mkdir()
    early, late = counts_of(2, 300), counts_of(3, 900)
    early.save(folder / "step1.safetensors")
    late.save(folder / "next-step100.safetensors")
    (folder / "notes-step7.txt").write_text("no counts")
    run = track("--json", "--quick", "--counts-at", folder)
    phi, psi = counts_of().phi_next(), counts_of().psi_pre()
    at = {1: [early.phi_next(), early.psi_pre()], 100: [late.phi_next(), late.psi_pre()]}
    expected = trajectory(
        training, [phi, psi], counts_at=at, fraction=None, neighbours=None, threads=1
    )
    assert json.loads(run.out)["rows"] == expected.to_dict()["rows"]
    assert [row.as_of for row in expected.curve("psi_pre", True)] == [None, 1, 1, 100]

    (folder / "step-100").mkdir()
    one_error(
        track("--counts-at", folder),
        "--counts-at: expected one of each step, got 'next-step100.safetensors' and 'step-100'",
    )
    (folder / "step-100").rmdir()
    sets = ps.count(np.arange(V), ps.SameSequence(), vocab_size=V, backend="reference")
    sets.save(folder / "step3.safetensors")
    run = track("--counts-at", folder)
    one_error(run, "--counts-at: expected counts that have one of phi_next, psi_pre, got same seq")
    one_error(track("--counts-at", tmp_path / "none"), "--counts-at: expected a folder, got")
    (tmp_path / "empty").mkdir()
    run = track("--counts-at", tmp_path / "empty")
    one_error(run, "--counts-at: expected counts named like step1000.safetensors in")


def test_a_folder_of_an_earlier_run_is_replaced(
    track: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    assert track("--quick").code == 0
    forbid_import(monkeypatch, "pyarrow")
    run = track("--quick", "--signature", "phi_next")
    assert run.code == 0
    assert "probsig: no trajectory.parquet: to_parquet() needs pyarrow" in run.err
    assert not (out / "trajectory.parquet").exists()
    assert Trajectory.read(out / "trajectory.json").signatures == ("phi_next",)
    forbid_import(monkeypatch, "matplotlib")
    run = track("--quick")
    assert "probsig: no trajectory.png: trajectory_curves() needs matplotlib" in run.err
    assert {path.name for path in out.iterdir()} == {"trajectory.json", "trajectory.csv"}


def test_bad_input(probsig: Any, track: Any, training: Path, tmp_path: Path) -> None:
    counts, out = tmp_path / "next.safetensors", ("--out", tmp_path / "out")
    empty = tmp_path / "empty"
    empty.mkdir()
    one_error(probsig("track", empty, counts, *out), "CHECKPOINTS: expected folders or files of")
    missing = probsig("track", tmp_path / "none", counts, *out)
    one_error(missing, "CHECKPOINTS: expected a folder, got", "no such folder")
    one_error(track("--min-support", 10**6), "--min-support: expected at least 3 tokens that")
    one_error(track("--strong-pairs", 2), "--strong-pairs: expected above 0, and at most 1")
    one_error(track("--neighbours", 0), "--neighbours: expected at least 1, got 0")
    one_error(track(counts=("none.safetensors",)), "none.safetensors")
    (empty / "step7").mkdir()
    one_error(probsig("track", empty, counts, *out), "CHECKPOINTS: step 7: expected a file ending")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("")
    one_error(track(), "--out: expected a new folder, an empty one or an earlier run's")
    assert probsig("track", training, counts).code == 2


def test_examples_of_the_help(
    probsig: Any, training: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They run as they stand, on files of the names that they use."""
    monkeypatch.chdir(tmp_path)
    training.rename("checkpoints")
    rng = np.random.default_rng(7)
    tokens = rng.integers(0, V, 20_000)
    ps.count(tokens, vocab_size=V, backend="reference").save("docs.next.safetensors")
    prefix = ps.count(tokens[:2000].reshape(-1, 10), ps.Prefix(2), vocab_size=V)
    prefix.save("docs.prefix.safetensors")
    Path("counts").mkdir()
    counts_of(2).save("counts/step1.safetensors")
    for arguments in examples(EPILOG):
        run = probsig(*arguments, *([] if "--json" in arguments else ["--threads", 1]))
        assert (run.code, run.err) == (0, ""), arguments


def test_steps_are_those_of_the_folder(track: Any) -> None:
    rows = json.loads(track("--json", "--quick").out)["rows"]
    assert list(dict.fromkeys(row["step"] for row in rows)) == list(STEPS)
