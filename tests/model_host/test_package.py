import dataclasses
import json
import sys
from typing import Annotated, TypedDict

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from algorail.engine.kit.errors import ConfigInvalid, Conflict, Forbidden
from algorail.model_host.class_schema import class_schema
from algorail.model_host.package import save_class, save_sklearn
from algorail.model_host.serve.runtimes import load
from algorail.model_host.serve.tensors import zeros


def test_what_is_saved_predicts_the_same(digits):
    manifest, runtime = load(digits.folder)
    found = runtime.predict({"pixels": digits.images[:50]})
    assert (found["label"] == digits.model.predict(digits.images[:50])).all()
    assert str(manifest.outputs["label"]) == "int64"
    assert str(manifest.outputs["probabilities"]) == "float32[10]"
    assert not manifest.needs_trust


def test_text_pipelines_take_a_string(tmp_path):
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=100)).fit(
        ["good", "bad", "fine"], ["yes", "no", "yes"]
    )
    manifest = save_sklearn(model, tmp_path / "m", name="mood", inputs={"text": "string"})
    _, runtime = load(tmp_path / "m")
    assert str(manifest.outputs["label"]) == "string"
    assert list(runtime.predict({"text": np.array(["good", "bad"], dtype=object)})["label"]) == ["yes", "no"]


def test_several_columns_stand_side_by_side(tmp_path):
    model = LinearRegression().fit([[1.0, 2.0], [2.0, 1.0], [0.0, 0.0]], [5.0, 4.0, 0.0])
    save_sklearn(model, tmp_path / "m", name="price", inputs={"size": "float64", "age": "float64"})
    _, runtime = load(tmp_path / "m")
    found = runtime.predict({"size": np.array([1.0, 2.0]), "age": np.array([2.0, 1.0])})
    assert found["value"] == pytest.approx([5.0, 4.0])


def test_transformers_have_a_vector_and_default_inputs(tmp_path):
    manifest = save_sklearn(StandardScaler().fit([[1.0, 2.0], [3.0, 4.0]]), tmp_path / "m", name="scale")
    assert (str(manifest.inputs["features"]), str(manifest.outputs["vector"])) == ("float64[2]", "float64[2]")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"inputs": {"pixels": "float32[63]"}}, "fails on one row"), ({"outputs": {"y": "guess"}}, "no method 'guess'"),
     ({"name": "Digits!"}, "model name")],
)  # fmt: skip
def test_a_description_that_does_not_fit_is_refused(digits, tmp_path, options, message):
    with pytest.raises(ConfigInvalid, match=message):
        save_sklearn(digits.model, tmp_path / "m", **{"name": "digits", **options})
    assert not (tmp_path / "m").exists()


def test_a_changed_artefact_is_not_loaded(digits, tmp_path):
    save_sklearn(digits.model, tmp_path / "m", name="digits")
    with (tmp_path / "m" / "model.skops").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ConfigInvalid, match="differ from its manifest"):
        load(tmp_path / "m")


def test_saving_again_replaces_the_model_whole(digits, tmp_path):
    save_sklearn(digits.model, tmp_path / "m", name="one")
    save_sklearn(digits.model, tmp_path / "m", name="two")
    assert load(tmp_path / "m")[0].name == "two"
    assert [file.name for file in tmp_path.iterdir()] == ["m"]


