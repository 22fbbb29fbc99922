"""The backends of this package as contenders: each with all threads, and with one."""

from __future__ import annotations

from typing import Any

from ..counting import count
from ..counts import Counts
from ..errors import ArgumentError
from ..kernels.registry import BACKENDS
from .contender import Answer, Contender, Job, answer

_KINDS = ("next", "window", "prefix", "same-sequence")


def ours(names: tuple[str, ...] | None, threads: int) -> tuple[Contender, ...]:
    """Those of these names (None: every one but `reference`), in the registry's order.

    Raises:
        ArgumentError: an unknown name.
    """
    known = [backend.name for backend in BACKENDS]
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise ArgumentError(f"backend: expected of {', '.join(known)}, got {unknown[0]!r}")
    made = []
    for backend in BACKENDS:
        if backend.name in names if names is not None else backend.name != "reference":
            made += [_contender(backend.name, backend.missing(), None)]
            if threads > 1 and backend.name.endswith("_cpu"):
                made += [_contender(backend.name, backend.missing(), 1)]
    return tuple(made)


def reference() -> Contender:
    return _contender("reference", None, 1)


def _contender(name: str, reason: str | None, threads: int | None) -> Contender:
    def run(job: Job, prepared: Any) -> Counts:
        rules = job.task.rules(job.corpus)
        return count(
            job.tokens,
            job.task.relation,
            **rules,
            backend=name,
            threads=job.threads,
            progress=False,
        )

    return Contender(name, _KINDS, run, _answer, threads=threads, reason=reason, is_ours=True)


def _answer(job: Job, counts: Counts) -> Answer:
    """Of symmetric counts, the triangle that is kept."""
    return answer(counts.indptr, counts.indices, counts.stored)
