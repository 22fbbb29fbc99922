"""`probsig align`: how far an embedding's geometry follows the counts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, SourceError, SourceNotFoundError, missing_extra
from . import any_counts, output
from .sample_files import read_npy

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from ..alignment import CosineCorrelation
    from ..signature import Signature
    from .any_counts import AnyCounts

    Matrix = torch.Tensor | NDArray[np.floating[Any]]

NAME = "align"
SUMMARY = "correlate an embedding's cosines with those of a signature"
DESCRIPTION = """\
Print R_cos: the Pearson correlation, over all pairs of different tokens, between the cosines of
their embedding rows and the cosines of their signature rows (arXiv 2509.20124); on the embedding as
it is ("raw") and with the mean of the compared rows taken off first ("mean-centred"), side by side,
as embeddings share a large common direction. Exact over the whole vocabulary, with no V x V array.
"""
EPILOG = """\
examples:
  probsig align docs.next.safetensors embedding.npy --min-support 2000
  probsig align docs.next.safetensors model.safetensors --signature psi_pre
  probsig align docs.next.safetensors model.safetensors --key lm_head.weight --centre --json
  probsig align docs.prefix.safetensors model.safetensors --signature psi_X --key lm_head.weight

EMBEDDING is a .npy array [V, d] of floats, or a .safetensors file, of which the only 2-D tensor is
taken whose name ends as an input embedding's does (embed_in.weight, embed_tokens.weight,
wte.weight, ...). Rows beyond the vocabulary are left out. The rows of psi_X are labels: it goes
with an output embedding. Needs the extra [torch].
"""

SIGNATURES = (
    "phi_next",
    "psi_pre",
    "phi_y",
    "psi_X",
    "phi_X",
    "row_conditional",
    "column_conditional",
)

#: What each kind of counts gives where --signature does not say.
_DEFAULT = {
    "next": "phi_next",
    "window": "row_conditional",
    "prefix": "phi_y",
    "same-sequence": "phi_X",
    any_counts.LABELLED: "phi_y",
}

#: How the input embedding is called in GPT-NeoX, Llama, GPT-2, BERT, BLOOM and the first Llama.
_EMBEDDING_NAMES = ("embed_in", "embed_tokens", "wte", "word_embeddings", "tok_embeddings")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="counts file, or folder of counts")
    parser.add_argument("embedding", type=Path, metavar="EMBEDDING", help=".npy or .safetensors")
    parser.add_argument(
        "--signature",
        choices=SIGNATURES,
        help="of those that the counts have; default: phi_next, row_conditional (window), phi_y "
        "(prefix, labelled) or phi_X (same sequence)",
    )
    parser.add_argument(
        "--min-support",
        type=int,
        default=0,
        metavar="M",
        help="leave out tokens that the signature has seen less often (default 0)",
    )
    parser.add_argument(
        "--centre", action="store_true", help="only the mean-centred figure (default: both)"
    )
    parser.add_argument("--key", metavar="NAME", help="the tensor of a .safetensors file")
    output.add_backend(parser)
    output.add_threads(parser)
    output.add_json(parser)


def run(arguments: argparse.Namespace) -> None:
    counts = any_counts.load(arguments.file)
    signature = _signature(counts, arguments.signature, arguments.min_support)
    # Before the embedding is read: this import says which extra is missing.
    from ..alignment import cosine_correlation

    embedding, name = read_embedding(arguments.embedding, arguments.key)
    rows = embedding.shape[0]
    embedding = _compared_rows(embedding, name, signature)
    how = {"threads": arguments.threads, "backend": arguments.backend}
    results = {}
    if not arguments.centre:
        results["raw"] = cosine_correlation(embedding, signature, **how)
    results["mean-centred"] = cosine_correlation(embedding, signature, centre=True, **how)
    dropped = rows - embedding.shape[0]
    if arguments.json:
        output.print_json(_fields(arguments, signature, name, dropped, results))
        return
    _print(signature, name, rows, embedding.shape[1], dropped, results)


def read_embedding(path: Path, key: str | None = None) -> tuple[Matrix, str]:
    """A 2-D array or tensor [rows, d], and its name for messages.

    Raises:
        SourceNotFoundError: no such file.
        SourceError: unreadable, or not 2-D.
        ArgumentError: a name that the file does not hold, or none given where it is not clear.
        MissingExtraError: safetensors is not installed.
    """
    if not path.is_file():
        raise SourceNotFoundError(f"EMBEDDING: expected a file, got {str(path)!r}: no such file")
    if path.suffix == ".npy":
        if key is not None:
            raise ArgumentError(f"--key: expected none for a .npy file, got {key!r}")
        matrix: Matrix = read_npy("EMBEDDING", path)
        name = str(path)
    elif path.suffix == ".safetensors":
        matrix, name = _read_safetensors(path, key)
    else:
        raise ArgumentError(f"EMBEDDING: expected a .npy or .safetensors file, got {str(path)!r}")
    if matrix.ndim != 2:
        raise SourceError(f"EMBEDDING: expected [V, d], got {matrix.ndim} dimensions in {name}")
    return matrix, name


def _read_safetensors(path: Path, key: str | None) -> tuple[Matrix, str]:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise missing_extra("safetensors", "torch", "reading a .safetensors embedding") from error
    try:
        # Through torch, as NumPy has no bfloat16.
        with safe_open(path, framework="pt") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
            name = _tensor_name(path, shapes, key)
            return file.get_tensor(name), f"{path}, {name}"
    except SafetensorError as error:
        raise SourceError(f"EMBEDDING: expected tensors in {str(path)!r}: {error}") from error


def _tensor_name(path: Path, shapes: dict[str, list[int]], key: str | None) -> str:
    if key is not None:
        if key not in shapes:
            raise ArgumentError(f"--key: expected {_names(shapes)} of {path}, got {key!r}")
        return key
    two_dimensional = [name for name, shape in shapes.items() if len(shape) == 2]
    found = [name for name in two_dimensional if _is_embedding(name)]
    if len(found) != 1:
        raise ArgumentError(
            f"--key: expected the name of a tensor, as {path} has "
            f"{len(found) or 'no'} input embeddings by name, among {_names(two_dimensional)}"
        )
    return found[0]


def _is_embedding(name: str) -> bool:
    parts = name.split(".")
    return len(parts) > 1 and parts[-1] == "weight" and parts[-2] in _EMBEDDING_NAMES


def _names(names: Any) -> str:
    names = sorted(names)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"one of {', '.join(map(repr, names[:5]))}{more}" if names else "no tensor"


def _signature(counts: AnyCounts, name: str | None, min_support: int) -> Signature:
    """Raises ArgumentError: the counts have no such signature."""
    from ..labelled import LabelledCounts

    name = name or _DEFAULT[any_counts.kind(counts)]
    if isinstance(counts, LabelledCounts) and not hasattr(counts, name):
        raise ArgumentError(
            f"--signature: expected phi_y, psi_X or phi_X for labelled counts, got {name!r}"
        )
    signature: Signature = getattr(counts, name)(min_support)
    return signature


def _compared_rows(embedding: Matrix, name: str, signature: Signature) -> Matrix:
    """The rows of tokens: some models pad their embedding beyond the vocabulary.

    Raises:
        ArgumentError: fewer rows than tokens.
    """
    expected = signature.shape[0]
    if embedding.shape[0] < expected:
        raise ArgumentError(
            f"EMBEDDING: expected a row for each of the {expected:,} {_rows_are(signature)} "
            f"counted, got {embedding.shape[0]:,} rows in {name}"
        )
    return embedding[:expected]


def _rows_are(signature: Signature) -> str:
    return "labels" if signature.name == "psi_X" else "tokens"


def _fields(
    arguments: argparse.Namespace,
    signature: Signature,
    name: str,
    dropped: int,
    results: dict[str, CosineCorrelation],
) -> dict[str, Any]:
    return {
        "counts": str(arguments.file),
        "embedding": name,
        "rows_dropped": dropped,
        "signature": signature.name,
        "min_support": signature.min_support,
        **{
            kind.replace("-", "_"): {
                "r_cos": result.pearson,
                "tokens": result.tokens,
                "pairs": result.pairs,
                "mean_embedding_cosine": result.mean_embedding_cosine,
                "mean_signature_cosine": result.mean_signature_cosine,
            }
            for kind, result in results.items()
        },
    }


def _print(
    signature: Signature,
    name: str,
    rows: int,
    width: int,
    dropped: int,
    results: dict[str, CosineCorrelation],
) -> None:
    rows_are = _rows_are(signature)
    bounds = "labels" if rows_are == "labels" else "vocabulary"
    beyond = f"; the last {dropped:,} rows, beyond the {bounds}, dropped" if dropped else ""
    support = f", support at least {signature.min_support:,}" if signature.min_support else ""
    output.print_fields(
        [
            ("embedding", f"{name}, {rows:,} x {width:,}{beyond}"),
            ("signature", f"{signature.name}: P({signature.condition}){support}"),
        ]
    )
    print()
    lines = {
        "R_cos (Pearson)": [f"{r.pearson:.4f}" for r in results.values()],
        "mean embedding cosine": [f"{r.mean_embedding_cosine:.4f}" for r in results.values()],
        "mean signature cosine": [f"{r.mean_signature_cosine:.4f}" for r in results.values()],
        rows_are: [f"{r.tokens:,}" for r in results.values()],
        "pairs": [f"{r.pairs:,}" for r in results.values()],
    }
    table = [[label, *values] for label, values in lines.items()]
    output.print_table(["", *results], table, left={0})
