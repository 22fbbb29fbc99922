"""dolma's table of documents, `X.csv.gz`: lines of start, end, id, src and loc."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from array import array
from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ..errors import ProbsigError, SourceError
from .documents import Ends
from .remote import open_binary

#: Documents of which the ends are in memory at a time.
BLOCK = 2**20
#: Columns of the table, which has no line that names them.
COLUMNS = ["start", "end", "id", "src", "loc"]
#: Bytes of one of its lines at most: a compressed file can hold gigabytes without a line break.
MAX_LINE = 2**20
#: A line as nearly all are: nothing quoted, so that a line break ends it.
_PLAIN = re.compile(
    rb'^([0-9]{1,18}),([0-9]{1,18}),[^\x00",\r\n]*,[^\x00",\r\n]*,[^\x00",\r\n]*\r?\n', re.MULTILINE
)


def document_ends(table: str) -> Iterator[Ends]:
    """The ends of documents, each of which begins where the one before ends.

    Raises:
        SourceError: anything else, with the line; no whole gzip data, no text.
    """
    last = line = 0
    try:
        with open_binary(table) as packed, gzip.GzipFile(fileobj=packed) as file:
            rest = b""
            while True:
                block = rest + file.read(MAX_LINE)
                places, rest = _plain(block, first=line == 0)
                if not places.size:
                    break
                _check(places, last, np.arange(line + 1, line + 1 + len(places)), table)
                yield places[:, 1]
                last, line = int(places[-1, 1]), line + len(places)
            # What is left has quotes, other letters, damage, or nothing.
            yield from _carefully(rest, file, last, line, table)
    except ProbsigError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"tokens: expected whole gzip data in {table}: {error}") from error


def _plain(block: bytes, first: bool) -> tuple[NDArray[np.int64], bytes]:
    """Start and end in each line of a block, and what follows its last line; none, and all of it,
    where a line is not plain."""
    cut = block.rfind(b"\n") + 1
    lines = block[:cut]
    if not first or not lines.startswith(b"start"):
        found = _PLAIN.findall(lines) if lines.isascii() else []
        if found and len(found) == lines.count(b"\n"):
            return np.array(found, "S18").astype(np.int64), block[cut:]
    return np.empty((0, 2), np.int64), block


def _carefully(
    rest: bytes, file: IO[bytes] | gzip.GzipFile, last: int, line: int, table: str
) -> Iterator[Ends]:
    """The same by a parser of CSV, a line at a time."""
    places, lines = array("q"), array("q")
    for number, start, end in _rows(rest, file, line, table):
        places.extend((start, end))
        lines.append(number)
        if len(lines) == BLOCK:
            found = np.frombuffer(places, np.int64).reshape(-1, 2)
            _check(found, last, np.frombuffer(lines, np.int64), table)
            yield found[:, 1]
            last = end
            places, lines = array("q"), array("q")
    if lines:
        found = np.frombuffer(places, np.int64).reshape(-1, 2)
        _check(found, last, np.frombuffer(lines, np.int64), table)
        yield found[:, 1]


def _check(places: NDArray[np.int64], last: int, lines: NDArray[np.int64], table: str) -> None:
    """That documents begin with `last` and leave no token out."""
    starts, ends = places[:, 0], places[:, 1]
    expected = np.concatenate([[last], ends[:-1]])
    wrong = (starts != expected) | (ends < starts)
    if wrong.any():
        i = int(wrong.argmax())
        late = starts[i] != expected[i]
        what = f"start {expected[i]}" if late else f"an end from {starts[i]} on"
        raise SourceError(
            f"tokens: expected {what} in line {lines[i]} of {table}, got "
            f"{starts[i] if late else ends[i]}: documents that leave tokens out or overlap"
        )


def _rows(
    rest: bytes, file: IO[bytes] | gzip.GzipFile, line: int, table: str
) -> Iterator[tuple[int, int, int]]:
    """Each document's line, start and end."""
    reader = csv.reader(_lines(rest, file, line, table), strict=True)
    try:
        for row in reader:
            number = line + reader.line_num
            if number == 1 and row == COLUMNS:
                continue
            if len(row) != len(COLUMNS):
                raise SourceError(
                    f"tokens: expected {', '.join(COLUMNS)} in line {number} of {table}, got "
                    f"{len(row)} values"
                )
            yield number, _place(row[0], number, table), _place(row[1], number, table)
    except (csv.Error, UnicodeDecodeError) as error:
        raise SourceError(
            f"tokens: expected a table of text in {table}, got, in line "
            f"{line + reader.line_num + 1}: {error}"
        ) from error


def _lines(rest: bytes, file: IO[bytes] | gzip.GzipFile, line: int, table: str) -> Iterator[str]:
    """The lines of `rest` and of what the file still has."""
    begin = 0
    while True:
        cut = rest.find(b"\n", begin) + 1
        if cut:
            text, begin = rest[begin:cut], cut
        else:
            text = rest[begin:] + file.readline(MAX_LINE)
            rest, begin = b"", 0
        line += 1
        if not text:
            return
        if len(text) >= MAX_LINE:
            raise SourceError(
                f"tokens: expected lines shorter than {MAX_LINE} bytes in {table}, got line {line}"
            )
        yield text.decode("utf-8")


def _place(text: str, number: int, table: str) -> int:
    """A place in the token file: digits only, of what 63 bits hold."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        shown = text if len(text) < 40 else text[:40] + "..."
        raise SourceError(
            f"tokens: expected a place in tokens in line {number} of {table}, got {shown!r}"
        )
    return int(text)
