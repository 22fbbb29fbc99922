"""How the geometry of an embedding comes to follow signatures over a training."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

import torch

from ...arguments import integer
from ...errors import ArgumentError, ArgumentTypeError, SourceError, SourceNotFoundError
from ...progress import progress_bar
from ..embeddings import Embedding, load_embedding
from ..embeddings.embedding import Which
from ..gram.compared import TooFewRowsError, check_supported
from ..gram.comparison import Matrix
from ..metrics import alignment_metrics
from ..neighbours import neighbour_overlap
from ..prepared import PreparedSignature
from ..strong_pairs import strong_pairs
from .checkpoints import Checkpoint, given_checkpoints
from .row import TrajectoryRow
from .signatures import (
    AsOf,
    CountsAt,
    Signatures,
    checked_centrings,
    checked_keys,
    prepared_by_name,
    sides,
)
from .table import Trajectory


def trajectory(
    checkpoints: str | os.PathLike[str] | Mapping[int, Any] | Iterable[tuple[int, Any]],
    signatures: Signatures,
    which: Which | Mapping[str, Which] | None = None,
    min_support: int = 0,
    fraction: float | Fraction | None = 0.001,
    neighbours: int | None = 10,
    centre: bool | Iterable[bool] = (False, True),
    counts_at: CountsAt | None = None,
    keys: Mapping[Which, str] | None = None,
    threads: int | None = None,
    backend: str | None = None,
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> Trajectory:
    """Every figure of agreement for every checkpoint, signature and centring, as one table.

    R_cos with its jackknife error, both means, linear CKA plain and debiased (`alignment_metrics`),
    the strong pairs (`strong_pairs`) and the neighbours in common (`neighbour_overlap`). The
    signatures' own part is computed once. The same at step 0, before any training, is what chance
    and the architecture give: `Trajectory.untrained`.

    Args:
        checkpoints: a folder, in which they are found by the step in their names (step1000,
            step-1000, step_1000, checkpoint-1000, global_step1000, iter_0001000,
            epoch=0-step=1000.ckpt; also the folder of a model in the cache of the Hugging Face
            hub); a mapping from steps to what `load_embedding` takes; or pairs of both.
        signatures: one, several, or a mapping from names of one's own; a name is there once.
        which: the embedding that goes with each signature: "input", "output", or a mapping from
            names. None takes "output" for psi_pre, psi_X, phi_X_given_y and column_conditional,
            else "input".
        min_support: as in `cosine_correlation`.
        fraction: of pairs that count as strong; None leaves these figures out.
        neighbours: how many; None leaves them out. With K tokens compared, K - 1 at most.
        centre: whether the mean is subtracted from the embedding first; both as a default.
        counts_at: signatures "as of step k", to be compared in the place of those of the same
            names: a function of the step (None: those of `signatures`), or a mapping, of which the
            last step up to the checkpoint's is taken; before the first, those of `signatures`. The
            column `as_of` says which. Only the last are kept prepared.
        keys: the names of the "input" and "output" tensors, where they are not found by
            themselves.
        threads, backend, device: as in `cosine_correlation`.
        progress: a bar over the checkpoints; None shows it on a terminal.

    Returns:
        `Trajectory`, its rows in order of step, signature and centring. Where fewer than three
        rows of a checkpoint can be compared (an embedding of zeros before training, of NaN after a
        divergence; counts as of an early step that pass `min_support` nowhere), `tokens` is 0 and
        the figures are NaN.

    Raises:
        ArgumentTypeError, ArgumentError: no checkpoints or signatures, two of the same step or
            name; fewer than three tokens with `min_support`; an embedding with fewer rows than a
            signature; else as `cosine_correlation`.
        SourceNotFoundError, SourceError, MissingExtraError: as `load_embedding`.

    Cost: for each row that of `alignment_metrics`, `strong_pairs` and `neighbour_overlap`, of which
    the last two take O(K^2 d); memory of one checkpoint's embeddings and of theirs.

    Example:
        >>> import numpy as np, torch
        >>> import probsig_fast as ps
        >>> phi = ps.count(np.random.default_rng(0).integers(0, 9, 500), vocab_size=9).phi_next()
        >>> models = {step: torch.nn.Embedding(9, 4) for step in (0, 10)}
        >>> result = trajectory(models, phi, neighbours=3)
        >>> [(row.step, row.centred) for row in result.rows]
        [(0, False), (0, True), (10, False), (10, True)]
    """
    found = given_checkpoints(checkpoints)
    fixed = prepared_by_name(signatures, min_support)
    for name, signature in fixed.items():
        check_supported(signature, name)
    side = sides(which, fixed)
    centrings = checked_centrings(centre)
    if neighbours is not None:
        neighbours = integer("neighbours", neighbours, 1)
    as_of = AsOf(fixed, counts_at, min_support)
    keys = checked_keys(keys)
    measure = _Measure(fraction, neighbours, threads, backend, device)
    rows: list[TrajectoryRow] = []
    with progress_bar(len(found), " checkpoints", progress, "tracking", scaled=False) as advance:
        for checkpoint in found:
            compared, at = as_of(checkpoint.step)
            loaded = _loaded(checkpoint, side, compared, keys)
            for name, signature in compared.items():
                for centred in centrings:
                    embedding = loaded[side[name]]
                    rows.append(measure(checkpoint, name, signature, embedding, centred, at))
            advance(1)
    return Trajectory(tuple(rows))


def _loaded(
    checkpoint: Checkpoint,
    side: Mapping[str, Which],
    compared: Mapping[str, PreparedSignature],
    keys: Mapping[Which, str],
) -> dict[Which, Embedding]:
    """The embeddings that some signature goes with, with the rows of the largest."""
    rows: dict[Which, int] = {}
    for name, signature in compared.items():
        rows[side[name]] = max(rows.get(side[name], 1), signature.shape[0])
    try:
        return {
            which: load_embedding(checkpoint.source, which, keys.get(which), count)
            for which, count in rows.items()
        }
    except (ArgumentError, ArgumentTypeError, SourceError, SourceNotFoundError) as error:
        raise _told(error, checkpoint) from error


def _told(error: Exception, checkpoint: Checkpoint) -> Exception:
    """The error in the words of `trajectory`."""
    argument, _, text = str(error).partition(": ")
    own = {"source": "checkpoints", "key": "keys"}.get(argument)
    return error if own is None else type(error)(f"{own}: step {checkpoint.step}: {text}")


class _Measure:
    """All figures of one embedding and one signature."""

    def __init__(
        self,
        fraction: Any,
        neighbours: int | None,
        threads: int | None,
        backend: str | None,
        device: Any,
    ) -> None:
        self._fraction, self._neighbours = fraction, neighbours
        self._threads, self._backend, self._device = threads, backend, device

    def __call__(
        self,
        checkpoint: Checkpoint,
        name: str,
        signature: PreparedSignature,
        embedding: Embedding,
        centred: bool,
        as_of: Mapping[str, int],
    ) -> TrajectoryRow:
        V = signature.shape[0]
        figures = self._figures(embedding.weight[:V], signature, centred)
        return TrajectoryRow(
            step=checkpoint.step,
            checkpoint=checkpoint.name,
            signature=name,
            which=embedding.which,
            tied=embedding.tied,
            as_of=as_of.get(name),
            min_support=signature.min_support,
            centred=centred,
            rows_dropped=embedding.rows_dropped + len(embedding.weight) - V,
            **figures,
        )

    def _figures(self, W: Matrix, signature: PreparedSignature, centred: bool) -> dict[str, Any]:
        how: dict[str, Any] = {"centre": centred, "threads": self._threads, "device": self._device}
        try:
            metrics = alignment_metrics(W, signature, backend=self._backend, **how)
        except TooFewRowsError:
            return {}
        correlation = metrics.correlation
        figures: dict[str, Any] = {
            "tokens": correlation.tokens,
            "pairs": correlation.pairs,
            "not_finite": correlation.dropped.not_finite,
            "zero": correlation.dropped.zero,
            "r_cos": correlation.pearson,
            "r_cos_error": metrics.interval.error,
            "mean_embedding_cosine": correlation.mean_embedding_cosine,
            "mean_signature_cosine": correlation.mean_signature_cosine,
            "cka": metrics.cka,
            "debiased_cka": metrics.debiased_cka,
        }
        if self._fraction is not None:
            strong = strong_pairs(W, signature, self._fraction, keep=0, **how)
            figures["strong_fraction"] = strong.fraction
            figures["strong_pairs"] = strong.top
            figures["strong_signature_cosine"] = strong.by_embedding.mean_signature_cosine
            figures["strong_lift"] = strong.signature_lift
            figures["strong_overlap"] = strong.overlap_share
        if self._neighbours is not None:
            k = min(self._neighbours, correlation.tokens - 1)
            common = neighbour_overlap(W, signature, k, **how)
            figures["neighbours"] = k
            (figures["neighbour_overlap"],) = common.overlap
            (figures["neighbour_chance"],) = common.chance
        return figures
