"""`probsig track`: how an embedding's geometry comes to follow the counts over a training."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, MissingExtraError, ProbsigError
from . import any_counts, output
from .align_arguments import SIGNATURES
from .reproduce.folder import check_folder

if TYPE_CHECKING:
    from ..alignment.trajectory import Trajectory
    from .any_counts import AnyCounts

DESCRIPTION = """\
For every checkpoint of a training, compare its embeddings with signatures of the counts: R_cos raw
and mean-centred with its jackknife error, linear CKA, the strong pairs and the neighbours in common
(see `probsig align`). Prints a table, and writes it with a picture into a folder: trajectory.json,
trajectory.csv, trajectory.png, and trajectory.parquet where pyarrow is. A checkpoint of step 0 is
the untrained model, with which all others are to be compared.
"""
EPILOG = """\
examples:
  probsig track checkpoints docs.next.safetensors --out tracked
  probsig track checkpoints docs.next.safetensors --signature phi_next --min-support 1000 \\
      --centre --quick --out tracked --json
  probsig track checkpoints docs.next.safetensors docs.prefix.safetensors \\
      --signature phi_next psi_pre phi_y --out tracked
  probsig track checkpoints docs.next.safetensors --counts-at counts --out tracked

CHECKPOINTS is a folder of folders (as Hugging Face's) or files (.safetensors, .pt, .ckpt, ...), of
which those are taken whose name tells the step: step1000 (Pythia), step-1000, step_1000,
checkpoint-1000, global_step1000, iter_0001000, epoch=0-step=1000.ckpt; or the folder of a model in
the cache of the Hugging Face hub. Signatures phi_* are compared with the input embedding, psi_* and
column_conditional with the output embedding, which is the input one where a model has tied them;
joint (phi_next and psi_pre side by side) is for tied ones. Needs the extra [torch], the picture
[plot].
"""

#: What counts of each kind give, those that are taken where --signature does not say first.
_HAVE = {
    "next": ("phi_next", "psi_pre", "joint", "row_conditional", "column_conditional"),
    "window": ("row_conditional", "column_conditional"),
    "prefix": ("phi_y", "psi_X"),
    "same-sequence": ("phi_X",),
    any_counts.LABELLED: ("phi_y", "psi_X", "phi_X"),
}
_USUAL = 2

#: A folder with this file is an earlier run's, which a new one may replace.
_RESULTS = "trajectory.json"
_CSV, _PARQUET, _PICTURE = "trajectory.csv", "trajectory.parquet", "trajectory.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoints", type=Path, metavar="CHECKPOINTS", help="folder")
    parser.add_argument(
        "counts", type=Path, nargs="+", metavar="COUNTS", help="counts files, or folders of counts"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="new, empty, or of an earlier run",
    )
    parser.add_argument(
        "--signature",
        choices=SIGNATURES,
        nargs="+",
        help="of those that the counts have; default: phi_next and psi_pre, row_conditional and "
        "column_conditional (window), phi_y and psi_X (prefix, labelled) or phi_X (same sequence)",
    )
    parser.add_argument(
        "--min-support",
        type=int,
        default=0,
        metavar="M",
        help="leave out tokens that a signature has seen less often (default 0)",
    )
    parser.add_argument(
        "--counts-at",
        type=Path,
        metavar="FOLDER",
        help="counts as of a step, told by their names as checkpoints' are: a checkpoint is "
        "compared with the last up to its step, and with COUNTS before the first",
    )
    parser.add_argument(
        "--centre", action="store_true", help="only the mean-centred figures (default: both)"
    )
    _add_measures(parser)
    _add_embeddings(parser)
    output.add_backend(parser)
    output.add_threads(parser)
    output.add_progress(parser)
    output.add_json(parser)


def _add_measures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strong-pairs",
        type=float,
        default=0.001,
        metavar="FRACTION",
        help="of all pairs, those at the top that are looked at (default 0.001)",
    )
    parser.add_argument(
        "--neighbours", type=int, default=10, metavar="K", help="nearest to compare (default 10)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="neither strong pairs nor neighbours, which take the longest",
    )


def _add_embeddings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--which",
        choices=("input", "output"),
        help="the embedding for all signatures (default: each its own)",
    )
    for which in ("input", "output"):
        parser.add_argument(
            f"--{which}-key", metavar="NAME", help=f"the tensor of the {which} embedding"
        )
    parser.add_argument(
        "--device", metavar="NAME", help="where the products run: cpu (default), cuda or cuda:N"
    )


def run(arguments: argparse.Namespace) -> None:
    check_folder(arguments.out, _RESULTS)
    signatures = _signatures(arguments)
    # Which says what is missing, if torch is.
    from ..alignment.trajectory import trajectory

    started = time.perf_counter()
    keys = {"input": arguments.input_key, "output": arguments.output_key}
    try:
        result = trajectory(
            arguments.checkpoints,
            list(signatures.values()),
            arguments.which,
            arguments.min_support,
            fraction=None if arguments.quick else arguments.strong_pairs,
            neighbours=None if arguments.quick else arguments.neighbours,
            centre=True if arguments.centre else (False, True),
            counts_at=_counts_at(arguments, list(signatures)),
            keys={which: name for which, name in keys.items() if name is not None},  # type: ignore[misc]
            threads=arguments.threads,
            backend=arguments.backend,
            device=arguments.device,
            progress=arguments.progress,
        )
    except ProbsigError as error:
        raise _in_own_words(error) from error
    seconds = time.perf_counter() - started
    files = _write(arguments.out, result)
    if arguments.json:
        told = {
            "checkpoints": str(arguments.checkpoints),
            "counts": [str(path) for path in arguments.counts],
            "seconds": round(seconds, 1),
            "out": str(arguments.out),
            "files": files,
        }
        output.print_json({**told, **result.to_dict()})
        return
    print(f"{result}\n\n{len(result.steps):,} checkpoints compared in {seconds:.1f} s")
    print(f"written to {arguments.out}: {', '.join(files)}")


def _in_own_words(error: ProbsigError) -> Exception:
    argument, colon, text = str(error).partition(": ")
    own = {
        "checkpoints": "CHECKPOINTS",
        "keys": "--input-key, --output-key",
        "fraction": "--strong-pairs",
        "neighbours": "--neighbours",
        "min_support": "--min-support",
    }.get(argument)
    return error if own is None else type(error)(f"{own}{colon}{text}")


def _signatures(arguments: argparse.Namespace) -> dict[str, Any]:
    """As --signature names them, each of the only counts that have it.

    Raises:
        ArgumentError: none has it, or several.
    """
    loaded = [any_counts.load(path) for path in arguments.counts]
    kinds = [any_counts.kind(counts) for counts in loaded]
    names = arguments.signature or [name for kind in kinds for name in _HAVE[kind][:_USUAL]]
    found = {}
    for name in dict.fromkeys(names):
        having = [i for i, kind in enumerate(kinds) if name in _HAVE[kind]]
        if len(having) != 1:
            of_kinds = ", ".join(any_counts.words(counts) for counts in loaded)
            raise ArgumentError(
                f"--signature: expected {name} in one of COUNTS, got it in {len(having)} of "
                f"{len(loaded)} ({of_kinds})"
            )
        found[name] = _signature(loaded[having[0]], name)
    return found


def _signature(counts: AnyCounts, name: str) -> Any:
    """A Signature, or a joint one."""
    if name != "joint":
        return getattr(counts, name)()
    from ..alignment import joint

    return joint(*(_signature(counts, part) for part in ("phi_next", "psi_pre")))


class _CountsAt(Mapping[int, list[Any]]):
    """The signatures of counts in files, which are opened where they are asked for."""

    def __init__(self, paths: dict[int, Path], names: list[str]) -> None:
        self._paths, self._names = paths, names

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[int]:
        return iter(self._paths)

    def __getitem__(self, step: int) -> list[Any]:
        counts = any_counts.load(self._paths[step])
        names = [name for name in self._names if name in _HAVE[any_counts.kind(counts)]]
        if not names:
            raise ArgumentError(
                f"--counts-at: expected counts that have one of {', '.join(self._names)}, got "
                f"{any_counts.words(counts)} in {self._paths[step]}"
            )
        return [_signature(counts, name) for name in names]


def _counts_at(arguments: argparse.Namespace, names: list[str]) -> _CountsAt | None:
    """Raises ArgumentError: no folder, or none in it that tells its step."""
    folder = arguments.counts_at
    if folder is None:
        return None
    from ..alignment.trajectory.checkpoints import ordered, steps_in

    if not folder.is_dir():
        raise ArgumentError(f"--counts-at: expected a folder, got {str(folder)!r}")
    found = ordered(steps_in(folder, lambda path: path.suffix == ".safetensors"), "--counts-at")
    if not found:
        raise ArgumentError(
            "--counts-at: expected counts named like step1000.safetensors in "
            f"{str(folder)!r}, got none"
        )
    return _CountsAt({each.step: each.source for each in found}, names)


def _write(folder: Path, result: Trajectory) -> list[str]:
    """The names of the files; an extra that is missing is said."""
    folder.mkdir(exist_ok=True)
    result.to_json(folder / _RESULTS)  # first: it makes the folder one that may be replaced
    result.to_csv(folder / _CSV)
    files = [_RESULTS, _CSV]
    from ..plots.trajectory import trajectory_curves

    for name, write in (
        (_PARQUET, result.to_parquet),
        (_PICTURE, lambda path: trajectory_curves(result, path)),
    ):
        (folder / name).unlink(missing_ok=True)  # an earlier run's would pass for this one's
        try:
            write(folder / name)
            files.append(name)
        except MissingExtraError as error:
            output.say(f"no {name}: {error}")
    return files
