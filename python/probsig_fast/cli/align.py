"""`probsig align`: how far an embedding's geometry follows the counts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError
from . import any_counts, output
from .embedding_file import read_embedding

if TYPE_CHECKING:
    from ..alignment import CosineCorrelation, StrongPairs, TopPairs
    from ..signature import Signature
    from .any_counts import AnyCounts
    from .embedding_file import Matrix

NAME = "align"
SUMMARY = "correlate an embedding's cosines with those of a signature"
DESCRIPTION = """\
Print R_cos: the Pearson correlation, over all pairs of different tokens, between the cosines of
their embedding rows and the cosines of their signature rows (arXiv 2509.20124); on the embedding as
it is ("raw") and with the mean of the compared rows taken off first ("mean-centred"), side by side,
as embeddings share a large common direction. Exact over the whole vocabulary, with no V x V array.
With --strong-pairs also how alike the signatures of the pairs are that the embedding holds closest,
and the reverse: R_cos is one number over all pairs, most of which are far apart.
"""
EPILOG = """\
examples:
  probsig align docs.next.safetensors embedding.npy --min-support 2000
  probsig align docs.next.safetensors embedding.npy --min-support 2000 --strong-pairs
  probsig align docs.next.safetensors model.safetensors --signature psi_pre --strong-pairs 0.01
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
    parser.add_argument(
        "--strong-pairs",
        type=float,
        nargs="?",
        const=0.001,
        metavar="FRACTION",
        help="also the top pairs by either cosine, this fraction of all (default 0.001)",
    )
    parser.add_argument("--key", metavar="NAME", help="the tensor of a .safetensors file")
    parser.add_argument(
        "--device", metavar="NAME", help="where the products run: cpu (default), cuda or cuda:N"
    )
    output.add_backend(parser)
    output.add_threads(parser)
    output.add_json(parser)


def run(arguments: argparse.Namespace) -> None:
    counts = any_counts.load(arguments.file)
    signature = _signature(counts, arguments.signature, arguments.min_support)
    # Before the embedding is read: this import says which extra is missing.
    from ..alignment import cosine_correlation, strong_pairs

    embedding, name = read_embedding(arguments.embedding, arguments.key)
    rows = embedding.shape[0]
    embedding = _compared_rows(embedding, name, signature)
    how = {"threads": arguments.threads, "device": arguments.device}
    results, strong = {}, {}
    for kind in ("mean-centred",) if arguments.centre else ("raw", "mean-centred"):
        how["centre"] = kind == "mean-centred"
        results[kind] = cosine_correlation(embedding, signature, backend=arguments.backend, **how)
        if arguments.strong_pairs is not None:
            strong[kind] = strong_pairs(embedding, signature, arguments.strong_pairs, **how)
    dropped = rows - embedding.shape[0]
    if arguments.json:
        output.print_json(_fields(arguments, signature, name, dropped, results, strong))
        return
    _print(signature, name, rows, embedding.shape[1], dropped, results)
    if strong:
        print()
        _print_strong(strong)


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
    strong: dict[str, StrongPairs],
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
                **({"strong_pairs": _strong_fields(strong[kind])} if strong else {}),
            }
            for kind, result in results.items()
        },
    }


def _strong_fields(result: StrongPairs) -> dict[str, Any]:
    def fields(top: TopPairs) -> dict[str, Any]:
        names = ("first", "second", "embedding_cosine", "signature_cosine")
        pairs = [dict(zip(names, pair, strict=False)) for pair in top.pairs]
        return {**vars(top), "pairs": pairs}

    return {
        "fraction": result.fraction,
        "top": result.top,
        "overlap": result.overlap,
        "by_embedding": fields(result.by_embedding),
        "by_signature": fields(result.by_signature),
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


def _print_strong(strong: dict[str, StrongPairs]) -> None:
    results = list(strong.values())
    lines = {
        "pairs": [f"{r.top:,}" for r in results],
        "top by embedding cosine, from": [f"{r.by_embedding.least:.4f}" for r in results],
        "  mean signature cosine": [f"{r.by_embedding.mean_signature_cosine:.4f}" for r in results],
        "  over that of all pairs": [f"{r.signature_lift:.2f}" for r in results],
        "top by signature cosine, from": [f"{r.by_signature.least:.4f}" for r in results],
        "  mean embedding cosine": [f"{r.by_signature.mean_embedding_cosine:.4f}" for r in results],
        "top by both": [f"{r.overlap:,}" for r in results],
    }
    table = [[label, *values] for label, values in lines.items()]
    output.print_table([f"top {results[0].fraction:g} of pairs", *strong], table, left={0})
