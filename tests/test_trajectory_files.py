"""A trajectory's files: written, read back, and what is refused."""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="alignment needs torch")

from trajectory_support import counts_of, model_at  # noqa: E402

from probsig_fast.alignment.trajectory import Trajectory, trajectory  # noqa: E402
from probsig_fast.alignment.trajectory.row import COLUMNS  # noqa: E402
from probsig_fast.errors import (  # noqa: E402
    ArgumentError,
    MissingExtraError,
    SourceError,
    SourceNotFoundError,
)


@pytest.fixture(scope="module")
def tracked() -> Trajectory:
    """With an undefined checkpoint, and counts as of a step."""
    diverged = {name: each * torch.nan for name, each in model_at(9).items()}
    models = {0: model_at(0), 5: model_at(5), 9: diverged}
    phi, early = counts_of().phi_next(), counts_of(2).phi_next()
    return trajectory(models, phi, None, 5, 0.1, 3, counts_at={5: early}, threads=1)


def same(a: Trajectory, b: Trajectory) -> None:
    def told(each: Trajectory) -> list[list[str]]:
        return [[repr(getattr(row, name)) for name in COLUMNS] for row in each.rows]

    assert told(a) == told(b)
    assert (a.fraction, a.neighbours) == (b.fraction, b.neighbours)


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
@pytest.mark.parametrize("left_out", [False, True])
def test_what_is_written_is_read(
    tracked: Trajectory, tmp_path: Path, suffix: str, left_out: bool
) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    if left_out:
        phi = counts_of().phi_next()
        tracked = trajectory({3: model_at(3)}, phi, fraction=None, neighbours=None, threads=1)
    path = tmp_path / f"t.{suffix}"
    getattr(tracked, f"to_{suffix}")(path)
    found = Trajectory.read(path)
    same(found, tracked)
    assert (found.fraction, found.neighbours) == ((None, None) if left_out else (0.1, 3))
    same(Trajectory.read(str(path)), tracked)


def test_csv(tracked: Trajectory, tmp_path: Path) -> None:
    tracked.to_csv(tmp_path / "t.csv")
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert len(lines) == len(tracked.rows) == 6
    for line, row in zip(lines, tracked.rows, strict=True):
        for cell, name in zip(line, header, strict=True):
            value = getattr(row, name)
            undefined = value is None or (isinstance(value, float) and math.isnan(value))
            assert cell == ("" if undefined else str(value))


def test_parquet(tracked: Trajectory, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    tracked.to_parquet(tmp_path / "t.parquet")
    table = parquet.read_table(tmp_path / "t.parquet")
    assert tuple(table.column_names) == COLUMNS
    kinds = dict(zip(COLUMNS, map(str, table.schema.types), strict=True))
    assert [kinds[name] for name in ("step", "as_of", "which", "centred", "cka")] == [
        *("int64", "int64", "string", "bool", "double")
    ]
    assert table["as_of"].to_pylist() == [None, None, 5, 5, 5, 5]


def test_json(tracked: Trajectory, tmp_path: Path) -> None:
    tracked.to_json(tmp_path / "t.json")
    told = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert (told["fraction"], told["neighbours"]) == (0.1, 3)
    assert [row["r_cos"] is None for row in told["rows"]] == [False] * 4 + [True] * 2


def test_parquet_without_pyarrow(
    tracked: Trajectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "t.parquet"
    with pytest.raises(MissingExtraError, match=r"to_parquet\(\) needs.*probsig-fast\[parquet\]"):
        tracked.to_parquet(path)
    path.write_bytes(b"")
    with pytest.raises(MissingExtraError, match=r"reading a \.parquet file needs"):
        Trajectory.read(path)


def test_bad_files(tracked: Trajectory, tmp_path: Path) -> None:
    def refused(error: type[Exception], match: str, name: str, content: Any = None) -> None:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(error, match=match):
            Trajectory.read(tmp_path / name)

    refused(ArgumentError, r"path: expected a file ending in \.csv, \.parquet, \.json", "t.txt")
    refused(SourceNotFoundError, "path: expected a file, got .*no such file", "t.csv")
    refused(
        SourceError, "columns of a trajectory in .*t.csv.*none named 'step'", "t.csv", b"a\n1\n"
    )
    refused(SourceError, "columns of a trajectory in .*none named 'rows'", "t.json", b"{}")
    refused(SourceError, "expected a trajectory in .*t.json", "t.json", b"[]")
    refused(SourceError, "expected a trajectory in .*t.json", "t.json", b"{")
    refused(SourceError, "expected a trajectory in .*t.json", "t.json", b'{"rows": 3}')
    refused(SourceError, "expected a trajectory in .*t.json", "t.json", b'{"rows": [3]}')
    refused(SourceError, "expected a trajectory in .*t.csv", "t.csv", b"\xff\xfe\n\xff\n")
    refused(SourceError, "expected a trajectory in .*t.csv", "t.csv", b"\0")
    pytest.importorskip("pyarrow")
    refused(SourceError, "expected a trajectory in .*t.parquet", "t.parquet", b"no table")
    tracked.to_csv(tmp_path / "t.csv")
    whole = (tmp_path / "t.csv").read_text()
    for old, new, told in (
        (",False,", ",no,", "tied is 'no'"),
        ("\n0,", "\n,", "step is ''"),
        ("\n0,", "\n1.5,", "invalid literal"),
    ):
        refused(SourceError, told, "t.csv", whole.replace(old, new, 1).encode())
    with pytest.raises(ArgumentError, match="path: expected a file in an existing folder"):
        tracked.to_csv(tmp_path / "none" / "t.csv")
