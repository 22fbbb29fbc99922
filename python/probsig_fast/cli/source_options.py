"""The options of `probsig count` that say what the files hold, and the source that they make."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..sources import FORMATS as TOKEN_FORMATS

if TYPE_CHECKING:
    from ..sources import Source
    from ..sources.text import TextSource

FORMATS = (*TOKEN_FORMATS, "text")

#: Options that mean nothing with files of other formats, where to ignore one would hide a slip.
_GOES_WITH = {
    "dtype": ("flat", "npy", "datatrove", "dolma"),
    "subset": ("text",),
    "append_eos": ("text",),
    "tokenizer": ("text",),
    "rows": ("pythia",),
    "steps": ("pythia",),
    "column": ("parquet", "hugging-face"),
    "inputs_only": ("parquet", "hugging-face"),
    "join_files": ("flat", "npy"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what the files hold")
    group.add_argument(
        "--format",
        choices=FORMATS,
        help="default: by their names (.bin flat, .npy, .idx megatron, .ds datatrove, .parquet; a "
        "folder: pythia or hugging-face; with --tokenizer: text)",
    )
    group.add_argument(
        "--vocab-size",
        type=int,
        metavar="V",
        help="ids are 0..V-1; required, but for text (default: those of the tokenizer)",
    )
    group.add_argument("--dtype", help="token type of flat files, such as uint16 or uint32")
    add_text_arguments(group)
    group.add_argument(
        "--rows", type=_span, metavar="A:B", help="pythia: rows A to B - 1 of the training data"
    )
    group.add_argument(
        "--steps", type=_span, metavar="A:B", help="pythia: the batches of steps A to B - 1"
    )
    group.add_argument(
        "--column",
        metavar="NAME",
        help="parquet, hugging-face: of the lists of ids (default: input_ids, else token_ids)",
    )
    group.add_argument(
        "--inputs-only",
        action="store_true",
        help="parquet, hugging-face: a row's last token is only a second token (rows of 2049)",
    )


def add_text_arguments(group: argparse._ActionsContainer, required: bool = False) -> None:
    """Those that text needs: also of `probsig tokenize`."""
    group.add_argument(
        "--tokenizer",
        required=required,
        metavar="FILE",
        help="tokenizer.json: the files are text (.jsonl, .json, .txt; .zst or .gz of them)",
    )
    group.add_argument(
        "--subset",
        nargs="+",
        metavar="NAME",
        help="text: only documents of these subsets of the Pile, such as 'DM Mathematics'",
    )
    group.add_argument(
        "--append-eos", type=int, metavar="ID", help="text: this id after each document"
    )


def source_of(arguments: argparse.Namespace) -> Source:
    """What the tokens are read from; where the options do not go together, a message on usage and
    exit code 2.

    `arguments`: those of `add_arguments`, `tokens`, and `join_files` and `threads` if the command
    has them.
    """
    format = _format(arguments)
    for option, formats in _GOES_WITH.items():
        given = getattr(arguments, option, None)
        if given is not None and given is not False and format and format not in formats:
            arguments.parser.error(
                f"--{option.replace('_', '-')} goes with {_listed(formats)}, and the files are "
                f"{format}"
            )
    if format == "text":
        return _text(arguments)
    if format == "pythia":
        return _pythia(arguments)
    if format in ("parquet", "hugging-face"):
        return _table(arguments, format)
    from ..sources import open_source

    options = {"format": arguments.format} if arguments.format else {}
    return open_source(
        arguments.tokens,
        dtype=arguments.dtype,
        join_files=getattr(arguments, "join_files", False),
        **options,
    )


def text_source(arguments: argparse.Namespace, paths: list[str]) -> TextSource:
    """Text files and the options of `add_text_arguments`."""
    from ..sources.text import TextSource

    return TextSource(
        paths,
        arguments.tokenizer,
        arguments.subset,
        arguments.append_eos,
        getattr(arguments, "threads", None),
    )


def fields(source: Any) -> dict[str, Any]:
    """For JSON: what a source of text says of its reading; of others, nothing."""
    from ..sources.text import TextSource

    if not isinstance(source, TextSource):
        return {}
    return {
        "documents": int(source.documents.sum()),
        "documents_left_out": source.left_out,
        "seconds_reading": source.seconds.reading,
        "seconds_tokenizing": source.seconds.tokenizing,
        "tokenizer_share": source.seconds.share,
    }


def lines(source: Any) -> list[tuple[str, str]]:
    """The same, for a reader."""
    told = fields(source)
    if not told:
        return []
    left_out = told["documents_left_out"]
    documents = f"{told['documents']:,}"
    if left_out:
        documents += f" (and {left_out:,} of other subsets, left out)"
    found = [("documents", documents)]
    if told["tokenizer_share"] is not None:
        seconds = told["seconds_reading"] + told["seconds_tokenizing"]
        found.append(
            (
                "tokenizer",
                f"{told['tokenizer_share']:.1%} of {seconds:,.1f} s that threads took to read and "
                "tokenize",
            )
        )
    return found


def _format(arguments: argparse.Namespace) -> str | None:
    """That of the options, or of the options that go with one alone, or of the names; None:
    `open_source` looks."""
    if arguments.format:
        return str(arguments.format)
    if arguments.tokenizer is not None:
        return "text"
    if arguments.rows is not None or arguments.steps is not None:
        return "pythia"
    from ..sources.hugging_face import is_dataset_folder

    paths = [str(path) for path in arguments.tokens]
    if all(path.endswith(".parquet") for path in paths):
        return "parquet"
    if all(is_dataset_folder(path) for path in paths):
        return "hugging-face"
    if any(getattr(arguments, option) for option in ("column", "inputs_only")):
        return "parquet"
    if any(getattr(arguments, option) is not None for option in ("subset", "append_eos")):
        return "text"
    return None


def _text(arguments: argparse.Namespace) -> Source:
    if arguments.tokenizer is None:
        arguments.parser.error("text needs --tokenizer, a tokenizer.json")
    return text_source(arguments, arguments.tokens)


def _pythia(arguments: argparse.Namespace) -> Source:
    from ..sources import PythiaSource

    if arguments.rows is not None and arguments.steps is not None:
        arguments.parser.error("--rows and --steps say the same: give one")
    return PythiaSource(arguments.tokens, rows=arguments.rows, steps=arguments.steps)


def _table(arguments: argparse.Namespace, format: str) -> Source:
    if format == "parquet":
        from ..sources.parquet import ParquetSource

        return ParquetSource(arguments.tokens, arguments.column, arguments.inputs_only)
    from ..sources.hugging_face import HuggingFaceSource

    if len(arguments.tokens) != 1:
        arguments.parser.error(
            f"hugging-face: give one folder of save_to_disk, not {len(arguments.tokens)}"
        )
    return HuggingFaceSource(arguments.tokens[0], arguments.column, arguments.inputs_only)


def _listed(formats: tuple[str, ...]) -> str:
    return " or ".join([", ".join(formats[:-1]), formats[-1]] if len(formats) > 1 else formats)


def _span(text: str) -> tuple[int, int]:
    """`A:B`; `:B` from the beginning."""
    first, colon, last = text.partition(":")
    try:
        span = (int(first or 0), int(last))
    except ValueError:
        span = (0, -1)
    if not colon or not 0 <= span[0] < span[1]:
        raise argparse.ArgumentTypeError(
            f"expected A:B with 0 <= A < B, such as 0:1000, got {text!r}"
        )
    return span
