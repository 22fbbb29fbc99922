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
from probsig_fast.csr import Csr
from probsig_fast.errors import CountsFileError, ProbsigError
from probsig_fast.table import Table

V = 4
DOCUMENTS = [[0, 1, 2, 1, 0], [3, 1], [3, 3, 0]]
WINDOW = ps.Window(3, [Fraction(1, 2), 0, 1], "symmetric")
#: What is counted, and the arrays of which every flipped bit is found.
TABLE = ("indptr", "indices", "data", "row_sum", "column_sum")
THIRD = tuple(f"third.{name}" for name in TABLE)
LABELLED = tuple(f"{table}.{name}" for table in ("labels", "pairs") for name in TABLE)
KINDS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "next": ({"relation": ps.Next()}, (*TABLE, "unigram", "n_sequences")),
    "window": ({"relation": WINDOW}, TABLE),
    "prefix": (
        {"relation": ps.Prefix(2)},
        (*TABLE, "label_count", "unigram", "n_sequences"),
    ),
    "focus": ({"relation": ps.Prefix(3), "focus": [3, 1]}, (*THIRD, "label_count")),
    "same-sequence": ({"relation": ps.SameSequence()}, TABLE),
    "labelled": ({"y": [0, 2, 0]}, (*LABELLED, "n_in")),
    "labelled-focus": ({"y": [1, 1, 0], "incidence": "multiplicity", "focus": [0, 3]}, THIRD),
}
by_kind = pytest.mark.parametrize("kind", [kind for kind, _ in KINDS.values()], ids=KINDS)


def counted(relation: Any = None, **arguments: Any) -> ps.Counts:
    return ps.count(DOCUMENTS, relation, vocab_size=V, **arguments)


def made(kind: dict[str, Any], **arguments: Any) -> Any:
    """The counts of a kind, of a stream or of labelled data."""
    if "y" in kind:
        return ps.count_labelled(DOCUMENTS, vocab_size=V, n_labels=3, **kind)
    return counted(**kind, **arguments)


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
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[begin:]


def load_damaged(path: Path, content: bytes, verify: bool = False, of: Any = ps.Counts) -> Any:
    """The counts in such a file; None where an error of the package says that it is damaged."""
    path.write_bytes(content)
    try:
        return of.load(path, verify=verify)
    except CountsFileError as error:
        message = str(error)
    assert message.startswith(f"{path}: ")
    return None


@by_kind
def test_a_file_cut_at_any_length(kind: dict[str, Any], tmp_path: Path) -> None:
    counts = made(kind)
    content, path = saved_bytes(counts, tmp_path), tmp_path / "d.safetensors"
    for length in range(len(content)):
        assert load_damaged(path, content[:length], of=type(counts)) is None, length
    assert load_damaged(path, content + b"\0", of=type(counts)) is None
    assert load_damaged(path, content, verify=True, of=type(counts)) == counts


def flips(content: bytes, places: range) -> Iterator[bytes]:
    for place in places:
        for bit in (0, 4, 7):  # another digit or letter, another kind of character, no ASCII
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            yield bytes(damaged)


