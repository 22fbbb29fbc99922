"""Damage to bytes: what a disk, a network, another program or an enemy makes of a file."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

from fuzz_support import Draw

#: Numbers at which something goes round, ends, or is looked at as another sign.
EDGES = (0, 1, -1, 2, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, -(2**31), 2**32 - 1)
WIDE_EDGES = (*EDGES, 2**32, 2**40, 2**53, 2**62, 2**63 - 1, -(2**63), 2**64 - 1)


def mutated(draw: Draw, content: bytes, numbers: int = 200) -> bytes:
    """`content` with one to three faults; `numbers`: where a header of numbers may end."""
    for _ in range(draw.one_of([1, 1, 1, 2, 3])):
        content = draw.one_of(_WAYS)(draw, content, numbers)
    return content


def _flipped(draw: Draw, content: bytes, _: int) -> bytes:
    if not content:
        return content
    damaged = bytearray(content)
    for _ in range(draw.one_of([1, 1, 1, 4])):
        damaged[draw.below(len(damaged))] ^= 1 << draw.below(8)
    return bytes(damaged)


def _flipped_in_header(draw: Draw, content: bytes, numbers: int) -> bytes:
    return _flipped(draw, content[:numbers], 0) + content[numbers:]


def _number(draw: Draw, content: bytes, numbers: int) -> bytes:
    """A number of the header, or anywhere, is another one."""
    width = draw.one_of([1, 2, 4, 8])
    end = min(len(content), numbers if draw.chance(0.7) else len(content)) - width
    if end < 0:
        return content
    place = draw.between(0, end)
    before = int.from_bytes(content[place : place + width], "little")
    value = draw.one_of([draw.one_of(WIDE_EDGES), before + 1, before - 1, before * 2, -before])
    value %= 2 ** (8 * width)
    return content[:place] + value.to_bytes(width, "little") + content[place + width :]


def _cut(draw: Draw, content: bytes, _: int) -> bytes:
    return content[: draw.between(0, len(content))]


def _extended(draw: Draw, content: bytes, _: int) -> bytes:
    more = draw.one_of([b"\0", b"\0" * 8, content[: draw.between(0, 200)], b"\xff" * 4])
    return content + more * draw.one_of([1, 1, 50])


def _removed(draw: Draw, content: bytes, _: int) -> bytes:
    begin = draw.between(0, len(content))
    return content[:begin] + content[begin + draw.one_of([1, 2, 4, 8, 9, 64]) :]


def _inserted(draw: Draw, content: bytes, _: int) -> bytes:
    begin = draw.between(0, len(content))
    return content[:begin] + draw.rng.bytes(draw.one_of([1, 2, 4, 8, 64])) + content[begin:]


def _swapped(draw: Draw, content: bytes, _: int) -> bytes:
    """Two stretches of one length change places."""
    length = draw.one_of([1, 2, 4, 8, 64])
    if len(content) < 2 * length:
        return content
    a, b = sorted(draw.between(0, len(content) - length) for _ in range(2))
    b = max(b, min(a + length, len(content) - length))
    if b < a + length:
        return content
    first, second = content[a : a + length], content[b : b + length]
    return content[:a] + second + content[a + length : b] + first + content[b + length :]


def _blank(draw: Draw, content: bytes, _: int) -> bytes:
    """A stretch that was never written to the disk: zeros."""
    begin = draw.between(0, len(content))
    end = min(begin + draw.one_of([1, 8, 512, 4096]), len(content))
    return content[:begin] + b"\0" * (end - begin) + content[end:]


def _random(draw: Draw, content: bytes, _: int) -> bytes:
    return draw.rng.bytes(draw.size(400))


_WAYS: list[Callable[[Draw, bytes, int], bytes]] = [
    *[_flipped, _flipped_in_header, _flipped_in_header, _number, _number, _number, _cut, _cut],
    *[_extended, _removed, _inserted, _swapped, _blank, _random],
]


#: What stands for a value in JSON where a reader expects another one.
_JSON_VALUES = (
    *[None, True, False, 0, 1, -1, 1.5, 1e308, "", "0", "next", "\0", [], [0], [[]], {}, {"": 0}],
    *WIDE_EDGES,
    10**30,
)


def json_mutated(draw: Draw, text: bytes) -> bytes:
    """The text of another value, or no JSON at all."""
    kind = draw.below(10)
    if kind == 0:
        return mutated(draw, text)
    if kind == 1:
        return draw.one_of(
            [b"[" * 50_000, b'{"a":' * 50_000, b"NaN", b"", b"\xff\xfe", b"1" * 5_000]
        )
    if kind == 2:  # a name that comes twice
        return text.replace(b"{", b"{" + text[1:60].partition(b",")[0] + b",", 1)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # damaged before
        return mutated(draw, text)
    for _ in range(draw.one_of([1, 1, 2])):
        value = changed_value(draw, value)
    return json.dumps(value).encode()


def changed_value(draw: Draw, value: Any) -> Any:
    """A JSON value, changed somewhere; a text that is JSON itself may be changed within."""
    places: list[tuple[Any, Any]] = []
    _collect(value, places)
    if not places:
        return draw.one_of(_JSON_VALUES)
    holder, key = draw.one_of(places)
    old = holder[key]
    if isinstance(old, str) and old.startswith("{") and draw.chance(0.9):
        with contextlib.suppress(ValueError):
            holder[key] = json.dumps(changed_value(draw, json.loads(old)))
            return value
    kind = draw.below(5)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(old, int):
        holder[key] = draw.one_of([old + 1, old - 1, -old, old * 2, float(old), str(old)])
    elif kind == 2:
        holder[key] = _other_of(draw, places)
    elif kind == 3 and isinstance(holder, dict):
        holder[draw.one_of([key + "x", "", "data", "extra"])] = old
    else:
        holder[key] = draw.one_of(_JSON_VALUES)
    return value


def _other_of(draw: Draw, places: list[tuple[Any, Any]]) -> Any:
    """A value from elsewhere: swapped arrays, offsets, names."""
    holder, key = draw.one_of(places)
    return json.loads(json.dumps(holder[key]))


def _collect(value: Any, places: list[tuple[Any, Any]]) -> None:
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        places.append((value, key))
        if isinstance(value[key], (dict, list)):
            _collect(value[key], places)
