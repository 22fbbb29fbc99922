"""Backends, shared data and the header of every test run."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path
from typing import Any

import pytest
from cuda_module import EMULATED
from hypothesis import settings

from probsig_fast.errors import BackendError
from probsig_fast.kernels import registry

pytest.register_assert_rewrite("oracle", "stream_cases")

settings.register_profile("local", deadline=None, max_examples=40)
settings.register_profile("ci", deadline=None, max_examples=25, derandomize=True, print_blob=True)
# An emulated device runs its threads one after the other.
settings.register_profile("emulated", deadline=None, max_examples=12, derandomize=True)
settings.load_profile("emulated" if EMULATED else "ci" if os.environ.get("CI") else "local")

_VERSIONS = ("numpy", "scipy", "numba", "torch", "pyarrow", "tokenizers", "safetensors")


def pytest_report_header() -> list[str]:
    versions = []
    for name in _VERSIONS:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} missing")
    try:
        backends = registry.show_backends()
    except BackendError as error:  # PROBSIG_BACKEND forces one that is not there
        backends = str(error)
    return [", ".join(versions), *backends.splitlines()]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("gpu")]
    reason = _gpu_missing() if marked else None
    for item in marked:
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


def _gpu_missing() -> str | None:
    reason = {each.name: each for each in registry.BACKENDS}["native_cuda"].missing()
    return f"needs a GPU: {reason}" if reason else None


def _param(name: str) -> Any:
    is_gpu = name == "native_cuda" and not EMULATED
    return pytest.param(name, marks=pytest.mark.gpu) if is_gpu else name


@pytest.fixture(scope="session", params=[_param(backend.name) for backend in registry.BACKENDS])
def backend(request: pytest.FixtureRequest) -> str:
    """The name of each backend of the registry; those that are missing here are skipped."""
    name: str = request.param
    reason = {each.name: each for each in registry.BACKENDS}[name].missing()
    if reason and name == "native_cpu" and os.environ.get("PROBSIG_NATIVE") == "REQUIRE":
        pytest.fail(f"PROBSIG_NATIVE=REQUIRE, but native_cpu is missing: {reason}")
    if reason:
        pytest.skip(f"{name} is missing: {reason}")
    return name


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data, which is beside the repository or named by PROBSIG_SHARED."""
    named = os.environ.get("PROBSIG_SHARED")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("no real data: set PROBSIG_SHARED, or put a folder `shared` beside the clone")
    return folder
