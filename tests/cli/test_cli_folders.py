"""`--out FOLDER` and `--work-dir`: counts in row ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import FLAT, PREFIX, SETS, counts_of, lines_of, one_error

import probsig_fast as ps


@pytest.mark.parametrize("relation", [ps.Next(), ps.Prefix(2), ps.SameSequence()])
def test_out_is_a_folder(probsig: Any, tokens: Path, tmp_path: Path, relation: Any) -> None:
    out = tmp_path / "out"
    options = {"next": (), "prefix": PREFIX, "same-sequence": SETS}[relation.name]
    run = probsig("count", tokens, *FLAT, "--eos", 0, *options, "--out", out)
    assert (run.code, run.err) == (0, "")
    assert ps.Counts.load(out, verify=True) == counts_of(relation)
    size = sum(file.stat().st_size for file in out.iterdir())
    assert lines_of(run.out)["written"] == f"{out} ({size / 1000:.3g} kB)"
    assert probsig("top", out, 1).out == probsig("top", saved(out), 1).out


def saved(folder: Path) -> Path:
    """The counts of a folder in a file."""
    return ps.Counts.load(folder).save(folder.with_name("as_a_file.safetensors"))


def test_folder_is_never_replaced(probsig: Any, tokens: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    for name in ("file", "full"):
        run = probsig("count", tokens, *FLAT, *SETS, "--out", tmp_path / name, "--force")
        one_error(run, f"--out: expected a new or empty folder, got '{tmp_path / name}'")
    (tmp_path / "empty").mkdir()
    assert probsig("count", tokens, *FLAT, *SETS, "--out", tmp_path / "empty").code == 0


def test_a_count_goes_on_where_it_is_asked_to(probsig: Any, tokens: Path, tmp_path: Path) -> None:
    command = ("count", tokens, *FLAT, *SETS, "--out", tmp_path / "out")
    assert probsig(*command).code == 0
    hint = "; --resume goes on with the count in it"
    one_error(
        probsig(*command), f"--out: expected a new or empty folder, got '{tmp_path / 'out'}'{hint}"
    )
    run = probsig(*command, "--resume")
    assert (run.code, run.err) == (0, "")


def test_work_dir_goes_with_a_file(probsig: Any, tokens: Path, tmp_path: Path) -> None:
    run = probsig(
        *("count", tokens, *FLAT, *SETS, "--out", tmp_path / "out", "--work-dir", tmp_path / "work")
    )
    assert run.code == 2
    assert "--work-dir goes with --out FILE.safetensors: row ranges are made in" in run.err


class TestMoreThanMemory:
    """One sequence of 2,000 tokens has 2 M pairs, of which 16 MiB hold 0.7 M."""

    @pytest.fixture
    def common(self, tmp_path: Path) -> tuple[Any, ...]:
        np.arange(2000, dtype=np.uint16).tofile(tmp_path / "many.bin")
        source = (tmp_path / "many.bin", "--dtype", "uint16", "--vocab-size", 2000)
        return ("count", *source, *SETS, "--memory", "16MiB")

    @staticmethod
    def is_right(path: Path) -> bool:
        counts = ps.Counts.load(path)
        return bool(counts.nnz == 2000 * 2001 // 2 and (counts.row_sum == 2000).all())

    def test_says_what_to_give(self, probsig: Any, tmp_path: Path, common: Any) -> None:
        run = probsig(*common, "--out", tmp_path / "out.safetensors")
        one_error(run, "error: memory: expected room for the counts, got 16.8 MB", "work_dir=")
        assert [path.name for path in tmp_path.iterdir()] == ["many.bin"]

    def test_in_a_folder(self, probsig: Any, tmp_path: Path, common: Any) -> None:
        assert probsig(*common, "--out", tmp_path / "out").code == 0
        assert self.is_right(tmp_path / "out")

    def test_through_a_work_dir(self, probsig: Any, tmp_path: Path, common: Any) -> None:
        out, work = tmp_path / "out.safetensors", tmp_path / "work"
        run = probsig(*common, "--out", out, "--work-dir", work)
        assert run.code == 0
        assert lines_of(run.out)["row ranges"].startswith(f"{work} (")
        assert self.is_right(out)
        assert self.is_right(work)  # as --help says

    def test_pairs_through_a_work_dir(self, probsig: Any, tokens: Path, tmp_path: Path) -> None:
        out, work = tmp_path / "out.safetensors", tmp_path / "work"
        run = probsig("count", tokens, *FLAT, "--eos", 0, "--out", out, "--work-dir", work)
        assert run.code == 0
        assert lines_of(run.out)["row ranges"].startswith(f"{work} (")
        assert ps.Counts.load(work, verify=True) == ps.Counts.load(out) == counts_of(ps.Next())
