"""Small comparisons, and a reader of pages that is strict where browsers forgive."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import numpy as np

import probsig_fast as ps
from probsig_fast.report import Comparison, EmbeddingFacts, Settings

V, WIDTH = 40, 6
#: Texts that a page must show as they are, and never read as its own.
STRANGE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'",
    "&amp;",
    "\n",
    "\t\t",
    " " * 7,
    "\u4e2d\u6587",
    "\U0001f600",
    "\u202eevil",
    "\ud800",
    "$x^2$",
    "a\x00b",
)
STRINGS = (*STRANGE, *"0123456789", " if", " for", " while", "def", *(f" w{i}" for i in range(13)))
assert len(STRINGS) == V


def counts_of(seed: int = 0, tokens: int = 4000) -> ps.Counts:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(V, 3.0))
    shares[-2:] = 1e-4  # too rare to be compared
    corpus = rng.choice(V, tokens, p=shares / shares.sum()).astype(np.uint16)
    return ps.count(corpus, vocab_size=V, backend="reference").with_tokens(STRINGS)


def comparison(
    name: str = "phi_next", seed: int = 0, min_support: int = 10, **facts: Any
) -> Comparison:
    """An embedding that has something of the signature in it."""
    from probsig_fast.alignment import prepare

    signature = getattr(counts_of(seed), name)(min_support)
    rng = np.random.default_rng(seed + 1)
    W = signature.to_scipy().toarray() @ rng.normal(size=(V, WIDTH))
    W += 0.3 * W.std() * rng.normal(size=W.shape) + 0.1
    told: dict[str, Any] = {"name": "embed.weight", "source": "model", "which": "input"}
    told |= {"tied": None, "rows": V + 2, "width": WIDTH, "rows_dropped": 2, **facts}
    return Comparison(W, prepare(signature), EmbeddingFacts(**told))


def settings(**changes: Any) -> Settings:
    options = {"draws": 5, "bands": 3, "neighbours": (1, 5), "fraction": 0.05, "threads": 1}
    return Settings(align=options, **changes)


class Reader(HTMLParser):
    """Every element of a page.

    Attributes:
        elements: their names and attributes.
        text: what stands between them.
        source: the page.
    """

    VOID = frozenset({"meta", "link", "img", "br", "hr"})

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.source = page
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice: {tag} {names}"
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1] == tag, f"</{tag}> closes <{self._open[-1]}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]
