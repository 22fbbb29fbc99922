"""On paper: what next-token pairs of the Pile as Pythia saw it would take, from measured rates.

Assumptions, all of them:

- Tokens: 143,000 steps of 1,024 rows of 2,048, in 16 bits.
- Threads: each doubling of their number keeps the share of a thread's rate that going from one to
  two kept (measured), up to 64 threads: caches and memory channels of a server grow with its cores.
- Reading: a disk of so many bytes a second a node (assumed), beside the counting; the slower of the
  two is what it takes.
- Distinct pairs: they go on growing with the exponent between the two largest sizes measured, but
  never past V^2. It falls in truth, so this is too many.
- Merging on a node: each chunk's entries are read three times (new entries wait until they are
  half as many as the sum's), at the measured rate, by all threads. This is added to the counting,
  whose measured rate holds some merging already.
- 16 nodes: each counts a sixteenth, sends each other node its rows of the result, and merges the 16
  parts of its own; the network is assumed. Nothing is sent while it counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

TOKENS = 143_000 * 1024 * 2048
THREADS = 64
NODES = 16
#: Assumed, bytes a second: one NVMe disk, and a network of 25 Gbit/s.
DISK, NETWORK = 3e9, 25e9 / 8
ENTRY_BYTES = 12


@dataclass(frozen=True)
class Rates:
    """What was measured on this machine.

    Attributes:
        one, two: tokens counted a second, by one thread and by two.
        merged_one, merged_two: entries merged a second, likewise.
        chunk_tokens, chunk_pairs: tokens of a chunk, and its distinct pairs.
        sizes, pairs: tokens counted, and the distinct pairs among them, rising.
        vocab_size: V.
    """

    one: float
    two: float
    merged_one: float
    merged_two: float
    chunk_tokens: float
    chunk_pairs: float
    sizes: list[float]
    pairs: list[float]
    vocab_size: int

    def tokens_a_second(self, threads: int) -> float:
        return _scaled(self.one, self.two, threads)

    def entries_a_second(self, threads: int) -> float:
        return _scaled(self.merged_one, self.merged_two, threads)

    def exponent(self) -> float:
        return math.log(self.pairs[-1] / self.pairs[-2]) / math.log(self.sizes[-1] / self.sizes[-2])

    def distinct_pairs(self, tokens: float) -> float:
        grown = self.pairs[-1] * (tokens / self.sizes[-1]) ** self.exponent()
        return min(grown, float(self.vocab_size) ** 2)


def _scaled(one: float, two: float, threads: int) -> float:
    kept = min(two / (2 * one), 1.0)
    return one * threads * kept ** math.log2(threads)


def lines(rates: Rates) -> list[str]:
    """The projection, as Markdown."""
    result = [
        f"Measured here: {rates.one / 1e6:,.0f} M tokens/s by one thread and "
        f"{rates.two / 1e6:,.0f} M by two; {rates.merged_one / 1e6:,.0f} M and "
        f"{rates.merged_two / 1e6:,.0f} M entries merged a second; "
        f"{rates.chunk_pairs / 1e6:.2f} M pairs a chunk of "
        f"{rates.chunk_tokens / 1e6:.1f} M tokens; "
        f"distinct pairs grow with the power {rates.exponent():.2f} of the tokens. "
        f"So {THREADS} threads: {rates.tokens_a_second(THREADS) / 1e9:,.1f} G tokens/s, "
        f"{rates.entries_a_second(THREADS) / 1e9:,.1f} G entries/s. "
        f"Assumed: {DISK / 1e9:g} GB/s from each node's disk, "
        f"{NETWORK / 1e9:.1f} GB/s of network a node.",
        "",
        "| machine | reading s | counting s | merging s | exchange s | in all | result |",
        "|---|---|---|---|---|---|---|",
    ]
    return result + [_row(rates, *each) for each in ((1, 2), (1, THREADS), (NODES, THREADS))]


def _row(rates: Rates, nodes: int, threads: int) -> str:
    tokens = TOKENS / nodes
    reading = 2 * tokens / DISK
    counting = tokens / rates.tokens_a_second(threads)
    entries = 3 * rates.chunk_pairs * tokens / rates.chunk_tokens
    sent = 0.0
    if nodes > 1:
        own = rates.distinct_pairs(tokens)
        sent = own * ENTRY_BYTES * (nodes - 1) / nodes / NETWORK
        entries += own  # its rows of each of the nodes' results
    merging = entries / rates.entries_a_second(threads)
    whole = max(reading, counting + merging) + sent
    pairs = rates.distinct_pairs(TOKENS)
    name = f"{threads} cores" if nodes == 1 else f"{nodes} nodes of {threads} cores"
    return (
        f"| {name} | {reading:,.0f} | {counting:,.0f} | {merging:,.1f} | {sent:,.1f} "
        f"| {whole:,.0f} s | {pairs / 1e6:,.0f} M pairs, {pairs * ENTRY_BYTES / 1e9:.1f} GB |"
    )