@by_kind
def test_flipped_bits_of_the_header(kind: dict[str, Any], tmp_path: Path) -> None:
    counts = made(kind, eos=0) if "relation" in kind else made(kind)
    content = saved_bytes(counts, tmp_path)
    begin, _ = header_of(content)
    for damaged in flips(content, range(begin)):
        got = load_damaged(tmp_path / "d.safetensors", damaged, of=type(counts))
        # A flip may name another rule (eos 1 for eos 0), which no reader can know; what was
        # counted is never touched.
        if got is not None:
            again = saved_bytes(got, tmp_path)
            assert again[header_of(again)[0] :] == content[begin:]


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind, names in KINDS.values() for name in names],
    ids=[f"{kind}-{name}" for kind, (_, names) in KINDS.items() for name in names],
)
def test_verify_finds_flipped_bits(kind: dict[str, Any], name: str, tmp_path: Path) -> None:
    counts = made(kind)
    content, of = saved_bytes(counts, tmp_path), type(counts)
    path = tmp_path / "d.safetensors"
    assert load_damaged(path, content, verify=True, of=of) == counts
    for damaged in flips(content, place_of(content, name)):
        assert load_damaged(path, damaged, verify=True, of=of) is None
        load_damaged(path, damaged, of=of)  # no other exception without it


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("prefix", {"focus": [1]}, "expected arrays of sizes"),
        ("prefix", {"relation": {"name": "prefix"}}, "expected the rules of counts, got "),
        ("prefix", {"relation": {"name": "prefix", "length": 0}}, "expected the rules of counts"),
        ("prefix", {"relation": {"name": "next"}}, "expected arrays of sizes"),
        ("same-sequence", {"relation": {"name": "prefix", "length": 1}}, "expected arrays of"),
        ("same-sequence", {"focus": [1]}, "expected rules "),
        ("same-sequence", {"kind": "labelled"}, "expected counts of a relation, got labelled"),
        ("focus", {"focus": []}, "expected the rules of counts, got "),
        ("focus", {"focus": [1]}, "expected arrays of sizes"),
        ("focus", {"focus": [1, 4]}, "expected the rules of counts, got "),
        ("focus", {"focus": [1, True]}, "expected the rules of counts, got "),
        ("focus", {"focus": [3, 1]}, "expected the rules of counts, got "),
        ("focus", {"focus": [1, 1]}, "expected "),
        ("focus", {"focus": "13"}, "expected the rules of counts, got "),
        ("focus", {"focus": None}, "expected the rules of counts, got "),
        ("labelled", {"kind": None}, "expected labelled counts, got counts of a relation"),
        ("labelled", {"kind": ["labelled"]}, "expected labelled counts, got "),
        ("labelled", {"n_labels": 2}, "expected arrays of sizes"),
        ("labelled", {"n_labels": 0}, "expected n_labels from 1 to 2^31 - 1, got 0"),
        ("labelled", {"n_labels": "3"}, "expected an int as n_labels, got '3'"),
        ("labelled", {"incidence": "mean"}, "expected the rules of counts, got "),
        ("labelled", {"focus": [1]}, "expected arrays of sizes"),
        ("labelled", {"focus": False}, "expected "),
        ("labelled", {"more": 1}, "expected rules "),
        ("labelled-focus", {"focus": [3, 0]}, "expected the rules of counts, got "),
        ("labelled-focus", {"focus": []}, "expected arrays of sizes"),
        ("labelled-focus", {"focus": [0, 4]}, "expected the rules of counts, got "),
    ],
)
def test_rules_that_do_not_fit_the_arrays(
    kind: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    counts, path = made(KINDS[kind][0]), tmp_path / "d.safetensors"
    content = with_header(saved_bytes(counts, tmp_path), lambda header: rule(header, **changes))
    path.write_bytes(content)
    with pytest.raises(CountsFileError, match=f"^{re.escape(f'{path}: {message}')}"):
        type(counts).load(path)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("focus", "third.indptr"),
        ("focus", "label_count"),
        ("labelled-focus", "third.data"),
        ("labelled-focus", "n_in"),
        ("labelled", "pairs.indices"),
        ("same-sequence", "indptr"),
    ],
)
def test_arrays_that_are_missing(kind: str, name: str, tmp_path: Path) -> None:
    counts, path = made(KINDS[kind][0]), tmp_path / "d.safetensors"
    content = saved_bytes(counts, tmp_path)
    renamed = with_header(content, lambda h: renamed_entry(h, name, "extra"))
    path.write_bytes(renamed)
    with pytest.raises(CountsFileError, match=f"^{re.escape(str(path))}: expected arrays of sizes"):
        type(counts).load(path)


def renamed_entry(header: dict[str, Any], old: str, new: str) -> None:
    """In its place, as the arrays follow the order of the header."""
    entries = [(new if name == old else name, entry) for name, entry in header.items()]
    header.clear()
    header.update(entries)


def test_a_triangle_has_no_entry_below_its_diagonal(tmp_path: Path) -> None:
    counts = counted(ps.SameSequence())
    turned = counts.to_scipy().toarray()
    rows, columns = np.nonzero(np.tril(turned))
    indptr = np.searchsorted(rows, np.arange(V + 1)).astype(np.int64)
    wrong = ps.Counts.from_arrays(
        counts.relation,
        counts.boundaries,
        indptr,
        columns.astype(np.int32),
        turned[rows, columns],
        counts.unigram,
        counts.n_sequences,
    )
    path = wrong.save(tmp_path / "d.safetensors")
    with pytest.raises(CountsFileError, match=r"expected no entry below the diagonal: damaged$"):
        ps.Counts.load(path, verify=True)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("label_count", 1, "labels, sequences and unigrams contradict: damaged"),
        ("label_count", -1, "labels, sequences and unigrams contradict: damaged"),
        ("row_sum", 1, "expected entries to add up to row_sum: damaged"),
        ("third.row_sum", 1, "expected entries to add up to third.row_sum: damaged"),
        ("third.column_sum", 1, "expected entries to add up to third.column_sum: damaged"),
        ("third.data", 1, "expected entries to add up to third.row_sum: damaged"),
        ("labels.row_sum", 1, "expected entries to add up to labels.row_sum: damaged"),
        ("pairs.column_sum", 1, "expected entries to add up to pairs.column_sum: damaged"),
        ("n_in", 1, "labels do not add up to n_in: damaged"),
        ("n_out", -(2**40), "labels, pairs and samples contradict: damaged"),
        ("third.indptr", 1, "expected third.indptr to rise from 0 to"),
    ],
)
def test_which_array_is_damaged_is_said(
    name: str, change: int, message: str, tmp_path: Path
) -> None:
    kind = "focus" if name in (*TABLE, *THIRD, "label_count") else "labelled"
    counts, path = made(KINDS[kind][0]), tmp_path / "d.safetensors"
    content = bytearray(saved_bytes(counts, tmp_path))
    first = place_of(content, name).start
    width = 4 if name.endswith(("data", "indices")) else 8
    value = int.from_bytes(content[first : first + width], "little", signed=True) + change
    content[first : first + width] = value.to_bytes(width, "little", signed=True)
    path.write_bytes(content)
    with pytest.raises(CountsFileError, match=f"^{re.escape(f'{path}: {message}')}"):
        type(counts).load(path, verify=True)


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


