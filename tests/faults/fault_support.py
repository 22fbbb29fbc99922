"""Counts in a `work_dir` that are interrupted: what is counted, and what must come of it."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
VOCABULARY = 300
TOKENS = 120_000
#: Of the counts' provenance: times, versions.
PROVENANCE = "index.json"
KILLED = -signal.SIGKILL
_TIMEOUT = 120.0


@dataclass(frozen=True)
class Setting:
    """One way to count.

    Attributes:
        options: of the relation and of the boundaries.
        chunk_tokens: as the option of that name.
        as_file: counts go to a file at last, from a work_dir beside it.
    """

    name: str
    options: tuple[str, ...]
    chunk_tokens: int = 8_000
    as_file: bool = False

    def command(self, folder: Path, sources: list[Path], *more: str) -> list[str]:
        """The arguments of `probsig`; the work_dir is `folder/counts`."""
        out = ["--out", str(folder / "counts")]
        if self.as_file:
            out = ["--out", str(folder / "c.safetensors"), "--work-dir", str(folder / "counts")]
            out.append("--force")  # what an earlier run wrote, if it was killed behind it
        return [
            *("count", *map(str, sources), "--dtype", "uint16", "--vocab-size", str(VOCABULARY)),
            *("--chunk-tokens", str(self.chunk_tokens), "--no-progress", *self.options),
            *("--checkpoint-seconds", "0", *out, *more),
        ]


_CUT = ("--eos", "0")
_WINDOW = ("--relation", "window", "--size", "4", "--weighting", "harmonic")
SETTINGS = [
    Setting("next", ("--relation", "next", *_CUT)),
    Setting("next-file", ("--relation", "next", "--join-files"), 30_000, as_file=True),
    Setting("window", (*_WINDOW, "--direction", "symmetric", *_CUT), 17_001),
    Setting("backward", (*_WINDOW, "--direction", "backward", "--sequence-length", "77")),
    Setting("prefix", ("--relation", "prefix", "--length", "8", *_CUT), 11_000),
    Setting("focus", ("--relation", "prefix", "--length", "3", "--focus", "3", "17", *_CUT)),
    Setting("sets", ("--relation", "same-sequence", "--sequence-length", "150")),
    Setting("sets-file", ("--relation", "same-sequence", *_CUT), 20_000, as_file=True),
]


def write_sources(folder: Path) -> list[Path]:
    """Three token files of another length each."""
    tokens = np.random.default_rng(6).zipf(1.25, TOKENS) - 1
    tokens = np.minimum(tokens, VOCABULARY - 1).astype("<u2")
    paths = [folder / f"tokens-{index}.bin" for index in range(3)]
    for path, part in zip(paths, np.split(tokens, [TOKENS // 5, TOKENS // 2]), strict=True):
        path.write_bytes(part.tobytes())
    return paths


def probsig(arguments: list[str], limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """The real command, to its end; `limit`: bytes of a file at most, as on a full disk."""

    def bound() -> None:
        import resource

        assert limit is not None
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-m", "probsig_fast", *arguments],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        preexec_fn=bound if limit is not None else None,
    )


def probsig_killed_at(
    at: int, arguments: list[str], entries: int = 0
) -> subprocess.CompletedProcess[str]:
    """The command, killed at its at-th operation on files (0: at none); see `kill_at.py`."""
    command = [sys.executable, str(HERE / "kill_at.py"), str(at), str(entries), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT)


def operations(arguments: list[str], entries: int = 0) -> int:
    """How many operations on files a run makes that nobody kills."""
    ended = probsig_killed_at(0, arguments, entries)
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout.rpartition("operations: ")[2])


def probsig_killed_after(seconds: float, arguments: list[str], plan: Path) -> tuple[int, str]:
    """The real command, killed so long after its plan is there (or it began, if it is there
    already); its exit code and what it said."""
    with tempfile.TemporaryFile("w+") as told:
        running = subprocess.Popen(
            [sys.executable, "-m", "probsig_fast", *arguments], stdout=told, stderr=told
        )
        try:
            end = time.monotonic() + _TIMEOUT
            while not plan.is_file() and running.poll() is None and time.monotonic() < end:
                time.sleep(0.002)
            time.sleep(seconds)
        finally:
            running.kill()
            code = running.wait()
        told.seek(0)
        return code, told.read()


def results(folder: Path) -> dict[str, bytes]:
    """All that a count leaves, but its provenance."""
    found = {path.name: path.read_bytes() for path in (folder / "counts").iterdir()}
    found.pop(PROVENANCE, None)
    if (folder / "c.safetensors").is_file():
        found["c.safetensors"] = (folder / "c.safetensors").read_bytes()
        beside = {path.name for path in folder.iterdir() if path.suffix != ".partial"}
        assert beside == {"counts", "c.safetensors", "c.json"}
    return found


def undisturbed(
    setting: Setting, sources: list[Path], folder: Path
) -> tuple[dict[str, bytes], float]:
    """What a count leaves that nobody interrupts, and how long it takes."""
    folder.mkdir()
    began = time.monotonic()
    ended = probsig(setting.command(folder, sources))
    assert ended.returncode == 0, ended.stderr
    return results(folder), time.monotonic() - began


def check_same(got: dict[str, bytes], expected: dict[str, bytes]) -> None:
    assert sorted(got) == sorted(expected)
    for name, content in expected.items():
        assert got[name] == content, name


def resumed(setting: Setting, sources: list[Path], folder: Path, *more: str) -> dict[str, bytes]:
    """What a last run leaves, which nobody kills."""
    ended = probsig(setting.command(folder, sources, "--resume", *more))
    assert ended.returncode == 0, ended.stderr
    return results(folder)


def kill_until_done(
    setting: Setting, sources: list[Path], folder: Path, seconds: float, rng: random.Random
) -> Iterator[int]:
    """Runs that are killed at random moments within so many seconds, until one comes to its end;
    gives the kills so far."""
    folder.mkdir()
    kills = 0
    while True:
        resume = ["--resume"] if kills else []
        more = ["--threads", str(rng.randint(1, 3))]
        more += ["--checkpoint-seconds", rng.choice(["0", "0", "0.05", "60"])]
        arguments = setting.command(folder, sources, *resume, *more)
        code, told = probsig_killed_after(
            rng.uniform(0, seconds), arguments, folder / "counts" / "plan.json"
        )
        if code != KILLED:
            assert code == 0, told
            return
        kills += 1
        yield kills
