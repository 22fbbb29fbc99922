"""The page: one HTML file with its style and its pictures inside, and nothing to run or to load."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from ..errors import missing_extra
from ..version import __version__
from .blocks import Block, Section, Table

#: Pixels of a picture for one of the page.
SHARPNESS = 2


@dataclass(frozen=True)
class Page:
    """What a page shows.

    Attributes:
        lead: paragraphs below the title.
        overview: one line a section.
        provenance: where the data come from.
    """

    title: str
    lead: Sequence[str]
    overview: Table
    sections: Sequence[Section]
    provenance: Table


def render(page: Page, images: Mapping[str, bytes]) -> str:
    """HTML; every text in it is escaped, tokens above all.

    Args:
        images: PNG files by name, of all pictures.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    # Before any figure is computed in vain, `check_extras` has said what is missing.
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    templates = resources.files(__package__) / "templates"
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((templates / "report.html.j2").read_text("utf-8"))
    return template.render(
        title=page.title,
        lead=page.lead,
        overview=page.overview,
        sections=[_section(section, images) for section in page.sections],
        provenance=page.provenance,
        style=Markup((templates / "report.css").read_text("utf-8")),
        version=__version__,
    )


def check_extras() -> None:
    """Raises MissingExtraError: what a report needs is not installed."""
    for package in ("jinja2", "matplotlib"):
        try:
            __import__(package)
        except ImportError as error:
            raise missing_extra(package, "report", "a report") from error


def _section(section: Section, images: Mapping[str, bytes]) -> dict[str, Any]:
    return {
        "id": section.id,
        "title": section.title,
        "lead": section.lead,
        "blocks": [_block(block, images) for block in section.blocks],
    }


def _block(block: Block, images: Mapping[str, bytes]) -> dict[str, Any]:
    pictures = [
        {
            "src": f"data:image/png;base64,{base64.b64encode(images[each.file]).decode()}",
            "alt": each.alt,
            "caption": each.caption,
            "file": each.file,
            "wide": each.wide,
            **dict(zip(("width", "height"), _size(images[each.file]), strict=True)),
        }
        for each in block.pictures
    ]
    return {
        "title": block.title,
        "text": block.text,
        "pictures": pictures,
        "tables": block.tables,
    }


def _size(png: bytes) -> tuple[int, int]:
    """Width and height on the page, so that it does not move as it loads."""
    width, height = struct.unpack(">II", png[16:24])
    return round(width / SHARPNESS), round(height / SHARPNESS)