def test_a_folder_with_something_else_is_left_alone(digits, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(Conflict):
        save_sklearn(digits.model, tmp_path, name="digits")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def double(values):
    return [[value * 2 for value in row] for row in values]


def test_unknown_types_need_trust_twice_and_are_recorded(tmp_path):
    model = make_pipeline(FunctionTransformer(double), LinearRegression()).fit([[1.0], [2.0]], [2.0, 4.0])
    with pytest.raises(Forbidden, match="double"):
        save_sklearn(model, tmp_path / "m", name="double")
    manifest = save_sklearn(model, tmp_path / "m", name="double", trust=True)
    assert manifest.trust is not None
    assert any("double" in kind for kind in manifest.trust.types)
    with pytest.raises(Forbidden, match="runs code"):
        load(tmp_path / "m")


def test_pickle_needs_trust_twice(digits, tmp_path):
    with pytest.raises(Forbidden, match="pickle"):
        save_sklearn(digits.model, tmp_path / "m", name="digits", format="pickle")
    save_sklearn(digits.model, tmp_path / "m", name="digits", format="pickle", trust=True)
    with pytest.raises(Forbidden, match="runs code"):
        load(tmp_path / "m")
    assert load(tmp_path / "m", trust=True)[1].predict({"features": digits.images[:3]})["label"].shape == (3,)


def test_a_manifest_cannot_talk_its_way_out_of_trust(digits, tmp_path):
    save_sklearn(digits.model, tmp_path / "m", name="digits", format="pickle", trust=True)
    manifest = json.loads((tmp_path / "m" / "model.json").read_text())
    (tmp_path / "m" / "model.json").write_text(json.dumps(manifest | {"trust": None}))
    with pytest.raises(Forbidden):
        load(tmp_path / "m")


SOURCE = """
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypedDict
import numpy as np


@dataclass
class Route:
    queue: str
    score: float


class Router:
    def load(self, artifacts: Path) -> None:
        self.words = (artifacts / "words.txt").read_text().split()

    def predict(self, text: str, weights: list[float], bias: Annotated[np.ndarray, "float32[2]"]) -> Route:
        assert isinstance(weights, list) and bias.dtype == "float32"
        hit = any(word in text for word in self.words)
        return Route("billing" if hit else "other", float(sum(weights)) + float(bias.sum()))


class Row(TypedDict):
    x: float


class Many:
    def predict_batch(self, rows: list[Row]) -> list[float]:
        return [row["x"] * 2 for row in rows]
"""


@pytest.fixture
def router(tmp_path, monkeypatch):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "routing_model.py").write_text(SOURCE)
    (tmp_path / "words.txt").write_text("invoice refund")
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "routing_model", raising=False)
    import routing_model

    yield routing_model
    sys.modules.pop("routing_model", None)


def test_a_class_is_packed_with_its_code_and_artefacts(router, tmp_path):
    manifest = save_class(
        router.Router, tmp_path / "m", name="route", artifacts={"words.txt": tmp_path / "words.txt"}
    )
    assert {name: str(tensor) for name, tensor in manifest.inputs.items()} == {
        "text": "string", "weights": "float64[*]", "bias": "float32[2]",
    }  # fmt: skip
    with pytest.raises(Forbidden):
        load(tmp_path / "m")
    _, runtime = load(tmp_path / "m", trust=True)
    found = runtime.predict({
        "text": np.array(["an invoice", "hello"], dtype=object),
        "weights": np.ones((2, 3)),
        "bias": np.ones((2, 2), dtype="float32"),
    })  # fmt: skip
    assert list(found["queue"]) == ["billing", "other"]
    assert found["score"].tolist() == [5.0, 5.0]


def test_predict_batch_gets_rows(router, tmp_path):
    save_class(router.Many, tmp_path / "m", name="many")
    _, runtime = load(tmp_path / "m", trust=True)
    assert runtime.predict({"x": np.array([1.0, 2.0])})["output"].tolist() == [2.0, 4.0]


class Bare:
    pass


class Unannotated:
    def predict(self, x) -> float:
        return 1.0


class Odd:
    def predict(self, x: dict) -> float:
        return 1.0


class Loose:
    def predict_batch(self, rows: list) -> list:
        return rows


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Bare, "neither"),
        (Unannotated, "no annotation for 'x'"),
        (Odd, "is annotated"),
        (Loose, "predict_batch must"),
    ],
)
def test_a_class_without_a_schema_says_what_is_missing(cls, message):
    with pytest.raises(ConfigInvalid, match=message):
        class_schema(cls)


def test_a_class_that_cannot_be_packed_says_where_it_should_be(tmp_path):
    class Local:
        def predict(self, x: float) -> float:
            return x

    with pytest.raises(ConfigInvalid, match="not at the top"):
        save_class(Local, tmp_path / "m", name="local")


@dataclasses.dataclass
class Answer:
    label: int
    embedding: Annotated[np.ndarray, "float32[4]"]


class Item(TypedDict):
    text: str


class Batch:
    def predict_batch(self, rows: list[Item]) -> list[Answer]:
        return []


def test_objects_become_named_tensors():
    schema = class_schema(Batch)
    assert schema.batch
    assert {name: str(tensor) for name, tensor in schema.outputs.items()} == {
        "label": "int64",
        "embedding": "float32[4]",
    }
    assert zeros(schema.inputs)["text"].tolist() == [""]
