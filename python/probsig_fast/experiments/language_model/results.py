"""What a training showed, as tables that answer what was asked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...counts import Counts
from ..composite_addition.results import aligned, figure
from .measure import FRACTIONS, STRATA, SideNotes
from .setup import Setup
from .verdict import RULE, Verdict

Log = Mapping[str, NDArray[np.float64]]

_HEADINGS = {
    "r_raw": "raw",
    "r_centred": "centred",
    "top_0_1_percent": "top 0.1 %",
    "top_0_1_percent_lift": "lift",
    "top_1_percent": "top 1 %",
    "top_1_percent_lift": "lift",
    "digits": "digits",
    "digits_near": "near",
    "digits_far": "far",
}


@dataclass(frozen=True, eq=False)
class LanguageModelRun:
    """One model, trained from scratch; prints as its trajectory and the answers.

    Attributes:
        setup, seed; device: where it was trained.
        corpus: where the text is from and how much it was (see `Corpus.notes`).
        counts: of the tokens that it was trained on.
        passes: how often it saw each of them.
        steps: int64 [T], after how many steps of the optimiser the log was taken.
        log: float64 [T] by name: `loss` (of some rows of the training text) and `held_out_loss`,
            nats a token; and with the prefix `input_` (W^E and phi_next) or `output_` (W^U and
            psi_pre): `r_raw`, `r_centred`; `top_0_1_percent`, `top_1_percent`, the mean signature
            cosine of that share of pairs, those closest in the mean-centred embedding, and
            `..._lift`, the same over that of all pairs; `stratum_1` (the rarest tokens) to
            `stratum_4`, R_cos of the mean-centred embedding within tokens of about equal frequency;
            `digits`, `digits_near`, `digits_far` (see `DigitOrder`).
        sides: by the same prefixes, what is told once.
        verdicts: on the figures that the question is about.
        W_E, W_U: [V, d], after the last step.
        tokenizer: that the text was encoded with.
        seconds: of training and measuring.
    """

    setup: Setup
    seed: int
    device: str
    corpus: Mapping[str, Any]
    passes: float
    steps: NDArray[np.int64]
    log: Log = field(repr=False)
    sides: Mapping[str, SideNotes] = field(repr=False)
    verdicts: tuple[Verdict, ...] = field(repr=False)
    W_E: NDArray[np.floating[Any]] = field(repr=False)
    W_U: NDArray[np.floating[Any]] = field(repr=False)
    counts: Counts = field(repr=False)
    tokenizer: Any = field(repr=False)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """All but the matrices, the counts' pairs and the tokenizer, as JSON can hold it: a figure
        that is undefined is None."""
        fields: dict[str, Any] = _plain(
            {
                "experiment": "language-model",
                "setup": dataclasses.asdict(self.setup),
                "seed": self.seed,
                "device": self.device,
                "seconds": round(self.seconds, 1),
                "corpus": {**self.corpus, "passes": self.passes},
                "counts": {"pairs": self.counts.total, "distinct_pairs": self.counts.nnz},
                "steps": self.steps.tolist(),
                "log": {name: values.tolist() for name, values in self.log.items()},
                "sides": {name: _side_dict(side) for name, side in self.sides.items()},
                "verdicts": [dataclasses.asdict(each) for each in self.verdicts],
                "verdict_rule": RULE,
            }
        )
        return fields

    def __str__(self) -> str:
        parts = [self._title(), self._losses()]
        parts += [self._trajectory(prefix, side) for prefix, side in self.sides.items()]
        parts += [self._answer(), self._hidden(), self._digits()]
        return "\n\n".join("\n".join(part) for part in parts)

    def _title(self) -> list[str]:
        c, s = self.corpus, self.setup
        told = [
            f"Qwen2 architecture, {s.layers} layers of width {s.width}, {self.steps[-1]:,} steps "
            f"of {s.batch} x {s.sequence_length} tokens, seed {self.seed}, {self.device}",
            f"trained on {c['tokens']:,} tokens of {c['documents']:,} documents "
            f"({self.passes:.3g} passes; V = {c['vocab_size']:,}) from {c['origin']}",
            f"counted on the same tokens: {self.counts.total:,} pairs, {self.counts.nnz:,} "
            f"distinct, none across documents; tokens seen fewer than {s.min_support} times "
            "are not compared",
        ]
        return [line for text in told for line in _wrapped(text)]

    def _losses(self) -> list[str]:
        lines = [["step", "tokens seen", "loss", "held out"]]
        for at, step in enumerate(self.steps.tolist()):
            seen = step * self.setup.batch * self.setup.sequence_length
            losses = (figure(self.log[name][at], 3) for name in ("loss", "held_out_loss"))
            lines.append([f"{step:,}", f"{seen:,}", *losses])
        return aligned(lines)

    def _trajectory(self, prefix: str, side: SideNotes) -> list[str]:
        lines = [["step", *_HEADINGS.values()]]
        for at, step in enumerate(self.steps.tolist()):
            cells = (figure(self.log[f"{prefix}_{name}"][at], 3) for name in _HEADINGS)
            lines.append([f"{step:,}", *cells])
        told = (
            f"{side.matrix} and {side.signature}, {side.tokens:,} tokens: R_cos raw and centred; "
            f"mean cosine of {side.signature} in the top pairs of the centred {side.matrix} and "
            f"its lift over all pairs ({figure(side.mean_signature_cosine, 3)}); digits: rank "
            "correlation of cosines with -|a - b|, mean cosine for |a - b| = 1 and >= 4"
        )
        return [*_wrapped(told), *aligned(lines)]

    def _answer(self) -> list[str]:
        heading = ["", "step 0", "highest", "at step", "90 % by", "end", "end/highest", "verdict"]
        lines = [heading]
        for each in self.verdicts:
            shares = (each.last, each.last_over_highest)
            lines.append(
                [
                    each.figure,
                    *(figure(value, 3) for value in (each.first, each.highest)),
                    *(f"{step:,}" for step in (each.highest_step, each.most_step)),
                    *(figure(value, 3) for value in shares),
                    each.words,
                ]
            )
        title = "Does alignment rise early, and does it stay?"
        return [title, *aligned(lines, left=(0, 7)), *_wrapped(f"({RULE})")]

    def _hidden(self) -> list[str]:
        rows = list(_hidden_rows(self.sides, self.log))
        heads = [side.matrix for side in self.sides.values()]
        lines = [["", *(f"{head}, {when}" for head in heads for when in ("step 0", "end"))], *rows]
        title = "What does the single number hide?"
        return [title, *aligned(lines, left=(0,))]

    def _digits(self) -> list[str]:
        lines = [["", "step 0", "end", "near", "far"]]
        for prefix, side in self.sides.items():
            log = {name: self.log[f"{prefix}_{name}"] for name in _HEADINGS}
            cells = (log["digits"][0], *(log[f"digits{x}"][-1] for x in ("", "_near", "_far")))
            lines.append([side.matrix, *(figure(float(cell), 3) for cell in cells)])
            own = (side.digits.spearman, side.digits.near, side.digits.far)
            lines.append([f"{side.signature} itself", "", *(figure(cell, 3) for cell in own)])
        title = "Are the digits in order? (rank correlation of cosines with -|a - b|)"
        missing = next(iter(self.sides.values())).missing_digits
        note = [f"digits left out: {missing}"] if missing else []
        return [title, *aligned(lines, left=(0,)), *note]


def _hidden_rows(sides: Mapping[str, SideNotes], log: Log) -> Iterator[list[str]]:
    def row(name: str, key: str) -> list[str]:
        ends = (log[f"{prefix}_{key}"][at] for prefix in sides for at in (0, -1))
        return [name, *(figure(float(value), 3) for value in ends)]

    yield row("R_cos, raw", "r_raw")
    yield row("R_cos, centred", "r_centred")
    for name, key in (("  tokens permuted", "null"), ("  within bands", "banded_null")):
        nulls = [getattr(side, key) for side in sides.values()]
        if all(null is not None for null in nulls):
            told = (f"{null.mean:+.3f} +- {null.deviation:.3f}" for null in nulls)
            yield [name, *(cell for text in told for cell in ("", text))]
    for i in range(1, STRATA + 1):
        yield row(f"  {_ORDINALS[i - 1]}", f"stratum_{i}")
    means = [figure(side.mean_signature_cosine, 3) for side in sides.values()]
    yield ["signature cosine, all pairs", *(cell for mean in means for cell in (mean, mean))]
    for name, fraction in FRACTIONS.items():
        yield row(f"  closest {100 * fraction:g} % of pairs", name)
        yield row("    lift", f"{name}_lift")


_ORDINALS = ("rarest quarter of tokens", "second", "third", "most frequent quarter")


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, 100)


def _side_dict(side: SideNotes) -> dict[str, Any]:
    fields = {field.name: getattr(side, field.name) for field in dataclasses.fields(side)}
    fields["strata"] = [dataclasses.asdict(stratum) for stratum in side.strata]
    fields["digits"] = dataclasses.asdict(side.digits)
    fields["strong"] = [pair._asdict() for pair in side.strong]
    for name in ("null", "banded_null"):
        null = fields[name]
        if null is not None:
            fields[name] = {
                each: getattr(null, each)
                for each in ("draws", "bands", "seed", "observed", "mean", "deviation", "p_value")
            }
    return fields


def _plain(value: Any) -> Any:
    """JSON has no NaN, no tuples, and none of NumPy's numbers."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
