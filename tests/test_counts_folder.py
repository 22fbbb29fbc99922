"""Counts in a folder of row ranges: written while they are counted, or saved there."""

from __future__ import annotations

import os
import pickle
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folder_support import RELATIONS, V, block_of, counted, kinds, tokens
from oracle import check_canonical, saved_bytes

import probsig_fast as ps
from probsig_fast import row_files, runs
from probsig_fast.counting import pair_sums, ranges
from probsig_fast.csr import Csr
from probsig_fast.errors import ArgumentError, TokenRangeError
from probsig_fast.row_files import RowFiles

ALL_RELATIONS = [*RELATIONS, ps.Next(), ps.Window(3, "harmonic", "symmetric")]
by_relation = pytest.mark.parametrize("relation", RELATIONS, ids=["sets", "prefix"])


@pytest.fixture
def spilling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chunk is a batch, and ranges are small."""
    monkeypatch.setattr(ranges, "_DISK_BATCH_SHARE", 0.0)
    for name in ("_SHARE", "_SHARE_DIRECTED"):
        monkeypatch.setattr(pair_sums, name, 0.0)
    monkeypatch.setattr(pair_sums, "_MOST_RUNS", 2)
    monkeypatch.setattr(ranges, "_RANGE_ENTRIES", 700)
    monkeypatch.setattr(row_files, "_RANGE_ENTRIES", 300)
    monkeypatch.setattr(runs, "_MERGE_ENTRIES", 500)


# Counting


@pytest.mark.parametrize("relation", ALL_RELATIONS, ids=repr)
@pytest.mark.parametrize("chunk_tokens", [400, 10_000], ids=["batches", "one_batch"])
@pytest.mark.usefixtures("spilling")
def test_counting_to_files(relation: Any, chunk_tokens: int, backend: str, tmp_path: Path) -> None:
    expected = counted(relation, backend="reference")
    assert isinstance(expected.entries, Csr)
    folder = tmp_path / "work"
    counts = counted(
        relation, backend=backend, threads=2, chunk_tokens=chunk_tokens, work_dir=folder
    )
    assert isinstance(counts.entries, RowFiles)
    assert counts.entries.folder == folder
    assert len(counts.entries.ranges) > 2
    check_canonical(counts)
    loaded = ps.Counts.load(folder, verify=True)
    for each in (counts, loaded, *pickle.loads(pickle.dumps([counts, loaded]))):
        assert each == expected
        assert expected == each
        assert each.n_in.tolist() == expected.n_in.tolist()
        assert saved_bytes(each, tmp_path) == saved_bytes(expected, tmp_path)
    left = {path.name for path in folder.iterdir()}
    ranges_left = {where.path.name for where in counts.entries.ranges}
    assert left == {".lock", "plan.json", "index.json", "index.safetensors"} | ranges_left
    assert ps.Counts.load(folder).provenance == counts.provenance
    saved = expected.save(tmp_path / "saved")
    assert {p.name: p.read_bytes() for p in saved.glob("*.safetensors")} == {
        p.name: p.read_bytes() for p in folder.glob("*.safetensors")
    }


@by_relation
@pytest.mark.usefixtures("spilling")
def test_sets_are_dense_where_that_is_smaller(relation: Any, tmp_path: Path) -> None:
    counted(relation, work_dir=tmp_path / "work")
    assert kinds(tmp_path / "work") == {"dense", "sparse"}


@pytest.mark.parametrize("relation", ALL_RELATIONS, ids=repr)
def test_a_count_that_fails_leaves_the_folder_empty(relation: Any, tmp_path: Path) -> None:
    """Where nothing was saved that a later run could use."""
    damaged = np.concatenate([tokens(), np.array([V], np.uint16)])
    rules = {"vocab_size": V, "sequence_length": 20, "chunk_tokens": 500}
    with pytest.raises(TokenRangeError, match=f"got id {V} at position {damaged.size - 1}"):
        ps.count(damaged, relation, work_dir=tmp_path / "rows", **rules)
    assert not list((tmp_path / "rows").iterdir())
    again = ps.count(damaged[:-1], relation, work_dir=tmp_path / "rows", **rules)
    assert list((tmp_path / "rows").glob("rows-*"))
    assert again == counted(relation, work_dir=tmp_path / "other")


@pytest.mark.usefixtures("spilling")
def test_a_focus_is_kept_in_the_index(tmp_path: Path) -> None:
    counts = counted(ps.Prefix(4), focus=[0, 3], work_dir=tmp_path / "work", chunk_tokens=500)
    loaded = ps.Counts.load(tmp_path / "work", verify=True)
    assert isinstance(loaded.entries, RowFiles)
    assert loaded == counts
    assert loaded.focus == (0, 3)
    assert (loaded.third_order(3) != counts.third_order(3)).nnz == 0
    for each in (loaded, counts):
        assert saved_bytes(each, tmp_path) == saved_bytes(
            ps.Counts.load(each.save(tmp_path / "one.safetensors")), tmp_path
        )


# Reading


@by_relation
@pytest.mark.usefixtures("spilling")
def test_folder_counts_read_as_others_do(relation: Any, tmp_path: Path) -> None:
    folder = counted(relation, work_dir=tmp_path / "work").with_tokens([f"t{i}" for i in range(V)])
    plain = ps.Counts.load(folder.save(tmp_path / "c.safetensors"), verify=True)
    plain = plain.with_tokens(folder.token_strings)
    assert isinstance(plain.entries, Csr)
    for token in range(V):
        assert folder.top(token) == plain.top(token)
        assert folder.top(token, side="previous") == plain.top(token, side="previous")
        for name in ("row", "column"):
            own, other = getattr(folder, name)(token), getattr(plain, name)(token)
            assert [a.tolist() for a in own] == [a.tolist() for a in other]
            assert [a.dtype for a in own] == [a.dtype for a in other]
    assert (folder.to_scipy() != plain.to_scipy()).nnz == 0
    assert folder.to_scipy().dtype == np.int64
    for got, expected in zip(folder.to_coo(), plain.to_coo(), strict=True):
        assert got.tolist() == expected.tolist()
    signature = "phi_X" if isinstance(relation, ps.SameSequence) else "phi_y"
    matrices = [getattr(each, signature)(2).to_scipy() for each in (folder, plain)]
    assert (matrices[0] != matrices[1]).nnz == 0
    assert (folder.pmi() != plain.pmi()).nnz == 0
    assert (folder.nnz, folder.total, folder.n_samples) == (plain.nnz, plain.total, plain.n_samples)
    assert folder.n_out.tolist() == plain.n_out.tolist()
    assert repr(folder) == repr(plain)


@by_relation
@pytest.mark.usefixtures("spilling")
def test_parquet_is_the_same(relation: Any, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = counted(relation, work_dir=tmp_path / "work").with_tokens([f"t{i}" for i in range(V)])
    folder.to_parquet(tmp_path / "a.parquet")
    plain = ps.Counts.load(folder.save(tmp_path / "c.safetensors"))
    plain.with_tokens(folder.token_strings).to_parquet(tmp_path / "b.parquet")
    a, b = (parquet.read_table(tmp_path / f"{name}.parquet") for name in "ab")
    assert a.equals(b)
    assert a.num_rows == folder.to_scipy().nnz


@by_relation
@pytest.mark.usefixtures("spilling")
def test_folder_counts_are_added(relation: Any, backend: str, tmp_path: Path) -> None:
    folder = counted(relation, work_dir=tmp_path / "work")
    plain = ps.Counts.load(folder.save(tmp_path / "c.safetensors"))
    expected = plain + plain
    for parts in ([folder, folder], [folder, plain], [plain, folder]):
        merged = ps.Counts.merge(parts, backend=backend)
        assert merged == expected
        assert saved_bytes(merged, tmp_path) == saved_bytes(expected, tmp_path)
    assert folder + folder == expected
    assert folder != expected


# Saving


def test_a_relative_folder_is_found_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    counts = counted(RELATIONS[0])
    loaded = ps.Counts.load(counts.save("here"))
    monkeypatch.chdir("elsewhere")
    assert loaded == counts


@by_relation
@pytest.mark.usefixtures("spilling")
def test_a_saved_folder_does_not_depend_on_who_kept_the_counts(
    relation: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_files, "_RANGE_ENTRIES", 500)
    folder = counted(relation, work_dir=tmp_path / "work")
    plain = ps.Counts.load(folder.save(tmp_path / "c.safetensors"))
    (tmp_path / "b").mkdir()
    first, second = folder.save(tmp_path / "a"), plain.save(tmp_path / "b")
    names = sorted(path.name for path in first.iterdir())
    assert len(names) > 6
    assert names == sorted(path.name for path in second.iterdir())
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes()
    for path in (first, second):
        assert ps.Counts.load(path, verify=True) == folder


def test_counts_of_pairs_in_a_folder(tmp_path: Path) -> None:
    for relation in (ps.Next(), ps.Window(3, "harmonic", "symmetric")):
        counts = counted(relation)
        path = counts.save(tmp_path / relation.name)
        assert ps.Counts.load(path, verify=True) == counts
        assert saved_bytes(ps.Counts.load(path), tmp_path) == saved_bytes(counts, tmp_path)
        assert ps.count([], relation, vocab_size=3).save(tmp_path / f"no_{relation.name}").is_dir()
        assert ps.Counts.load(tmp_path / f"no_{relation.name}", verify=True).nnz == 0


def test_saving_into_its_own_folder_writes_the_index(tmp_path: Path) -> None:
    counts = counted(RELATIONS[0])
    path = counts.save(tmp_path / "folder")
    before = {each.name: each.read_bytes() for each in path.iterdir()}
    loaded = ps.Counts.load(path)
    (path / "index.safetensors").unlink()
    loaded.save(path)
    assert {each.name: each.read_bytes() for each in path.iterdir()} == before
    os.symlink(path, tmp_path / "link.d")  # another name, with a suffix
    ps.Counts.load(tmp_path / "link.d").save(tmp_path / "link.d")
    assert {each.name: each.read_bytes() for each in path.iterdir()} == before


def test_streaming_takes_the_memory_of_one_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_files, "_RANGE_ENTRIES", 2**12)
    size = 600
    cells = np.random.default_rng(1).integers(0, 3, (size, size))
    unigram = np.ones(size, np.int64)
    csr = block_of(np.triu(cells))
    counts = ps.Counts.from_arrays(
        ps.SameSequence(),
        counted(RELATIONS[0]).boundaries,
        csr.indptr,
        csr.indices,
        csr.data,
        unigram,
        1,
    )
    loaded = ps.Counts.load(counts.save(tmp_path / "folder"))
    tracemalloc.start()
    loaded.save(tmp_path / "c.safetensors")
    saving = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    loaded.save(tmp_path / "again")
    again = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    whole = counts.nnz * 8
    assert whole > 900_000
    assert max(saving, again) < whole / 2, (saving, again, whole)
    assert (tmp_path / "c.safetensors").read_bytes() == saved_bytes(counts, tmp_path)


@pytest.mark.parametrize("failing", ["rows", "index.safetensors", "index.json"])
def test_a_failed_save_leaves_an_empty_folder(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_files, "_RANGE_ENTRIES", 300)
    replace, calls = os.replace, 0

    def fails(source: Path, target: Path) -> None:
        nonlocal calls
        calls += target.name.startswith("rows")
        if target.name == failing or (failing == "rows" and calls == 3):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="No space left on device"):
        counted(RELATIONS[0]).save(tmp_path / "folder")
    assert calls >= 3
    assert not list((tmp_path / "folder").iterdir())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("full", "path: expected an empty folder, or a new one in an existing folder, got "),
        ("file", "path: expected an empty folder, or a new one in an existing folder, got "),
        ("no/folder", "path: expected an empty folder, or a new one in an existing folder, got "),
        ("c.bin", "path: expected a name ending in .safetensors, got "),
    ],
)
def test_paths_that_no_folder_can_have(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").touch()
    (tmp_path / "file").touch()
    with pytest.raises(ArgumentError, match=f"^{re.escape(message + repr(str(tmp_path / name)))}"):
        counted(RELATIONS[0]).save(tmp_path / name)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "full"]
