"""Labelled data counted in many ways, which agree exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from fuzz_streams import backends, tokens_of
from fuzz_support import Draw, Finding, Fuzzer, check
from labelled_cases import Case, slices_of
from oracle import check_labelled

import probsig_fast as ps
from probsig_fast.errors import ProbsigError

_ORACLE = 400


def run_labelled(draw: Draw, folder: Path) -> None:
    case = make(draw)
    names = backends()
    first = _counted(case, {"backend": names[0], "threads": 1})
    for backend in names:
        way = {"backend": backend, "threads": draw.between(1, 4)}
        tokens = draw.one_of([None, 1, 7, 100])
        with slices_of(tokens):
            other = _counted(case, way)
        check(first == other, way, tokens, _told(case))
    if isinstance(first, str) or sum(map(len, case.X)) > _ORACLE:
        return
    check_labelled(first, case.expected())
    if len(case.X) > 1:
        at = draw.between(1, len(case.X) - 1)
        halves = [
            _counted(Case(X, y, case.vocab_size, case.n_labels, case.arguments), {})
            for X, y in ((case.X[:at], case.y[:at]), (case.X[at:], case.y[at:]))
        ]
        check(halves[1] + halves[0] == first, "halves, cut at", at, _told(case))


def make(draw: Draw) -> Case:
    vocab_size = draw.one_of([1, 2, 30, 256, 65_536, 70_000])
    n_labels = draw.one_of([1, 2, 5, 1_000])
    tokens = tokens_of(draw, vocab_size, draw.between(1, draw.one_of([60, 60, 3_000])))
    if draw.chance(0.05):
        tokens[draw.below(tokens.size)] = draw.one_of([-1, vocab_size])
    edges = np.unique(draw.integers(0, tokens.size, draw.size(min(tokens.size, 300))))
    X = [piece.tolist() for piece in np.split(tokens, edges) if piece.size]
    y = draw.rng.choice([0, n_labels - 1, n_labels // 2], len(X)).tolist()
    arguments: dict[str, Any] = {"incidence": draw.one_of(["presence", "multiplicity"])}
    if draw.chance(0.3) and tokens.size < 500:
        arguments["focus"] = sorted({draw.below(vocab_size) for _ in range(draw.between(1, 3))})
    return Case(X, y, vocab_size, n_labels, arguments)


def _counted(case: Case, way: dict[str, Any]) -> ps.LabelledCounts | str:
    try:
        return case.count(**way)
    except ProbsigError as error:
        return f"{type(error).__name__}: {error}"
    except Exception as error:
        raise Finding(f"{way}, {_told(case)}") from error


def _told(case: Case) -> str:
    return (
        f"vocab_size {case.vocab_size}, n_labels {case.n_labels}, {case.arguments}, "
        f"{len(case.X)} samples of {sum(map(len, case.X))} tokens"
    )


LABELLED = Fuzzer("labelled", run_labelled, weight=2)
