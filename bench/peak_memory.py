"""Prints the peak of resident memory beyond the tokens of one count, and the result's bytes.

python peak_memory.py TOKENS.u16.bin VOCAB_SIZE RELATION BACKEND MEMORY

MEMORY: for relations of sets, what `memory=` is to be (row ranges go to files); else empty.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import probsig_fast as ps

RELATIONS = {
    "Next()": (ps.Next(), {}),
    "Window(10)": (ps.Window(10), {}),
    "Prefix(64)": (ps.Prefix(64), {}),
    "Prefix(1024)": (ps.Prefix(1024), {}),
    "SameSequence()": (ps.SameSequence(), {"sequence_length": 2048}),
}


def peak() -> int:
    """Bytes. The process's own high-water mark: getrusage's also covers whoever started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


path, vocab_size, relation, backend, memory = sys.argv[1:]
tokens = np.fromfile(path, np.uint16)
chosen, rules = RELATIONS[relation]
rules |= {"vocab_size": int(vocab_size), "backend": backend}
# Compiled and loaded before the measuring starts.
ps.count(tokens[:5000], chosen, **rules)
with tempfile.TemporaryDirectory() as folder:
    if memory:
        rules |= {"memory": memory, "work_dir": Path(folder) / "counts"}
    before = peak()
    counts = ps.count(tokens, chosen, **rules)
    beyond = peak() - before
    # Indices and counts in 32 bits, as a file has them where they fit.
    print(beyond, counts.vocab_size * 8 + 8 + counts.nnz * (8 if memory else 12))
