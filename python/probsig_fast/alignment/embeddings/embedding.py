"""`Embedding`: a matrix, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

Which = Literal["input", "output"]


@dataclass(frozen=True, eq=False)
class Embedding:
    """The embedding of a model; prints as one line.

    Attributes:
        weight: [rows, d], of the type that it is stored in; on the CPU, or where the module is.
        name: of the tensor; empty for an array that has none.
        source: the file or folder, or the class of the module.
        which: "input" or "output".
        tied: the output embedding asked for is the input embedding, whose tensor this is.
        rows_dropped: how many rows there were beyond those asked for.
    """

    weight: torch.Tensor
    name: str
    source: str
    which: Which
    tied: bool
    rows_dropped: int

    @property
    def where(self) -> str:
        """The source and the tensor's name, for messages."""
        return f"{self.source}, {self.name}" if self.name else self.source

    def __str__(self) -> str:
        rows, width = self.weight.shape
        tied = " (tied)" if self.tied else ""
        dropped = f"; the last {self.rows_dropped:,} rows dropped" if self.rows_dropped else ""
        return (
            f"{self.which}{tied}: {self.where}, {rows + self.rows_dropped:,} x {width:,}{dropped}"
        )
