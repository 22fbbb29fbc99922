"""Damaged counts files and folders: an error of the package, or the counts they were made of."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_support import Draw, Finding, Fuzzer, check, temporary
from mutations import changed_value, json_mutated, mutated

import probsig_fast as ps
from probsig_fast import row_files
from probsig_fast.errors import ProbsigError
from probsig_fast.steps import CountSteps

#: What a file may cost beyond its own size, whatever it says.
MEMORY = 2**28
_V, _LABELS = 12, 4
_TABLES = ("indptr", "indices", "data", "row_sum", "column_sum")
KINDS: dict[str, Any] = {
    "next": ps.Next(),
    "window": ps.Window(3, [1, 0, 2], "symmetric"),
    "harmonic": ps.Window(4, "harmonic"),
    "prefix": ps.Prefix(3),
    "focus": ps.Prefix(2),
    "sets": ps.SameSequence(),
    "labelled": "presence",
    "labelled-focus": "multiplicity",
}


@lru_cache(None)
def made(kind: str) -> Any:
    """Counts of a kind."""
    rng = np.random.default_rng(3)
    documents = [(rng.zipf(1.4, size) - 1) % _V for size in rng.integers(1, 30, 12)]
    focus = [7, 1] if kind.endswith("focus") else None
    if kind.startswith("labelled"):
        return ps.count_labelled(
            documents,
            rng.integers(0, _LABELS, 12),
            vocab_size=_V,
            n_labels=_LABELS,
            incidence=KINDS[kind],
            focus=focus,
        )
    return ps.count(documents, KINDS[kind], vocab_size=_V, eos=2, focus=focus)


@lru_cache(None)
def saved(kind: str, as_folder: bool) -> dict[str, bytes]:
    """The files of those counts, by name; those of a folder have a few ranges of both forms."""
    before, row_files._RANGE_ENTRIES = row_files._RANGE_ENTRIES, 20
    try:
        with temporary() as folder:
            path = folder / ("counts" if as_folder else "counts.safetensors")
            made(kind).save(path)
            found = sorted(path.iterdir()) if as_folder else [path]
            return {each.name: each.read_bytes() for each in found if each.suffix != ".json"}
    finally:
        row_files._RANGE_ENTRIES = before


def run_file(draw: Draw, folder: Path) -> None:
    kind = draw.one_of(list(KINDS))
    (content,) = saved(kind, False).values()
    damaged = _damaged(draw, content)
    path = folder / "counts.safetensors"
    path.write_bytes(damaged)
    _check(draw, kind, path, {path.name: damaged})


def run_folder(draw: Draw, folder: Path) -> None:
    kind = draw.one_of([kind for kind in KINDS if not kind.startswith("labelled")])
    contents = dict(saved(kind, True))
    for _ in range(draw.one_of([1, 1, 2])):
        name = draw.one_of(list(contents))
        what = draw.below(12)
        if what == 0 and len(contents) > 1:
            del contents[name]
        elif what == 1:
            contents[name] = draw.one_of(list(contents.values()))
        elif what == 2:  # of other counts
            contents[name] = draw.one_of(list(saved(draw.one_of(["sets", "next"]), True).values()))
        elif what == 3:
            contents["rows-0000000099.safetensors"] = contents[name]
        else:
            contents[name] = _damaged(draw, contents[name])
    path = folder / "counts"
    path.mkdir()
    for name, content in contents.items():
        (path / name).write_bytes(content)
    _check(draw, kind, path, contents)


@lru_cache(None)
def saved_steps(kind: str) -> dict[str, bytes]:
    """The files of counts at three steps, by path."""
    tokens = np.random.default_rng(5).integers(0, _V, 90).astype(np.uint16).reshape(9, 10)
    with temporary() as folder:
        steps = ps.count_steps(tokens, KINDS[kind], cuts=[20, 50, 90], vocab_size=_V)
        steps.save(folder / "steps")
        found = sorted(path for path in (folder / "steps").rglob("*") if path.is_file())
        return {str(path.relative_to(folder / "steps")): path.read_bytes() for path in found}


def run_steps(draw: Draw, folder: Path) -> None:
    kind = draw.one_of(["next", "sets"])
    contents = dict(saved_steps(kind))
    name = draw.one_of(["steps.json", *contents])
    whole = contents[name]
    if name.endswith(".json"):
        contents[name] = json_mutated(draw, whole)
    else:
        contents[name] = _damaged(draw, whole)
    path = folder / "steps"
    for each, content in contents.items():
        (path / each).parent.mkdir(parents=True, exist_ok=True)
        (path / each).write_bytes(content)
    try:
        steps = CountSteps.load(path, verify=True)
        last = steps.as_of(steps.last)
    except (ProbsigError, OSError):
        return
    except Exception as error:
        raise Finding(f"another error of counts at steps: {name}") from error
    if name == "steps.json":  # other steps, or fewer, which rise: no reader can know
        return
    (path / name).write_bytes(whole)
    original = CountSteps.load(path)
    check(steps.steps == original.steps, "other steps")
    for table in _TABLES:
        same = np.array_equal(getattr(last, table), getattr(original.as_of(steps.last), table))
        check(same, f"steps of {kind}: loaded with another {table}, and verified")


def _damaged(draw: Draw, content: bytes) -> bytes:
    """Bytes anywhere, or the header's JSON, its length kept right; or arrays in other places."""
    end = 8 + int.from_bytes(content[:8], "little")
    if end > len(content) or draw.chance(0.4):
        return mutated(draw, content, end)
    header, arrays = content[8:end], content[end:]
    if draw.chance(0.3):
        arrays = mutated(draw, arrays)
    elif draw.chance(0.4):
        header, arrays = _rearranged(draw, header, arrays)
    else:
        header = json_mutated(draw, header)
    return len(header).to_bytes(8, "little") + header + arrays


