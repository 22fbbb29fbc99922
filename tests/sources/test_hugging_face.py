"""Data sets of `datasets`: folders on disk, and objects."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracle import check_counts, expect
from text_support import sequences_of

import probsig_fast as ps
from probsig_fast.errors import (
    ArgumentError,
    ArgumentTypeError,
    MissingExtraError,
    SourceError,
)
from probsig_fast.sources.hugging_face import HuggingFaceSource, is_dataset_folder

pa = pytest.importorskip("pyarrow")

ROWS = [[1, 2, 3], [], [4], [0, 0, 5, 1], [2]]
V = 6


def write(folder: Path, *shards: list[list[int]], batch: int = 2, **state: Any) -> Path:
    """As save_to_disk lays it out: Arrow streams, and state.json, which lists them."""
    folder.mkdir()
    names = [f"data-{i:05d}-of-{len(shards):05d}.arrow" for i in range(len(shards))]
    for name, rows in zip(names, shards, strict=True):
        table = pa.table({"input_ids": pa.array(rows, pa.list_(pa.int32()))})
        with (
            pa.OSFile(str(folder / name), "wb") as file,
            pa.ipc.new_stream(file, table.schema) as writer,
        ):
            writer.write_table(table, max_chunksize=batch)
    files = [{"filename": name} for name in names]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, **state}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def test_a_folder(tmp_path: Path, backend: str) -> None:
    folder = write(tmp_path / "d", ROWS[:3], ROWS[3:])
    assert is_dataset_folder(folder)
    source = HuggingFaceSource(folder)
    assert sequences_of(source) == ROWS
    check_counts(ps.count(source, vocab_size=V, backend=backend), expect(ROWS, ps.Next(), V))
    assert [entry["tokens"] for entry in source.describe()] == [4, 5]
    again = pickle.loads(pickle.dumps(source))
    assert sequences_of(again) == ROWS
    assert again.fingerprint() == source.fingerprint()
    assert HuggingFaceSource(folder, inputs_only=True).fingerprint() != source.fingerprint()


def test_what_datasets_writes_without_datasets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    datasets = pytest.importorskip("datasets")
    mask = [[1] * len(row) for row in ROWS]
    mask[0] = [1, 1, 0]
    made = datasets.Dataset.from_dict({"input_ids": ROWS, "attention_mask": mask})
    made.select([4, 0, 3]).save_to_disk(tmp_path / "d", num_shards=2)
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert sequences_of(HuggingFaceSource(tmp_path / "d")) == [[2], [1, 2], [0, 0, 5, 1]]


def test_objects(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    made = datasets.Dataset.from_dict({"input_ids": ROWS, "other": list("abcde")})
    source = HuggingFaceSource(made)
    assert sequences_of(source) == ROWS
    assert source.describe() == [{"name": "dataset", "sequences": 5, "tokens": 9}]
    assert sequences_of(pickle.loads(pickle.dumps(source))) == ROWS
    chosen = HuggingFaceSource(made.select([3, 0, 0]))
    assert sequences_of(chosen) == [ROWS[3], ROWS[0], ROWS[0]]
    assert chosen.fingerprint() != source.fingerprint() == HuggingFaceSource(made).fingerprint()
    assert sequences_of(HuggingFaceSource(made.with_format("numpy"))) == ROWS


def test_iterable_objects() -> None:
    datasets = pytest.importorskip("datasets")
    made = datasets.Dataset.from_dict({"token_ids": ROWS}).to_iterable_dataset(num_shards=2)
    source = HuggingFaceSource(made)
    assert sequences_of(source) == ROWS
    assert source.fingerprint() is None  # nobody knows what it gives before it does


def test_splits_are_named(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    made = datasets.Dataset.from_dict({"input_ids": ROWS})
    both = datasets.DatasetDict(train=made, test=made)
    with pytest.raises(ArgumentError, match="expected one of the splits train, test, got all"):
        HuggingFaceSource(both)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert is_dataset_folder(tmp_path / "d")
    with pytest.raises(ArgumentError, match="which holds several: give a folder below it, of tra"):
        HuggingFaceSource(tmp_path / "d")


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ('{"_data_files": []}', r"expected _data_files in .*state\.json, got \[\]"),
        ('{"_data_files": [{"filename": 3}]}', "expected _data_files in"),
        ('{"_data_files": 3}', "expected _data_files in"),
        ("{}", "expected _data_files in .*, got None"),
        ("[1]", r"expected a JSON object in .*state\.json, got list"),
        ("{", r"expected JSON in .*state\.json"),
        (
            '{"_indices_data_files": [{"filename": "i"}]}',
            "expected rows in their order, got an ind",
        ),
    ],
    ids=["none", "no name", "no list", "missing", "list", "damaged", "index"],
)
def test_states_that_are_none(tmp_path: Path, state: str, told: str) -> None:
    folder = write(tmp_path / "d", ROWS)
    (folder / "state.json").write_text(state)
    with pytest.raises(SourceError, match=told):
        HuggingFaceSource(folder)


def test_data_files_stay_in_their_folder(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", ROWS)
    for name in ("../other.arrow", str(tmp_path / "x.arrow")):
        (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
        with pytest.raises(
            SourceError, match="expected names of files in the folder in _data_files"
        ):
            HuggingFaceSource(folder)


def test_arguments(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="dataset: expected a folder of save_to_disk, got"):
        HuggingFaceSource(tmp_path / "none")
    with pytest.raises(SourceError, match=r"dataset: expected state\.json, as save_to_disk"):
        HuggingFaceSource(tmp_path)
    with pytest.raises(ArgumentTypeError, match=r"dataset: expected a folder or a data set .* int"):
        HuggingFaceSource(3)
    folder = write(tmp_path / "d", ROWS)
    with pytest.raises(ArgumentError, match="column: expected one of input_ids of"):
        HuggingFaceSource(folder, "ids")
    next(folder.glob("*.arrow")).unlink()
    with pytest.raises(FileNotFoundError, match="no such file"):
        HuggingFaceSource(folder)


def test_damaged_arrow_files(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", ROWS * 20)
    path = next(folder.glob("*.arrow"))
    whole = path.read_bytes()
    for damaged in (b"", b"rubbish" * 20, whole[:300]):
        path.write_bytes(damaged)
        with pytest.raises(SourceError, match=r"expected an Arrow file, got '.*\.arrow'"):
            sequences_of(HuggingFaceSource(folder))
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(SourceError, match=r"expected an Arrow file, got '.*\.arrow'"):
        sequences_of(HuggingFaceSource(folder))


def test_a_file_that_changes(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", ROWS)
    source = HuggingFaceSource(folder)
    path = next(folder.glob("*.arrow"))
    path.write_bytes(path.read_bytes().replace(b"input_ids", b"token_ids"))
    with pytest.raises(
        SourceError, match=r"expected column input_ids in .*, as when it was opened"
    ):
        sequences_of(source)


def test_flipped_bytes_never_crash(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", ROWS * 4, batch=5)
    path = next(folder.glob("*.arrow"))
    whole = bytearray(path.read_bytes())
    rng = np.random.default_rng(4)
    for position in rng.choice(len(whole), 300, replace=False).tolist():
        damaged = whole.copy()
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            sequences_of(HuggingFaceSource(folder))
        except (SourceError, ArgumentError):
            continue


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "d", ROWS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"needs pyarrow.*probsig-fast\[datasets\]"):
        HuggingFaceSource(folder)
