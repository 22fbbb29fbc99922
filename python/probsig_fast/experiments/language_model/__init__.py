"""A small language model, trained from scratch on counted text: do its embeddings come to follow
the probability signatures, and when?

    >>> from probsig_fast.experiments.language_model import SETUPS
    >>> SETUPS["tiny"].steps
    1500

(arXiv 2509.20124) Needs the extra `[experiments]`.
"""

from .checkpoints import remove_checkpoints, save_checkpoint
from .corpus import Corpus, Texts, library_texts, make_corpus, pile_texts
from .digits import DigitOrder, Digits, digit_order, find_digits
from .measure import SideNotes
from .reproduction import reproduce
from .results import LanguageModelRun
from .setup import SETUPS, Setup, make_setup
from .verdict import RULE, Verdict, judge

__all__ = [
    "RULE",
    "SETUPS",
    "Corpus",
    "DigitOrder",
    "Digits",
    "LanguageModelRun",
    "Setup",
    "SideNotes",
    "Texts",
    "Verdict",
    "digit_order",
    "find_digits",
    "judge",
    "library_texts",
    "make_corpus",
    "make_setup",
    "pile_texts",
    "remove_checkpoints",
    "reproduce",
    "save_checkpoint",
]
