"""What the algorithm needs before it can run: two models, the nearest neighbours, the known confusions.

The data are scikit-learn's scanned digits: 1,797 images of 8 × 8 pixels, the first half to learn from.
Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorail.blocks import indexes
from algorail.model_host.package import save_sklearn

HALF = 898
NEIGHBOURS = 5


@dataclass(frozen=True, slots=True)
class Digits:
    """The two halves: pixels (n × 64, float32, 0 to 16) and what they show (n, int)."""

    train: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    held_out: NDArray[np.float32]
    held_out_labels: NDArray[np.int64]


def load(limit: int | None = None) -> Digits:
    """The digits that come inside scikit-learn, only the first `limit` of those held out."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    pixels = pixels.astype(np.float32)
    end = None if limit is None else HALF + limit
    return Digits(pixels[:HALF], labels[:HALF], pixels[HALF:end], labels[HALF:end])


def prepare(digits: Digits, home: Path, step: Callable[[str], None]) -> dict[str, Path]:
    """Train, save and build everything under `home`; returns the folder of each packaged model."""
    step("training a logistic regression and a support vector machine")
    models = {
        "digits": (_logistic(), {"probabilities": "predict_proba"}),
        "digits-svm": (_support_vectors(), {"scores": "decision_function"}),
    }
    folders = {}
    for name, (model, outputs) in models.items():
        model.fit(digits.train, digits.train_labels)
        folders[name] = home / "models" / name
        save_sklearn(
            model,
            folders[name],
            name=name,
            inputs={"pixels": "float32[64]"},
            outputs=outputs,
        )
    step("building the index of nearest neighbours")
    payloads = [{"digit": int(label)} for label in digits.train_labels]
    indexes.build("digits", digits.train, home=home, metric="l2", payloads=payloads)
    step("counting which disagreements meant what")
    _write_confusions(home / "lab.db", digits)
    return folders


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))


def _support_vectors() -> Any:
    from sklearn.svm import SVC

    return SVC()


def _write_confusions(path: Path, digits: Digits) -> None:
    """For each disagreement seen in cross-validation on the training half: what it was, and how often so."""
    from sklearn.model_selection import cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier

    readers = (KNeighborsClassifier(NEIGHBOURS), _logistic(), _support_vectors())
    said = [cross_val_predict(reader, digits.train, digits.train_labels, cv=5) for reader in readers]
    seen: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for *opinions, truth in zip(*said, digits.train_labels, strict=True):
        if len(set(opinions)) > 1:
            seen[tuple(map(int, opinions))][int(truth)] += 1
    rows = []
    for disagreement, truths in seen.items():
        truth, count = truths.most_common(1)[0]
        if truths.total() > 1:
            rows.append((*disagreement, truth, count / truths.total()))
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(
            "CREATE TABLE confusions (nearest INT, first INT, second INT, truth INT, share REAL,"
            " PRIMARY KEY (nearest, first, second))"
        )
        connection.executemany("INSERT INTO confusions VALUES (?, ?, ?, ?, ?)", rows)
    connection.close()
