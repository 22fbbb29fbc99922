"""`SignatureAlignment`: R_cos as a metric that a training loop logs."""

from __future__ import annotations

import copy
import uuid
from typing import Any

import torch

from ..errors import ArgumentTypeError, missing_extra
from ..pool import thread_count
from .functional import cosine_correlation
from .gram.inputs import check_flag
from .prepared import prepare

try:
    from torchmetrics import Metric
except ImportError as error:
    raise missing_extra("torchmetrics", "metrics", "SignatureAlignment") from error


class SignatureAlignment(Metric):
    """R_cos(W, phi) of an embedding while it is trained: a `torchmetrics.Metric`.

    `update(W)` and `forward(W)` take the embedding as it is now, [V, d] on the CPU or a CUDA
    device, or a module that holds it as `.weight` (`nn.Embedding`; `nn.Linear`, whose rows are its
    outputs). `forward` gives this step's R_cos, `compute` the mean over the updates since `reset`;
    both are float64 scalars, the same number as `cosine_correlation(W, signature, ...)`'s
    `pearson`. A value that is undefined (NaN: all rows alike, say) makes the mean NaN.

    What depends on the signature alone is computed once, at the first update, and shared by
    clones (a pickle has the signature only). Under distributed training each process computes its
    own W's figure and `compute` is the mean over all of them; a W that is cut across processes has
    to be gathered first.

    Args:
        signature: [V, ...], of which row i belongs to row i of W; also a `JointSignature`, or what
            `prepare` made.
        min_support, centre: as in `cosine_correlation`, but centred unless told otherwise:
            embeddings share a large common direction, which hides the rest.
        threads: None takes the processors that this process may use.
        backend: as in `cosine_correlation`.
        kwargs: torchmetrics' own: `dist_sync_on_step`, `process_group`, ...

    Raises:
        MissingExtraError: torchmetrics is not installed (on import of the name).
        ArgumentTypeError, ArgumentError: as `cosine_correlation`; an update also for a module
            without a weight. An update that raises leaves the state as it was.

    Cost: at the first update the signature's |PP'|^2; at each O(K d^2 + nnz d) time and O(K d)
    memory in float64, for K tokens compared. No gradient flows through. Where steps are much
    faster than that, log every tenth or hundredth: the figure moves slowly.

    Example:
        >>> import numpy as np, torch
        >>> import probsig_fast as ps
        >>> from probsig_fast.alignment import SignatureAlignment
        >>> phi = ps.count(np.array([0, 1, 2, 0, 2, 1, 0, 1, 1, 2]), vocab_size=3).phi_next()
        >>> metric = SignatureAlignment(phi)
        >>> embedding = torch.nn.Embedding(3, 2)
        >>> bool(metric(embedding) == metric.compute())
        True
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = -1.0
    plot_upper_bound = 1.0

    total: torch.Tensor
    updates: torch.Tensor
    identity: torch.Tensor

    def __init__(
        self,
        signature: Any,
        min_support: int = 0,
        centre: bool = True,
        threads: int | None = None,
        backend: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_flag("centre", centre)
        self.centre = centre
        thread_count(threads)  # its fault is better told here than in the first step
        self.threads, self.backend = threads, backend
        self._prepared = prepare(signature, min_support)
        zero = torch.zeros((), dtype=torch.float64)
        self.add_state("total", zero, dist_reduce_fx="sum")
        self.add_state("updates", zero.to(torch.int64), dist_reduce_fx="sum")
        # A MetricCollection updates only one of the metrics whose states are close after the first
        # step, and gives the others its state: no two of these may ever pass for one another.
        self.add_state("identity", _random_bits(), dist_reduce_fx="max")

    @property
    def signature(self) -> Any:
        """The prepared signature."""
        return self._prepared

    def update(self, W: torch.Tensor | torch.nn.Module) -> None:
        """Add this embedding's R_cos."""
        found = cosine_correlation(
            _weight(W),
            self._prepared,
            centre=self.centre,
            threads=self.threads,
            backend=self.backend,
        )
        # Not in place: a state that was made in inference mode could not be changed outside it.
        self.total = self.total + found.pearson
        self.updates = self.updates + 1

    def compute(self) -> torch.Tensor:
        """The mean over the updates; NaN if there was none."""
        return self.total / self.updates

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draw `compute()`, or values that `forward` or `compute` gave, with torchmetrics' means.

        Returns:
            Matplotlib's figure and axes.
        """
        return self._plot(val, ax)

    def __deepcopy__(self, memo: dict[int, Any]) -> SignatureAlignment:
        # The signature never changes and may hold gigabytes: a clone shares it.
        memo[id(self._prepared)] = self._prepared
        clone = type(self).__new__(type(self))
        memo[id(self)] = clone
        clone.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return clone


def _weight(W: Any) -> Any:
    """A module's weight; anything else as it is, to be checked as an embedding."""
    if not isinstance(W, torch.nn.Module):
        return W
    weight = getattr(W, "weight", None)
    if not isinstance(weight, torch.Tensor):
        raise ArgumentTypeError(
            "W: expected an embedding matrix or a module with one as its weight, "
            f"got {type(W).__name__}"
        )
    return weight


def _random_bits() -> torch.Tensor:
    """int64 [64] of 0 and 1: not drawn from torch's generator, whose state is the training's."""
    number = uuid.uuid4().int
    return torch.tensor([number >> bit & 1 for bit in range(64)])
