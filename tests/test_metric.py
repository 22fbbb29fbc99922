"""`SignatureAlignment`: a torchmetrics.Metric that equals `cosine_correlation`."""

from __future__ import annotations

import copy
import os
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import probsig_fast as ps
from probsig_fast.errors import ArgumentError, ArgumentTypeError, MissingExtraError

pytest.importorskip("torch", reason="alignment needs torch")
pytest.importorskip("torchmetrics", reason="the metric needs torchmetrics")

import torch
import torchmetrics

from probsig_fast.alignment import (
    SignatureAlignment,
    cosine_correlation,
    joint,
    prepare,
    prepared,
)
from probsig_fast.alignment.prepared import signature_terms

V, D = 40, 6


@pytest.fixture(scope="module")
def counts() -> ps.Counts:
    tokens = np.random.default_rng(3).zipf(1.4, 3000) % V
    return ps.count(tokens.astype(np.uint16), vocab_size=V)


def matrix(seed: int) -> Any:
    return torch.randn(V, D, generator=torch.Generator().manual_seed(seed)) + 0.5


def brute_force(W: Any, signature: ps.Signature, min_support: int, centre: bool) -> float:
    """R_cos over dense cosine matrices."""
    rows = np.flatnonzero(signature.support >= max(1, min_support))
    E = W.detach().double().numpy()[rows]
    E = E - E.mean(axis=0) if centre else E
    P = signature.to_scipy().toarray()[rows]
    G, H = ((M := A / np.linalg.norm(A, axis=1, keepdims=True)) @ M.T for A in (E, P))
    upper = np.triu_indices(rows.size, 1)
    return float(np.corrcoef(G[upper], H[upper])[0, 1])


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("min_support", [0, 25])
def test_equals_cosine_correlation(counts: ps.Counts, centre: bool, min_support: int) -> None:
    phi = counts.phi_next()
    metric = SignatureAlignment(phi, min_support, centre)
    for seed in range(3):
        W = matrix(seed)
        value = metric(W)
        assert value.dtype == torch.float64
        assert value.shape == ()
        assert value.item() == cosine_correlation(W, phi, min_support, centre).pearson
        assert value.item() == pytest.approx(brute_force(W, phi, min_support, centre), abs=1e-10)


def test_the_mean_since_reset(counts: ps.Counts) -> None:
    phi = counts.phi_next()
    metric = SignatureAlignment(phi)
    expected = [brute_force(matrix(seed), phi, 0, True) for seed in range(4)]
    metric.update(matrix(0))
    steps = [metric(matrix(seed)).item() for seed in (1, 2)]
    assert steps == pytest.approx(expected[1:3], abs=1e-10)
    assert metric.compute().item() == pytest.approx(np.mean(expected[:3]), abs=1e-10)
    metric.reset()
    metric.update(matrix(3))
    assert metric.compute().item() == pytest.approx(expected[3], abs=1e-10)


