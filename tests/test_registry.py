"""Which backend is chosen, that it is the one that counts, and what is said of the others."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import probsig_fast as ps
from probsig_fast.errors import BackendError
from probsig_fast.kernels import registry
from probsig_fast.kernels.contract import Kernels, Scan


@pytest.mark.parametrize("by", ["argument", "variable"])
def test_the_forced_backend_is_the_active_one(
    backend: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []
    kernels = registry.choose(backend).load()
    original = kernels.scan

    def spy(*arguments: Any) -> Scan:
        called.append(backend)
        return original(*arguments)

    monkeypatch.setattr(kernels, "scan", spy)
    monkeypatch.setenv("PROBSIG_BACKEND", backend if by == "variable" else "no such backend")
    counts = ps.count(
        np.zeros(3, np.uint16), vocab_size=1, backend=None if by == "variable" else backend
    )
    assert called == [backend]
    assert counts.provenance["backend"] == backend


def missing(name: str = "broken", automatic: bool = True) -> registry.Backend:
    def load() -> Kernels:
        raise registry.Unavailable("no such chip")

    return registry.Backend(name, "a broken one", load, automatic)


def test_unknown_and_missing_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BACKENDS", (missing(), *registry.BACKENDS))
    tokens = np.zeros(3, np.uint16)
    for name, problem in (
        ("broken", "'broken' is not available here: no such chip"),
        (
            "fast",
            "expected one of 'broken', 'native_cuda', 'native_cpu', 'numba_cpu', 'reference', "
            "got 'fast'",
        ),
    ):
        with pytest.raises(BackendError, match=f"^{re.escape(f'backend: {problem}')}$"):
            ps.count(tokens, vocab_size=1, backend=name)
        monkeypatch.setenv("PROBSIG_BACKEND", name)
        with pytest.raises(BackendError, match=f"^{re.escape(f'PROBSIG_BACKEND: {problem}')}$"):
            ps.count(tokens, vocab_size=1)
        monkeypatch.delenv("PROBSIG_BACKEND")


def test_the_first_that_runs_here_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROBSIG_BACKEND", raising=False)
    here = [b for b in registry.BACKENDS if b.automatic and not b.missing()]
    assert registry.choose() is here[0]
    monkeypatch.setattr(registry, "BACKENDS", (missing(), *registry.BACKENDS))
    assert registry.choose() is here[0]
    table = ps.show_backends().splitlines()
    assert table[0].split() == ["broken", "a", "broken", "one", "missing:", "no", "such", "chip"]
    assert [line.split()[0] for line in table if line.endswith("chosen")] == [here[0].name]
    assert table[-1].endswith("available by name only")
    monkeypatch.setattr(registry, "BACKENDS", (missing(), missing("other", automatic=False)))
    with pytest.raises(BackendError, match=r"^no backend is available here: broken: no such chip$"):
        registry.choose()


@pytest.mark.parametrize("forced", ["broken", "no such backend"])
def test_show_backends_where_none_can_be_chosen(
    forced: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "BACKENDS", (missing(),))
    for setting in ("", forced):
        monkeypatch.setenv("PROBSIG_BACKEND", setting)
        assert "missing: no such chip" in ps.show_backends()


def test_an_old_native_module_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("probsig_fast._cpu", reason="there is no native module")
    from probsig_fast.kernels import native_cpu

    monkeypatch.setattr(native_cpu, "MISSING", ["merge"])
    message = r"the native module is older than the package \(no merge\): install again$"
    with pytest.raises(BackendError, match=message):
        registry.choose("native_cpu")
