from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from probsig_fast import _build_info
from probsig_fast._build_info import missing_reason


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "_native_build.json"
    monkeypatch.setattr(_build_info, "_record_path", lambda: path)
    return path


def test_built(record: Path) -> None:
    record.write_text('{"_cpu": null}')
    assert missing_reason("_cpu") is None


@pytest.mark.parametrize(
    "reason",
    [
        "no C++ compiler was found when the package was installed (CXX=/bin/false)",
        "the C++ build failed when the package was installed",
    ],
)
def test_missing(record: Path, reason: str) -> None:
    record.write_text(f'{{"_cpu": "{reason}"}}')
    assert missing_reason("_cpu") == reason


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


def test_this_installation_agrees_with_its_record() -> None:
    is_there = importlib.util.find_spec("probsig_fast._cpu") is not None
    assert is_there == (missing_reason("_cpu") is None)
