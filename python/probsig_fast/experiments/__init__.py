"""The paper's experiments (arXiv 2509.20124), rerun. Needs the extra `[torch]`.

`gradient_flow` predicts the gradients of small models from counts alone; `composite_addition`
trains such models on labelled tasks and compares the embeddings with the signatures;
`language_model` trains a small language model on counted text (extra `[experiments]`).
"""

from ..errors import missing_extra

try:
    import torch as _torch  # noqa: F401  (here, so that its absence is told once and clearly)
except ImportError as error:
    raise missing_extra("torch", "torch", "probsig_fast.experiments") from error

from . import composite_addition, gradient_flow, language_model

__all__ = ["composite_addition", "gradient_flow", "language_model"]
