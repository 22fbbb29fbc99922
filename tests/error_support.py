"""What tests of bad input share."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import probsig_fast as ps

V, Q = 4, 3
TOKENS = np.array([0, 1, 2, 1], np.uint16)


def raises(error: type[Exception], message: str) -> Any:
    """The error with a message that begins so."""
    return pytest.raises(error, match=f"^{re.escape(message)}")


def labelled(X: Any = ((0, 1), (2,)), y: Any = (0, 1), **arguments: Any) -> ps.LabelledCounts:
    return ps.count_labelled(X, y, **{"vocab_size": V, "n_labels": Q, **arguments})
