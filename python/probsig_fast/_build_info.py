"""What the installation recorded about the native modules of this package.

The build writes ``_native_build.json`` into the installed package: for each native module either
``null`` (it was built) or the reason why it was not. See CMakeLists.txt, cmake/ and pyproject.toml.
"""

from __future__ import annotations

import json
from pathlib import Path

import probsig_fast

__all__ = ["missing_reason"]

_RECORD_NAME = "_native_build.json"


def _record_path() -> Path | None:
    # All of __path__: an editable install has the sources in one folder, the build's output in
    # another.
    for folder in probsig_fast.__path__:
        path = Path(folder, _RECORD_NAME)
        if path.is_file():
            return path
    return None


def missing_reason(module: str) -> str | None:
    """Say why a native module (``"_cpu"``, ``"_cuda"``) is missing; None when it was built."""
    path = _record_path()
    if path is None:
        return "the package was not installed by pip, so no native module was built"
    damaged = f"the build record {_RECORD_NAME} is damaged; installing the package again mends it"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return damaged
    if not isinstance(record, dict):
        return damaged
    if module not in record:
        return f"{module} was not part of the build when the package was installed"
    reason = record[module]
    return reason if reason is None or isinstance(reason, str) else damaged
