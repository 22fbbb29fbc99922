"""`probsig count`, killed again and again, ends in the bytes that it would have ended in."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import pytest
from fault_support import (
    KILLED,
    SETTINGS,
    Setting,
    check_same,
    kill_until_done,
    operations,
    probsig_killed_at,
    results,
    resumed,
    undisturbed,
    write_sources,
)

#: Kills of the real command at random moments in the slow run, at least.
KILLS = 200
#: Of a row range, where each count is to have several.
ENTRIES = 3_000
#: Operations of the end of a count, each of which is tried.
LATE = 20
by_setting = pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)


@by_setting
def test_killed_at_any_moment(setting: Setting, tmp_path: Path) -> None:
    """At two operations on files, then at a random moment, then never: three kills each."""
    sources = write_sources(tmp_path)
    expected, seconds = undisturbed(setting, sources, tmp_path / "undisturbed")
    rng = random.Random(setting.name)
    folder = tmp_path / "killed"
    folder.mkdir()
    for most, resume in ((30, []), (14, ["--resume"])):
        arguments = setting.command(folder, sources, *resume)
        ended = probsig_killed_at(rng.randint(2, most), arguments)
        assert ended.returncode == KILLED, ended.stderr
    again = tmp_path / "again"
    folder.rename(again)
    kill = kill_until_done(setting, sources, tmp_path / "killed", seconds / 2, rng)
    next(kill, None)
    kill.close()
    check_same(resumed(setting, sources, tmp_path / "killed"), expected)
    check_same(resumed(setting, sources, again), expected)


@pytest.mark.long
@by_setting
def test_killed_at_many_operations(setting: Setting, tmp_path: Path) -> None:
    """Before and after an operation on files, from the first to the last: each of the last ones,
    which end the count, and many of those before."""
    sources, whole = write_sources(tmp_path), tmp_path / "whole"
    whole.mkdir()
    most = operations(setting.command(whole, sources), ENTRIES)
    expected = results(whole)
    assert most > 30
    assert len(expected) > 4
    early = range(1, most - LATE, max((most - LATE) // LATE, 1))
    for at in [*early, *range(most - LATE, most + 1)]:
        folder = tmp_path / f"at-{at}"
        folder.mkdir()
        ended = probsig_killed_at(at, setting.command(folder, sources), ENTRIES)
        assert ended.returncode == KILLED, (at, ended.stderr)
        ended = probsig_killed_at(0, setting.command(folder, sources, "--resume"), ENTRIES)
        assert ended.returncode == 0, (at, ended.stderr)
        check_same(results(folder), expected)
        shutil.rmtree(folder)


@pytest.mark.long
def test_many_kills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = write_sources(tmp_path)
    rng = random.Random(200)
    undisturbed_runs = {
        setting: undisturbed(setting, sources, tmp_path / f"undisturbed-{setting.name}")
        for setting in SETTINGS
    }
    kills = counts = 0
    began = time.monotonic()
    while kills < KILLS:
        setting = SETTINGS[counts % len(SETTINGS)]
        expected, seconds = undisturbed_runs[setting]
        folder = tmp_path / f"killed-{counts}"
        for _ in kill_until_done(setting, sources, folder, seconds, rng):
            kills += 1
        check_same(results(folder), expected)
        counts += 1
    with capsys.disabled():
        print(
            f"\n{kills} kills of {counts} counts, all of which ended in the bytes expected, ",
            end="",
        )
        print(f"{time.monotonic() - began:.0f} s")
