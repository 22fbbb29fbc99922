"""`probsig reproduce language-model`."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...arguments import integer
from ...errors import ArgumentError, MissingExtraError
from .. import output
from .folder import add_folder, check_folder, write, write_csv, write_json

if TYPE_CHECKING:
    from ...experiments.language_model import LanguageModelRun, Texts

NAME = "language-model"
SUMMARY = "a small language model: when do its embeddings follow the counts?"
DESCRIPTION = """\
Train a small model of the Qwen2.5 architecture from scratch, on text of yours or on the Python
standard library's source; count the very tokens that it is trained on; log at checkpoints how far
its input embedding follows phi^next and its output embedding psi^pre: R_cos raw and mean-centred,
strong pairs, frequency strata, the order of the digits. Prints the trajectory and the answers to
two questions: does alignment rise early and stay, and what does the single number hide? Writes
tables, a picture, a report (these with the extra [report]), the counts and the tokenizer into a
folder. Needs the extra [experiments]; takes some minutes.
"""
EPILOG = """\
examples:
  probsig reproduce language-model
  probsig reproduce language-model --data 00.jsonl.zst --subset 'DM Mathematics' Github
  probsig reproduce language-model --steps 200 --out somewhere --save-checkpoints
"""

_RESULTS = "language-model.json"
_LOG = "training.csv"
_CURVES = "training.png"
_COUNTS, _PROVENANCE = "next.safetensors", "next.json"
_TOKENIZER = "tokenizer.json"
_CHECKPOINTS = "checkpoints"
_REPORT = "report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_folder(parser, NAME)
    text = parser.add_argument_group("text")
    text.add_argument(
        "--data",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="JSON lines as the Pile's, .jsonl.zst or .jsonl (default: the standard library)",
    )
    text.add_argument(
        "--subset",
        nargs="+",
        metavar="NAME",
        help="of the Pile's 22 (default: all)",
    )
    text.add_argument("--max-mb", type=float, metavar="N", help="megabytes of text to take")
    text.add_argument(
        "--tokenizer", type=Path, metavar="FILE", help="a tokenizer.json (default: trained here)"
    )
    text.add_argument("--end-token", metavar="TOKEN", help="of that tokenizer, between documents")
    model = parser.add_argument_group("model")
    model.add_argument(
        "--size",
        default="tiny",
        metavar="SIZE",
        help="tiny, for two processor cores, or small, for a GPU (default tiny)",
    )
    model.add_argument("--steps", type=int, metavar="N", help="of the optimiser (tiny: 1500)")
    model.add_argument(
        "--vocab-size", type=int, metavar="V", help="of the tokenizer trained here (tiny: 2048)"
    )
    model.add_argument("--seed", type=int, default=0, metavar="N", help="default 0")
    model.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, cuda:1, ... (default: CUDA where there is one)"
    )
    measured = parser.add_argument_group("alignment")
    measured.add_argument(
        "--min-support", type=int, metavar="N", help="leave rarer tokens out (tiny: 20)"
    )
    measured.add_argument(
        "--draws", type=int, default=20, metavar="N", help="permutations of a null (default 20)"
    )
    parser.add_argument(
        "--save-checkpoints",
        action="store_true",
        help=f"write both embeddings of each checkpoint, for `probsig track {_CHECKPOINTS}`",
    )
    output.add_backend(parser)
    output.add_threads(parser)
    output.add_json(parser)
    output.add_progress(parser)


def run(arguments: argparse.Namespace) -> None:
    check_folder(arguments.out, _RESULTS)
    seed = integer("--seed", arguments.seed, 0)
    draws = integer("--draws", arguments.draws, 0)
    # Which says what is missing, if torch is.
    from ...experiments import language_model as experiment

    setup = experiment.make_setup(
        arguments.size,
        steps=arguments.steps,
        vocab_size=arguments.vocab_size,
        megabytes=arguments.max_mb,
        min_support=arguments.min_support,
    )
    found = experiment.reproduce(
        _texts(arguments, setup.megabytes),
        setup,
        seed=seed,
        tokenizer=arguments.tokenizer,
        end=arguments.end_token,
        draws=draws,
        device=arguments.device,
        threads=arguments.threads,
        backend=arguments.backend,
        keep=_saver(arguments.out) if arguments.save_checkpoints else None,
        progress=arguments.progress,
    )
    arguments.out.mkdir(exist_ok=True)
    files = [
        *_write_tables(arguments.out, found),
        *_draw(arguments.out, found),
        *_write_report(arguments, found),
    ]
    if arguments.save_checkpoints:
        files.append(f"{_CHECKPOINTS}/")
    else:  # those of an earlier run would pass for this one's
        experiment.remove_checkpoints(arguments.out / _CHECKPOINTS)
    if arguments.json:
        output.print_json({**found.to_dict(), "out": str(arguments.out), "files": files})
        return
    print(f"{found}\n\ntrained and measured in {found.seconds:.0f} s")
    print(f"written to {arguments.out}: {', '.join(files)}")
    if arguments.save_checkpoints:
        _suggest(arguments.out, found)


def _texts(arguments: argparse.Namespace, megabytes: float) -> Texts | None:
    from ...experiments.language_model import pile_texts

    if arguments.data is None:
        if arguments.subset:
            raise ArgumentError("--subset: expected --data beside it, got none")
        return None
    return pile_texts(arguments.data, arguments.subset or (), megabytes)


def _saver(folder: Path) -> Callable[[int, Any, Any], object]:
    from ...experiments.language_model import remove_checkpoints, save_checkpoint

    checkpoints = folder / _CHECKPOINTS

    def save(step: int, W_E: Any, W_U: Any) -> None:
        if step == 0:
            remove_checkpoints(checkpoints)
            folder.mkdir(exist_ok=True)
            # A run that is killed leaves a folder that a later one may replace.
            write_json(folder / _RESULTS, {"experiment": NAME, "finished": False})
        save_checkpoint(checkpoints, step, W_E, W_U)

    return save


def _write_tables(folder: Path, found: LanguageModelRun) -> list[str]:
    # First, as it makes the folder one that a later run may replace.
    write_json(folder / _RESULTS, found.to_dict())
    write_csv(folder / _LOG, _log_lines(found))
    found.counts.save(folder / _COUNTS)
    write(folder / _TOKENIZER, found.tokenizer.to_str(pretty=True))
    return [_RESULTS, _LOG, _COUNTS, _PROVENANCE, _TOKENIZER]


def _write_report(arguments: argparse.Namespace, found: LanguageModelRun) -> list[str]:
    """The report's folder; none, and a word on why, without the extra."""
    from ...report import Settings, write_language_model_report

    options = {"seed": arguments.seed, "threads": arguments.threads, "backend": arguments.backend}
    if arguments.draws:
        options["draws"] = arguments.draws
    try:
        write_language_model_report(arguments.out / _REPORT, found, Settings(align=options))
    except MissingExtraError as error:
        output.say(f"no report: {error}")
        return []
    return [f"{_REPORT}/"]


def _suggest(folder: Path, found: LanguageModelRun) -> None:
    def at(*names: str) -> str:
        return shlex.quote(str(folder.joinpath(*names)))

    support = f"--min-support {found.setup.min_support}"
    print("Try:")
    print(f"  probsig track {at(_CHECKPOINTS)} {at(_COUNTS)} {support} --out {at('tracked')}")


def _log_lines(found: LanguageModelRun) -> Iterable[Sequence[Any]]:
    yield ("step", "tokens_seen", *found.log)
    row = found.setup.batch * found.setup.sequence_length
    for at, step in enumerate(found.steps.tolist()):
        yield (step, step * row, *(float(values[at]) for values in found.log.values()))


def _draw(folder: Path, found: LanguageModelRun) -> list[str]:
    """The picture's name; none, and a word on why, without Matplotlib."""
    from ...plots.language_model import language_model_curves

    (folder / _CURVES).unlink(missing_ok=True)
    try:
        language_model_curves(found, folder / _CURVES)
    except MissingExtraError as error:
        output.say(f"no picture: {error}")
        return []
    return [_CURVES]
