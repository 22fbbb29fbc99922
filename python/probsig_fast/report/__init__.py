"""Reports: how embeddings follow signatures, as a page to look at. Needs the extra `[report]`."""

from .comparison import Comparison, EmbeddingFacts, Measured, Settings
from .language_model import write_language_model_report
from .measure import measure
from .page import check_extras
from .write import check_folder, write_measured, write_report

__all__ = [
    "Comparison",
    "EmbeddingFacts",
    "Measured",
    "Settings",
    "check_extras",
    "check_folder",
    "measure",
    "write_language_model_report",
    "write_measured",
    "write_report",
]
