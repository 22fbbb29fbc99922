"""Training on a task, with what is measured on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...alignment import cosine_correlation
from ...arguments import integer
from ...counting import count_labelled
from ...errors import ArgumentError, ArgumentTypeError
from ...labelled import Incidence, LabelledCounts
from ...progress import progress_bar
from ..gradient_flow import ACTIVATIONS, Flow, incidence_matrix, predicted_flow
from .models import check_model, initial_weights, losses
from .results import Log, Training
from .tasks import Task, make_task

#: Where the log is dense: R_cos and the agreement of gradients change first there.
_FIRST_STEPS = (1, 2, 5, 10, 20)
_EVEN_STEPS = 20


@dataclass(frozen=True)
class Setup:
    """How the models are made and trained: full batch, Adam (THEORY, section 3).

    Attributes:
        width: d; init_std: of the normal weights; learning_rate: of Adam, its other settings
            torch's; incidence: h_i sums distinct tokens ("presence") or all ("multiplicity").
    """

    width: int = 32
    init_std: float = 0.03
    learning_rate: float = 5e-3
    incidence: Incidence = "presence"

    def __post_init__(self) -> None:
        integer("width", self.width, 1)
        for name in ("init_std", "learning_rate"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ArgumentError(
                    f"{name}: expected above 0 and finite, got {getattr(self, name)}"
                )


def train(
    task: Task | str,
    model: str = "linear",
    *,
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = 1000,
    setup: Setup | None = None,
    progress: bool | None = None,
) -> Training:
    """Train a model for each seed on a task, full batch, and log how its geometry forms.

    Logged at the start, after each twentieth of the steps, after the last, and after some of the
    first, for each seed: the loss; R_cos(W^E, phi^y) and R_cos(W^U, psi^X); the mean cosine of the
    embeddings of each of the task's sets of pairs; how far the gradient predicted from counts
    through eps^3 is from the actual one (NaN for ReLU, which has no prediction).

    Args:
        task: a `Task`, or a name of `TASKS`.
        model: linear, relu, gelu, silu or tanh: sigma of f = W^U sigma(h).
        seeds: of the initial weights; the models do not influence each other.
        steps: of Adam.
        setup: the rest; THEORY's where it is None.
        progress: a progress bar on standard error; None shows one if that is a terminal.

    Returns:
        `Training`. The same seeds give the same result on the same machine and version of torch;
        torch's global random state is not touched. Torch runs on one thread meanwhile.

    Raises:
        ArgumentError, ArgumentTypeError: an unknown task or model, no seeds, fewer than one step,
            a setup that cannot be.

    Cost: O(steps len(seeds) N (V + Q) d); about 4 s for the defaults.

    Example:
        >>> result = train("xor", steps=20, seeds=[0])
        >>> result.log["loss"].shape == (1, result.steps.size)
        True
    """
    task = task if isinstance(task, Task) else make_task(task)
    model, seeds = check_model(model), check_seeds(seeds)
    steps = integer("steps", steps, 1)
    name = f"{task.name}, {model}"
    with progress_bar(steps, "step", progress, name, scaled=False) as advance:
        return run_training(task, model, seeds, steps, setup or Setup(), advance)


def check_seeds(seeds: Any) -> tuple[int, ...]:
    """Raises ArgumentError, ArgumentTypeError: no sequence of at least one seed."""
    if isinstance(seeds, (str, bytes)) or not isinstance(seeds, Sequence):
        raise ArgumentTypeError(f"seeds: expected a sequence of ints, got {type(seeds).__name__}")
    if not seeds:
        raise ArgumentError("seeds: expected at least one, got none")
    return tuple(integer("seeds", seed, 0, 2**63 - 1) for seed in seeds)


def run_training(
    task: Task,
    model: str,
    seeds: tuple[int, ...],
    steps: int,
    setup: Setup,
    advance: Callable[[int], object],
) -> Training:
    """`train`, its arguments checked; `advance` is told of every step."""
    counts = task_counts(task, model, setup.incidence)
    c = torch.from_numpy(incidence_matrix(task.X, task.vocab_size, counts.incidence).toarray())
    y = torch.from_numpy(task.y.copy())
    W_E, W_U = initial_weights(task.vocab_size, task.n_labels, setup.width, setup.init_std, seeds)
    optimiser = torch.optim.Adam([W_E, W_U], lr=setup.learning_rate)
    recorder = _Recorder(task, model, counts)
    logged = log_steps(steps)
    with _one_thread():
        for step in range(steps + 1):
            optimiser.zero_grad()
            loss = losses(model, c, y, W_E, W_U)
            # Of the sum: no term depends on another model's weights.
            torch.autograd.backward(loss.sum())
            if step in logged:
                recorder.record(loss.detach(), W_E, W_U)
            if step < steps:
                optimiser.step()
                advance(1)
    return Training(
        task,
        model,
        seeds,
        np.array(sorted(logged), np.int64),
        recorder.log(),
        W_E.detach().numpy(),
        W_U.detach().numpy(),
        counts,
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch on one thread, and as it was afterwards.

    The matrices are so small that threads mostly wait for each other, spinning: eight trainings
    took 202 s with two threads on two cores that had other work too, 30 s with one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def task_counts(
    task: Task, model: str = "linear", incidence: Incidence = "presence"
) -> LabelledCounts:
    """The task's counts, with third order where the model's gradient needs it."""
    derivatives = ACTIVATIONS[model].at_zero
    return count_labelled(
        task.X,
        task.y,
        vocab_size=task.vocab_size,
        n_labels=task.n_labels,
        incidence=incidence,
        third_order=derivatives is not None and derivatives[1] != 0,
        threads=1,
        progress=False,
    )


def log_steps(steps: int) -> set[int]:
    """0, some of the first, every twentieth, and the last."""
    even = (round(steps * k / _EVEN_STEPS) for k in range(_EVEN_STEPS + 1))
    return {*even, *(step for step in _FIRST_STEPS if step < steps)}


@dataclass
class _Recorder:
    """Measures the models of one training at one step after another."""

    task: Task
    model: str
    counts: LabelledCounts
    _measured: list[list[dict[str, float]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._phi_y, self._psi_X = self.counts.phi_y(), self.counts.psi_X()
        self._predicts = ACTIVATIONS[self.model].at_zero is not None

    def record(self, loss: torch.Tensor, W_E: torch.Tensor, W_U: torch.Tensor) -> None:
        """Takes the weights, and the gradients that the backward pass has left at them."""
        assert W_E.grad is not None
        assert W_U.grad is not None
        flows = zip(-W_E.grad, -W_U.grad, strict=True)
        self._measured.append(
            [
                {"loss": float(each), **self._geometry(e, u), **self._agreement(e, u, *flow)}
                for each, e, u, flow in zip(loss, W_E.detach(), W_U.detach(), flows, strict=True)
            ]
        )

    def _geometry(self, W_E: torch.Tensor, W_U: torch.Tensor) -> dict[str, float]:
        unit = torch.nn.functional.normalize(W_E, dim=1).numpy()
        cosines = {
            f"cos_{name.replace(' ', '_')}": float(
                np.einsum("pd,pd->p", unit[pairs[:, 0]], unit[pairs[:, 1]]).mean()
            )
            for name, pairs in self.task.pairs.items()
        }
        return {
            "r_embedding": cosine_correlation(W_E, self._phi_y, threads=1).pearson,
            "r_unembedding": cosine_correlation(W_U, self._psi_X, threads=1).pearson,
            **cosines,
        }

    def _agreement(
        self, W_E: torch.Tensor, W_U: torch.Tensor, flow_E: torch.Tensor, flow_U: torch.Tensor
    ) -> dict[str, float]:
        names = ("residual_E", "residual_U", "cosine_E", "cosine_U")
        if not self._predicts:
            return {f"flow_{name}": float("nan") for name in names}
        predicted = predicted_flow(self.counts, W_E, W_U, activation=self.model)
        agreement = predicted.agreement(Flow(flow_E.numpy(), flow_U.numpy()))
        return {f"flow_{name}": getattr(agreement, name) for name in names}

    def log(self) -> Log:
        """Arrays [R, T] by name."""
        log: dict[str, NDArray[np.float64]] = {}
        for name in self._measured[0][0]:
            columns = [[each[name] for each in models] for models in self._measured]
            log[name] = np.array(columns).T
        return log
