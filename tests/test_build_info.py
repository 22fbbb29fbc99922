"""What is said of the native modules that are missing, and how the build of _cuda records it."""

from __future__ import annotations

import shutil
import subprocess
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import pytest

import probsig_fast
from probsig_fast import _build_info
from probsig_fast._build_info import missing_reason


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "_native_build.json"
    monkeypatch.setattr(_build_info, "_record_path", lambda: path)
    return path


@pytest.mark.parametrize("module", ["_cpu", "_cuda"])
def test_built(record: Path, module: str) -> None:
    record.write_text('{"_cpu": null, "_cuda": null}')
    assert missing_reason(module) is None


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("_cpu", "no C++ compiler was found when the package was installed (CXX=/bin/false)"),
        ("_cpu", "the C++ build failed when the package was installed"),
        ("_cuda", "PROBSIG_CUDA=OFF when the package was installed"),
        ("_cuda", "no CUDA compiler was found when the package was installed"),
    ],
)
def test_missing(record: Path, module: str, reason: str) -> None:
    record.write_text(f'{{"{module}": "{reason}"}}')
    assert missing_reason(module) == reason


def test_module_without_record(record: Path) -> None:
    record.write_text('{"_cpu": null}')
    reason = missing_reason("_cuda")
    assert reason is not None
    assert "_cuda was not part of the build" in reason


@pytest.mark.parametrize("text", [b"", b'{"_cpu": nul', b"[]", b'{"_cpu": 1}', b"\xff\xfe"])
def test_damaged(record: Path, text: bytes) -> None:
    record.write_bytes(text)
    reason = missing_reason("_cpu")
    assert reason is not None
    assert "damaged" in reason


def test_nothing_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_build_info, "_record_path", lambda: None)
    reason = missing_reason("_cpu")
    assert reason is not None
    assert "not installed by pip" in reason


def test_record_is_looked_for_in_every_folder_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, installed = tmp_path / "sources", tmp_path / "installed"
    for folder in (sources, installed):
        folder.mkdir()
    monkeypatch.setattr("probsig_fast.__path__", [str(sources), str(installed)])
    assert _build_info._record_path() is None
    (installed / "_native_build.json").write_text('{"_cpu": null}')
    assert _build_info._record_path() == installed / "_native_build.json"


@pytest.mark.parametrize("module", ["_cpu", "_cuda"])
def test_this_installation_agrees_with_its_record(module: str) -> None:
    # By files alone: the tests may have put an emulated _cuda in its place.
    is_there = PathFinder.find_spec(f"probsig_fast.{module}", probsig_fast.__path__) is not None
    assert is_there == (missing_reason(module) is None)


# cmake/build_cuda.cmake, with projects that need no compiler in place of csrc/cuda.

BUILD_CUDA = Path(__file__).resolve().parents[1] / "cmake" / "build_cuda.cmake"
HINT = "(PROBSIG_CUDA=ON pip install . shows the whole message)"

SETUP = "cmake_minimum_required(VERSION 3.20)\nproject(stand_in LANGUAGES NONE)\n"
VERSION = 'file(WRITE "${CMAKE_BINARY_DIR}/cuda_version.txt" 12.4.99)\n'
FAIL = 'COMMAND "${CMAKE_COMMAND}" -P "${CMAKE_SOURCE_DIR}/fail.cmake"'
FAULTS = {
    "nvcc": (
        "message(NOTICE [[nvcc fatal   : Unsupported gpu architecture 'compute_30']])\n"
        "message(FATAL_ERROR stop)",
        "the CUDA compiler /opt/nvcc did not work when the package was installed: "
        f"nvcc fatal : Unsupported gpu architecture 'compute_30' {HINT}",
    ),
    "nvcc says nothing": (
        "message(FATAL_ERROR stop)",
        f"the CUDA compiler /opt/nvcc did not work when the package was installed {HINT}",
    ),
    "CUB": (
        f"{VERSION}add_custom_target(probe {FAIL} VERBATIM)",
        "CUB of CUDA 12.4.99 was missing or too old when the package was installed: "
        f'csrc/cuda/x.cu(3): error: no "f" in C:\\y {HINT}',
    ),
    "sources": (
        f"{VERSION}add_custom_target(probe)\nadd_custom_target(module ALL {FAIL} VERBATIM)",
        "the CUDA sources did not compile when the package was installed: "
        f'csrc/cuda/x.cu(3): error: no "f" in C:\\y {HINT}',
    ),
}


@pytest.fixture
def build_cuda(tmp_path: Path, record: Path) -> Any:
    """Runs the build of a project, which leaves its record; gives the finished process."""
    generators = {"ninja": "Ninja", "make": "Unix Makefiles"}
    generator = next((generators[name] for name in generators if shutil.which(name)), None)
    if generator is None or shutil.which("cmake") is None:
        pytest.skip("needs CMake, and Ninja or make")
    project, build = tmp_path / "sources" / "csrc" / "cuda", tmp_path / "build"
    project.mkdir(parents=True)
    (build / "module").mkdir(parents=True)
    (build / "module" / "_cuda.so").write_text("of an earlier build")
    (build / "settings.cmake").touch()
    error = f'{project}/x.cu(3): error: no "f" in C:\\y'
    (project / "fail.cmake").write_text(f"message(NOTICE [[{error}]])\nmessage(FATAL_ERROR stop)")
    record.write_text('{"_cpu": null}')

    def run(commands: str, required: bool = False) -> subprocess.CompletedProcess[str]:
        (project / "CMakeLists.txt").write_text(SETUP + commands)
        settings = {
            "source_dir": tmp_path / "sources",
            "build_dir": build,
            "generator": generator,
            "compiler": "/opt/nvcc",
            "record_file": record,
            "required": int(required),
        }
        defines = [f"-D{name}={value}" for name, value in settings.items()]
        return subprocess.run(
            ["cmake", *defines, "-P", str(BUILD_CUDA)], capture_output=True, text=True
        )

    return run


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failed_build_of_cuda_is_recorded(build_cuda: Any, tmp_path: Path, fault: str) -> None:
    commands, reason = FAULTS[fault]
    result = build_cuda(commands)
    assert result.returncode == 0, result.stderr
    assert missing_reason("_cuda") == reason
    assert missing_reason("_cpu") is None
    assert not (tmp_path / "build" / "module").exists()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failed_build_of_cuda_is_an_error_where_it_is_required(
    build_cuda: Any, fault: str
) -> None:
    commands, reason = FAULTS[fault]
    result = build_cuda(commands, required=True)
    assert result.returncode != 0
    assert f"PROBSIG_CUDA=ON, but {reason.split(' when ')[0]}" in " ".join(result.stderr.split())


def test_a_build_of_cuda_is_recorded(build_cuda: Any, tmp_path: Path) -> None:
    result = build_cuda(f"{VERSION}add_custom_target(probe)")
    assert result.returncode == 0, result.stderr
    assert missing_reason("_cuda") is None
    assert (tmp_path / "build" / "module" / "_cuda.so").exists()
