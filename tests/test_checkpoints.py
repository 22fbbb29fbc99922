"""Checkpoints in a folder, told by their names, and those that are given."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="alignment needs torch")

from probsig_fast.alignment.trajectory.checkpoints import (  # noqa: E402
    Checkpoint,
    find_checkpoints,
    given_checkpoints,
    step_of,
)
from probsig_fast.errors import (  # noqa: E402
    ArgumentError,
    ArgumentTypeError,
    SourceNotFoundError,
)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("step1000", 1000),
        ("step-1000", 1000),
        ("step_1000", 1000),
        ("step=1000", 1000),
        ("Step0", 0),
        ("checkpoint-1000", 1000),
        ("global_step1000", 1000),
        ("global-step-1000", 1000),
        ("iter_0001000", 1000),
        ("iteration-7", 7),
        ("ckpt_12.pt", 12),
        ("model-step512.safetensors", 512),
        ("epoch=0-step=1000.ckpt", 1000),
        ("epoch=0-step=1000-v1.ckpt", 1000),
        ("step1000-loss=0.5.ckpt", 1000),
        ("checkpoint-8-step-8", 8),
        ("checkpoint-8-step-9", None),
        ("steps", None),
        ("misstep3", None),
        ("step1000k", None),
        ("step3a", None),
        ("epoch3", None),
        ("1000", None),
        ("last.ckpt", None),
    ],
)
def test_steps_of_names(name: str, step: int | None) -> None:
    assert step_of(name) == step


def test_a_folder_in_order_of_step(tmp_path: Path) -> None:
    for name in ("step512", "step0", "checkpoint-64", "global_step8", "iter_0000002", "other"):
        (tmp_path / name).mkdir()
    for name in (
        "epoch=0-step=100.ckpt",
        "step1.safetensors",
        "step3.txt",  # no model
        "optimizer-step4.pt",
        "config.json",
        "last.ckpt",
    ):
        (tmp_path / name).write_bytes(b"")
    found = find_checkpoints(tmp_path)
    assert [(each.step, each.name) for each in found] == [
        (0, "step0"),
        (1, "step1.safetensors"),
        (2, "iter_0000002"),
        (8, "global_step8"),
        (64, "checkpoint-64"),
        (100, "epoch=0-step=100.ckpt"),
        (512, "step512"),
    ]
    assert [each.source for each in found] == [tmp_path / each.name for each in found]
    assert [each.name for each in given_checkpoints(str(tmp_path))] == [each.name for each in found]


def test_revisions_in_the_cache_of_the_hub(tmp_path: Path) -> None:
    for name, commit in (("main", "aa"), ("step128", "bb"), ("step0", "cc")):
        (tmp_path / "refs").mkdir(exist_ok=True)
        (tmp_path / "refs" / name).write_text(f"{commit}\n")
        (tmp_path / "snapshots" / commit).mkdir(parents=True)
    found = find_checkpoints(tmp_path)
    assert [(each.step, each.name, each.source) for each in found] == [
        (0, "step0", tmp_path / "snapshots" / "cc"),
        (128, "step128", tmp_path / "snapshots" / "bb"),
    ]


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"^checkpoints: expected a folder.*no such"):
        find_checkpoints(tmp_path / "none")
    with pytest.raises(SourceNotFoundError, match=r"named like step1000, step-1000.*got nothing$"):
        find_checkpoints(tmp_path)
    for i in range(7):
        (tmp_path / f"model{i}").mkdir()
    with pytest.raises(SourceNotFoundError, match=r"got 'model0', .*'model4' and 2 more$"):
        find_checkpoints(tmp_path)
    (tmp_path / "step10").mkdir()
    (tmp_path / "checkpoint-010").mkdir()
    with pytest.raises(ArgumentError, match="got 'checkpoint-010' and 'step10' of step 10"):
        find_checkpoints(tmp_path)


def test_given(tmp_path: Path) -> None:
    module = torch.nn.Embedding(3, 2)
    expected = [(0, "step0", module), (5, "b.pt", "a/b.pt")]
    for given in ({5: "a/b.pt", 0: module}, [(5, "a/b.pt"), (0, module)]):
        found = given_checkpoints(given)
        assert [(each.step, each.name, each.source) for each in found] == expected
        assert given_checkpoints(found) == found
    assert given_checkpoints(iter([Checkpoint(1, module, "mine")]))[0].name == "mine"


def test_given_errors() -> None:
    module = torch.nn.Embedding(3, 2)
    with pytest.raises(ArgumentTypeError, match=r"expected a folder, a mapping .*got Embedding"):
        given_checkpoints(module)
    with pytest.raises(ArgumentTypeError, match=r"expected pairs \(step, model\), got Embedding"):
        given_checkpoints([module])
    with pytest.raises(ArgumentError, match="expected at least one, got none"):
        given_checkpoints({})
    with pytest.raises(ArgumentTypeError, match="checkpoints: step: expected an int, got str '5'"):
        given_checkpoints({"5": module})
    with pytest.raises(ArgumentError, match="checkpoints: step: expected at least 0, got -1"):
        given_checkpoints([(-1, module)])
    with pytest.raises(ArgumentError, match="got 'step1' and 'step1' of step 1"):
        given_checkpoints([(1, module), (1, module)])
