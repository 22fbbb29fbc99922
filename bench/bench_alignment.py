"""Exact alignment beside blockwise dense torch, which is verified on a sample and timed on a part.

PROBSIG_BENCH_COUNTS=docs.next.safetensors PROBSIG_BENCH_EMBEDDING=embedding.npy \\
    python -m pytest bench/bench_alignment.py

PROBSIG_BENCH_COUNTS_LARGE names counts of a larger vocabulary (else those above are continued);
PROBSIG_BENCH_PILE=1 also takes counts continued to 1.5e8 pairs (minutes, and 15 GB of memory).
"""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
from conftest import LIMIT, ROUNDS, resident_peak

import probsig_fast as ps
from probsig_fast.benchmark import corpora, peers
from probsig_fast.kernels.registry import BACKENDS

torch = pytest.importorskip("torch", reason="alignment needs torch")

from probsig_fast.alignment import (  # noqa: E402
    alignment_metrics,
    cosine_correlation,
    prepare,
    sampled_correlation,
)

BACKEND_NAMES = tuple(b.name for b in BACKENDS if b.automatic and not b.missing())
#: Less work where only a check is wanted that all runs.
D, D_LARGE, TILE = (576, 896, 2048) if LIMIT is None else (32, 48, 256)
SAMPLE = 5000 if LIMIT is None else 300
LARGE = 5_700_000 if LIMIT is None else 2 * LIMIT
PILE = 150_000_000


@pytest.fixture(scope="session")
def counts() -> ps.Counts:
    if "PROBSIG_BENCH_COUNTS" in os.environ:
        return ps.Counts.load(os.environ["PROBSIG_BENCH_COUNTS"])
    corpus = corpora.load(LIMIT)
    return ps.count(corpus.tokens, vocab_size=corpus.vocab_size, eos=corpus.eos)


@pytest.fixture(scope="session")
def embedding(counts: ps.Counts):
    if "PROBSIG_BENCH_EMBEDDING" in os.environ:
        return torch.from_numpy(np.load(os.environ["PROBSIG_BENCH_EMBEDDING"]).astype(np.float32))
    return _random_embedding(counts.vocab_size, D)


def _random_embedding(rows: int, d: int):
    return torch.randn(rows, d, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="session")
def verified(counts: ps.Counts, embedding) -> None:
    """On a sample of tokens: dense torch and each backend, to 1e-9."""
    phi = counts.phi_next()
    support = np.sort(np.random.default_rng(0).permutation(phi.tokens)[:SAMPLE])
    W = torch.full_like(embedding, torch.nan)  # rows that are not finite are left out
    W[support] = embedding[support]
    e, p, tiles = _dense(W[support], phi, support)
    g, h, gg, hh, gh = peers.dense_cosine_tiles([e], p, tiles)[0].tolist()
    n = support.size * (support.size - 1) / 2
    expected = (gh - g * h / n) / np.sqrt((gg - g * g / n) * (hh - h * h / n))
    for backend in BACKEND_NAMES:
        result = cosine_correlation(W, phi, backend=backend)
        assert result.tokens == support.size
        assert abs(result.pearson - expected) < 1e-9


def _dense(W, phi: ps.Signature, tokens):
    """Unit rows of both, and the tiles of the upper triangle."""
    from probsig_fast.alignment.gram.rows import unit_rows

    e = torch.nn.functional.normalize(W.double())
    cuts = [(a, min(a + TILE, tokens.size)) for a in range(0, tokens.size, TILE)]
    tiles = [(a, b) for k, a in enumerate(cuts) for b in cuts[k:]]
    return e, unit_rows([phi], tokens), tiles


