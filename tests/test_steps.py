"""`count_steps`: one read, deltas, and the counts as of each step."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import probsig_fast as ps
from probsig_fast.errors import (
    ArgumentError,
    ArgumentTypeError,
    CountsFileError,
    EosNeverOccursWarning,
    MergeError,
    SourceNotFoundError,
    WorkDirError,
)
from probsig_fast.sources import ArraySource, Stream

V = 40
RELATIONS = [
    ps.Next(),
    ps.Window(3, "harmonic", "symmetric"),
    ps.SameSequence(),
    ps.Prefix(4),
]
by_relation = pytest.mark.parametrize("relation", RELATIONS, ids=repr)


def rows(number: int = 60, width: int = 25) -> NDArray[np.uint16]:
    return np.random.default_rng(2).integers(1, V, (number, width)).astype(np.uint16)


@by_relation
def test_as_of_each_step(relation: Any, backend: str) -> None:
    tokens = rows()
    cuts = [0, 25, 50, 500, 1475, 1500]
    steps = ps.count_steps(tokens, relation, cuts=cuts, vocab_size=V, backend=backend)
    assert steps.steps == steps.cuts == tuple(cuts)
    for cut in cuts:
        expected = ps.count(tokens[: cut // 25], relation, vocab_size=V)
        assert steps.as_of(cut) == expected
    for before, after in pairwise(cuts):
        expected = ps.count(tokens[before // 25 : after // 25], relation, vocab_size=V)
        assert steps.delta(after) == expected
    assert steps.between(25, 1475) == ps.count(tokens[1:59], relation, vocab_size=V)


class Once(ArraySource):
    """Tells what is read, and gives its streams once, in pieces that no cut respects."""

    def __init__(self, tokens: Any, ends: list[int]) -> None:
        super().__init__(tokens)
        self.read: list[tuple[int, int]] = []
        self._pieces = iter(ends)

    def streams(self) -> Iterator[Stream]:
        (whole,) = super().streams()
        begin = 0
        for end in self._pieces:
            self.read.append((begin, end))
            yield whole.between(begin, end)
            begin = end


def test_streams_are_asked_for_once_and_cut_anywhere() -> None:
    tokens = rows()
    source = Once(tokens, [75, 100, 1000, 1500])
    steps = ps.count_steps(source, cuts=[50, 75, 125, 1050], vocab_size=V)
    for cut in steps.cuts:
        assert steps.as_of(cut) == ps.count(tokens[: cut // 25], vocab_size=V)
    assert source.read == [(0, 75), (75, 100), (100, 1000), (1000, 1500)]


def test_an_iterable(tmp_path: Path) -> None:
    sequences = [[1, 2, 3], [4], [5, 6], [7, 8, 9]]
    steps = ps.count_steps(iter(sequences), cuts=[3, 6, 9], vocab_size=V)
    assert steps.as_of(6) == ps.count(sequences[:3], vocab_size=V)
    assert steps.as_of(9) == ps.count(sequences, vocab_size=V)


@pytest.mark.parametrize(
    ("rules", "good", "bad"),
    [
        ({"eos": 0}, [4, 7], [1, 3, 5, 8]),
        ({"eos": 0, "count_eos": False}, [4, 7], [3]),
        ({"ignore_ids": [9]}, [6, 9], [4, 5]),
        ({"sequence_length": 5}, [5], [4, 6, 7]),
        ({"eos": 0, "sequence_length": 2}, [4, 6, 7, 9], [1, 3, 5, 8]),
        ({}, [10], [4]),
    ],
)
def test_cuts_between_sequences(rules: dict[str, Any], good: list[int], bad: list[int]) -> None:
    tokens = np.array([1, 2, 3, 0, 5, 9, 0, 4, 9, 2])
    for cut in good:
        steps = ps.count_steps(tokens, cuts=[cut], vocab_size=10, **rules)
        assert steps.as_of(cut) == ps.count(tokens[:cut], vocab_size=10, **rules)
    for cut in bad:
        message = f"cuts: expected places between two sequences, got {cut}, which is inside one"
        with pytest.raises(ArgumentError, match=f"^{re.escape(message)}"):
            ps.count_steps(tokens, cuts=[cut], vocab_size=10, **rules)


@by_relation
def test_saved_and_resumed(relation: Any, tmp_path: Path) -> None:
    tokens = rows()
    cuts = [100, 500, 1500]
    steps = ps.count_steps(tokens, relation, cuts=cuts, vocab_size=V)
    steps.save(tmp_path / "saved")
    work = tmp_path / "work"
    with pytest.raises(ArgumentError, match="cuts: expected at most 1,500, the tokens of tokens"):
        ps.count_steps(tokens, relation, cuts=[*cuts, 1525], vocab_size=V, work_dir=work)
    with pytest.raises(SourceNotFoundError, match=r"has no steps\.json$"):
        ps.CountSteps.load(work)
    with pytest.raises(WorkDirError, match=r"resume=True goes on with what was interrupted there$"):
        ps.count_steps(tokens, relation, cuts=cuts, vocab_size=V, work_dir=work)
    times = {path: path.stat().st_mtime_ns for path in work.rglob("delta-0000[0-2]/*")}
    assert len(times) > 9
    again = ps.count_steps(tokens, relation, cuts=cuts, vocab_size=V, work_dir=work, resume=True)
    assert all(path.stat().st_mtime_ns == then for path, then in times.items())
    for each in (again, ps.CountSteps.load(work), ps.CountSteps.load(tmp_path / "saved", True)):
        assert (each.steps, each.cuts) == (steps.steps, steps.cuts)
        assert all(a == b for a, b in zip(each.deltas, steps.deltas, strict=True))
    for name in ("delta-00000", "delta-00001", "delta-00002"):
        for path in (tmp_path / "saved" / name).glob("*.safetensors"):
            assert path.read_bytes() == (work / name / path.name).read_bytes()
    with pytest.raises(WorkDirError, match=r"source .* is not as it was"):
        ps.count_steps(
            tokens, relation, cuts=[100, 525, 1500], vocab_size=V, work_dir=work, resume=True
        )


def test_a_sum_made_in_files(tmp_path: Path) -> None:
    steps = ps.count_steps(rows(), cuts=[100, 500, 1500], vocab_size=V)
    made = steps.as_of(500, tmp_path / "sum")
    assert made == steps.as_of(500) == ps.Counts.load(tmp_path / "sum", verify=True)
    one = steps.as_of(100, tmp_path / "one")
    assert one == steps.as_of(100) == ps.Counts.load(tmp_path / "one", verify=True)
    with pytest.raises(ArgumentError, match=r"^folder: expected an empty folder"):
        steps.as_of(500, tmp_path / "sum")
    assert ps.Counts.load(tmp_path / "sum", verify=True) == made


def test_a_sum_that_fails_leaves_the_folder_empty(tmp_path: Path) -> None:
    a, b = (ps.count(rows(), relation, vocab_size=V) for relation in (ps.Next(), ps.Prefix(2)))
    with pytest.raises(MergeError):
        ps.Counts.merge([a, b], folder=tmp_path / "sum")
    assert not (tmp_path / "sum").exists()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, ArgumentError, "cuts: expected either cuts or steps, got both or neither"),
        ({"cuts": [1], "steps": [1]}, ArgumentError, "cuts: expected either cuts or steps, got"),
        ({"cuts": []}, ArgumentError, "cuts: expected at least one, got none"),
        ({"cuts": [25, 25]}, ArgumentError, "cuts: expected them to rise, got 25 then 25"),
        ({"cuts": [50, 25]}, ArgumentError, "cuts: expected them to rise, got 50 then 25"),
        ({"cuts": [-25]}, ArgumentError, "cuts: expected at least 0, got -25"),
        ({"cuts": [2.5]}, ArgumentTypeError, "cuts: expected an int, got float 2.5"),
        ({"cuts": "25"}, ArgumentTypeError, "cuts: expected ints, got str '25'"),
        ({"cuts": 25}, ArgumentTypeError, "cuts: expected ints, got int 25"),
        ({"steps": [1]}, ArgumentError, "steps: expected a source that knows training steps, got"),
        ({"cuts": [1525]}, ArgumentError, "cuts: expected at most 1,500, the tokens of tokens"),
    ],
)
def test_cuts_that_cannot_be_used(given: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        ps.count_steps(rows(), vocab_size=V, **given)


def test_steps_that_are_not_there() -> None:
    steps = ps.count_steps(rows(), cuts=[25, 50, 75, 100], vocab_size=V)
    message = (
        "step: expected one of the 4 steps that were counted (near it: 25, 50, 75, 100), got 51"
    )
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        steps.as_of(51)
    with pytest.raises(ArgumentError, match=r"^end: expected a step after 50, got 50$"):
        steps.between(50, 50)
    assert repr(steps) == "CountSteps(Next(), 4 steps, 25 to 100)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "expected JSON of steps, got "),
        ("[1]", "expected JSON of steps, got "),
        (json.dumps({"format_version": 9, "steps": [1], "cuts": [1]}), "format_version 1, got 9"),
        (
            json.dumps({"format_version": 1, "steps": [2, 1], "cuts": [1, 2]}),
            "expected as many steps as steps, rising, got [2, 1]: damaged",
        ),
        (
            json.dumps({"format_version": 1, "steps": [1, 2], "cuts": [1]}),
            "expected as many cuts as steps, rising, got [1]: damaged",
        ),
        (json.dumps({"format_version": 1, "steps": [True], "cuts": [1]}), "got [True]: damaged"),
    ],
)
def test_damaged_folders(text: str, message: str, tmp_path: Path) -> None:
    folder = ps.count_steps(rows(), cuts=[25, 50], vocab_size=V).save(tmp_path / "steps")
    (folder / "steps.json").write_text(text)
    with pytest.raises(CountsFileError, match=re.escape(message)):
        ps.CountSteps.load(folder)


def test_an_eos_may_be_missing_between_two_cuts() -> None:
    tokens = np.array([[1, 2], [3, 0], [4, 5]])
    steps = ps.count_steps(tokens, cuts=[2, 4, 6], vocab_size=V, eos=0)
    assert steps.as_of(6) == ps.count(tokens, vocab_size=V, eos=0)
    with pytest.warns(EosNeverOccursWarning, match="^eos: no token of tokens has id 7") as caught:
        ps.count_steps(tokens, cuts=[2, 4, 6], vocab_size=V, eos=7)
    assert len(caught) == 1


def test_a_folder_is_never_replaced(tmp_path: Path) -> None:
    steps = ps.count_steps(rows(), cuts=[25, 50], vocab_size=V)
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ArgumentError, match=r"^folder: expected a new one in an existing folder"):
        steps.save(tmp_path)
    with pytest.raises(WorkDirError, match=r"which holds 'thesis\.txt'$"):
        ps.count_steps(rows(), cuts=[25, 50], vocab_size=V, work_dir=tmp_path, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