def test_arrays_at_odd_addresses(tmp_path: Path) -> None:
    """A header of another length, and all else as it was: kernels could not read the arrays."""
    content, path = saved_bytes(counted(), tmp_path), tmp_path / "d.safetensors"
    begin, _ = header_of(content)
    path.write_bytes((begin - 7).to_bytes(8, "little") + content[8:begin] + b" " + content[begin:])
    message = (
        rf"expected array 'column_sum' at a multiple of 8 bytes, got byte {begin + 1}: damaged"
    )
    with pytest.raises(CountsFileError, match=f"^{re.escape(str(path))}: {message}$"):
        ps.Counts.load(path)


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
    entries = Csr(np.array([0, 2, 2]), np.array(columns, np.int32), np.array(data), 2)
    column_sum = np.bincount(columns, data, minlength=2).astype(np.int64)
    counts = ps.Counts.from_table(
        Table(entries=entries, row_sum=np.array([sum(data), 0]), column_sum=column_sum),
        ps.Next(),
        counted().boundaries,
        np.array([sum(data) + 1, sum(data)], np.int64),
        sum(data) + 1,
    )
    path = counts.save(tmp_path / "d.safetensors")
    with pytest.raises(CountsFileError, match=f"^{re.escape(f'{path}: {message}')}"):
        ps.Counts.load(path, verify=True)


def test_a_weight_damaged_to_one_over_zero(tmp_path: Path) -> None:
    content = saved_bytes(counted(WINDOW), tmp_path)
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


USES_OF_SETS = {
    "prefix": (
        "indices",
        ["counts.phi_y().to_scipy()", "counts.psi_X()", "counts + counts", "counts.to_scipy()"],
    ),
    "focus": ("third.indices", ["counts.third_order(1)", "counts.phi_X_given_y(1)"]),
    "same-sequence": (
        "indices",
        [
            "counts.phi_X()",
            "counts.to_scipy()",
            "counts.pmi()",
            "counts + counts",
            "counts.to_coo()",
            "counts.to_parquet('x.parquet')",
        ],
    ),
    "labelled": (
        "labels.indices",
        [
            "counts.phi_y().to_scipy()",
            "counts.psi_X()",
            "counts.top(0)",
            "counts + counts",
            "counts.labels.to_scipy()",
        ],
    ),
    "labelled-focus": ("third.indices", ["counts.third_order(0)", "counts + counts"]),
}


@pytest.mark.parametrize(
    ("kind", "column"),
    [*(("next", column) for column in (V, 10**6, -1, -(10**6)))]
    + [(kind, 10**6) for kind in USES_OF_SETS],
)
def test_a_damaged_column_id_is_an_error_wherever_it_is_used(
    kind: str, column: int, tmp_path: Path
) -> None:
    name, uses = USES_OF_SETS.get(kind, ("indices", list(USES.values())))
    counts = made(KINDS[kind][0])
    content = bytearray(saved_bytes(counts, tmp_path))
    first = place_of(content, name).start
    content[first : first + 4] = np.int32(column).tobytes()
    (tmp_path / "d.safetensors").write_bytes(content)
    # In a process of its own, as what this guards against is a segmentation fault.
    script = (
        "import numpy as np, probsig_fast as ps, sys\n"
        "from probsig_fast.errors import CountsFileError\n"
        "for use in sys.argv[1:]:\n"
        f"    counts = ps.{type(counts).__name__}.load('d.safetensors')\n"
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
        [sys.executable, "-c", script, *uses],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (result.returncode, result.stdout) == (0, ""), result.stderr[-500:]


def test_every_error_is_one_of_the_package_s() -> None:
    assert issubclass(CountsFileError, ProbsigError)
    assert issubclass(CountsFileError, ValueError)
