"""Megatron data sets written by hand: what is counted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import check_counts, expect
from writers import MEGATRON_CODES, megatron_index, pack, write_megatron

import probsig_fast as ps
from probsig_fast.errors import SourceError, TokenRangeError
from probsig_fast.sources import MegatronSource, documents
from probsig_fast.sources import megatron_index as index_module

V = 5
sequences = st.lists(st.integers(0, V - 1), max_size=4)
corpora = st.lists(st.lists(sequences, max_size=3), max_size=6)
#: Two sequences of one document, an empty document, one of an empty sequence, one of one.
CORPUS = [[[0, 1], [2, 3, 4]], [], [[]], [[4, 0]]]
JOINED = [[0, 1, 2, 3, 4], [4, 0]]
SEQUENCES = [[0, 1], [2, 3, 4], [4, 0]]


def write(folder: Path, index: bytes, data: bytes, name: str = "x") -> Path:
    (folder / f"{name}.idx").write_bytes(index)
    (folder / f"{name}.bin").write_bytes(data)
    return folder / f"{name}.idx"


@given(data=st.data())
def test_documents_are_sequences(data: st.DataObject, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("megatron")
    code = data.draw(st.sampled_from(sorted(MEGATRON_CODES)))
    files = data.draw(st.lists(corpora, min_size=1, max_size=3))
    paths = [write_megatron(folder / f"{i}", file, code) for i, file in enumerate(files)]
    relation = data.draw(st.sampled_from([ps.Next(), ps.Window(3, "harmonic"), ps.SameSequence()]))
    rules = {"sequence_length": data.draw(st.none() | st.integers(1, 5))}
    joined = [[t for s in document for t in s] for file in files for document in file]
    block = data.draw(st.sampled_from([1, 2, 3, 2**21]))
    with pytest.MonkeyPatch.context() as patch:  # blocks of indexes end anywhere
        for module in (documents, index_module):
            patch.setattr(module, "BLOCK", block)
        counts = ps.count(
            MegatronSource(paths),
            relation,
            vocab_size=V,
            chunk_tokens=data.draw(st.integers(1, 9)),
            **rules,
        )
    check_counts(counts, expect(joined, relation, V, **rules))
    given_again = ps.count(joined, relation, vocab_size=V, **rules)
    assert given_again == counts


@pytest.mark.parametrize("name", ["x.idx", "x.bin", "x", "*.idx"])
def test_it_is_found_by_either_name(backend: str, tmp_path: Path, name: str) -> None:
    write_megatron(tmp_path / "x", CORPUS)
    source = MegatronSource(tmp_path / name)
    counts = ps.count(source, vocab_size=V, backend=backend)
    check_counts(counts, expect(JOINED, ps.Next(), V))
    (entry,) = counts.provenance["sources"]
    assert entry["path"] == str(tmp_path / "x.bin")
    assert entry["index"] == str(tmp_path / "x.idx")
    assert (entry["tokens"], entry["sequences"], entry["documents"]) == (7, 4, "doc_idx")
    assert entry["dtype"] == "uint16"


def test_both_names_of_one_data_set(tmp_path: Path) -> None:
    path = write_megatron(tmp_path / "x", CORPUS)
    write_megatron(tmp_path / "y", CORPUS)
    assert MegatronSource(tmp_path / "*").total == 14
    assert MegatronSource([path, tmp_path / "x.bin", tmp_path / "y"]).total == 14
    assert MegatronSource([path, path]).total == 14  # asked for twice


def test_a_name_with_dots(tmp_path: Path) -> None:
    write_megatron(tmp_path / "pile_0.87", CORPUS)
    assert MegatronSource(tmp_path / "pile_0.87").total == 7


@pytest.mark.parametrize("documents", [[], [0], [0, 1], [0, 2, 2]], ids=str)
def test_documents_that_do_not_reach_the_end_leave_sequences(
    tmp_path: Path, documents: list[int]
) -> None:
    path = write(tmp_path, megatron_index([2, 3, 2], documents), pack("H", [0, 1, 2, 3, 4, 4, 0]))
    source = MegatronSource(path)
    check_counts(ps.count(source, vocab_size=V), expect(SEQUENCES, ps.Next(), V))
    assert source.describe()[0]["documents"] == "each sequence"


def test_fairseq_has_no_documents(tmp_path: Path) -> None:
    path = write(tmp_path, megatron_index([2, 3, 2], None), pack("H", [0, 1, 2, 3, 4, 4, 0]))
    check_counts(ps.count(MegatronSource(path), vocab_size=V), expect(SEQUENCES, ps.Next(), V))


@pytest.mark.parametrize("documents", [None, [], [0]], ids=str)
def test_nothing_in_it(tmp_path: Path, documents: list[int] | None) -> None:
    path = write(tmp_path, megatron_index([], documents), b"")
    check_counts(ps.count(MegatronSource(path), vocab_size=V), expect([], ps.Next(), V))


def test_modes(tmp_path: Path) -> None:
    tokens = pack("H", [0, 1, 2, 3])
    text = write(tmp_path, megatron_index([2, 2], [0, 1, 2], modes=[0, 0]), tokens, "text")
    other = write(tmp_path, megatron_index([2, 2], [0, 1, 2], modes=[0, -3]), tokens, "other")
    expected = expect([[0, 1], [2, 3]], ps.Next(), V)
    check_counts(ps.count(MegatronSource(text), vocab_size=V), expected)
    check_counts(ps.count(MegatronSource(other, all_modes=True), vocab_size=V), expected)
    at = 34 + 12 * 2 + 8 * 3 + 1
    with pytest.raises(SourceError, match=rf"mode 0 \(text\) of sequence 1 at byte {at} of .*-3: "):
        MegatronSource(other)


@pytest.mark.parametrize("third", [1, 2**30], ids=["past 2^31", "past 2^32"])
def test_offsets_that_overflowed(tmp_path: Path, third: int) -> None:
    """Sparse files, of which only the ends are read."""
    lengths = [2**30, third, 3]
    exact = [0, 2**31, 2**31 + 2 * third]
    wrapped = [(offset + 2**31) % 2**32 - 2**31 for offset in exact]
    assert wrapped[1] < 0
    path = tmp_path / "x.idx"
    with open(tmp_path / "x.bin", "wb") as data:
        data.truncate(2 * sum(lengths))
        data.seek(exact[2])
        data.write(pack("H", [4, 3, 2]))
    for offsets in (exact, wrapped, [offset % 2**32 for offset in exact]):
        path.write_bytes(megatron_index(lengths, range(4), offsets=offsets))
        (stream,) = MegatronSource(path).streams()
        assert stream.starts is not None
        assert stream.starts.tolist() == [0, 2**30, 2**30 + third, sum(lengths)]
        assert stream.raw(len(stream) - 4, len(stream)).tolist() == [0, 4, 3, 2]
    for wrong in (exact[1] + 2, wrapped[1] + 2):
        path.write_bytes(megatron_index(lengths, range(4), offsets=[0, wrong, exact[2]]))
        at = 34 + 4 * 3 + 8
        with pytest.raises(SourceError, match=f"offset {2**31} of sequence 1.* at byte {at} of"):
            MegatronSource(path)


def test_an_invalid_id_is_named_with_its_place_in_the_token_file(tmp_path: Path) -> None:
    path = write_megatron(tmp_path / "x", [[[0]], [[1, 2]], [[3, 9]]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "BLOCK", 1)
        patch.setattr(index_module, "BLOCK", 1)
        message = f"got id 9 at position 4 of {re.escape(str(tmp_path / 'x.bin'))}$"
        with pytest.raises(TokenRangeError, match=message):
            ps.count(MegatronSource(path), vocab_size=V)


def test_tokens_are_mapped_and_not_copied(tmp_path: Path) -> None:
    (stream,) = MegatronSource(write_megatron(tmp_path / "x", CORPUS, code=4)).streams()
    read = stream.raw(1, 5)
    assert isinstance(read, np.memmap)
    assert np.shares_memory(stream.read(1, 5), stream.read(1, 5)) or read.base is not None
