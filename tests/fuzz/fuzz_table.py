"""All fuzzers, by name."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from fuzz_counts_files import COUNT_STEPS, COUNTS_FILE, COUNTS_FOLDER
from fuzz_kernels import KERNELS
from fuzz_labelled import LABELLED
from fuzz_readers import READERS
from fuzz_streams import STREAMS
from fuzz_support import Draw, Finding, Fuzzer

FUZZERS = {
    each.name: each
    for each in (STREAMS, LABELLED, KERNELS, COUNTS_FILE, COUNTS_FOLDER, COUNT_STEPS, *READERS)
}


def _error(draw: Draw, folder: Path) -> None:
    (folder / "wrong").write_text("")
    if draw.chance(0.2):
        raise Finding("planted")


def _crash(draw: Draw, folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _memory(draw: Draw, folder: Path) -> None:
    bytearray(2**28)


#: Fuzzers that find what was planted, to show that something would be found.
PLANTED = {
    each.name: each
    for each in (
        Fuzzer("planted-error", _error),
        Fuzzer("planted-crash", _crash),
        Fuzzer("planted-memory", _memory, 2**26),
    )
}
