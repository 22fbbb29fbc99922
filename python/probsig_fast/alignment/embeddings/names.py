"""How the embeddings of the common architectures are called: the one place that knows."""

from __future__ import annotations

from collections.abc import Iterable

from .embedding import Which

#: The last part but one of a tensor's name; the last is `weight`.
_MODULES: dict[Which, frozenset[str]] = {
    "input": frozenset(
        {
            "embed_in",  # GPT-NeoX, Pythia
            "embed_tokens",  # Llama, Qwen, SmolLM, Mistral, OPT
            "wte",  # GPT-2
            "word_embeddings",  # BERT, BLOOM, Falcon
            "tok_embeddings",  # the first Llama
            "token_embd",  # GGUF
            "embeddings",  # Mamba, RWKV
            *("embed", "embedding", "token_embedding", "token_embeddings", "tok_embedding"),
        }
    ),
    "output": frozenset(
        {
            "embed_out",  # GPT-NeoX, Pythia
            "lm_head",  # GPT-2, Llama, Qwen, SmolLM, BLOOM
            "decoder",  # BERT
            "output",  # the first Llama, GGUF
            "head",  # RWKV
            *("unembed", "unembedding"),
        }
    ),
}


def named_like(names: Iterable[str], which: Which) -> list[str]:
    """Those of the names that are an embedding's, but for tensors of numbered layers."""
    return [name for name in names if _is_embedding(name, which)]


def might_be_embedding(name: str) -> bool:
    """Whether a matrix of as many rows and columns may be an embedding of tokens, too."""
    return not _is_of_layer(name) and not any(
        part == "wpe" or "pos" in part for part in name.split(".")
    )


def _is_embedding(name: str, which: Which) -> bool:
    *path, last = name.split(".")
    return (
        last == "weight" and bool(path) and path[-1] in _MODULES[which] and not _is_of_layer(name)
    )


def _is_of_layer(name: str) -> bool:
    """layers.3.attention.output.weight is one of many."""
    return any(part.isdecimal() for part in name.split("."))
