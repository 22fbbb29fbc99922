"""Every format by an fsspec address gives what its files give on this machine."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracle import check_counts, expect
from text_support import sequences_of
from writers import flat, write_datatrove, write_dolma, write_megatron, write_pythia

import probsig_fast as ps
from probsig_fast.errors import SourceError, SourceNotFoundError
from probsig_fast.sources import (
    DatatroveSource,
    DolmaSource,
    MegatronSource,
    PythiaSource,
    open_source,
    remote,
)
from probsig_fast.sources.hugging_face import HuggingFaceSource

fsspec = pytest.importorskip("fsspec")

V = 9
RNG = np.random.default_rng(7)
DOCUMENTS = [RNG.integers(0, V, int(n)).tolist() for n in (5, 1, 0, 12, 7, 3)]
ROWS = RNG.integers(0, V, (6, 5)).tolist()


@pytest.fixture(params=[3, 8, 2**22])
def uploaded(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """Copies the files of the test's folder to memory://f/, to be read in blocks of this size;
    they are then gone from here."""
    system = fsspec.filesystem("memory")
    monkeypatch.setattr(remote, "BLOCK", request.param)

    def upload() -> str:
        for path in [each for each in tmp_path.rglob("*") if each.is_file()]:
            system.pipe_file(f"/f/{path.relative_to(tmp_path)}", path.read_bytes())
            path.unlink()
        return "memory://f"

    remote._BLOCKS.clear()
    yield upload
    system.rm("/", recursive=True)
    remote._BLOCKS.clear()


def check(source: Any, sequences: list[list[int]]) -> None:
    """Counted in chunks of several sizes, also by another process's copy of it."""
    for chunk in (2, None):
        counts = ps.count(source, vocab_size=V, backend="reference", chunk_tokens=chunk, threads=2)
        check_counts(counts, expect(sequences, ps.Next(), V))
    again = pickle.loads(pickle.dumps(source))
    assert sequences_of(again) == sequences_of(source)
    assert again.fingerprint() == source.fingerprint()
    paths = [entry["path"] for entry in source.describe() if "path" in entry]
    assert paths
    assert all(path.startswith("memory://f/") for path in paths)


def test_megatron(uploaded: Any, tmp_path: Path) -> None:
    write_megatron(tmp_path / "x", [[document] for document in DOCUMENTS])
    folder = uploaded()
    for name in ("x.idx", "*.idx"):
        source = open_source(f"{folder}/{name}")
        assert isinstance(source, MegatronSource)
        check(source, DOCUMENTS)
    check(MegatronSource(f"{folder}/x.bin"), DOCUMENTS)


def test_datatrove(uploaded: Any, tmp_path: Path) -> None:
    write_datatrove(tmp_path / "x.ds", DOCUMENTS)
    source = open_source(f"{uploaded()}/x.ds")
    assert isinstance(source, DatatroveSource)
    check(source, DOCUMENTS)


def test_dolma(uploaded: Any, tmp_path: Path) -> None:
    write_dolma(tmp_path / "x.npy", DOCUMENTS, "uint32")
    source = open_source(f"{uploaded()}/x.npy", format="dolma")
    assert isinstance(source, DolmaSource)
    check(source, DOCUMENTS)


@pytest.mark.parametrize("cuts", [[20, 40], [13, 37], [1, 2]], ids=str)
def test_pythia(uploaded: Any, tmp_path: Path, cuts: list[int]) -> None:
    write_pythia(tmp_path, ROWS, cuts, index=False)
    pattern = f"{uploaded()}/document-*.bin"
    source = PythiaSource(pattern, row_tokens=5, batch_rows=2)
    check_rows(source, ROWS)
    check_rows(PythiaSource(pattern, rows=(1, 4), row_tokens=5), ROWS[1:4])


def check_rows(source: Any, rows: list[list[int]]) -> None:
    counts = ps.count(source, vocab_size=V, backend="reference", chunk_tokens=4)
    expected = np.zeros((V, V), int)
    for row in rows:
        np.add.at(expected, (row[:-1], row[1:]), 1)
    assert (counts.to_scipy().toarray() == expected).all()
    flattened = [token for row in rows for token in row]
    (stream,) = source.streams()
    (again,) = pickle.loads(pickle.dumps(source)).streams()
    assert again.raw(0, len(again)).tolist() == stream.raw(0, len(stream)).tolist() == flattened


def test_a_data_set_of_hugging_face(uploaded: Any, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"input_ids": pa.array(DOCUMENTS, pa.list_(pa.int32()))})
    (tmp_path / "saved").mkdir()
    path = str(tmp_path / "saved" / "d.arrow")
    with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    state = {"_data_files": [{"filename": "d.arrow"}]}
    (tmp_path / "saved" / "state.json").write_text(json.dumps(state))
    folder = uploaded()
    check(HuggingFaceSource(f"{folder}/saved"), DOCUMENTS)
    check(open_source(f"{folder}/saved/", format="hugging-face"), DOCUMENTS)
    with pytest.raises(SourceError, match=r"expected state\.json, as save_to_disk writes it"):
        HuggingFaceSource(folder)


def test_files_that_are_missing_or_damaged(uploaded: Any, tmp_path: Path) -> None:
    write_megatron(tmp_path / "x", [[document] for document in DOCUMENTS])
    write_datatrove(tmp_path / "y.ds", DOCUMENTS)
    (tmp_path / "x.bin").write_bytes(flat([1]))
    (tmp_path / "y.ds.index").unlink()
    folder = uploaded()
    with pytest.raises(SourceError, match=r"expected 56 bytes in .*x.bin, 28 tokens of uint16 as"):
        MegatronSource(f"{folder}/x.idx")
    with pytest.raises(SourceNotFoundError, match=r"the index of .*y.ds, got .*: no such file"):
        DatatroveSource(f"{folder}/y.ds")
    with pytest.raises(SourceNotFoundError, match=r"expected an index file, got .*no such file"):
        MegatronSource(f"{folder}/z.idx")
