"""A count that was interrupted goes on, and ends in the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from resume_support import (
    V,
    by_relation,
    content,
    counted,
    interrupted,
    small,
    tokens,
)

import probsig_fast as ps
from probsig_fast import row_files
from probsig_fast.counting import pair_sums
from probsig_fast.errors import (
    CountsFileError,
)

pytestmark = pytest.mark.usefixtures("small")
__all__ = ["small", "tokens"]  # fixtures


@by_relation
def test_at_every_place(name: str, tokens: Path, tmp_path: Path) -> None:
    """Interrupted at a change of the folder, resumed, interrupted a little later, and so on."""
    expected = counted(tokens, None, name)
    whole = tmp_path / "whole"
    assert counted(tokens, whole, name) == expected
    stops = 0
    for first in (1, 2, 3, 5, 8, 13):
        folder = tmp_path / f"from-{first}"
        at = first
        while interrupted(tokens, folder, name, at, resume=folder.exists()):
            at, stops = at + 7, stops + 1
        assert content(folder) == content(whole)
        assert ps.Counts.load(folder, verify=True) == expected
    assert stops > 30


@by_relation
def test_other_ways_of_counting_go_on(name: str, tokens: Path, tmp_path: Path) -> None:
    """Backend, threads, memory and checkpoints may change between runs."""
    whole = tmp_path / "whole"
    counted(tokens, whole, name)
    ways: list[dict[str, Any]] = [
        {"backend": "numba_cpu", "threads": 1},
        {"memory": 2**24, "chunk_tokens": None},
        {"checkpoint_seconds": None},
    ]
    for number, way in enumerate(ways):
        folder = tmp_path / str(number)
        assert interrupted(tokens, folder, name, 60)
        counted(tokens, folder, name, **{"resume": True, **way})
        assert content(folder) == content(whole)


def test_nothing_is_counted_again_that_was_saved(tokens: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    assert interrupted(tokens, folder, "next", 60)
    state = json.loads((folder / "state.json").read_text())["body"]
    assert 2 < state["chunks"] < 11
    read = []
    with pytest.MonkeyPatch.context() as patch:
        from probsig_fast.counting import pairs

        scan = pairs.scan_chunk
        patch.setattr(pairs, "scan_chunk", lambda owned, *a: read.append(owned) or scan(owned, *a))
        counted(tokens, folder, resume=True)
    assert [owned.begin for owned in read] == list(range(700 * state["chunks"], 8_000, 700))


def test_a_finished_count_is_given_again(tokens: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    first = counted(tokens, folder)
    before = content(folder), (folder / "index.json").read_bytes()
    assert counted(tokens, folder, resume=True) == first
    assert (content(folder), (folder / "index.json").read_bytes()) == before


def test_a_provenance_that_was_not_written_any_more(tokens: Path, tmp_path: Path) -> None:
    """It is the last file but one to be there: after the index."""
    folder = tmp_path / "work"
    first = counted(tokens, folder)
    (folder / "index.json").unlink()
    again = counted(tokens, folder, resume=True)
    assert again == first
    assert again.provenance.keys() == first.provenance.keys()
    assert again.provenance["sources"] == first.provenance["sources"]
    assert again.provenance["tokens_read"] == 8_000
    assert ps.Counts.load(folder, verify=True).provenance == again.provenance


def test_resume_begins_where_there_is_nothing(tokens: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "new", tmp_path / "empty"):
        assert counted(tokens, folder, resume=True) == counted(tokens, None)


def test_disk_is_at_most_three_results_and_what_memory_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every chunk is written by itself: together many times more than the result."""
    monkeypatch.setattr(row_files, "_RANGE_ENTRIES", 10**6)
    random = np.random.default_rng(1)
    tokens = random.integers(0, V, 60_000).astype(np.uint16)
    folder, sizes, spilled = tmp_path / "work", [0], [0]
    write = row_files.write_range

    def watched(*arguments: Any) -> Any:
        result = write(*arguments)
        sizes.append(sum(p.stat().st_size for p in folder.glob("*.safetensors")))
        return result

    def watched_save(self: Any) -> Any:
        spilled.append(self._accumulator.nbytes)
        return save(self)

    save = pair_sums.PairSums.save
    monkeypatch.setattr(row_files, "write_range", watched)
    monkeypatch.setattr(pair_sums.PairSums, "save", watched_save)
    counted(tokens, folder, sequence_length=None, eos=None)
    result = sum(p.stat().st_size for p in folder.glob("rows-*.safetensors"))
    overhead = 20 * 8 * (V + 1)  # row pointers, of runs and in indices
    assert len(spilled) > 80
    assert max(sizes) <= 3 * result + max(spilled) + overhead


def test_a_finished_count_outlives_a_failure_to_open_it(tokens: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    counted(tokens, folder)
    index = folder / "index.safetensors"
    good = index.read_bytes()
    index.write_bytes(good[:100])
    names = {path.name for path in folder.iterdir()}
    with pytest.raises(CountsFileError):
        counted(tokens, folder, resume=True)
    assert {path.name for path in folder.iterdir()} == names
    index.write_bytes(good)
    assert counted(tokens, folder, resume=True) == counted(tokens, None)
