"""Damaged counts files: an error that says so, never a crash and never other counts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracle import saved_bytes

import probsig_fast as ps
from probsig_fast.errors import CountsFileError, ProbsigError

V = 4
DOCUMENTS = [[0, 1, 2, 1, 0], [3, 1], [3, 3, 0]]
RELATIONS = [ps.Next(), ps.Window(3, [Fraction(1, 2), 0, 1], "symmetric")]
by_relation = pytest.mark.parametrize("relation", RELATIONS, ids=["next", "window"])


def counted(relation: Any = None, **arguments: Any) -> ps.Counts:
    return ps.count(DOCUMENTS, relation, vocab_size=V, **arguments)


def header_of(content: bytes) -> tuple[int, dict[str, Any]]:
    """Where the arrays begin, and the header."""
    begin = 8 + int.from_bytes(content[:8], "little")
    return begin, json.loads(content[8:begin])


def place_of(content: bytes, name: str) -> range:
    """The bytes of an array."""
    begin, header = header_of(content)
    low, high = header[name]["data_offsets"]
    return range(begin + low, begin + high)


def with_header(content: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    begin, header = header_of(content)
    change(header)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[begin:]


def load_damaged(path: Path, content: bytes, verify: bool = False) -> ps.Counts | None:
    """The counts in such a file; None where an error of the package says that it is damaged."""
    path.write_bytes(content)
    try:
        return ps.Counts.load(path, verify=verify)
    except CountsFileError as error:
        message = str(error)
    assert message.startswith(f"{path}: ")
    return None


@by_relation
def test_a_file_cut_at_any_length(relation: Any, tmp_path: Path) -> None:
    content = saved_bytes(counted(relation), tmp_path)
    for length in range(len(content)):
        assert load_damaged(tmp_path / "d.safetensors", content[:length]) is None, length
    assert load_damaged(tmp_path / "d.safetensors", content + b"\0") is None


def flips(content: bytes, places: range) -> Iterator[bytes]:
    for place in places:
        for bit in (0, 4, 7):  # another digit or letter, another kind of character, no ASCII
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            yield bytes(damaged)


@by_relation
def test_flipped_bits_of_the_header(relation: Any, tmp_path: Path) -> None:
    counts = counted(relation, eos=0)
    content = saved_bytes(counts, tmp_path)
    begin, _ = header_of(content)
    for damaged in flips(content, range(begin)):
        got = load_damaged(tmp_path / "d.safetensors", damaged)
        # A flip may name another rule (eos 1 for eos 0), which no reader can know; what was
        # counted is never touched.
        if got is not None:
            for name in ("indptr", "indices", "data", "unigram", "row_sum", "column_sum"):
                assert getattr(got, name).tolist() == getattr(counts, name).tolist()
            assert got.n_sequences == counts.n_sequences


@pytest.mark.parametrize(
    ("relation", "name"),
    [
        *(
            (relation, name)
            for relation in RELATIONS
            for name in ("indptr", "indices", "data", "row_sum", "column_sum")
        ),
        (ps.Next(), "unigram"),
        (ps.Next(), "n_sequences"),
    ],
    ids=str,
)
def test_verify_finds_flipped_bits(relation: Any, name: str, tmp_path: Path) -> None:
    content = saved_bytes(counted(relation), tmp_path)
    path = tmp_path / "d.safetensors"
    assert load_damaged(path, content, verify=True) == counted(relation)
    for damaged in flips(content, place_of(content, name)):
        assert load_damaged(path, damaged, verify=True) is None
        load_damaged(path, damaged)  # no other exception without it


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.pop("__metadata__"), "expected the metadata key 'probsig_fast', got None"),
        (lambda h: h["__metadata__"].update(more=""), "expected the metadata key 'probsig_fast'"),
        (lambda h: h["__metadata__"].update(probsig_fast="{"), "expected JSON as its metadata"),
        (lambda h: h["__metadata__"].update(probsig_fast="[" * 9_999), "expected JSON as its meta"),
        (lambda h: h["__metadata__"].update(probsig_fast="[]"), "expected format_version 1, got "),
        (lambda h: rule(h, format_version=2), "expected format_version 1, got 2"),
        (lambda h: rule(h, vocab_size=0), "expected vocab_size from 1 to 2^31 - 1, got 0"),
        (lambda h: rule(h, vocab_size=5), "expected arrays of sizes"),
        (lambda h: rule(h, vocab_size="4"), "expected an int as vocab_size, got '4'"),
        (lambda h: rule(h, weight_scale=3), "expected rules"),
        (lambda h: rule(h, relation={"name": "new"}), "expected the rules of counts, got "),
        (lambda h: rule(h, boundaries={"eos": 99}), "expected the rules of counts, got "),
        (lambda h: rule(h, boundaries="none"), "expected the rules of counts, got "),
        (lambda h: rule(h, more=1), "expected rules"),
        (lambda h: h.pop("unigram"), "array 'n_sequences'|array 'unigram'|expected array|bytes"),
        (lambda h: h["data"].update(dtype="F64"), "array 'data' is described by "),
        (lambda h: h["data"].update(shape=[2, 3]), "array 'data' is described by "),
        (lambda h: h["data"].update(shape=[-1]), "expected array 'data' of -1 int32"),
        (lambda h: ends_before_it_begins(h["data"]), "expected array 'data' of -1 int32"),
        (lambda h: h["data"].update(shape=[6.5]), "array 'data'"),
        (lambda h: h["data"].update(data_offsets=[0]), "array 'data' is described by "),
        (lambda h: h.update(data=None), "array 'data' is described by None"),
        (lambda h: h.update(extra=h["data"]), "expected array 'extra' of "),
    ],
)
def test_what_is_wrong_is_said(change: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "d.safetensors"
    path.write_bytes(with_header(saved_bytes(counted(), tmp_path), change))
    if "|" not in message:
        message = re.escape(message)
    with pytest.raises(CountsFileError, match=f"^{re.escape(str(path))}: .*({message})"):
        ps.Counts.load(path)


def ends_before_it_begins(entry: dict[str, Any]) -> None:
    begin = entry["data_offsets"][0]
    entry.update(shape=[-1], data_offsets=[begin, begin - 4])


def rule(header: dict[str, Any], **changes: Any) -> None:
    metadata = json.loads(header["__metadata__"]["probsig_fast"])
    header["__metadata__"]["probsig_fast"] = json.dumps({**metadata, **changes})


def test_files_that_are_no_counts_files(tmp_path: Path) -> None:
    contents = [b"", b"\0" * 8, b"\xff" * 64, b"\x02\0\0\0\0\0\0\0{}", b"\x04\0\0\0\0\0\0\0null"]
    for content in contents:
        assert load_damaged(tmp_path / "d.safetensors", content) is None
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file({"a": np.zeros(3)}, tmp_path / "d.safetensors")
    with pytest.raises(CountsFileError, match="expected the metadata key 'probsig_fast'"):
        ps.Counts.load(tmp_path / "d.safetensors")


@pytest.mark.parametrize(
    ("columns", "data", "message"),
    [
        ([0, 1], [0, 3], "expected counts above 0, got 0"),
        ([0, 1], [-1, 3], "expected counts above 0, got -1"),
        ([1, 0], [2, 3], "expected column ids to rise within each row"),
        ([1, 1], [2, 3], "expected column ids to rise within each row"),
    ],
)
def test_verify_finds_entries_that_add_up_and_are_wrong(
    columns: list[int], data: list[int], message: str, tmp_path: Path
) -> None:
    counts = ps.Counts.from_arrays(
        ps.Next(),
        counted().boundaries,
        np.array([0, 2, 2], np.int64),
        np.array(columns, np.int32),
        np.array(data, np.int64),
        np.array([sum(data) + 1, sum(data)], np.int64),
        sum(data) + 1,
    )
    path = counts.save(tmp_path / "d.safetensors")
    with pytest.raises(CountsFileError, match=f"^{re.escape(f'{path}: {message}')}"):
        ps.Counts.load(path, verify=True)


def test_a_weight_damaged_to_one_over_zero(tmp_path: Path) -> None:
    content = saved_bytes(counted(RELATIONS[1]), tmp_path)
    assert content.count(b"1/2") == 1
    assert load_damaged(tmp_path / "d.safetensors", content.replace(b"1/2", b"1/0")) is None


USES = {
    "psi_pre": "counts.psi_pre()",
    "to_scipy": "counts.to_scipy()",
    "nearest": "counts.phi_next().nearest(0)",
    "signature_to_scipy": "counts.phi_next().to_scipy()",
    "min_support": "counts.phi_next(min_support=1).to_scipy() @ np.ones(4)",
    "pmi": "counts.pmi()",
    "merge": "ps.Counts.merge([counts, counts])",
    "merge_one": "ps.Counts.merge([counts])",
    "merge_reference": "ps.Counts.merge([counts, counts], backend='reference')",
    "to_torch": "counts.to_torch()",
    "signature_to_torch": "counts.phi_next().to_torch()",
    "top": "counts.with_tokens(list('abcd')).top(0)",
    "to_parquet": "counts.with_tokens(list('abcd')).to_parquet('x.parquet')",
}


@pytest.mark.parametrize("column", [V, 10**6, -1, -(10**6)])
def test_a_damaged_column_id_is_an_error_wherever_it_is_used(column: int, tmp_path: Path) -> None:
    content = bytearray(saved_bytes(counted(), tmp_path))
    first = place_of(content, "indices").start
    content[first : first + 4] = np.int32(column).tobytes()
    (tmp_path / "d.safetensors").write_bytes(content)
    # In a process of its own, as what this guards against is a segmentation fault.
    script = (
        "import numpy as np, probsig_fast as ps, sys\n"
        "from probsig_fast.errors import CountsFileError\n"
        "for use in sys.argv[1:]:\n"
        "    counts = ps.Counts.load('d.safetensors')\n"
        "    try:\n"
        "        eval(use)\n"
        "    except (CountsFileError, ImportError):\n"
        "        pass\n"
        "    except Exception as error:\n"
        "        print(use, repr(error))\n"
        "    else:\n"
        "        print(use, 'gave a result')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *USES.values()],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (result.returncode, result.stdout) == (0, ""), result.stderr[-500:]


def test_every_error_is_one_of_the_package_s() -> None:
    assert issubclass(CountsFileError, ProbsigError)
    assert issubclass(CountsFileError, ValueError)
