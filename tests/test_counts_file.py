"""The counts file: its bytes, its layout, and that it is there whole or not at all."""

from __future__ import annotations

import json
import os
import re
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from oracle import check_counts, expect, saved_bytes

import probsig_fast as ps
from probsig_fast import files
from probsig_fast.errors import (
    ArgumentError,
    SourceNotFoundError,
)

V = 4
DOCUMENTS = [[0, 1, 2, 1, 0], [3, 1], [3, 3, 0]]
WINDOW = ps.Window(3, [Fraction(1, 2), 0, 1], "symmetric")
KINDS: dict[str, dict[str, Any]] = {
    "next": {"relation": ps.Next()},
    "window": {"relation": WINDOW},
    "prefix": {"relation": ps.Prefix(2)},
    "focus": {"relation": ps.Prefix(3), "focus": [3, 1]},
    "same-sequence": {"relation": ps.SameSequence()},
}
by_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def counted(relation: Any = None, documents: Any = DOCUMENTS, **arguments: Any) -> ps.Counts:
    return ps.count(documents, relation, vocab_size=V, **arguments)


def with_data(*values: int) -> ps.Counts:
    counts = counted()
    data = np.array([*values, *[1] * (counts.nnz - len(values))], np.int64)
    return ps.Counts.from_arrays(
        counts.relation,
        counts.boundaries,
        counts.indptr,
        counts.indices,
        data,
        counts.unigram,
        counts.n_sequences,
    )


@by_kind
def test_the_same_counts_are_the_same_bytes(
    kind: dict[str, Any], backend: str, tmp_path: Path
) -> None:
    expected = saved_bytes(counted(**kind, backend="reference"), tmp_path)
    first, second = (counted(**kind, documents=d) for d in (DOCUMENTS[:1], DOCUMENTS[1:]))
    for counts in (
        counted(**kind, backend=backend, threads=2, chunk_tokens=2),
        first + second,
        second + first,
        ps.Counts.merge([second, first], backend=backend),
        ps.Counts.load(counted(**kind).save(tmp_path / "again.safetensors")),
        counted(**kind).with_tokens(list("abcd")),
    ):
        assert saved_bytes(counts, tmp_path) == expected


@by_kind
def test_the_safetensors_library_reads_it(kind: dict[str, Any], tmp_path: Path) -> None:
    counts = counted(**kind)
    metadata, arrays = read_by_library(counts.save(tmp_path / "c.safetensors"))
    focus = {"focus": [1, 3]} if "focus" in kind else {}
    assert metadata == {
        "format_version": 1,
        "relation": counts.relation.to_dict(),
        "vocab_size": V,
        "boundaries": counts.boundaries.to_dict(),
        "weight_scale": counts.weight_scale,
        **focus,
    }
    expected: dict[str, Any] = {
        **table("", counts),
        "unigram": counts.unigram,
        "n_sequences": np.array([3]),
    }
    if isinstance(counts.relation, ps.Prefix):
        expected["label_count"] = counts.n_out
    if counts.third:
        expected |= table("third.", counts.third.table)
    check_arrays(arrays, expected)


@pytest.mark.parametrize("incidence", ["presence", "multiplicity"])
@pytest.mark.parametrize("focus", [None, [3, 1]])
def test_the_safetensors_library_reads_labelled_counts(
    incidence: Any, focus: Any, tmp_path: Path
) -> None:
    counts = ps.count_labelled(
        DOCUMENTS, [0, 2, 0], vocab_size=V, n_labels=3, incidence=incidence, focus=focus
    )
    metadata, arrays = read_by_library(counts.save(tmp_path / "c.safetensors"))
    assert metadata == {
        "format_version": 1,
        "kind": "labelled",
        "vocab_size": V,
        "n_labels": 3,
        "incidence": incidence,
        "focus": [1, 3] if focus else [],
    }
    expected: dict[str, Any] = {
        **table("labels.", counts.labels),
        **table("pairs.", counts.pairs),
        "n_in": counts.n_in,
        "n_out": counts.n_out,
    }
    if counts.third:
        expected |= table("third.", counts.third.table)
    check_arrays(arrays, expected)


def read_by_library(path: Path) -> tuple[Any, dict[str, Any]]:
    """The only metadata key, as JSON, and all arrays."""
    safetensors = pytest.importorskip("safetensors")
    with safetensors.safe_open(path, "np") as file:
        (key,) = file.metadata()
        assert key == "probsig_fast"
        metadata = json.loads(file.metadata()[key])
        return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def table(prefix: str, counts: Any) -> dict[str, Any]:
    """The arrays of a table as a file names them; of a triangle, those of what is kept."""
    names = ("indptr", "indices", "data", "row_sum", "column_sum")
    return {prefix + name: getattr(counts, name) for name in names}


def check_arrays(arrays: dict[str, Any], expected: dict[str, Any]) -> None:
    assert sorted(arrays) == sorted(expected)
    for name, array in arrays.items():
        narrow = name.rpartition(".")[2] in ("indices", "data")
        assert array.dtype == (np.int32 if narrow else np.int64), name
        assert array.tolist() == expected[name].tolist(), name


