"""The blocks `transform` and `expression`: ports from schemas, values checked, mistakes found early."""

import asyncio
from importlib import import_module

import msgspec
import pytest

from algorail.engine.kind import Effect
from algorail.engine.kit.errors import ConfigInvalid, InvalidInput, LimitExceeded
from algorail.engine.plan.types import BOOLEAN, INTEGER, NUMBER, STRING, ListType, VectorType, to_schema

expressions = import_module("algorail.blocks.expression")
transforms = import_module("algorail.blocks.transform")

INT, NUM, TEXT = {"type": "integer"}, {"type": "number"}, {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}


def transform_config(**config):
    return msgspec.convert({"inputs": {}, "output": INT, **config}, transforms.TransformConfig)


@pytest.fixture
def transform(services):
    made = services()

    def run(config, **values):
        runner = transforms.build(transform_config(**config), made)
        assert runner.is_async
        return asyncio.run(runner.call(**values))

    return run


def test_a_transform(transform):
    config = {"code": "return sorted(set(words))[:k]", "inputs": {"words": TEXTS, "k": INT}, "output": TEXTS}
    assert transform(config, words=["b", "a", "b"], k=5) == ["a", "b"]


def test_a_transform_gives_vectors(transform):
    result = transform({"code": "return [1, 2]", "output": to_schema(VectorType(2))})
    assert result.tolist() == [1, 2]


def test_the_output_of_a_transform_is_checked(transform):
    with pytest.raises(InvalidInput) as caught:
        transform({"code": "return [1, 'a']", "output": TEXTS})
    assert caught.value.problems


def test_a_transform_that_uses_too_much(transform):
    with pytest.raises(LimitExceeded):
        transform({"code": "return [0] * 10**10", "output": TEXTS})


def test_mistakes_in_code_are_found_when_it_is_built(services):
    with pytest.raises(ConfigInvalid) as caught:
        transforms.build(transform_config(code="return k + 'a'", inputs={"k": INT}), services())
    assert "line 1" in caught.value.problems[0].message


@pytest.mark.parametrize(
    "config",
    [
        {"code": ""},
        {"code": "x" * 20_001},
        {"code": "return 1", "inputs": {"not a name": INT}},
        {"code": "return 1", "inputs": {"class": INT}},
        {"code": "return 1", "inputs": {"a": {"type": "nonsense"}}},
        {"code": "return 1", "output": {"type": "nonsense"}},
    ],
)
def test_transform_configurations_that_cannot_be(config):
    with pytest.raises(ConfigInvalid):
        transforms.signature(transform_config(**config))


def test_transform_ports():
    found = transforms.signature(
        transform_config(code="return 1", inputs={"a": INT, "b": {**NUM, "default": 0.5}})
    )
    assert found.output == INTEGER
    assert found.inputs["a"].required
    assert (found.inputs["b"].required, found.inputs["b"].default) == (False, 0.5)


def expression_config(**config):
    return msgspec.convert(config, expressions.ExpressionConfig)


def evaluate(services, values, **config):
    return expressions.build(expression_config(**config), services()).call(**values)


def test_an_expression(services):
    inputs = {"score": NUM, "label": TEXT}
    assert (
        evaluate(services, {"score": 1, "label": "x"}, cel="score > 0.7 ? label : 'unsure'", inputs=inputs)
        == "x"
    )


def test_the_type_of_an_expression_is_inferred():
    assert expressions.signature(expression_config(cel="k > 1", inputs={"k": INT})).output == BOOLEAN
    assert expressions.signature(expression_config(cel="[t]", inputs={"t": TEXT})).output == ListType(STRING)


def test_a_declared_output_may_be_wider():
    assert (
        expressions.signature(expression_config(cel="k + 1", inputs={"k": INT}, output=NUM)).output == NUMBER
    )


def test_a_declared_output_that_does_not_fit():
    with pytest.raises(ConfigInvalid) as caught:
        expressions.signature(expression_config(cel="k + 1", inputs={"k": INT}, output=TEXT))
    assert caught.value.problems[0].port == "output"


def test_what_cannot_be_told_before_is_checked_on_the_value(services):
    config = {"cel": "x.y", "inputs": {"x": {}}, "output": INT}
    assert evaluate(services, {"x": {"y": 3}}, **config) == 3
    with pytest.raises(InvalidInput):
        evaluate(services, {"x": {"y": "a"}}, **config)


@pytest.mark.parametrize(
    "config", [{"cel": "k +"}, {"cel": "nope"}, {"cel": "k", "inputs": {"k": {"type": "nonsense"}}}]
)
def test_expression_configurations_that_cannot_be(config):
    with pytest.raises(ConfigInvalid):
        expressions.signature(expression_config(**config))


def test_a_failing_expression(services):
    with pytest.raises(InvalidInput) as caught:
        evaluate(services, {"k": 0}, cel="1 / k", inputs={"k": INT})
    assert caught.value.code == "cel-failed"


def test_kinds_and_factories():
    assert (transforms.KIND.key, expressions.KIND.key) == ("transform@1", "expression@1")
    assert transforms.KIND.effect is expressions.KIND.effect is Effect.PURE
    assert transforms.transform("return k", inputs={"k": int}, output=int) is not None
    assert expressions.expression("k > 1", inputs={"k": int}) is not None
    indented = transforms.transform("\n        return k\n        ", inputs={"k": int}, output=int)
    assert indented.config["code"].rstrip() == "return k"
    with pytest.raises(ConfigInvalid):
        expressions.expression("k >", inputs={"k": int})
