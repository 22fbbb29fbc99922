"""Which CUDA module is tested: that of a GPU, or the one that tests/cuda_emulator builds."""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest

import probsig_fast


def _load_emulated_cuda() -> bool:
    """Take the CUDA kernels as compiled for the host, see tests/cuda_emulator."""
    path = os.environ.get("PROBSIG_TEST_CUDA")
    if not path:
        return False
    spec = importlib.util.spec_from_file_location("probsig_fast._cuda", path)
    if spec is None or spec.loader is None:
        raise pytest.UsageError(f"PROBSIG_TEST_CUDA: expected a Python module, got {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["probsig_fast._cuda"] = probsig_fast._cuda = module
    return True


#: Whether PROBSIG_TEST_CUDA names an emulated module, which is then the package's own.
EMULATED = _load_emulated_cuda()


def needs_own_process(backend: str) -> None:
    """Skip a test that counts in another process, where no emulated module is known."""
    if backend == "native_cuda" and EMULATED:
        pytest.skip("a new process takes the package's own CUDA module, not the emulated one")
