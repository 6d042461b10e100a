"""Real models, trained once: scikit-learn's scanned digits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from algorail.model_host.package import save_sklearn


@dataclass(frozen=True)
class Digits:
    folder: Path
    model: Any
    images: np.ndarray
    labels: np.ndarray


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> Digits:
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32")
    model = LogisticRegression(max_iter=100).fit(images[:400], labels[:400])
    folder = tmp_path_factory.mktemp("models") / "digits"
    save_sklearn(model, folder, name="digits", inputs={"pixels": "float32[64]"})
    return Digits(folder, model, images, labels)
