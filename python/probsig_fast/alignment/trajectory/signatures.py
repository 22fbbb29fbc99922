"""The signatures that a trajectory compares: by name, with their embedding, as of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from ...errors import ArgumentError, ArgumentTypeError
from ..embeddings.embedding import Which
from ..gram.inputs import check_flag
from ..prepared import AnySignature, PreparedSignature, prepare

#: What tells one signature or more.
Signatures = AnySignature | Iterable[AnySignature] | Mapping[str, AnySignature]
#: Signatures as of a step, or None where there are none yet.
CountsAt = Callable[[int], Signatures | None] | Mapping[int, Signatures]

#: Signatures of what comes before a token, or has it as its label, go with the output embedding.
_OF_OUTPUT = ("psi_pre", "psi_X", "phi_X_given_y", "column_conditional")


def prepared_by_name(signatures: Any, min_support: int) -> dict[str, PreparedSignature]:
    """One signature, several, or a mapping from names.

    Raises:
        ArgumentTypeError, ArgumentError: none of these, none at all, or a name twice.
    """
    if isinstance(signatures, Mapping):
        named = {str(name): prepare(each, min_support) for name, each in signatures.items()}
    elif isinstance(signatures, Iterable) and not isinstance(signatures, (str, bytes)):
        named = {}
        for each in signatures:
            prepared = prepare(each, min_support)
            if prepared.name in named:
                raise ArgumentError(
                    f"signatures: expected each name once, got {prepared.name!r} twice: pass a "
                    "mapping from names"
                )
            named[prepared.name] = prepared
    else:
        prepared = prepare(signatures, min_support)
        named = {prepared.name: prepared}
    if not named:
        raise ArgumentError("signatures: expected at least one, got none")
    return named


def sides(which: Any, signatures: Mapping[str, PreparedSignature]) -> dict[str, Which]:
    """The embedding that goes with each of these, by what is given and else by what they are.

    Raises:
        ArgumentError: no such embedding, or no such signature.
    """
    given = which if isinstance(which, Mapping) else dict.fromkeys(signatures, which)
    for name, side in given.items():
        if side is not None and side not in get_args(Which):
            raise ArgumentError(f"which: expected 'input' or 'output', got {side!r}")
        if name not in signatures:
            raise ArgumentError(f"which: expected names of {', '.join(signatures)}, got {name!r}")
    return {name: given.get(name) or _usual(each) for name, each in signatures.items()}


def _usual(signature: PreparedSignature) -> Which:
    return "output" if signature.name in _OF_OUTPUT else "input"


def checked_centrings(centre: Any) -> tuple[bool, ...]:
    """Raises ArgumentTypeError, ArgumentError: no bool, or not each at most once."""
    several = tuple(centre) if isinstance(centre, Iterable) else (centre,)
    for each in several:
        check_flag("centre", each)
    if not several or len(set(several)) < len(several):
        raise ArgumentError(f"centre: expected each way once, got {several}")
    return several


def checked_keys(keys: Any) -> Mapping[Which, str]:
    """Raises ArgumentTypeError, ArgumentError: no mapping from "input" or "output" to names."""
    if keys is None:
        return {}
    if not isinstance(keys, Mapping):
        raise ArgumentTypeError(f"keys: expected a mapping, got {type(keys).__name__}")
    for which, name in keys.items():
        if which not in get_args(Which) or not isinstance(name, str):
            raise ArgumentError(
                "keys: expected the names of tensors for 'input' and 'output', "
                f"got {name!r} for {which!r}"
            )
    return keys


class AsOf:
    """The signatures to be compared at a step, and as of which step they are."""

    def __init__(
        self, fixed: dict[str, PreparedSignature], counts_at: Any, min_support: int
    ) -> None:
        if counts_at is not None and not (isinstance(counts_at, Mapping) or callable(counts_at)):
            raise ArgumentTypeError(
                "counts_at: expected a function of the step or a mapping from steps, "
                f"got {type(counts_at).__name__}"
            )
        self._fixed, self._given, self._min_support = fixed, counts_at, min_support
        self._at: int | None = None
        self._prepared: dict[str, PreparedSignature] = {}

    def __call__(self, step: int) -> tuple[dict[str, PreparedSignature], dict[str, int]]:
        """By name; and the step, for those that are as of one."""
        at = self._last_up_to(step)
        if at is None:
            return self._fixed, {}
        if at != self._at:
            given = self._given[at] if isinstance(self._given, Mapping) else self._given(at)
            self._at, self._prepared = at, {} if given is None else self._checked(at, given)
        return {**self._fixed, **self._prepared}, dict.fromkeys(self._prepared, at)

    def _last_up_to(self, step: int) -> int | None:
        if not isinstance(self._given, Mapping):
            return None if self._given is None else step
        return max((each for each in self._given if each <= step), default=None)

    def _checked(self, at: int, given: Any) -> dict[str, PreparedSignature]:
        prepared = prepared_by_name(given, self._min_support)
        for name, signature in prepared.items():
            if name not in self._fixed:
                raise ArgumentError(
                    f"counts_at: expected signatures of {', '.join(self._fixed)}, got {name!r} as "
                    f"of step {at}"
                )
            if signature.shape[0] != self._fixed[name].shape[0]:
                raise ArgumentError(
                    f"counts_at: expected {self._fixed[name].shape[0]:,} rows of {name}, got "
                    f"{signature.shape[0]:,} as of step {at}"
                )
        return prepared