@pytest.mark.parametrize(
    "contender",
    ["dense torch, estimated", *BACKEND_NAMES, *(f"{name}, R_cos" for name in BACKEND_NAMES)],
)
@pytest.mark.parametrize("number", range(ROUNDS))
def test_metrics(timed, note, counts, embedding, verified, contender, number):
    """R_cos, per token, CKA, debiased CKA and intervals, raw and mean-centred, from nothing."""
    phi = counts.phi_next()
    group = f"all exact metrics, {phi.shape[0]:,} x {embedding.shape[1]}, {counts.nnz:,} pairs"
    pairs = phi.tokens.size * (phi.tokens.size - 1) // 2

    backend, _, only = contender.partition(", ")
    figures = cosine_correlation if only else alignment_metrics

    def ours():
        prepared = prepare(phi)
        for centre in (False, True):
            figures(embedding, prepared, centre=centre, backend=backend)

    if backend in BACKEND_NAMES:
        timed(group, contender, "pairs", pairs, ours)
        return
    # A part: one tile off the diagonal, of as many as there are; R_cos only, in float64, as float32
    # has no more than some digits of it.
    W = embedding[phi.tokens].double()
    e, p, tiles = _dense(W, phi, phi.tokens)
    both = [e, torch.nn.functional.normalize(W - W.mean(0))]
    tile = tiles[min(1, len(tiles) - 1)]
    peers.dense_cosine_tiles(both, p, [tile])
    began = time.perf_counter()
    timed(
        f"{group}: one tile of {len(tiles)}",
        contender,
        "pairs",
        TILE**2,
        lambda: peers.dense_cosine_tiles(both, p, [tile]),
    )
    whole = (time.perf_counter() - began) * len(tiles)
    note(f"dense torch, R_cos raw and mean-centred: {whole:,.0f} s for its {len(tiles)} tiles")


@pytest.mark.parametrize("number", range(ROUNDS))
def test_update(timed, counts, embedding, number):
    """One step of a training loop."""
    metrics = pytest.importorskip("torchmetrics", reason="SignatureAlignment needs torchmetrics")
    assert metrics
    from probsig_fast.alignment import SignatureAlignment

    metric = SignatureAlignment(counts.phi_next())
    metric(embedding)  # the signature's terms
    rows, d = embedding.shape
    group = f"SignatureAlignment, one update, {rows:,} x {d}"
    timed(group, "update", "rows", rows, lambda: metric(embedding))


@pytest.fixture(scope="session")
def large(counts: ps.Counts) -> ps.Signature:
    path = os.environ.get("PROBSIG_BENCH_COUNTS_LARGE")
    return corpora.continued(ps.Counts.load(path) if path else counts, LARGE)


@pytest.mark.parametrize("contender", BACKEND_NAMES)
@pytest.mark.parametrize("number", range(ROUNDS))
def test_large(timed, large, contender, number):
    W = _random_embedding(large.shape[0], D_LARGE)

    def ours():
        prepared = prepare(large)
        for centre in (False, True):
            alignment_metrics(W, prepared, centre=centre, backend=contender)

    rows, pairs = large.tokens.size, large.indices.size
    group = f"all exact metrics, {rows:,} of {large.shape[0]:,} x {D_LARGE}, {pairs:,} pairs"
    timed(group, contender, "pairs", rows * (rows - 1) // 2, ours)


def test_peak_memory(note, counts, embedding, tmp_path):
    """Of a process of its own, all that it maps included."""
    counts.save(tmp_path / "counts.safetensors")
    np.save(tmp_path / "embedding.npy", embedding.numpy())
    code = (
        "import sys, numpy, probsig_fast as ps\n"
        "from probsig_fast.alignment import alignment_metrics, prepare\n"
        "phi = prepare(ps.Counts.load(sys.argv[1]).phi_next())\n"
        "W = numpy.load(sys.argv[2])\n"
        "for centre in (False, True): alignment_metrics(W, phi, centre=centre)\n"
    )
    peak = resident_peak(code, tmp_path / "counts.safetensors", tmp_path / "embedding.npy")
    note(f"peak memory, all exact metrics: {peak / 1e9:.2f} GB, torch and what is mapped included")


@pytest.mark.skipif("PROBSIG_BENCH_PILE" not in os.environ, reason="PROBSIG_BENCH_PILE is not set")
def test_pile_scale(timed, note, counts, embedding):
    phi = corpora.continued(counts, PILE)
    lengths = np.bincount(phi.indices, minlength=phi.n_columns).astype(np.float64)
    additions = np.square(lengths).sum() / 2
    group = f"R_cos, {phi.indices.size:,} pairs, {additions:.3g} additions"
    exact = timed(
        group, "exact", "additions", additions, lambda: cosine_correlation(embedding, phi)
    )
    sampled = timed(
        group,
        "500 rows sampled",
        "additions",
        additions,
        lambda: sampled_correlation(embedding, phi),
    )
    deviation = sampled.correlation.pearson - exact.pearson
    note(f"exact {exact.pearson:.6f}; sampled {deviation:+.6f} from it, error {sampled.error:.6f}")
    assert abs(deviation) < 4 * sampled.error
