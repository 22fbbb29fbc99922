"""A report: measured, drawn, and written as one page with its pictures and numbers beside it."""

from __future__ import annotations

import io
import json
import math
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError
from ..files import atomic_write
from ..version import __version__
from . import headline, pairs, tokens
from .blocks import Picture, Section, Table, plain
from .comparison import Comparison, Measured, Settings
from .measure import measure
from .over_training import over_training
from .page import SHARPNESS, Page, check_extras, render

if TYPE_CHECKING:
    from ..alignment import Alignment, Trajectory

PAGE, DATA = "report.html", "report.json"
_DPI = 72 * SHARPNESS


def check_folder(folder: Path) -> None:
    """Before hours of work: a report goes into a new folder, an empty one, or an earlier report's.

    Raises:
        ArgumentError: it is none of these.
    """
    if not folder.parent.is_dir() or (folder.exists() and not folder.is_dir()):
        raise ArgumentError(f"--report: expected a folder in an existing one, got {str(folder)!r}")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / DATA).is_file():
        raise ArgumentError(
            "--report: expected a new folder, an empty one or that of an earlier report, "
            f"got {str(folder)!r}"
        )


def write_report(
    folder: str | Path,
    comparisons: Sequence[Comparison],
    settings: Settings | None = None,
    provenance: Mapping[str, Any] | None = None,
    trajectory: Trajectory | None = None,
) -> list[Path]:
    """How embeddings follow signatures, as a page to look at.

    Writes `report.html`, one file that loads nothing else (pictures are inside, no script, no
    network), the same pictures as PNG files, and `report.json` with every number.

    Args:
        folder: new, empty, or an earlier report's; made if it is missing.
        comparisons: at least one, each a section.
        settings: how figures are computed and drawn.
        provenance: what to tell of where the data come from, by name.
        trajectory: of checkpoints, for a section with its curves.

    Returns:
        The files written, the page first.

    Raises:
        MissingExtraError: Jinja2 or Matplotlib is not installed (the extra [report]).
        ArgumentError: no comparisons, or a folder that holds other things; and as
            `alignment.align`.

    Cost: that of `alignment.align`, twice a comparison, and some seconds for the pictures.
    """
    folder = Path(folder)
    check_extras()
    check_folder(folder)
    if not comparisons:
        raise ArgumentError("comparisons: expected at least one, got none")
    settings = settings or Settings()
    measured = [measure(comparison, settings) for comparison in comparisons]
    return write_measured(folder, measured, settings, provenance or {}, trajectory)


def write_measured(
    folder: Path,
    measured: Sequence[Measured],
    settings: Settings,
    provenance: Mapping[str, Any],
    trajectory: Trajectory | None = None,
    more: Sequence[Section] = (),
) -> list[Path]:
    """The same of figures that are there already, behind `more` sections."""
    told = {
        "probsig_fast": __version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **provenance,
        "versions": _versions(),
    }
    page = _page(measured, settings, told, trajectory, more)
    images = {each.file: _png(each) for each in _pictures(page.sections)}
    html = render(page, images)
    data = {
        "provenance": told,
        "comparisons": [_fields(each) for each in measured],
        **({"trajectory": trajectory.to_dict()} if trajectory is not None else {}),
        "files": [PAGE, *images],
    }
    text = json.dumps(finite(data), indent=2, allow_nan=False)
    folder.mkdir(exist_ok=True)
    _remove_pictures(folder)
    files = {
        # A path may hold bytes that are no text.
        PAGE: html.encode("utf-8", "backslashreplace"),
        DATA: text.encode() + b"\n",
        **images,
    }
    for name, content in files.items():
        with atomic_write(folder / name) as file:
            file.write(content)
    return [folder / name for name in files]


def _versions() -> dict[str, str]:
    import numpy as np
    import torch

    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
    }


