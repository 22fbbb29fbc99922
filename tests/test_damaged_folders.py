"""Damaged folders of counts: an error that says so, never a crash and never other counts."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_damaged_files import header_of, place_of, with_header

import probsig_fast as ps
from probsig_fast import files, row_files
from probsig_fast.errors import CountsFileError
from probsig_fast.files import INT32, INT64, Stream
from probsig_fast.row_files import RowFiles

V = 10
#: The lower ids are with few others, the higher ones with all of each other.
DOCUMENTS = [[0, 3], [1, 4, 2], [5, 6, 7, 6, 5], [8, 6], [8, 8, 5, 6, 9, 7], [9, 7, 5], [5, 6]]
RELATIONS = [ps.SameSequence(), ps.Prefix(3), ps.Next()]
by_relation = pytest.mark.parametrize("relation", RELATIONS, ids=["sets", "prefix", "next"])


def counted(relation: Any = None, documents: Any = DOCUMENTS) -> ps.Counts:
    return ps.count(documents, relation or ps.SameSequence(), vocab_size=V)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Counts of sets, in a few ranges."""
    monkeypatch.setattr(row_files, "_RANGE_ENTRIES", 6)
    return counted().save(tmp_path / "counts")


def rows_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("rows-*"))


def load(path: Path, verify: bool = False) -> ps.Counts | None:
    """The counts in a folder; None where an error of the package says that it is damaged."""
    try:
        return ps.Counts.load(path, verify=verify)
    except CountsFileError as error:
        message = str(error)
    assert message.startswith(f"{path}/")
    return None


def test_the_folder_is_good_and_has_both_forms(folder: Path) -> None:
    assert load(folder, verify=True) == counted()
    forms = {"dense" in files.read_arrays(path)[0] for path in rows_of(folder)}
    assert len(rows_of(folder)) > 2
    assert forms == {False, True}


def of_each_form(folder: Path) -> list[Path]:
    """A range file of each form that is there, and the index."""
    forms = {"dense" in files.read_arrays(path)[0]: path for path in rows_of(folder)}
    return [*forms.values(), folder / "index.safetensors"]


def test_files_cut_short(folder: Path) -> None:
    for path in of_each_form(folder):
        content = path.read_bytes()
        for length in [*range(0, len(content), 5), *range(len(content) - 9, len(content))]:
            path.write_bytes(content[:length])
            assert load(folder) is None, (path.name, length)
        path.write_bytes(content + b"\0")
        assert load(folder) is None
        path.write_bytes(content)


@by_relation
def test_verify_finds_flipped_bits(
    relation: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_files, "_RANGE_ENTRIES", 6)
    counts = counted(relation)
    folder = counts.save(tmp_path / "counts")
    index = folder / "index.safetensors"
    unverified = set() if isinstance(relation, ps.Next) else {"unigram", "n_sequences"}
    for path in of_each_form(folder):
        content = path.read_bytes()
        begin, header = header_of(content)
        free = [p for name in unverified & set(header) for p in place_of(content, name)]
        for place in range(begin, len(content)):
            if place in free:
                continue
            damaged = bytearray(content)
            damaged[place] ^= 1 << place % 8
            path.write_bytes(damaged)
            assert load(folder, verify=True) is None, (path.name, place)
            if path != index:
                use_unverified(load(folder))
        path.write_bytes(content)
    assert load(folder, verify=True) == counts


def use_unverified(counts: ps.Counts | None) -> None:
    """No other exception where nobody asked to verify."""
    if counts is None:
        return
    for use in (counts.to_scipy, lambda: counts.row(0), lambda: counts.column(3)):
        with contextlib.suppress(CountsFileError):
            use()


@by_relation
def test_flipped_bits_of_headers(
    relation: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_files, "_RANGE_ENTRIES", 6)
    counts = counted(relation)
    folder = counts.save(tmp_path / "counts")
    for path in of_each_form(folder)[-2:]:
        content = path.read_bytes()
        for place in range(header_of(content)[0]):
            damaged = bytearray(content)
            damaged[place] ^= 1 << place % 8
            path.write_bytes(damaged)
            got = load(folder)
            if got is not None:  # other rules, which no reader can know, but not other counts
                assert got.same_as(counts), place
        path.write_bytes(content)