@pytest.mark.parametrize(
    ("largest", "dtype"), [(2**31 - 1, np.int32), (2**31, np.int64), (2**60 + 1, np.int64)]
)
def test_counts_are_kept_in_32_bits_where_they_fit(
    largest: int, dtype: Any, tmp_path: Path
) -> None:
    counts = with_data(largest)
    loaded = ps.Counts.load(counts.save(tmp_path / "c.safetensors"))
    assert loaded.stored.dtype == dtype
    assert loaded.data.dtype == np.int64
    assert loaded == counts
    assert loaded.data.tolist() == counts.data.tolist()


def test_loading_maps_the_file(tmp_path: Path) -> None:
    loaded = ps.Counts.load(counted().save(tmp_path / "c.safetensors"))
    for array in (loaded.indptr, loaded.indices, loaded.stored, loaded.unigram):
        while isinstance(array.base, np.ndarray):
            array = array.base
        assert isinstance(array, np.memmap)


@pytest.mark.parametrize("piece", [1, 3, 2**22])
def test_arrays_are_written_in_pieces(
    piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = saved_bytes(counted(), tmp_path)
    monkeypatch.setattr(files, "_WRITE_ELEMENTS", piece)
    assert saved_bytes(counted(), tmp_path) == expected


@by_kind
def test_empty_counts(kind: dict[str, Any], tmp_path: Path) -> None:
    counts = counted(**kind, documents=[])
    loaded = ps.Counts.load(counts.save(tmp_path / "c.safetensors"), verify=True)
    check_counts(loaded, expect([], vocab_size=V, **kind))


def test_rules_come_back(tmp_path: Path) -> None:
    rules = {"eos": 3, "count_eos": False, "ignore_ids": [-1, 2], "sequence_length": 9}
    counts = counted(WINDOW, **rules)
    loaded = ps.Counts.load(counts.save(tmp_path / "c.safetensors"))
    assert (loaded.relation, loaded.boundaries) == (counts.relation, counts.boundaries)


def test_provenance_is_beside_the_file(backend: str, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.bin"
    np.array([0, 1, 2], "<u2").tofile(tokens)
    counts = ps.count(tokens, vocab_size=V, dtype="uint16", backend=backend, threads=2)
    path = counts.save(tmp_path / "c.next.safetensors")
    provenance = json.loads((tmp_path / "c.next.json").read_text())
    (source,) = provenance["sources"]
    assert (source["path"], source["tokens"], source["bytes"]) == (str(tokens), 3, 6)
    assert (provenance["backend"], provenance["threads"]) == (backend, 2)
    assert provenance["versions"]["numpy"] == np.__version__
    assert ps.Counts.load(path).provenance == provenance
    whole = counts + counts
    assert [part["backend"] for part in whole.provenance["merged"]] == [backend] * 2
    for text in ("no json", "[1]", ""):
        (tmp_path / "c.next.json").write_text(text)
        assert ps.Counts.load(path) == counts  # the counts are good without it
    (tmp_path / "c.next.json").unlink()
    assert ps.Counts.load(path).provenance == {}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: counted().save(p / "c.bin"), ArgumentError, "path: expected a name ending in "),
        (
            lambda p: counted().save(p / "no" / "c.safetensors"),
            ArgumentError,
            "path: expected a file in an existing folder, got ",
        ),
        (
            lambda p: ps.Counts.load(p / "no.safetensors"),
            SourceNotFoundError,
            "path: expected a counts file, got ",
        ),
        (lambda p: ps.Counts.load(p / "c.json"), ArgumentError, "path: expected a name ending in "),
        (lambda p: ps.Counts.load(p), ArgumentError, "path: expected a name ending in "),
    ],
)
def test_unusable_paths(call: Any, error: type, message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        call(tmp_path)


class FullDisk:
    """Stands for `open`: the files it opens fail at one of their writes, counted over all."""

    def __init__(self, failing: int) -> None:
        self.writes, self.failing = 0, failing

    def __call__(self, *arguments: Any) -> Any:
        file = open(*arguments)  # noqa: SIM115
        write = file.write

        def fails(content: Any) -> int:
            self.writes += 1
            if self.writes == self.failing:
                raise OSError(28, "No space left on device")
            written: int = write(content)
            return written

        proxy = mock.MagicMock(wraps=file, write=fails, fileno=file.fileno)
        proxy.__enter__.return_value = proxy
        proxy.__exit__.side_effect = file.__exit__
        return proxy


@pytest.mark.parametrize("failing", range(1, 10))  # a save takes nine writes
def test_a_failed_write_leaves_the_folder_as_it_was(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = counted(documents=[[1, 1]]).save(tmp_path / "c.safetensors")
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    disk = FullDisk(failing)
    monkeypatch.setattr(files, "open", disk, raising=False)
    with pytest.raises(OSError, match="No space left on device"):
        counted().save(path)
    assert disk.writes == failing
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("failing", [1, 2])
def test_counts_never_have_the_provenance_of_others(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = counted(documents=[[1, 1]], threads=1), counted(threads=2)
    path = old.save(tmp_path / "c.safetensors")
    calls = 0

    def replace(*paths: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(5, "Input/output error")
        original(*paths)

    original = os.replace
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="Input/output error"):
        new.save(path)
    assert calls == failing
    loaded = ps.Counts.load(path, verify=True)
    assert loaded in (old, new)
    expected = old if loaded == old else new
    assert loaded.provenance.get("threads") in (expected.provenance["threads"], None)
    assert {p.name for p in tmp_path.iterdir()} <= {"c.safetensors", "c.json"}
