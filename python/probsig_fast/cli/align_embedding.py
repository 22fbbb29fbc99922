"""EMBEDDING of `probsig align`: which embedding goes with which signature."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError
from .words import told_as

if TYPE_CHECKING:
    from ..alignment import Embedding

#: Signatures of what stands before a token, or of labels: the output embedding learns them.
_OF_OUTPUT = ("psi_pre", "psi_X", "column_conditional")


class Embeddings:
    """Reads each embedding once.

    Raises:
        ArgumentError: --output-embedding, with no signature that it is for.
    """

    def __init__(self, arguments: argparse.Namespace, names: Sequence[str]) -> None:
        needed = arguments.which == "output" or any(name in _OF_OUTPUT for name in names)
        if arguments.output_embedding is not None and (arguments.which == "input" or not needed):
            raise ArgumentError(
                f"--output-embedding: expected one of {', '.join(_OF_OUTPUT)} to compare it with, "
                f"got {', '.join(names)}"
            )
        self._arguments = arguments
        self._read: dict[tuple[Path, str, int], Embedding] = {}

    def of(self, name: str, signature: Any) -> Embedding:
        """The embedding to compare with the signature of this name.

        Raises:
            ProbsigError: as `load_embedding`, in the words of the command; also for a joint
                signature where the model's embeddings are not tied.
        """
        arguments = self._arguments
        which = arguments.which or ("output" if name in _OF_OUTPUT else "input")
        path = arguments.embedding
        if which == "output" and arguments.output_embedding is not None:
            path = arguments.output_embedding
        if name == "joint" and arguments.which is None and arguments.key is None:
            found = self._load(path, "output", signature)
            if not found.name:  # an array alone says nothing
                return self._load(path, "input", signature)
            if not found.tied:
                raise ArgumentError(
                    f"--signature joint: expected tied embeddings, got {found.where} beside the "
                    "input embedding: compare phi_next and psi_pre, each with its own, or say "
                    "which with --which"
                )
            return found
        return self._load(path, which, signature)

    def _load(self, path: Path, which: str, signature: Any) -> Embedding:
        rows = signature.shape[0]
        if (path, which, rows) not in self._read:
            self._read[path, which, rows] = _load(path, which, self._arguments.key, rows)
        return self._read[path, which, rows]


def _load(path: Path, which: Any, key: str | None, rows: int) -> Embedding:
    from ..alignment import load_embedding

    with told_as(source="EMBEDDING", key="--key"):
        return load_embedding(path, which, key, rows)
