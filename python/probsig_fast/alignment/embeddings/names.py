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
            *("unembed", "unembedding"),
        }
    ),
}


def named_like(names: Iterable[str], which: Which) -> list[str]:
    """Those of the names that are an embedding's, but for tensors of numbered layers."""
    return [name for name in names if _is_embedding(name, which)]


def _is_embedding(name: str, which: Which) -> bool:
    *path, last = name.split(".")
    if last != "weight" or not path or path[-1] not in _MODULES[which]:
        return False
    # layers.3.attention.output.weight is one of many
    return not any(part.isdecimal() for part in path)
