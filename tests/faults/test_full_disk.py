"""A file that cannot be written to its end: the command says so, and goes on once there is room."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fault_support import (
    SETTINGS,
    Setting,
    check_same,
    probsig,
    results,
    resumed,
    undisturbed,
    write_sources,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of a file's size")
#: Within the plan, the first files, and (with twice as much each time) runs and results.
LIMITS = [100, 3_000, 12_000, 24_000, 48_000, 96_000, 192_000]


@pytest.mark.parametrize(
    "setting",
    [each for each in SETTINGS if each.name in ("next", "focus", "sets-file")],
    ids=lambda setting: setting.name,
)
def test_full(setting: Setting, tmp_path: Path) -> None:
    sources = write_sources(tmp_path)
    expected, _ = undisturbed(setting, sources, tmp_path / "undisturbed")
    folder = tmp_path / "full"
    folder.mkdir()
    failed = 0
    for limit in LIMITS:
        resume = ["--resume"] if any(folder.iterdir()) else []
        ended = probsig(setting.command(folder, sources, *resume), limit)
        if ended.returncode == 0:
            break
        assert ended.returncode == 1
        assert ended.stdout == ""
        *before, error = ended.stderr.splitlines()
        assert error.startswith("probsig: error: ")
        assert "File too large" in error
        assert str(folder) in error
        has_state = (folder / "counts" / "state.json").is_file()
        assert ["--resume goes on" in line for line in before] == [True] * has_state
        assert not list(folder.rglob("*.partial"))
        failed += 1
    assert failed >= 3
    check_same(resumed(setting, sources, folder), expected)
    check_same(results(folder), expected)
