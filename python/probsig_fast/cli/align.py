"""`probsig align`: how far an embedding's geometry follows the counts."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError
from . import align_output, any_counts, output
from .align_arguments import DEFAULT, add_arguments, align_options
from .align_embedding import Embeddings
from .token_argument import read_strings

if TYPE_CHECKING:
    from ..alignment import PreparedSignature
    from ..signature import Signature
    from .align_output import Outcome
    from .any_counts import AnyCounts

__all__ = ["DESCRIPTION", "EPILOG", "add_arguments", "run"]

DESCRIPTION = """\
Print R_cos: the Pearson correlation, over all pairs of different tokens, between the cosines of
their embedding rows and the cosines of their signature rows (arXiv 2509.20124); on the embedding as
it is ("raw") and with the mean of the compared rows taken off first ("mean-centred"), side by side,
as embeddings share a large common direction; with its jackknife error over tokens, and linear CKA.
Exact over the whole vocabulary, with no V x V array. With --strong-pairs also how alike the
signatures of the pairs are that the embedding holds closest, and the reverse: R_cos is one number
over all pairs, most of which are far apart. --full adds what chance gives (tokens permuted), rank
correlation, shared neighbours, groups by frequency and single tokens; --report makes a page of all
that, with pictures.
"""
EPILOG = """\
examples:
  probsig align docs.next.safetensors embedding.npy --min-support 2000
  probsig align docs.next.safetensors model.safetensors --min-support 2000 --strong-pairs
  probsig align docs.next.safetensors checkpoint/ --signature psi_pre --strong-pairs 0.01
  probsig align docs.next.safetensors model.safetensors --key lm_head.weight --centre --json
  probsig align docs.prefix.safetensors checkpoint/ --signature phi_y psi_X --full
  probsig align docs.next.safetensors checkpoint/ --signature phi_next psi_pre --min-support 1000 \\
      --tokenizer tokenizer.json --report out

EMBEDDING is a folder of a checkpoint, or a file: .safetensors or .bin (one, or the index.json of
several), .pt, .gguf (needs the extra [gguf]), or .npy with an array [V, d]. The input embedding is
found by its name (embed_in, embed_tokens, wte, ...), and taken for phi_*; psi_*, column_conditional
go with the output embedding (embed_out, lm_head, ...), which is the input one where a model has
tied them. Rows beyond the vocabulary are left out. --signature joint is for tied embeddings:
phi_next and psi_pre side by side. Needs the extra [torch], --report also [report].
"""


def run(arguments: argparse.Namespace) -> None:
    from . import align_report

    align_report.check_arguments(arguments)
    counts = any_counts.load(arguments.file)
    strings = None
    if arguments.tokenizer is not None:
        strings = read_strings(arguments.tokenizer, counts.vocab_size)
    names = arguments.signature or [DEFAULT[any_counts.kind(counts)]]
    # Before an embedding is read: this import says which extra is missing.
    from ..alignment import prepare

    embeddings = Embeddings(arguments, names)
    compared = []
    for name in dict.fromkeys(names):
        signature = _signature(counts, name, arguments.min_support)
        if not (name == "psi_X" and any_counts.kind(counts) == any_counts.LABELLED):
            signature = _with_strings(signature, strings)  # labels are no tokens
        compared.append((prepare(signature), embeddings.of(name, signature)))
    if arguments.report is not None:
        align_report.run(arguments, counts, compared)
        return
    outcomes = [_outcome(arguments, *each) for each in compared]
    if arguments.json:
        output.print_json({"counts": str(arguments.file), **align_output.told(outcomes)})
        return
    align_output.print_all(outcomes)


def _outcome(
    arguments: argparse.Namespace, signature: PreparedSignature, embedding: Any
) -> Outcome:
    from ..alignment import align, alignment_metrics, strong_pairs

    kinds = {"raw": False, "mean-centred": True}
    if arguments.centre:
        del kinds["raw"]
    if arguments.full:
        find = partial(align, embedding.weight, signature, **align_options(arguments))
        return align_output.of_alignments(
            signature, embedding, {kind: find(centre=centre) for kind, centre in kinds.items()}
        )
    how = {"threads": arguments.threads, "device": arguments.device}
    measure = partial(alignment_metrics, embedding.weight, signature, backend=arguments.backend)
    metrics = {kind: measure(centre=centre, **how) for kind, centre in kinds.items()}
    strong = {}
    if arguments.strong_pairs is not None:
        find_pairs = partial(strong_pairs, embedding.weight, signature, arguments.strong_pairs)
        strong = {kind: find_pairs(centre=centre, **how) for kind, centre in kinds.items()}
    return align_output.Outcome(signature, embedding, metrics, strong, {})


def _signature(counts: AnyCounts, name: str, min_support: int) -> Any:
    """A Signature, or a joint one.

    Raises:
        ArgumentError: the counts have no such signature.
    """
    from ..labelled import LabelledCounts

    if isinstance(counts, LabelledCounts) and not hasattr(counts, name):
        raise ArgumentError(
            f"--signature: expected phi_y, psi_X or phi_X for labelled counts, got {name!r}"
        )
    if name == "joint":
        from ..alignment import joint

        return joint(*(_signature(counts, part, min_support) for part in ("phi_next", "psi_pre")))
    signature: Signature = getattr(counts, name)(min_support)
    return signature


def _with_strings(signature: Any, strings: tuple[str, ...] | None) -> Any:
    parts = getattr(signature, "parts", None)
    if strings is None:
        return signature
    if parts is not None:
        return replace(signature, parts=tuple(_with_strings(part, strings) for part in parts))
    return replace(signature, token_strings=strings)
