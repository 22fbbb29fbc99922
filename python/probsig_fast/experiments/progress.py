"""The progress bar of an experiment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(total: int, name: str, progress: bool | None) -> Iterator[Callable[[int], object]]:
    """A function that advances a bar on standard error by so many steps.

    `progress`: None shows it if standard error is a terminal.
    """
    shown = sys.stderr is not None and sys.stderr.isatty() if progress is None else progress
    if not shown:
        yield lambda steps: None
        return
    from tqdm import tqdm

    with tqdm(total=total, unit="step", desc=name, leave=False) as shown_bar:
        yield shown_bar.update
