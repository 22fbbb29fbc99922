"""Prints the peak of resident memory beyond the tokens of one count, and the result's bytes.

python peak_memory.py TOKENS.u16.bin VOCAB_SIZE RELATION BACKEND
"""

import sys
from pathlib import Path

import numpy as np

import probsig_fast as ps


def peak() -> int:
    """Bytes. The process's own high-water mark: getrusage's also covers whoever started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


path, vocab_size, relation, backend = sys.argv[1:]
tokens = np.fromfile(path, np.uint16)
chosen = {"Next()": ps.Next(), "Window(10)": ps.Window(10)}[relation]
# Compiled and loaded before the measuring starts.
ps.count(tokens[:1000], chosen, vocab_size=int(vocab_size), backend=backend)
before = peak()
counts = ps.count(tokens, chosen, vocab_size=int(vocab_size), backend=backend)
print(peak() - before, counts.indptr.nbytes + counts.indices.nbytes + counts.data.nbytes)
