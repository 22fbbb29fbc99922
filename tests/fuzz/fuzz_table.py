"""All fuzzers, by name."""

from __future__ import annotations

from fuzz_counts_files import COUNTS_FILE, COUNTS_FOLDER
from fuzz_kernels import KERNELS
from fuzz_labelled import LABELLED
from fuzz_readers import READERS
from fuzz_streams import STREAMS

FUZZERS = {
    each.name: each for each in (STREAMS, LABELLED, KERNELS, COUNTS_FILE, COUNTS_FOLDER, *READERS)
}
