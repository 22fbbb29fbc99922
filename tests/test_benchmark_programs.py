"""Programs outside, as contenders: small ones that read and write the same formats."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import benchmark_programs as programs
import pytest
from benchmark_support import checked, corpus

from probsig_fast.benchmark import tasks
from probsig_fast.benchmark.ours import reference
from probsig_fast.benchmark.registry import Choice, of_task
from probsig_fast.benchmark.registry import peers as all_peers
from probsig_fast.errors import ArgumentError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the programs are scripts")


@pytest.mark.parametrize("eos", [0, None])
def test_cooccur(eos: int | None, tmp_path: Path) -> None:
    program = programs.write_program(tmp_path, "cooccur", programs.COOCCUR)
    choice = Choice(("reference",), 2, cooccur=program)
    found = [each for each in all_peers(choice) if each.is_outside]
    task = tasks.task("window-3")
    among = (reference(), *of_task(task, tuple(found)))
    _, entry = checked(task, among, replace(corpus(), eos=eos), tmp_path)
    assert (entry.contender.name, entry.skipped) == ("GloVe cooccur", None)
    assert entry.distinct is not None


@pytest.mark.parametrize("name", ["count_ngrams", "lmplz"])
def test_kenlm(name: str, tmp_path: Path) -> None:
    code = programs.COUNT_NGRAMS if name == "count_ngrams" else programs.LMPLZ
    choice = Choice(("reference",), 2, kenlm=programs.write_program(tmp_path, name, code))
    task = tasks.task("next")
    found = [each for each in of_task(task, all_peers(choice)) if each.is_outside]
    _, entry = checked(task, (reference(), *found), corpus(), tmp_path)
    assert name in entry.contender.name
    assert (entry.skipped, entry.total) == (None, 4_999)
    assert (entry.distinct is None) == (name == "lmplz")


def test_a_program_that_fails_is_skipped(tmp_path: Path) -> None:
    for name in ("count_ngrams", "lmplz"):
        path = programs.write_program(tmp_path, name, programs.FAILING)
        task = tasks.task("next")
        found = [
            each
            for each in of_task(task, all_peers(Choice(("reference",), 1, kenlm=path)))
            if each.is_outside
        ]
        _, entry = checked(task, (reference(), *found), corpus(), tmp_path)
        assert "failed: OSError: " in entry.skipped
        assert "no memory for a table" in entry.skipped


def test_no_such_program(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="kenlm: expected a program that can be run, got"):
        all_peers(Choice(None, 1, kenlm=tmp_path / "none"))