def spoilt(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path.write_bytes(with_header(path.read_bytes(), change))


def rule(**changes: Any) -> Callable[[dict[str, Any]], object]:
    def change(header: dict[str, Any]) -> None:
        rules = json.loads(header["__metadata__"]["probsig_fast"])
        header["__metadata__"]["probsig_fast"] = json.dumps({**rules, **changes})

    return change


def other_counts(folder: Path) -> Path:
    """Every sequence twice: the same pairs, other numbers."""
    return counted(documents=DOCUMENTS * 2).save(folder.parent / "other")


def take(folder: Path, source: Path, name: str, into: str | None = None) -> None:
    shutil.copy(source / name, folder / (into or name))


def with_array(folder: Path, name: str) -> int:
    """The number of a range whose file has such an array."""
    return [name in files.read_arrays(path)[0] for path in rows_of(folder)].index(True)


FIRST, INDEX = "rows-0000000000.safetensors", "index.safetensors"


@pytest.mark.parametrize(
    ("damage", "where", "message"),
    [
        (
            lambda f: (f / FIRST).unlink(),
            FIRST,
            r"expected the counts of rows 0 to \d, got no such file$",
        ),
        (
            lambda f: (f / INDEX).unlink(),
            INDEX,
            "expected the index of the row ranges, got no such file: what wrote them did not end$",
        ),
        (
            lambda f: take(f, f, rows_of(f)[1].name, FIRST),
            FIRST,
            r"expected {.*'rows': \[0, \d\].*}, got {.*}: of other counts, or damaged$",
        ),
        (
            lambda f: take(f, other_counts(f), FIRST),
            FIRST,
            "expected {.*'total': .*}, got {.*}: of other counts, or damaged$",
        ),
        (
            lambda f: take(f, other_counts(f), INDEX),
            FIRST,
            "expected {.*'total': .*}, got {.*}: of other counts, or damaged$",
        ),
        (
            lambda f: take(f, f, FIRST, "rows-0000000009.safetensors"),
            "rows-0000000009.safetensors",
            "expected only row ranges of the index, got another: of other counts$",
        ),
        (
            lambda f: counted().save(f / FIRST),
            FIRST,
            "expected {.*}, got {.*}: of other counts, or damaged$",
        ),
        (
            lambda f: counted().save(f / INDEX),
            INDEX,
            r"expected an index of row ranges, got counts of a relation: open it with "
            r"Counts.load\(path\)$",
        ),
        (
            lambda f: spoilt(f / INDEX, rule(kind="new")),
            INDEX,
            "expected an index of row ranges, got kind 'new'$",
        ),
        (
            lambda f: spoilt(f / INDEX, rule(kind=[])),
            INDEX,
            r"expected an index of row ranges, got kind \[\]$",
        ),
        (
            lambda f: spoilt(f / INDEX, rule(format_version=2)),
            INDEX,
            "expected format_version 1, got 2$",
        ),
        (
            lambda f: spoilt(f / INDEX, rule(vocab_size=4)),
            INDEX,
            "expected arrays of sizes {.*}, got {.*}$",
        ),
        (
            lambda f: spoilt(f / INDEX, rule(relation=ps.Prefix(2).to_dict())),
            INDEX,
            "expected arrays of sizes {.*}, got {.*}$",
        ),
        (lambda f: spoilt(f / INDEX, rule(more=1)), INDEX, "expected rules {.*}, got {.*}$"),
        (
            lambda f: range_with(f, 0, indices=lambda array: array[1:]),
            FIRST,
            r"expected arrays data of 5 int32, indices of 5 int32, indptr of 3 int64, got data of "
            r"5 int32, indices of 4 int32, indptr of 3 int64: damaged$",
        ),
        (
            lambda f: spoilt(f / FIRST, lambda h: h.update(data2=h.pop("data"))),
            FIRST,
            "array 'indptr' .*|expected array.*",
        ),
        (
            lambda f: index_with(f, range_begin=[0, 0, 3, 5, 6]),
            INDEX,
            r"expected range_begin to rise from 0 to below 10, got \[0, 0, 3, 5, 6\]: damaged$",
        ),
        (
            lambda f: index_with(f, range_begin=[], range_total=[], range_largest=[]),
            INDEX,
            r"expected range_begin to rise from 0 to below 10, got \[\]: damaged$",
        ),
        (
            lambda f: index_with(f, range_begin=[1, 2, 3, 5, 6]),
            INDEX,
            r"expected range_begin to rise from 0 to below 10, got \[1, 2, 3, 5, 6\]: damaged$",
        ),
        (
            lambda f: index_with(f, indptr=[0, 5, 3, 9, 9, 9, 9, 9, 9, 9, 9]),
            INDEX,
            "expected indptr to rise from 0 to 9, got 0 to 9, falling between: damaged$",
        ),
        (
            lambda f: index_with(f, indptr=[0] * 11),
            FIRST,
            "expected {.*'nnz': 0.*}, got {.*}: of other counts, or damaged$",
        ),
    ],
)
def test_what_is_wrong_is_said(damage: Any, where: str, message: str, folder: Path) -> None:
    damage(folder)
    for verify in (False, True):
        with pytest.raises(CountsFileError) as error:
            ps.Counts.load(folder, verify=verify)
        path, _, rest = str(error.value).partition(": ")
        assert Path(path).parent == folder
        assert re.search(f"^({message})", rest), rest
        assert "only" in rest or path == str(folder / where)


def index_with(folder: Path, **arrays: list[int]) -> None:
    """The index with other arrays."""
    path = folder / INDEX
    before, rules = files.read_arrays(path)
    changed = {name: np.array(array) for name, array in before.items()}
    changed |= {name: np.array(array, np.int64) for name, array in arrays.items()}
    streams = {name: Stream.of(array, INT64) for name, array in changed.items()}
    files.write_arrays(path, streams, rules)


def range_with(folder: Path, index: int, **changes: Any) -> None:
    """A row range with other arrays, whose file says nothing of it."""
    path = rows_of(folder)[index]
    before, rules = files.read_arrays(path)
    changed = {name: np.array(array) for name, array in before.items()}
    for name, change in changes.items():
        changed[name] = change(changed[name])
    types = {np.dtype(np.int32): INT32, np.dtype(np.int64): INT64}
    streams = {name: Stream.of(array, types[array.dtype]) for name, array in changed.items()}
    files.write_arrays(path, streams, rules)


def put(place: int, value: int) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        array[place] = value
        return array

    return change


def test_a_column_out_of_range_is_an_error_wherever_it_is_read(folder: Path) -> None:
    index = with_array(folder, "indices")
    range_with(folder, index, indices=put(0, V))
    counts = ps.Counts.load(folder)
    entries = counts.entries
    assert isinstance(entries, RowFiles)
    where = entries.ranges[index]
    for use in (
        lambda: counts.to_scipy(),
        lambda: entries.row(where.begin),
        lambda: counts.column(V - 1),
        lambda: counts + counts,
        lambda: counts == counted(),
        lambda: counts.save(folder.parent / "c.safetensors"),
        lambda: entries.between(where.begin, where.end),
    ):
        with pytest.raises(CountsFileError, match=f"^{where.path}: expected column ids from 0 to "):
            use()
    assert not (folder.parent / "c.safetensors").exists()


def test_a_dense_row_of_another_length(folder: Path) -> None:
    index = with_array(folder, "dense")
    range_with(folder, index, dense=put(1, 0))
    counts = ps.Counts.load(folder)
    assert isinstance(counts.entries, RowFiles)
    where = counts.entries.ranges[index]
    message = f"^{where.path}: expected 5 entries in row 5, as the index says, got 4: of other coun"
    for use in (
        lambda: counts.to_scipy(),
        lambda: counts.row(where.begin),
        lambda: counts + counts,
    ):
        with pytest.raises(CountsFileError, match=message):
            use()
    with pytest.raises(CountsFileError, match=message):
        ps.Counts.load(folder, verify=True)


def test_row_pointers_of_other_counts(folder: Path) -> None:
    index = with_array(folder, "indices")
    range_with(folder, index, indptr=put(1, 0))
    message = f"^{rows_of(folder)[index]}: expected the row pointers of the index, got others: of "
    with pytest.raises(CountsFileError, match=message):
        ps.Counts.load(folder)


def test_other_files_are_no_folder(folder: Path) -> None:
    for name, message in (
        (FIRST, "expected counts of a relation, got a row range: open it with Counts.load(folder)"),
        (INDEX, "expected counts of a relation, got an index of row ranges: open it with Counts"),
    ):
        with pytest.raises(CountsFileError, match=f"^{re.escape(f'{folder / name}: {message}')}"):
            ps.Counts.load(folder / name)
    with pytest.raises(CountsFileError, match=r"got an index of row ranges: open it with Counts\."):
        ps.LabelledCounts.load(folder / INDEX)
