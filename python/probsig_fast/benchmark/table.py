"""What was measured as rows, and the rows as one Markdown table."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from ..budget import size_text
from .limits import HISTOGRAM
from .tasks import LIMITS
from .verify import Entry

_HEADER = (
    *("corpus", "task", "contender", "threads", "tokens", "rounds"),
    *("M tokens/s: median", "best", "worst", "M pairs or incidences/s", "x baseline", "x 1 thread"),
    "memory beyond tokens and result",
)


@dataclass(frozen=True)
class Row:
    """One contender at one task.

    Attributes:
        seconds: of each round; none where it was skipped, and `skipped` says why.
        total: the sum of all counts, in units (pairs, incidences, tokens).
        ratio: its rate over that of `baseline`, the median over the rounds in which both ran.
        scaling: its rate over its own with one thread, likewise.
        peak: bytes at most beyond the tokens.
        result: bytes of the result; where it is larger than a CSR table of 64-bit counts (a dense
            table, say), those of such a table.
    """

    corpus: str
    task: str
    contender: str
    is_ours: bool
    threads: int
    tokens: int
    seconds: list[float]
    unit: str
    total: int
    baseline: str | None
    ratio: float | None
    scaling: float | None
    peak: int | None
    result: int | None
    skipped: str | None

    @property
    def rate(self) -> float:
        """Tokens a second, the median."""
        return self.tokens / statistics.median(self.seconds)

    @property
    def best(self) -> float:
        return self.tokens / min(self.seconds)

    @property
    def worst(self) -> float:
        return self.tokens / max(self.seconds)

    @property
    def beyond(self) -> int | None:
        """Bytes at most beyond tokens and result."""
        if self.peak is None or self.result is None:
            return None
        return max(self.peak - self.result, 0)


def rows(group: list[Entry]) -> list[Row]:
    """Of one task, in the order of its contenders; the first that was timed is the baseline, but
    limits are compared with nothing."""
    timed = [each for each in group if each.seconds]
    is_limit = bool(group) and group[0].job.task.kind == LIMITS
    baseline = timed[0] if timed and not is_limit else None
    return [_row(entry, baseline, _alone(entry, timed)) for entry in group]


def _alone(entry: Entry, timed: list[Entry]) -> Entry | None:
    """The same contender with one thread."""
    if entry.contender.threads is not None:
        return None
    same = (each for each in timed if each.contender.name == entry.contender.name)
    return next((each for each in same if each.contender.threads == 1), None)


def _row(entry: Entry, baseline: Entry | None, alone: Entry | None) -> Row:
    job, task = entry.job, entry.job.task
    return Row(
        corpus=f"{job.corpus.name}, V = {job.corpus.vocab_size:,}",
        task=task.name,
        contender=entry.contender.name,
        is_ours=entry.contender.is_ours,
        threads=job.threads,
        tokens=job.tokens.size,
        seconds=entry.seconds,
        unit=task.unit,
        total=job.tokens.size if task.unit == "tokens" else entry.total,
        baseline=None if baseline is None else baseline.contender.name,
        ratio=_ratio(entry, baseline),
        scaling=_ratio(entry, alone),
        peak=entry.peak,
        result=_result(entry),
        skipped=entry.skipped,
    )


def _result(entry: Entry) -> int | None:
    if entry.result is None or entry.distinct is None:
        return entry.result
    return min(entry.result, 12 * entry.distinct + 8 * (entry.job.corpus.vocab_size + 1))


def _ratio(entry: Entry, other: Entry | None) -> float | None:
    """Of rates, round by round: a drift of the machine's speed is in both. Tokens may be more of
    one than of the other."""
    if other is None or not entry.seconds or not other.seconds:
        return None
    shared = zip(entry.seconds, other.seconds, strict=False)
    share = entry.job.tokens.size / other.job.tokens.size
    return statistics.median(share * theirs / mine for mine, theirs in shared)


def markdown(found: list[Row]) -> str:
    lines = ["| " + " | ".join(_HEADER) + " |", "|---" * len(_HEADER) + "|"]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in found if row.seconds]
    return "\n".join(lines)


def _cells(row: Row) -> list[str]:
    units = row.total / statistics.median(row.seconds)
    return [
        *(row.corpus, row.task, row.contender, str(row.threads)),
        *(f"{row.tokens:,}", str(len(row.seconds))),
        *(_millions(each) for each in (row.rate, row.best, row.worst)),
        f"{_millions(units)} {row.unit}" if row.unit != "tokens" else "",
        "" if row.ratio is None else f"{row.ratio:.3g}",
        "" if row.scaling is None else f"{row.scaling:.2f}",
        "" if row.beyond is None else size_text(row.beyond),
    ]


def _millions(rate: float) -> str:
    rate /= 1e6
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:,.3g}"


def notes(found: list[Row]) -> list[str]:
    """What the table does not say by itself: baselines, shares of the machine's limit, and who was
    skipped."""
    baselines = {row.task: row.baseline for row in found if row.seconds and row.baseline}
    told = [f"Baseline of {task}: {name}." for task, name in baselines.items()]
    return [*told, *shares(found), *_skipped(found)]


def shares(found: list[Row]) -> list[str]:
    """Next-token rates beside the histogram's with as many threads."""
    told = []
    histograms = {
        (row.corpus, row.threads): row.rate
        for row in found
        if row.contender == HISTOGRAM and row.seconds
    }
    for row in found:
        limit = histograms.get((row.corpus, row.threads))
        if row.task == "next" and row.is_ours and row.seconds and limit:
            told.append(
                f"Next-token pairs, {row.corpus}: {row.contender} with threads: {row.threads} "
                f"runs at {row.rate / limit:.1%} of the rate of a unigram histogram with as many."
            )
    return told


def _skipped(found: list[Row]) -> list[str]:
    """Each reason once, with all tasks that it holds for."""
    tasks: dict[tuple[str, str], list[str]] = {}
    for row in found:
        if row.skipped is not None:
            tasks.setdefault((row.contender, row.skipped), []).append(row.task)
    return [
        f"Skipped: {contender} ({', '.join(dict.fromkeys(names))}): {reason}."
        for (contender, reason), names in tasks.items()
    ]
