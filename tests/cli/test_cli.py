"""The command line as a whole: help, exit codes, one-line errors, and what the README says."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import TOKENS, V

import probsig_fast as ps
from probsig_fast.cli import main
from probsig_fast.cli.entry import COMMANDS, build_parser
from probsig_fast.cli.info import EXTRAS

# All commands


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(probsig: Any, command: str) -> None:
    run = probsig(command, "--help")
    assert run.code == 0
    assert "example" in run.out
    assert f"probsig {command}" in run.out


def test_help_and_version(probsig: Any) -> None:
    run = probsig("--help")
    assert run.code == 0
    assert set(COMMANDS) <= set(run.out.split())
    assert probsig("--version").out == f"probsig {ps.__version__}\n"


def test_usage_errors(probsig: Any, tokens: Path) -> None:
    assert probsig().code == 2
    assert probsig("guess").code == 2
    run = probsig("count", tokens)
    assert run.code == 2
    assert "--out" in run.err
    # No abbreviations: a script must not break once a longer name joins them.
    assert probsig("count", tokens, "--out", "a.safetensors", "--vocab", "5").code == 2


def test_interrupted(probsig: Any, counted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ps.Counts, "load", interrupt)
    run = probsig("top", counted, "1")
    assert (run.code, run.out, run.err) == (130, "", "probsig: interrupted\n")


def test_interrupted_count_leaves_no_file(
    probsig: Any, tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("probsig_fast.files.os.replace", interrupt)
    out = tmp_path / "out.safetensors"
    run = probsig("count", tokens, "--dtype", "uint16", "--vocab-size", V, "--out", out)
    assert run.code == 130
    assert list(tmp_path.iterdir()) == [tokens]


def test_debug_raises(counted: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        main(["top", str(tmp_path / "none.safetensors"), "1", "--debug"])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "probsig: error: not enough memory\n"),
        (MemoryError("8 GiB"), "probsig: error: not enough memory: 8 GiB\n"),
        (OSError("disk\nfull"), "probsig: error: disk full\n"),
        (OSError(), "probsig: error: OSError\n"),
    ],
)
def test_failures_of_the_machine(
    probsig: Any,
    counted: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    line: str,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(ps.Counts, "load", fail)
    run = probsig("top", counted, "1")
    assert (run.code, run.err) == (1, line)


def environment() -> dict[str, str]:
    """This process's, with the package that it tests."""
    paths = [str(Path(ps.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PROBSIG_BACKEND": "reference",
    }


def test_as_a_module(tokens: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    command = [sys.executable, "-m", "probsig_fast", "count", str(tokens), "--dtype", "uint16"]
    run = subprocess.run(
        [*command, "--vocab-size", str(V), "--out", str(out), "--json"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")  # no progress bar: this is no terminal
    assert json.loads(run.stdout)["tokens"] == TOKENS.size
    assert ps.Counts.load(out, verify=True).n_tokens == TOKENS.size


@pytest.mark.skipif(os.name == "nt", reason="a broken pipe reads differently on Windows")
def test_a_reader_that_goes_away_is_no_error(counted: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as gone:
        run = subprocess.run(
            [sys.executable, "-m", "probsig_fast", "top", str(counted), "1"],
            env=environment(),
            stdout=gone,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (run.returncode, run.stderr) == (141, b"")


# info


def test_info(probsig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = probsig("info")
    assert (run.code, run.err) == (0, "")
    assert ps.__version__ in run.out
    for line in ps.show_backends().splitlines():
        assert f"  {line}\n" in run.out
    monkeypatch.setitem(EXTRAS, "text", ("pytest", "no-such-package"))
    assert "missing no-such-package: pip install 'probsig-fast[text]'" in probsig("info").out


def test_info_json(probsig: Any) -> None:
    told = json.loads(probsig("info", "--json").out)
    assert [backend["name"] for backend in told["backends"] if backend["chosen"]] == ["reference"]
    assert told["fault"] is None
    assert set(told["extras"]) == set(EXTRAS)


def test_info_with_a_wrong_backend_tells_all_the_same(
    probsig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROBSIG_BACKEND", "abacus")
    run = probsig("info")
    assert run.code == 1
    assert "PROBSIG_BACKEND: expected one of" in run.out
    assert "extras" in run.out
    run = probsig("info", "--json")
    assert run.code == 1
    assert "got 'abacus'" in json.loads(run.out)["fault"]


def test_extras_are_those_of_the_project() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = Path(__file__).parents[2] / "pyproject.toml"
    declared = tomllib.loads(project.read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(declared) - {"test", "bench", "dev"}
    for extra, packages in EXTRAS.items():
        names = [requirement.split(">")[0].strip() for requirement in declared[extra]]
        names = [name for name in names if not name.startswith("probsig-fast[")]  # other extras
        assert set(names) <= set(packages)


# What the README says

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    """The README's code blocks in that language, in order."""
    if not README.is_file():
        pytest.skip("no README.md beside the tests")
    found = re.findall(rf"^```{language}\n(.*?)^```$", README.read_text("utf-8"), re.M | re.S)
    assert found
    return found


def test_readme_commands_are_understood() -> None:
    text = "\n".join(blocks("bash")).replace("\\\n", " ").replace("&&", "\n")
    lines = [shlex.split(line) for line in text.splitlines() if line.strip()]
    commands = [arguments for program, *arguments in lines if program == "probsig"]
    assert {arguments[0] for arguments in commands} >= {"demo", "count", "top", "align", "merge"}
    for arguments in commands:
        build_parser(arguments[0]).parse_args(arguments)


def test_readme_python_runs(
    probsig: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROBSIG_BACKEND")  # the definition in NumPy takes half a minute
    rng = np.random.default_rng(7)
    rng.integers(0, 50, 150_000).astype(np.uint16).tofile("docs.u16.bin")
    np.save("embedding.npy", rng.normal(size=(49_152, 4)).astype(np.float32))
    vocabulary = {"<eos>": 0, " should": 1, " must": 2}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<eos>"))
    tokenizer.save("tokenizer.json")
    for block in blocks("python"):
        exec(block, {})
    assert "R_cos(W, phi_next)" in capsys.readouterr().out
