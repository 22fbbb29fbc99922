"""`load_embedding` of `torch.nn.Module`s, of one's own and of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="alignment needs torch")

from embeddings_support import D, Small, V  # noqa: E402

from probsig_fast.alignment.embeddings import load_embedding  # noqa: E402
from probsig_fast.errors import ArgumentError  # noqa: E402


@pytest.mark.parametrize("tied", [True, False])
def test_modules(tied: bool) -> None:
    module = Small(tied)
    found, output = load_embedding(module), load_embedding(module, "output")
    assert (found.name, found.source) == ("wte.weight", "Small")
    assert found.weight.data_ptr() == module.wte.weight.data_ptr()
    assert not found.weight.requires_grad
    assert output.weight.data_ptr() == module.lm_head.weight.data_ptr()
    assert (output.name, output.tied) == ("lm_head.weight", tied)
    wrapped = torch.nn.DataParallel(module)
    assert load_embedding(wrapped).name == "module.wte.weight"
    assert load_embedding(module.state_dict(), "output").tied is tied
    assert load_embedding(module, key="layers.0.weight").weight.shape == (D, D)


def test_modules_that_are_embeddings_alone() -> None:
    embedding, linear = torch.nn.Embedding(V, D), torch.nn.Linear(D, V)
    assert load_embedding(embedding).weight.data_ptr() == embedding.weight.data_ptr()
    assert load_embedding(embedding, "output").tied
    found = load_embedding(linear, "output")
    assert (found.tied, found.weight.shape) == (False, (V, D))
    with pytest.raises(ArgumentError, match="Linear has no input embeddings by name"):
        load_embedding(linear)


SIZES = {
    "vocab_size": V,
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def transformer(kind: str, **options: Any) -> Any:
    transformers = pytest.importorskip("transformers")
    config = getattr(transformers, f"{kind}Config")(**SIZES, **options)
    of = {"GPT2": "LMHeadModel", "Bert": "ForMaskedLM"}.get(kind, "ForCausalLM")
    return getattr(transformers, kind + of)(config)


TRANSFORMERS = [
    ("GPTNeoX", {"tie_word_embeddings": False}),
    ("Qwen2", {"tie_word_embeddings": False}),
    ("Llama", {"tie_word_embeddings": True}),
    ("GPT2", {"tie_word_embeddings": True}),
    ("Bert", {"tie_word_embeddings": True}),
]


@pytest.mark.parametrize(("kind", "options"), TRANSFORMERS)
def test_transformers(tmp_path: Path, kind: str, options: dict[str, bool]) -> None:
    """The same from the model in memory, and from the folder that it is saved in."""
    module = transformer(kind, **options)
    module.save_pretrained(tmp_path)
    tied = options["tie_word_embeddings"]
    for which, is_tied in (("input", False), ("output", tied)):
        expected = getattr(module, f"get_{which}_embeddings")().weight
        for source in (module, tmp_path):
            found = load_embedding(source, which)  # type: ignore[arg-type]
            assert torch.equal(found.weight, expected)
            assert found.tied is is_tied


def test_a_transformer_without_its_head() -> None:
    module = transformer("Qwen2", tie_word_embeddings=False).model
    assert load_embedding(module).name == "embed_tokens.weight"
    with pytest.raises(ArgumentError, match="its config says tie_word_embeddings false"):
        load_embedding(module, "output")
    assert load_embedding(transformer("Qwen2", tie_word_embeddings=True).model, "output").tied
