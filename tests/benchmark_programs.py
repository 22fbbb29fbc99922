"""Small programs that read and write as `cooccur`, `count_ngrams` and `lmplz` do."""

from __future__ import annotations

import sys
from pathlib import Path

COOCCUR = """
import struct, sys
from collections import Counter
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert options["-symmetric"] == options["-distance-weighting"] == "0"
assert float(options["-memory"]) > 0 and options["-overflow-file"]
lines = open(options["-vocab-file"]).read().splitlines()
counts = [int(line.split()[1]) for line in lines]
assert counts == sorted(counts, reverse=True)
numbers = {line.split()[0]: number for number, line in enumerate(lines, 1)}
pairs = Counter()
for line in sys.stdin:
    words = [numbers[word] for word in line.split()]
    for place, word in enumerate(words):
        begin = max(place - int(options["-window-size"]), 0)
        pairs.update((other, word) for other in words[begin:place])
for (first, second), count in sorted(pairs.items()):
    sys.stdout.buffer.write(struct.pack("<iid", first, second, count))
"""

COUNT_NGRAMS = """
import struct, sys
from collections import Counter
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert options["--order"] == "2" and options["--memory"].endswith("M")
words, pairs = {"<unk>": 0, "<s>": 1, "</s>": 2}, Counter()
for line in sys.stdin:
    line = ["<s>", *line.split(), "</s>"]
    ids = [words.setdefault(word, len(words)) for word in line]
    pairs.update(zip(ids, ids[1:]))
with open(options["--write_vocab_list"], "w") as file:
    file.write("".join(word + chr(0) for word in words))
for (first, second), count in sorted(pairs.items(), key=lambda item: item[0][::-1]):
    sys.stdout.buffer.write(struct.pack("<IIQ", first, second, count))
"""

LMPLZ = """
import sys, time
tokens = open(sys.argv[sys.argv.index("--text") + 1]).read().split()
say = lambda text: print(text, file=sys.stderr, flush=True)
say("=== 1/5 Counting and sorting n-grams ===")
say(f"Unigram tokens {len(tokens)} types {len(set(tokens)) + 3}")
say("=== 2/5 Calculating and sorting adjusted counts ===")
time.sleep(60)
"""

FAILING = """
import sys
sys.exit("no memory for a table")
"""


def write_program(folder: Path, name: str, code: str) -> Path:
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(0o755)
    return path
