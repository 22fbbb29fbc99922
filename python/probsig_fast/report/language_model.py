"""The report of the language-model experiment: its training, and what its embeddings came to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..plots.language_model import language_model_curves
from .blocks import Block, Picture, Section, Table, count, number
from .comparison import Comparison, EmbeddingFacts, Settings
from .measure import measure
from .page import check_extras
from .write import check_folder, write_measured

if TYPE_CHECKING:
    from ..experiments.language_model import LanguageModelRun

_SIDES = {"input": "phi_next", "output": "psi_pre"}


def write_language_model_report(
    folder: str | Path, run: LanguageModelRun, settings: Settings | None = None
) -> list[Path]:
    """A page as `write_report` writes it: the training's curves and verdicts, then W^E beside
    phi_next and W^U beside psi_pre after the last step.

    Args:
        folder: new, empty, or an earlier report's.
        run: of `experiments.language_model.reproduce`.

    Returns, Raises, Cost: as `write_report`.
    """
    folder = Path(folder)
    check_extras()
    check_folder(folder)
    settings = settings or Settings()
    measured = [measure(each, settings) for each in _comparisons(run)]
    return write_measured(folder, measured, settings, _provenance(run), more=[_training(run)])


def _comparisons(run: LanguageModelRun) -> list[Comparison]:
    from ..alignment import prepare

    found = []
    for (which, name), W in zip(_SIDES.items(), (run.W_E, run.W_U), strict=True):
        signature = prepare(getattr(run.counts, name)(), run.setup.min_support)
        source = f"trained here, {run.steps[-1]:,} steps"
        facts = EmbeddingFacts(run.sides[which].matrix, source, which, False, *W.shape)
        found.append(Comparison(W, signature, facts))
    return found


def _training(run: LanguageModelRun) -> Section:
    steps = len(run.steps)
    alt = (
        f"Curves over {steps} checkpoints: loss; R_cos raw and mean-centred with the spread of "
        "permuted tokens; signature cosines of the closest pairs; order of the digits; R_cos in "
        "quarters of the tokens by frequency. The table below has the figures."
    )
    caption = (
        f"A model trained from scratch on {run.counts.total:,} pairs, which are the pairs counted; "
        f"{steps} checkpoints, step 0 being the untrained model: what it shows comes from the "
        "architecture and from chance."
    )
    picture = Picture("training.png", language_model_curves(run), alt, caption, wide=True)
    lead = [
        "Does alignment rise early, and does it stay? The curves, and a verdict on each by the "
        "rule beneath the table."
    ]
    return Section(
        "training", "Over training", lead, [Block("Curves", [], [picture], [_table(run)])]
    )


def _table(run: LanguageModelRun) -> Table:
    from ..experiments.language_model import RULE

    head = ["figure", "step 0", "highest", "at step", "90 % by", "end", "verdict"]
    rows = [
        [
            each.figure,
            number(each.first, 3),
            number(each.highest, 3),
            count(each.highest_step),
            count(each.most_step),
            number(each.last, 3),
            each.words,
        ]
        for each in run.verdicts
    ]
    return Table(f"Verdicts; {RULE}", head, rows, alone=True, words=frozenset({6}))


def _provenance(run: LanguageModelRun) -> dict[str, Any]:
    setup = run.setup
    return {
        "model": f"Qwen2 architecture, {setup.layers} layers of width {setup.width}, from scratch",
        "training": f"{run.steps[-1]:,} steps of {setup.batch} x {setup.sequence_length} tokens",
        "text": dict(run.corpus),
        "relation": "next",
        "min_support": setup.min_support,
        "seed": run.seed,
        "device": run.device,
    }
