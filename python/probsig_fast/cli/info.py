"""`probsig info`: what is installed, and what runs here."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..errors import BackendError
from ..kernels.registry import BACKENDS, choose, show_backends
from ..pool import thread_count
from . import output

DESCRIPTION = """\
Show the version, which backends are there, which is chosen and why each other one is not, how many
threads a count takes, and which optional parts are installed.
"""
EPILOG = """\
examples:
  probsig info
  probsig info --json
  PROBSIG_BACKEND=numba_cpu probsig info
"""

#: The extras that a user may want, and the packages that each brings.
EXTRAS = {
    "torch": ("torch", "safetensors"),
    "text": ("tokenizers", "zstandard"),
    "plot": ("matplotlib",),
    "report": ("matplotlib", "jinja2"),
    "metrics": ("torchmetrics",),
    "gguf": ("gguf",),
    "experiments": ("transformers",),
    "parquet": ("pyarrow",),
    "remote": ("fsspec",),
    "datasets": ("datasets",),
    "dask": ("distributed",),
    "peers": ("polars", "duckdb", "scikit-learn", "tokengrams", "torch"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    output.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    import numpy as np

    from ..version import __version__

    fault = _fault()
    if arguments.json:
        output.print_json(
            {
                "version": __version__,
                "python": platform.python_version(),
                "numpy": np.__version__,
                "platform": platform.platform(),
                "threads": thread_count(None),
                "backends": _backends(),
                "fault": fault,
                "extras": {extra: _installed(packages) for extra, packages in EXTRAS.items()},
            }
        )
    else:
        output.print_fields(
            [
                ("probsig_fast", __version__),
                ("Python", f"{platform.python_version()}, NumPy {np.__version__}"),
                ("machine", platform.platform()),
                ("threads", str(thread_count(None))),
            ]
        )
        print("\nbackends")
        print("\n".join(f"  {line}" for line in show_backends().splitlines()))
        print("\nextras")
        output.print_fields((f"  {extra}", _extra(extra)) for extra in EXTRAS)
    return 1 if fault else 0


def _fault() -> str | None:
    """Why a count would find no backend (a wrong PROBSIG_BACKEND, say); all else is shown still."""
    try:
        choose()
    except BackendError as error:
        return str(error)
    return None


def _backends() -> list[dict[str, Any]]:
    chosen = None if _fault() else choose()
    return [
        {
            "name": backend.name,
            "description": backend.description,
            "chosen": backend is chosen,
            "missing": backend.missing(),
        }
        for backend in BACKENDS
    ]


def _installed(packages: tuple[str, ...]) -> dict[str, str | None]:
    """Versions without importing: torch alone takes seconds."""
    return {package: _version(package) for package in packages}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _extra(extra: str) -> str:
    installed = _installed(EXTRAS[extra])
    there = ", ".join(f"{name} {number}" for name, number in installed.items() if number)
    lacking = [name for name, number in installed.items() if not number]
    if not lacking:
        return there
    missing = f"missing {', '.join(lacking)}: pip install 'probsig-fast[{extra}]'"
    return f"{there}; {missing}" if there else missing