def test_forward_works_out_one_correlation(
    counts: ps.Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    from probsig_fast.alignment import metric as module

    calls = []

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        return cosine_correlation(*arguments, **options)

    monkeypatch.setattr(module, "cosine_correlation", counted)
    metric = SignatureAlignment(counts.phi_next())
    metric(matrix(0))
    metric.compute()
    assert len(calls) == 1


def test_the_signature_is_worked_on_once(
    counts: ps.Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def counted(*arguments: Any) -> Any:
        made.append(1)
        return signature_terms(*arguments)

    monkeypatch.setattr(prepared, "signature_terms", counted)
    metric = SignatureAlignment(counts.phi_next())
    for seed in range(3):
        metric(matrix(seed))
    metric.reset()
    metric.clone().update(matrix(4))
    assert len(made) == 1


def test_joint_and_prepared_signatures(counts: ps.Counts) -> None:
    both = joint(counts.phi_next(), counts.psi_pre())
    expected = cosine_correlation(matrix(0), both, 5, centre=True).pearson
    assert SignatureAlignment(both, 5)(matrix(0)).item() == expected
    ready = prepare(both, 5)
    metric = SignatureAlignment(ready)
    assert metric(matrix(0)).item() == expected
    assert metric.signature is ready


def test_before_any_update(counts: ps.Counts) -> None:
    metric = SignatureAlignment(counts.phi_next())
    with pytest.warns(UserWarning, match="compute.*before the ``update``"):
        assert metric.compute().isnan()


def test_modules(counts: ps.Counts) -> None:
    phi = counts.phi_next()
    embedding, linear = torch.nn.Embedding(V, D), torch.nn.Linear(D, V, bias=False)
    metric = SignatureAlignment(phi)
    assert metric(embedding).item() == cosine_correlation(embedding.weight, phi, 0, True).pearson
    assert metric(linear).item() == cosine_correlation(linear.weight, phi, 0, True).pearson
    assert embedding.weight.grad is None


def test_what_is_undefined_stays_so(counts: ps.Counts) -> None:
    metric = SignatureAlignment(counts.phi_next(), centre=False)
    assert metric(torch.ones(V, D)).isnan()
    metric.update(matrix(0))
    assert metric.compute().isnan()  # never a mean of what is left


def test_declared(counts: ps.Counts) -> None:
    metric = SignatureAlignment(counts.phi_next())
    assert metric.is_differentiable is False
    assert metric.higher_is_better is True
    assert metric.full_state_update is False
    assert (metric.plot_lower_bound, metric.plot_upper_bound) == (-1.0, 1.0)
    assert not metric(matrix(0).requires_grad_()).requires_grad


def test_copies(counts: ps.Counts) -> None:
    metric = SignatureAlignment(counts.phi_next(), min_support=5)
    metric.update(matrix(0))
    for other in (metric.clone(), copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        assert other.compute() == metric.compute()
        other.update(matrix(1))
        mean = (metric.compute() + brute_force(matrix(1), counts.phi_next(), 5, True)) / 2
        assert other.compute().item() == pytest.approx(mean.item(), abs=1e-10)
    assert metric.updates == 1
    assert metric.clone().signature is metric.signature  # gigabytes at Pile scale


def test_state_dict(counts: ps.Counts) -> None:
    metric = SignatureAlignment(counts.phi_next())
    metric.update(matrix(0))
    assert metric.state_dict() == {}  # as of any metric, unless asked for
    metric.persistent(True)
    other = SignatureAlignment(counts.phi_next())
    other.persistent(True)
    other.load_state_dict(metric.state_dict())
    other.update(matrix(1))
    metric.update(matrix(1))
    assert other.compute() == metric.compute()


def test_places_and_types(counts: ps.Counts) -> None:
    metric = SignatureAlignment(counts.phi_next()).to("cpu").half()  # which metrics leave alone
    expected = metric(matrix(0))
    assert metric.device.type == "cpu"
    assert metric(matrix(0).numpy()) == expected
    assert (
        metric(matrix(0).bfloat16())
        == cosine_correlation(matrix(0).bfloat16(), counts.phi_next(), centre=True).pearson
    )
    with torch.autocast("cpu", torch.bfloat16):
        assert metric(matrix(0)) == expected
    with torch.inference_mode():
        assert metric(matrix(0)) == expected
    metric.update(matrix(0))
    assert metric.updates == 6


def test_collection(counts: ps.Counts) -> None:
    phi, psi = counts.phi_next(), counts.psi_pre()
    collection = torchmetrics.MetricCollection(
        {"next": SignatureAlignment(phi), "previous": SignatureAlignment(psi)}
    )
    for seed in range(3):
        collection.update(matrix(seed))
    found = collection.compute()
    for name, signature in (("next", phi), ("previous", psi)):
        mean = np.mean([brute_force(matrix(seed), signature, 0, True) for seed in range(3)])
        assert found[name].item() == pytest.approx(mean, abs=1e-10)
    assert set(collection(matrix(0))) == {"next", "previous"}
    assert collection.clone(prefix="train/").compute().keys() == {"train/next", "train/previous"}


def test_a_collection_never_takes_one_metric_for_another(counts: ps.Counts) -> None:
    phi = counts.phi_next()
    collection = torchmetrics.MetricCollection(
        {"raw": SignatureAlignment(phi, centre=False), "centred": SignatureAlignment(phi)}
    )
    zero_mean = matrix(0) - matrix(0)[phi.tokens].double().mean(0).float()
    collection.update(zero_mean)  # both the same after the first step, up to rounding
    collection.update(matrix(1))
    found = collection.compute()
    assert abs(found["raw"] - found["centred"]) > 1e-3


def test_plot(counts: ps.Counts) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    metric = SignatureAlignment(counts.phi_next())
    values = [metric(matrix(seed)) for seed in range(3)]
    for figure, axes in (metric.plot(), metric.plot(values)):
        assert axes.get_title() or axes.get_ylabel()
        import matplotlib.pyplot

        matplotlib.pyplot.close(figure)


@pytest.mark.gpu
def test_cuda(counts: ps.Counts) -> None:
    metric = SignatureAlignment(counts.phi_next()).to("cuda")
    value = metric(matrix(0).cuda())
    assert value.device.type == "cuda"
    expected = cosine_correlation(matrix(0), counts.phi_next(), centre=True).pearson
    assert value.item() == pytest.approx(expected, abs=1e-10)
    assert metric(matrix(0)).item() == pytest.approx(expected, abs=1e-10)  # W may be elsewhere


@pytest.mark.parametrize(
    ("W", "error", "told"),
    [
        (
            torch.ones(V + 1, D),
            ArgumentError,
            f"W: expected {V} rows, as phi_next has, got {V + 1}",
        ),
        (torch.ones(V), ArgumentError, r"W: expected 2 dimensions \[V, d\]"),
        (torch.ones(V, D, dtype=torch.int64), ArgumentTypeError, "W: expected a dense torch"),
        (torch.nn.ReLU(), ArgumentTypeError, "W: expected an embedding matrix or a module .* ReLU"),
        ([[1.0]], ArgumentTypeError, "W: expected a dense torch tensor .* got list"),
    ],
)
def test_bad_updates(counts: ps.Counts, W: Any, error: type[Exception], told: str) -> None:
    metric = SignatureAlignment(counts.phi_next())
    metric.update(matrix(0))
    before = metric.compute()
    with pytest.raises(error, match=told):
        metric.update(W)
    assert (metric.updates, metric.compute()) == (1, before)


def test_bad_arguments(counts: ps.Counts) -> None:
    phi = counts.phi_next()
    with pytest.raises(ArgumentTypeError, match="signature: expected"):
        SignatureAlignment(counts)
    with pytest.raises(ArgumentError, match="min_support: expected at least 0"):
        SignatureAlignment(phi, min_support=-1)
    with pytest.raises(ArgumentError, match="threads: expected at least 1"):
        SignatureAlignment(phi, threads=0)
    with pytest.raises(ArgumentTypeError, match="centre: expected a bool"):
        SignatureAlignment(phi, centre=1)
    with pytest.raises(ValueError, match="Unexpected keyword arguments: `center`"):
        SignatureAlignment(phi, center=True)


def test_without_torchmetrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "probsig_fast.alignment.metric")
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(
        MissingExtraError, match=r"SignatureAlignment needs torchmetrics.*probsig-fast\[metrics\]"
    ):
        from probsig_fast.alignment import SignatureAlignment  # noqa: F401


def _worker(rank: int, counts: ps.Counts, address: str, folder: str) -> None:
    torch.set_num_threads(1)
    group = torch.distributed
    group.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    metric = SignatureAlignment(counts.phi_next(), threads=1)
    on_step = SignatureAlignment(counts.phi_next(), threads=1, dist_sync_on_step=True)
    own = [metric(matrix(seed)).item() for seed in ((0, 1, 2), (3,))[rank]]
    found = {
        "own": own,
        "mean": metric.compute().item(),
        "step": on_step(matrix(rank)).item(),
    }
    torch.save(found, os.path.join(folder, f"{rank}.pt"))
    group.destroy_process_group()


@pytest.mark.slow
def test_two_processes(counts: ps.Counts, tmp_path: Path) -> None:
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("torch without gloo")
    address = f"file://{tmp_path / 'meeting'}"
    torch.multiprocessing.spawn(_worker, (counts, address, str(tmp_path)), nprocs=2)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    expected = [brute_force(matrix(seed), counts.phi_next(), 0, True) for seed in range(4)]
    assert found[0]["own"] + found[1]["own"] == pytest.approx(expected, abs=1e-10)
    for each in found:  # of four updates, not of two processes' means
        assert each["mean"] == pytest.approx(np.mean(expected), abs=1e-10)
        assert each["step"] == pytest.approx(np.mean(expected[:2]), abs=1e-10)


def test_lightning(counts: ps.Counts, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        # Of Lightning's own imports.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        lightning = pytest.importorskip("lightning")

    class Model(lightning.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(V, D)
            self.metric = SignatureAlignment(counts.phi_next())
            self.seen: list[Any] = []

        def training_step(self, batch: Any, _: int) -> Any:
            self.seen.append(self.embedding.weight.detach().clone())
            self.metric(self.embedding)
            self.log("r_cos", self.metric, on_step=True, on_epoch=True)
            return self.embedding(batch).square().mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=50.0)

    model = Model()
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        log_every_n_steps=1,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        warnings.filterwarnings("ignore", message=".*LeafSpec")
        trainer.fit(model, torch.utils.data.DataLoader(torch.arange(2 * V) % V, batch_size=V))
    expected = [brute_force(W, counts.phi_next(), 0, True) for W in model.seen]
    assert len(expected) == 2
    assert expected[0] != expected[1]
    logged = trainer.callback_metrics
    assert logged["r_cos_step"].item() == pytest.approx(expected[1], abs=1e-6)
    assert logged["r_cos_epoch"].item() == pytest.approx(np.mean(expected), abs=1e-6)
    assert model.metric.updates == 0  # reset at the epoch's end
    assert model.state_dict().keys() == {"embedding.weight"}
