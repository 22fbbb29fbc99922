"""N_{x,nu,x'}: what stands together with chosen tokens x, label by label."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arguments import check_id, integer
from .csr import Csr
from .errors import ArgumentError, ArgumentTypeError
from .table import Table


@dataclass(frozen=True, eq=False)
class ThirdOrder:
    """N_{x,nu,x'} = sum_i c_ix c_ix' [y_i = nu] for the tokens x in `focus` (THEORY, section 0).

    Attributes:
        focus: token ids, rising.
        table: [len(focus) x V, Q]; row f V + x', column nu, for the f-th token of `focus`.
    """

    focus: tuple[int, ...]
    table: Table

    def of(self, token: int) -> Csr:
        """N_{x,nu,x'} of one x: rows nu [Q], columns x' [V]. O(nnz of x).

        Raises:
            ArgumentError: a token that is not in `focus`.
            ArgumentTypeError: no int.
        """
        if integer("token", token) not in self.focus:
            raise ArgumentError(
                f"token: expected one of those counted with focus, {_few(self.focus)}, got {token}"
            )
        table = self.table
        vocab_size = table.shape[0] // len(self.focus)
        begin = self.focus.index(token) * vocab_size
        indptr = table.indptr[begin : begin + vocab_size + 1]
        low, high = indptr[0], indptr[-1]
        counts = table.stored[low:high].astype(np.int64)
        own = Csr(indptr - low, table.indices[low:high], counts, table.shape[1])
        return own.transposed()


def checked_focus(focus: Any, vocab_size: int) -> tuple[int, ...]:
    """The ids, rising and each once.

    Raises:
        ArgumentError: none, or one outside the vocabulary.
        ArgumentTypeError: no ids.
    """
    if isinstance(focus, (str, bytes)) or not isinstance(focus, Iterable):
        raise ArgumentTypeError(f"focus: expected token ids, got {type(focus).__name__} {focus!r}")
    ids = list(np.asarray(focus).tolist()) if isinstance(focus, np.ndarray) else list(focus)
    for each in ids:
        check_id("focus", each, vocab_size)
    if not ids:
        raise ArgumentError("focus: expected at least one token id, got none")
    return tuple(sorted({int(each) for each in ids}))


def _few(focus: tuple[int, ...]) -> str:
    return str(list(focus)) if len(focus) <= 10 else f"{str(list(focus[:10]))[:-1]}, ...]"