def _rearranged(draw: Draw, header: bytes, arrays: bytes) -> tuple[bytes, bytes]:
    """Two arrays change places, or their names; or one has another length: all of it consistent."""
    try:
        entries = json.loads(header)
        pieces = {
            name: arrays[slice(*entry["data_offsets"])]
            for name, entry in entries.items()
            if name != "__metadata__"
        }
        names = list(pieces)
        a, b = draw.one_of(names), draw.one_of(names)
        what = draw.below(4)
        if what == 0:
            pieces[a], pieces[b] = pieces[b], pieces[a]
            entries[a]["dtype"], entries[b]["dtype"] = entries[b]["dtype"], entries[a]["dtype"]
        elif what == 1:
            names[names.index(a)], names[names.index(b)] = b, a
        elif what == 2:
            pieces[a] = draw.one_of([b"", pieces[a][:-8], pieces[a] + b"\0" * 8, pieces[a] * 2])
        else:
            entries["__metadata__"] = changed_value(draw, entries["__metadata__"])
        again: dict[str, Any] = {"__metadata__": entries["__metadata__"]}
        offset = 0
        for name in names:
            end = offset + len(pieces[name])
            width = 4 if entries[name]["dtype"] == "I32" else 8
            shape = [(end - offset) // width]
            again[name] = {**entries[name], "shape": shape, "data_offsets": [offset, end]}
            offset = end
        return json.dumps(again).encode(), b"".join(pieces[name] for name in names)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):  # damaged before
        return header, arrays


def _check(draw: Draw, kind: str, path: Path, contents: dict[str, bytes]) -> None:
    of = ps.LabelledCounts if kind.startswith("labelled") else ps.Counts
    try:
        loaded = of.load(path, verify=True)
    except (ProbsigError, OSError):
        pass
    except Exception as error:
        raise Finding(f"another error: {kind}") from error
    else:
        _check_kept(kind, loaded)
    _use(draw, of, path)


def _check_kept(kind: str, loaded: Any) -> None:
    """What was counted is as it was. Rules that no reader can know (another eos, other ids of the
    focus) may differ, and so may numbers of which the entries say nothing."""
    original = made(kind)
    tables = ("labels", "pairs") if kind.startswith("labelled") else ("",)
    for table in tables:
        one, other = (getattr(each, table) if table else each for each in (original, loaded))
        for name in _TABLES:
            same = np.array_equal(getattr(one, name), getattr(other, name))
            check(same, f"{kind}: loaded with another {table}.{name}, and verified")
    if kind == "next":
        check(np.array_equal(original.unigram, loaded.unigram), "next: other unigrams")
        check(original.n_sequences == loaded.n_sequences, "next: another n_sequences")
    for token in loaded.focus if loaded.focus == original.focus else ():
        one, other = original.third_order(token), loaded.third_order(token)
        check((one != other).nnz == 0, f"{kind}: other third-order counts, and verified")


def _use(draw: Draw, of: Any, path: Path) -> None:
    """Where nobody asked to verify, what is used is right in its form, or an error."""
    try:
        loaded = of.load(path)
        uses: list[Any] = [lambda: loaded + loaded, lambda: loaded == loaded]
        if of is ps.LabelledCounts:
            uses += [lambda: loaded.phi_y().to_scipy(), lambda: loaded.psi_X().to_scipy()]
            uses += [lambda: loaded.pairs.to_scipy(), lambda: loaded.phi_X().to_scipy()]
        else:
            uses += [lambda: loaded.to_scipy(), lambda: loaded.row(0), lambda: loaded.column(3)]
            uses += [lambda: loaded.to_coo(), lambda: loaded.pmi()]
            if isinstance(loaded.relation, (ps.Next, ps.Window)):
                uses += [lambda: loaded.phi_next().to_scipy(), lambda: loaded.psi_pre().to_scipy()]
        for token in loaded.focus:
            uses += [lambda token=token: loaded.third_order(token)]
        uses += [lambda: loaded.save(path.parent / "again.safetensors")]
        for use in uses:
            if draw.chance(0.5):
                _allowed(use)
    except (ProbsigError, OSError):
        pass


def _allowed(use: Any) -> None:
    try:
        use()
    except (ProbsigError, OSError):
        pass
    except Exception as error:
        raise Finding("another error of counts that were not verified") from error


COUNTS_FILE = Fuzzer("counts-file", run_file, MEMORY)
COUNTS_FOLDER = Fuzzer("counts-folder", run_folder, MEMORY)
COUNT_STEPS = Fuzzer("count-steps", run_steps, MEMORY)