def _remove_pictures(folder: Path) -> None:
    """Those of an earlier report, which may have had others than this one."""
    try:
        told = json.loads((folder / DATA).read_text("utf-8"))["files"]
    except (OSError, ValueError, TypeError, KeyError):
        return
    for name in told if isinstance(told, list) else []:
        path = folder / str(name)
        if path.suffix == ".png" and path.parent == folder:
            path.unlink(missing_ok=True)


def title_of(measured: Measured) -> str:
    signature, embedding = measured.comparison.signature, measured.comparison.embedding
    both = len(signature.parts) > 1 and embedding.tied
    return f"{signature.name} and the {'tied' if both else embedding.which} embedding"


def finite(value: Any) -> Any:
    """JSON knows no NaN: an undefined figure is null."""
    if isinstance(value, Mapping):
        return {name: finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _page(
    measured: Sequence[Measured],
    settings: Settings,
    provenance: Mapping[str, Any],
    trajectory: Trajectory | None,
    more: Sequence[Section],
) -> Page:
    titled = [(title_of(each), each) for each in measured]
    sections = [*more, *(_section(title, each, settings) for title, each in titled)]
    lead = [
        "Tokens that are followed, or preceded, by the same tokens have similar probability "
        "signatures. This page asks whether a model holds such tokens close together: it sets the "
        "cosines between rows of the embedding beside the cosines between signatures of the same "
        "tokens, exactly and over all pairs, and each figure beside what chance would give."
    ]
    if trajectory is not None:
        sections.append(over_training(trajectory))
    rows = [[name, plain(value)] for name, value in provenance.items()]
    return Page(
        "Does the embedding follow the data?",
        lead,
        headline.overview(titled),
        sections,
        Table("Data, model and versions", ["what", "which"], rows, words=frozenset({1})),
    )


def _section(title: str, measured: Measured, settings: Settings) -> Section:
    prefix = file_prefix(measured)
    blocks = [
        headline.figures(measured, prefix),
        pairs.strong_pairs(measured, settings),
        pairs.density(measured, prefix),
        pairs.groups(measured, prefix, settings),
        tokens.neighbours(measured, prefix),
        tokens.strata(measured, prefix),
        tokens.single_tokens(measured, prefix, settings),
    ]
    return Section(prefix, title, headline.lead(measured), blocks)


def file_prefix(measured: Measured) -> str:
    comparison = measured.comparison
    return f"{comparison.signature.name.replace('+', '-')}-{comparison.embedding.which}"


def _pictures(sections: Sequence[Section]) -> list[Picture]:
    return [
        picture for section in sections for block in section.blocks for picture in block.pictures
    ]


def _png(picture: Picture) -> bytes:
    buffer = io.BytesIO()
    # Without the version of Matplotlib: the same figures are the same bytes.
    picture.figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def _fields(measured: Measured) -> dict[str, Any]:
    comparison = measured.comparison
    return {
        "title": title_of(measured),
        "signature": comparison.signature.name,
        "condition": comparison.signature.condition,
        "min_support": comparison.signature.min_support,
        "embedding": vars(comparison.embedding),
        "raw": _figures(measured.raw),
        "mean_centred": _figures(measured.centred),
        "pairs_drawn": measured.pairs[True].embedding.size,
        "groups": [
            {"name": each.name, "tokens": each.tokens, "missing": each.missing}
            for each in measured.groups.groups
        ],
    }


def _figures(result: Alignment) -> dict[str, Any]:
    """With what follows from the figures, so that no reader has to know how."""
    fields = result.to_dict()
    for name, null in (("null", result.null), ("banded_null", result.banded_null)):
        fields[name] |= {"z": null.z, "exact_z": null.exact_z, "p_value": null.p_value}
    strong = result.strong_pairs
    fields["strong_pairs"] |= {
        "signature_lift": strong.signature_lift,
        "embedding_lift": strong.embedding_lift,
        "overlap_share": strong.overlap_share,
    }
    return fields
