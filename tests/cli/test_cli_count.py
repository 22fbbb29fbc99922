"""`probsig count` and `merge`: what they print and the files they leave."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import TOKENS, V, one_error

import probsig_fast as ps

# count


def test_count(probsig: Any, tokens: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    run = probsig(
        *("count", tokens, "--dtype", "uint16", "--vocab-size", V, "--eos", 0, "--out", out)
    )
    assert (run.code, run.err) == (0, "")
    lines = dict(line.split("  ", 1) for line in run.out.splitlines())
    threads = json.loads(out.with_suffix(".json").read_text())["threads"]
    assert {name: text.strip() for name, text in lines.items() if name != "time"} == {
        "relation": "next",
        "backend": f"reference, threads: {threads}",
        "tokens": "11",
        "sequences": "2",
        "distinct pairs": "6",
        "written": f"{out} ({out.stat().st_size} bytes)",
    }
    assert ps.Counts.load(out, verify=True) == ps.count(
        TOKENS, vocab_size=V, eos=0, backend="reference"
    )


def test_count_json(probsig: Any, tokens: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    run = probsig(
        *("count", tokens, "--dtype", "uint16", "--vocab-size", V, "--out", out, "--json"),
        *("--eos", 0, "--no-count-eos", "--threads", 1),
    )
    told = json.loads(run.out)
    assert told["tokens_per_second"] is None or told["tokens_per_second"] > 0
    assert told["seconds"] >= 0
    del told["seconds"], told["tokens_per_second"]
    assert told == {
        "relation": {"name": "next"},
        "backend": "reference",
        "threads": 1,
        "tokens_read": 11,
        "tokens": 9,
        "sequences": 2,
        "distinct_pairs": 4,
        "total": 7,
        "weight_scale": 1,
        "file": str(out),
        "bytes": out.stat().st_size,
    }


@pytest.mark.parametrize(
    ("options", "relation"),
    [
        (["--size", "3"], ps.Window(3)),
        (["--size", "2", "--weighting", "harmonic"], ps.Window(2, "harmonic")),
        (["--weighting", "1,1/2,0.25"], ps.Window(3, [1, Fraction(1, 2), Fraction(1, 4)])),
        (["--size", "2", "--direction", "symmetric"], ps.Window(2, direction="symmetric")),
    ],
)
def test_count_windows(
    probsig: Any, tokens: Path, tmp_path: Path, options: list[str], relation: ps.Window
) -> None:
    out = tmp_path / "out.safetensors"
    common = ("--dtype", "uint16", "--vocab-size", V, "--out", out)
    run = probsig("count", tokens, *common, "--relation", "window", *options)
    assert run.code == 0
    assert f"window of {relation.size}, " in run.out
    assert ps.Counts.load(out) == ps.count(TOKENS, relation, vocab_size=V, backend="reference")


def test_count_options_reach_the_count(probsig: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    for name, part in (("b.bin", TOKENS[5:]), ("a.bin", TOKENS[:5])):
        part.tofile(tmp_path / name)
    run = probsig(
        *("count", tmp_path / "*.bin", "--join-files", "--dtype", "uint16", "--vocab-size", V),
        *("--ignore-ids", 3, 77, "--sequence-length", 4, "--chunk-tokens", 3, "--threads", 2),
        *("--out", out, "--progress"),
    )
    assert run.code == 0
    assert "counting" in run.err
    assert "8 (3 left out)" in run.out
    expected = ps.count(
        TOKENS, vocab_size=V, ignore_ids=[3, 77], sequence_length=4, backend="reference"
    )
    assert ps.Counts.load(out) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "3"], "--size goes with --relation window"),
        (["--weighting", "harmonic"], "--weighting goes with --relation window"),
        (["--relation", "window"], "--relation window needs --size"),
        (["--relation", "window", "--weighting", "1,x"], "weights such as 1,1/2,1/3, got '1,x'"),
        (["--relation", "window", "--weighting", "1/0"], "weights such as 1,1/2,1/3, got '1/0'"),
        (["--relation", "near"], "invalid choice: 'near'"),
    ],
)
def test_count_wrong_usage(
    probsig: Any, tokens: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    out = tmp_path / "out.safetensors"
    run = probsig("count", tokens, "--dtype", "uint16", "--vocab-size", V, "--out", out, *options)
    assert run.code == 2
    assert message in run.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ([], ["vocab_size: expected", "got None"]),
        (["--vocab-size", "3"], ["got id 3 at position 2 of", "tokens.bin"]),
        (["--vocab-size", "0"], ["vocab_size: expected", "got 0"]),
        (["--vocab-size", "5", "--backend", "gpu"], ["backend: expected one of", "got 'gpu'"]),
        (["--vocab-size", "5", "--eos", "5"], ["eos: expected", "got 5"]),
        (["--vocab-size", "5", "--threads", "0"], ["threads: expected at least 1, got 0"]),
        (["--vocab-size", "5", "--dtype", "float32"], ["dtype: expected an integer", "float32"]),
        (["--vocab-size", "5", "--dtype", "uint32"], ["multiple of 4 bytes", "22 bytes in"]),
        (
            [
                "--vocab-size",
                "5",
                "--relation",
                "window",
                "--size",
                "23",
                "--weighting",
                "harmonic",
            ],
            ["weighting: expected a common denominator of at most 2^28"],
        ),
    ],
)
def test_count_bad_input(
    probsig: Any, tokens: Path, tmp_path: Path, options: list[str], parts: list[str]
) -> None:
    out = tmp_path / "out.safetensors"
    dtype = [] if "--dtype" in options else ["--dtype", "uint16"]
    one_error(probsig("count", tokens, "--out", out, *dtype, *options), *parts)
    assert list(tmp_path.iterdir()) == [tokens]  # no output, not even a part of one


def test_count_missing_files_and_dtype(probsig: Any, tokens: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    common = ("--vocab-size", V, "--out", out)
    missing = tmp_path / "none.bin"
    one_error(probsig("count", missing, "--dtype", "uint16", *common), "no such file", "none.bin")
    one_error(probsig("count", tmp_path / "*.txt", "--dtype", "uint16", *common), "*.txt")
    one_error(probsig("count", tokens, *common), "dtype: expected the token type of", "got None")


def test_count_of_nothing_is_valid(probsig: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    np.save(tmp_path / "empty.npy", np.empty(0, np.uint16))
    run = probsig("count", tmp_path / "empty.npy", "--vocab-size", V, "--out", out)
    assert (run.code, run.err) == (0, "")
    assert ps.Counts.load(out).nnz == 0


def test_count_warns_in_one_line(probsig: Any, tokens: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    run = probsig("count", tokens, "--dtype", "uint16", "--vocab-size", V, "--eos", 4, "--out", out)
    assert run.code == 0
    assert run.err.startswith("probsig: warning: eos: no token of")
    assert run.err.count("\n") == 1


# Where the output goes


def test_output_is_checked_before_counting(
    probsig: Any, tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("counted before the output was checked")

    monkeypatch.setattr("probsig_fast.counting.count", never)
    for out, part in (
        (tmp_path / "counts.bin", "a name ending in .safetensors, or one of a folder"),
        (tmp_path / "none" / "counts.safetensors", "in an existing folder"),
    ):
        run = probsig("count", tokens, "--dtype", "uint16", "--vocab-size", V, "--out", out)
        one_error(run, "--out: expected", part)


def test_output_is_not_replaced_without_force(
    probsig: Any, tokens: Path, counted: Path, tmp_path: Path
) -> None:
    before = counted.read_bytes()
    common = ("count", tokens, "--dtype", "uint16", "--vocab-size", V, "--out", counted)
    one_error(probsig(*common), f"{counted} exists already: give --force")
    assert counted.read_bytes() == before
    assert probsig(*common, "--force").code == 0
    assert counted.read_bytes() != before


def test_provenance_replaces_no_other_file(probsig: Any, tokens: Path, tmp_path: Path) -> None:
    other = tmp_path / "tokenizer.json"
    other.write_text("precious")
    out = tmp_path / "tokenizer.safetensors"
    run = probsig("count", tokens, "--dtype", "uint16", "--vocab-size", V, "--out", out)
    one_error(run, "tokenizer.json exists already: give --force")
    assert other.read_text() == "precious"


# merge


def test_merge(probsig: Any, counted: Path, tmp_path: Path) -> None:
    other, out = tmp_path / "other.safetensors", tmp_path / "sum.safetensors"
    ps.count(TOKENS[:6], vocab_size=V, eos=0, backend="reference").save(other)
    run = probsig("merge", counted, other, "--out", out)
    assert (run.code, run.err) == (0, "")
    assert "2 files of relation next" in run.out
    assert "tokens          17\n" in run.out
    assert ps.Counts.load(out, verify=True) == ps.Counts.load(counted) + ps.Counts.load(other)
    told = json.loads(probsig("merge", other, counted, "--out", out, "--force", "--json").out)
    assert (told["tokens"], told["files"]) == (17, [str(other), str(counted)])


def test_merge_bad_input(probsig: Any, counted: Path, tmp_path: Path) -> None:
    out, window = tmp_path / "sum.safetensors", tmp_path / "window.safetensors"
    ps.count(TOKENS, ps.Window(2), vocab_size=V, eos=0, backend="reference").save(window)
    one_error(probsig("merge", counted, window, "--out", out), "relation: expected", "'window'")
    one_error(probsig("merge", counted, tmp_path / "no.safetensors", "--out", out), "no such file")
    damaged = tmp_path / "damaged.safetensors"
    content = bytearray(counted.read_bytes())
    content[-1] ^= 0x40  # the last bytes are counts or ids: only a whole reading shows it
    damaged.write_bytes(content)
    one_error(probsig("merge", counted, damaged, "--out", out), "damaged")
    damaged.write_bytes(counted.read_bytes()[:-8])
    one_error(probsig("merge", counted, damaged, "--out", out), "damaged", "truncated")
    assert not out.exists()


def test_merge_warns_of_a_file_given_twice(probsig: Any, counted: Path, tmp_path: Path) -> None:
    run = probsig("merge", counted, counted, "--out", tmp_path / "sum.safetensors")
    assert run.code == 0
    assert run.err == f"probsig: warning: {counted} is given 2 times and counts as often\n"


def test_count_warns_of_a_file_given_twice(probsig: Any, tokens: Path, tmp_path: Path) -> None:
    run = probsig(
        *("count", tokens, tmp_path / "tok*.bin", "--dtype", "uint16", "--vocab-size", V),
        *("--out", tmp_path / "out.safetensors"),
    )
    assert run.err == f"probsig: warning: {tokens} is given 2 times and counts as often\n"
