"""Input and output embeddings: of models in memory, and of checkpoints in the usual formats."""

from .embedding import Embedding
from .load import load_embedding

__all__ = ["Embedding", "load_embedding"]
