"""A pretrained sentence model (all-MiniLM-L6-v2, 384 dimensions) as a class that a replica serves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypedDict

import numpy as np


class Row(TypedDict):
    """One text."""

    text: str


class Embedding(TypedDict):
    """Where it lies."""

    vector: Annotated[np.ndarray[Any, Any], "float32[384]"]


class MiniLm:
    """Embeds texts, as many at once as wait."""

    def load(self, artifacts: Path, weights: str = "weights") -> None:
        """Read the weights from the packaged folder."""
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(artifacts / weights), device="cpu")

    def predict_batch(self, rows: list[Row]) -> list[Embedding]:
        """Vectors of length 1."""
        found = self._model.encode([row["text"] for row in rows], normalize_embeddings=True)
        return [{"vector": vector} for vector in found]
