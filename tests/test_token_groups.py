"""Groups of readable tokens: which are found, in which spelling; and labels made visible."""

from __future__ import annotations

import numpy as np
import pytest

import probsig_fast as ps
from probsig_fast.plots.token_groups import GROUPS, FoundGroup, find_groups
from probsig_fast.plots.token_labels import drawable, drawable_name, visible

STRINGS = ["if", " if", " for", "x", " x", "x", "never", " while", "?", "y"]


@pytest.fixture
def signature() -> ps.Signature:
    tokens = np.array(
        [0, 1, 2, 3, 4, 5, 7, 8, 9, 0, 1, 2, 3, 4, 5, 7, 8, 9, 0, 1, 0, 1, 2], np.uint16
    )
    return ps.count(tokens, vocab_size=10, backend="reference").with_tokens(STRINGS).phi_next()


def test_exact_text_first_then_the_other_spelling(signature: ps.Signature) -> None:
    (found,) = find_groups({"words": ["if", " if", "for", "while", " y"]}, [signature])
    assert found == FoundGroup("words", (0, 1, 2, 7, 9))


def test_missing_members_are_named(signature: ps.Signature) -> None:
    (found,) = find_groups({"words": ["never", "if", "absent", 6, 99]}, [signature])
    assert found == FoundGroup("words", (0,), ("never", "absent", 6, 99))


def test_ids_are_taken_as_they_are(signature: ps.Signature) -> None:
    assert find_groups({"ids": [5, 3]}, [signature])[0].tokens == (5, 3)


def test_a_text_of_several_tokens_is_the_first_with_a_row(signature: ps.Signature) -> None:
    assert find_groups({"x": ["x"]}, [signature])[0].tokens == (3,)
    among = np.array([5, 4], np.int64)
    assert find_groups({"x": ["x"]}, [signature], among)[0].tokens == (5,)


def test_no_token_twice(signature: ps.Signature) -> None:
    assert find_groups({"twice": ["for", " for", 2]}, [signature])[0].tokens == (2,)


def test_rows_of_all_signatures(signature: ps.Signature) -> None:
    frequent = signature.with_min_support(3)
    for both in ([signature, frequent], [frequent, signature]):
        (found,) = find_groups({"all": list(range(10))}, both)
        assert found.tokens == (0, 1)
        assert found.missing == tuple(range(2, 10))


def test_without_strings_only_ids() -> None:
    tokens = np.array([0, 1, 0, 1], np.uint16)
    signature = ps.count(tokens, vocab_size=2, backend="reference").phi_next()
    (found,) = find_groups({"mixed": ["a", 1]}, [signature])
    assert found == FoundGroup("mixed", (1,), ("a",))


def test_built_in_groups_hold_no_text_twice() -> None:
    for name, members in GROUPS.items():
        assert len(set(members)) == len(members) > 1, name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" the", "\N{OPEN BOX}the"),
        ("\n", r"\n"),
        ("    ", "\N{OPEN BOX}" * 4),
        (" " * 5, "\N{OPEN BOX}\N{MULTIPLICATION SIGN}5"),
        ("\n" + " " * 12 + "x", "\\n\N{OPEN BOX}\N{MULTIPLICATION SIGN}12x"),
        ("it's", "it's"),
        ("'\"", "'\""),
        ("\ud800", r"\ud800"),
        ("\u202e", r"\u202e"),
        ("\u4e2d", "\u4e2d"),
        ("", ""),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\u4e2d", r"\u4e2d"),  # which the font lacks
        ("\U0001f9ff", r"\U0001f9ff"),
        ("\u00e9", "\u00e9"),
        ("$a$", r"\$a\$"),
        ("\u4e2d\u6587\u5b57\u5178", r"\u4e2d\u6587" + "\N{HORIZONTAL ELLIPSIS}"),
        (" " * 3 + "x" * 40, "\N{OPEN BOX}" * 3 + "x" * 14 + "\N{HORIZONTAL ELLIPSIS}"),
    ],
)
def test_drawable(text: str, shown: str) -> None:
    pytest.importorskip("matplotlib")
    assert drawable(text) == shown


def test_names_keep_their_blanks() -> None:
    pytest.importorskip("matplotlib")
    assert drawable_name("two words") == "two words"
