"""The other end of a worker's pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any


class WorkerProcess:
    """A worker of one build, which waits whenever it is not asked.

    Args:
        packages: the folder with its `probsig_fast`.
        given: for `worker.main`.

    Raises:
        RuntimeError: another `probsig_fast` than that one was imported.
    """

    def __init__(self, packages: Path, given: Mapping[str, Any]) -> None:
        folders = (packages, Path(__file__).parents[1])  # the latter has the worker
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "comparing.worker", json.dumps(given)],
            env=environment,
            cwd=packages,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        started = self._reply("start")
        if not Path(started["package"]).is_relative_to(packages):
            self.close()
            raise RuntimeError(
                f"probsig_fast: expected the one in {packages}, got {started['package']}: "
                "uninstall it (an editable one comes first)"
            )

    def ask(self, verb: str, task: str) -> dict[str, Any]:
        """The answer to `verb task`.

        Raises:
            RuntimeError: the worker ended instead.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(f"{verb} {task}\n")
        return self._reply(f"{verb} {task}")

    def _reply(self, asked: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise RuntimeError(f"{asked}: the worker ended: exit code {self._process.returncode}")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        self._process.communicate()  # it ends where its input does

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._process.kill()
        self.close()
