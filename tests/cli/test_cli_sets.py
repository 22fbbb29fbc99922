"""The command line on prefixes and on sets of sequences: `count`, `top` and `merge`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_support import FLAT, PREFIX, SETS, TOKENS, V, counts_of, lines_of, one_error

import probsig_fast as ps


@pytest.fixture
def prefixes(tmp_path: Path) -> Path:
    return counts_of(ps.Prefix(2)).save(tmp_path / "prefix.safetensors")


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    return counts_of(ps.SameSequence()).save(tmp_path / "sets.safetensors")


# count


def test_count_prefix(probsig: Any, tokens: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    run = probsig("count", tokens, *FLAT, "--eos", 0, *PREFIX, "--out", out)
    assert (run.code, run.err) == (0, "")
    expected = counts_of(ps.Prefix(2))
    assert ps.Counts.load(out, verify=True) == expected
    assert lines_of(run.out) == {
        "relation": "prefix of 2",
        "tokens": "11",
        "sequences": "2",
        "samples": "9",
        "distinct pairs": str(expected.nnz),
        "written": f"{out} ({out.stat().st_size / 1000:.3g} kB)",
    }


def test_count_prefix_with_focus(probsig: Any, tokens: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    common = ("count", tokens, *FLAT, "--eos", 0, *PREFIX, "--focus", 3, 1, "--memory", "100MB")
    run = probsig(*common, "--out", out)
    assert run.code == 0
    expected = counts_of(ps.Prefix(2), focus=[1, 3])
    assert ps.Counts.load(out, verify=True) == expected
    triples = sum(expected.third_order(token).nnz for token in (1, 3))
    assert lines_of(run.out)["third order"] == f"of 2 tokens: {triples} distinct triples"
    told = json.loads(probsig(*common, "--out", out, "--force", "--json").out)
    assert (told["focus_tokens"], told["triples"]) == (2, triples)


def test_count_same_sequence(probsig: Any, tokens: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    run = probsig("count", tokens, *FLAT, "--sequence-length", 4, *SETS, "--out", out)
    assert (run.code, run.err) == (0, "")
    expected = ps.count(
        TOKENS, ps.SameSequence(), vocab_size=V, sequence_length=4, backend="reference"
    )
    assert ps.Counts.load(out, verify=True) == expected
    assert lines_of(run.out) == {
        "relation": "same sequence",
        "tokens": "11",
        "sequences": "3",
        "distinct pairs (unordered)": str(expected.nnz),
        "written": f"{out} ({out.stat().st_size} bytes)",
    }


@pytest.mark.parametrize(
    ("options", "relation"), [(PREFIX, ps.Prefix(2)), (SETS, ps.SameSequence())]
)
def test_count_json(
    probsig: Any, tokens: Path, tmp_path: Path, options: tuple[Any, ...], relation: Any
) -> None:
    out = tmp_path / "out.safetensors"
    run = probsig("count", tokens, *FLAT, "--eos", 0, *options, "--out", out, "--json")
    told = json.loads(run.out)
    expected = counts_of(relation)
    assert told["relation"] == relation.to_dict()
    assert (told["tokens"], told["sequences"]) == (11, 2)
    assert (told["distinct_pairs"], told["total"]) == (expected.nnz, expected.total)
    assert told.get("samples") == (9 if options is PREFIX else None)
    assert told["bytes"] == out.stat().st_size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--length", "3"], "--length goes with --relation prefix"),
        ([*SETS, "--length", "3"], "--length goes with --relation prefix"),
        ([*SETS, "--focus", "3"], "--focus goes with --relation prefix"),
        ([*SETS, "--size", "3"], "--size goes with --relation window"),
        ([*PREFIX, "--direction", "forward"], "--direction goes with --relation window"),
        (["--resume"], "--resume goes with --out FOLDER or --work-dir FOLDER"),
        (
            [*SETS, "--checkpoint-seconds", "3"],
            "--checkpoint-seconds goes with --out FOLDER or --work-dir FOLDER",
        ),
        (["--relation", "prefix"], "--relation prefix needs --length"),
        ([*PREFIX, "--focus"], "--focus: expected at least one argument"),
    ],
)
def test_wrong_usage(
    probsig: Any, tokens: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    run = probsig("count", tokens, *FLAT, "--out", tmp_path / "out.safetensors", *options)
    assert run.code == 2
    assert message in run.err
    assert list(tmp_path.iterdir()) == [tokens]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--relation", "prefix", "--length", "0"], "length: expected from 1 to 1048576, got 0"),
        ([*PREFIX, "--focus", "5"], "focus: expected an id from 0 to 4, got 5"),
        ([*SETS, "--memory", "much"], "memory: expected bytes, or a text as '4GB', got 'much'"),
        ([*SETS, "--memory", "1kB"], "memory: expected at least 16777216, got 1000"),
        ([*SETS, "--work-dir", "/dev/null"], "work_dir: expected an empty folder"),
    ],
)
def test_bad_input(
    probsig: Any, tokens: Path, tmp_path: Path, options: list[str], part: str
) -> None:
    run = probsig("count", tokens, *FLAT, "--out", tmp_path / "out.safetensors", *options)
    one_error(run, part)
    assert list(tmp_path.iterdir()) == [tokens]


# top


def test_top_prefix(probsig: Any, prefixes: Path, strings: Path) -> None:
    run = probsig("top", prefixes, " the", "--tokenizer", strings, "--k", 2)
    # 1 2 3 1 2 0 and 2 3 3 1 0: 1 is in the prefixes of 2, 3, 2 and 0, 0.
    assert run.out.splitlines() == [
        "token 1 ' the': 3 occurrences, 5 samples with it in the prefix (prefix of 2)",
        "id  count  P(label | token in prefix)  token",
        " 0      2                      0.4000  '<eos>'",
        " 2      2                      0.4000  '7'",
    ]
    run = probsig("top", prefixes, 3, "--side", "token")
    assert run.out.splitlines()[:3] == [
        "token 3: 3 occurrences, 3 samples with it as the label (prefix of 2)",
        "id  count  P(token in prefix | label)",
        " 2      3                      1.0000",
    ]


@pytest.mark.parametrize("token", range(V))
def test_top_of_sets_is_their_signatures(
    probsig: Any, prefixes: Path, sets: Path, token: int
) -> None:
    expected = [
        ((prefixes, token), ps.Counts.load(prefixes).phi_y()),
        ((prefixes, token, "--side", "token"), ps.Counts.load(prefixes).psi_X()),
        ((sets, token), ps.Counts.load(sets).phi_X()),
    ]
    for arguments, signature in expected:
        told = json.loads(probsig("top", *arguments, "--json").out)
        row = dict(zip(*(each.tolist() for each in signature.row(token)), strict=True))
        if signature.name == "phi_X":
            row.pop(token, None)
        assert {line["token"]: line["probability"] for line in told["top"]} == row
        assert told["support"] == signature.support[token]


def test_top_same_sequence(probsig: Any, sets: Path) -> None:
    run = probsig("top", sets, 2, "--k", 2)
    assert run.out.splitlines() == [
        "token 2: 3 occurrences, 2 sequences with it (same sequence)",
        "id  count  P(other | token)",
        " 0      2            1.0000",
        " 1      2            1.0000",
    ]
    told = json.loads(probsig("top", sets, 2, "--k", 1, "--json").out)
    assert told == {
        "token": 2,
        "string": None,
        "side": None,
        "occurrences": 3,
        "support": 2,
        "weight_scale": 1,
        "top": [{"token": 0, "count": 2, "probability": 1.0, "string": None}],
    }


def test_top_sides_of_other_counts(probsig: Any, counted: Path, prefixes: Path, sets: Path) -> None:
    run = probsig("top", prefixes, 1, "--side", "next")
    one_error(run, "--side: expected label or token for counts of prefix of 2, got 'next'")
    run = probsig("top", sets, 1, "--side", "label")
    one_error(run, "--side: expected none for counts of same sequence, got 'label'")
    run = probsig("top", counted, 1, "--side", "token")
    one_error(run, "--side: expected next or previous for counts of next, got 'token'")
    assert probsig("top", counted, 1, "--side", "near").code == 2
    for k in (0, -1):
        one_error(probsig("top", sets, 1, "--k", k), f"k: expected at least 1, got {k}")


# merge


@pytest.mark.parametrize(
    ("relation", "name", "words"),
    [
        (ps.Prefix(2), "distinct pairs", "prefix of 2"),
        (ps.SameSequence(), "distinct pairs (unordered)", "same sequence"),
    ],
)
def test_merge(probsig: Any, tmp_path: Path, relation: Any, name: str, words: str) -> None:
    # The second shard lies in a folder, and so may the sum.
    parts = [tmp_path / "a.safetensors", tmp_path / "b"]
    focus = {"focus": [1, 2]} if relation.name == "prefix" else {}
    for path, part in zip(parts, (TOKENS[:6], TOKENS[6:]), strict=True):
        counts_of(relation, part, **focus).save(path)
    expected = counts_of(relation, **focus)
    for out in (tmp_path / "sum.safetensors", tmp_path / "sum"):
        run = probsig("merge", *parts, "--out", out)
        assert (run.code, run.err) == (0, "")
        assert ps.Counts.load(out, verify=True) == expected
        lines = lines_of(run.out)
        assert lines["merged"] == f"2 files of relation {words}"
        assert lines[name] == str(expected.nnz)
    run = probsig("merge", *parts, "--out", tmp_path / "sum.safetensors", "--force", "--json")
    told = json.loads(run.out)
    assert (told["distinct_pairs"], told["tokens"]) == (expected.nnz, 11)


def test_merge_refuses_other_rules(probsig: Any, prefixes: Path, sets: Path) -> None:
    longer = counts_of(ps.Prefix(3)).save(prefixes.with_name("longer.safetensors"))
    out = prefixes.with_name("sum.safetensors")
    one_error(probsig("merge", prefixes, longer, "--out", out), "relation: expected", "'length': 3")
    one_error(probsig("merge", prefixes, sets, "--out", out), "relation: expected", "same-sequence")
    run = probsig("merge", sets, sets.with_name("none.safetensors"), "--out", out)
    one_error(run, "none.safetensors", "no such file")
    assert not out.exists()
