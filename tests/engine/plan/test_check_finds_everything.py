"""The check: each kind of mistake has its code, its place and its cure, and all come at once."""

from __future__ import annotations

import time

import msgspec
import pytest

from algorail.engine.kit.errors import InvalidInput, NotFound, PlanInvalid
from algorail.engine.plan.check import check
from algorail.engine.plan.codec import from_yaml
from algorail.engine.plan.document import Input, Node, Op, Plan, Ref, Value
from algorail.engine.plan.order import topological
from algorail.engine.plan.signature import Port, Signature
from algorail.engine.plan.types import (
    ANY,
    BOOLEAN,
    INTEGER,
    NUMBER,
    STRING,
    Field,
    ListType,
    LiteralType,
    ObjectType,
    UnionType,
    VectorType,
    marked,
    optional,
)

HIT = ObjectType(
    {"id": Field(STRING), "score": Field(NUMBER), "note": Field(STRING, required=False)}, title="Hit"
)
SIGNATURES = {
    "embed@1": Signature({"text": Port(STRING)}, VectorType(3)),
    "search@1": Signature({"vector": Port(VectorType(3)), "k": Port(INTEGER, False, 5)}, ListType(HIT)),
    "ask@1": Signature({"prompt": Port(STRING)}, STRING),
    "login@1": Signature({"token": Port(marked(STRING, "secret"))}, marked(STRING, "secret")),
}
GOOD = """
name: faq
inputs:
  question: {type: string}
  k: {type: integer, default: 5}
output: {type: string}
nodes:
- {id: vector, kind: embed@1, inputs: {text: {ref: question}}}
- {id: hits, kind: search@1, inputs: {vector: {ref: vector}, k: {ref: k}}}
- {id: said, kind: ask@1, inputs: {prompt: {ref: hits, path: [0, id]}}}
- id: answer
  kind: when@1
  inputs:
    condition: {op: ">", args: [{ref: hits, path: [0, score]}, {value: 0.7}]}
    then: {ref: said}
    otherwise: {value: no idea}
result: {ref: answer}
"""


def signatures(kind, config):
    if kind not in SIGNATURES:
        raise NotFound(
            f"there is no block kind {kind!r}", code="unknown-kind", cure="did you mean 'embed@1'?"
        )
    if config:
        raise InvalidInput("unknown setting", code="config-invalid")
    return SIGNATURES[kind]


def cel(text, variables):
    if text == "broken":
        raise InvalidInput("broken at 1", code="cel-syntax")
    return BOOLEAN


def checked(plan, algorithms=None):
    return check(plan, signatures, lambda name, version: (algorithms or {}).get(name), cel)


def plan_with(*nodes, result=None, output=ANY, inputs=None, **rest):
    told = inputs or {
        "text": Input(type=STRING), "n": Input(type=INTEGER), "flag": Input(type=BOOLEAN),
        "many": Input(type=ListType(STRING)), "maybe": Input(type=optional(STRING)),
        "key": Input(type=marked(STRING, "secret")), "mail": Input(type=marked(STRING, "pii")),
        "lang": Input(type=LiteralType(("en", "de"))),
    }  # fmt: skip
    last = Ref(nodes[-1].id) if nodes else Ref("text")
    return Plan(name="p", inputs=told, output=output, nodes=nodes, result=result or last, **rest)


def found(plan, **kwargs):
    return {(problem.code, problem.node, problem.port) for problem in checked(plan, **kwargs).problems}


def node(kind, name="a", config=None, **inputs):
    return Node(id=name, kind=kind, config=config or {}, inputs=inputs)


def test_a_good_plan_is_typed():
    result = checked(from_yaml(GOOD))
    assert result.require_ok() is result
    assert result.warnings == ()
    assert result.node_types["hits"] == ListType(HIT)
    assert result.result_type == UnionType((STRING, LiteralType(("no idea",))))


def test_everything_is_reported_at_once_with_cures():
    text = GOOD.replace("ref: question", "ref: questoin").replace("kind: ask@1", "kind: aks@1")
    text = text.replace("inputs: {vector: {ref: vector}", "inputs: {vektor: {ref: vector}").replace(
        "score]", "scor]"
    )
    problems = checked(from_yaml(text)).problems
    assert {(each.code, each.node, each.port) for each in problems} == {
        ("unknown-ref", "vector", "text"),
        ("missing-port", "hits", "vector"),
        ("unknown-port", "hits", "vektor"),
        ("unknown-kind", "said", ""),
        ("unknown-field", "answer", "condition"),
    }
    cures = {each.code: each.cure for each in problems}
    assert cures["unknown-ref"] == "did you mean 'question'?"
    assert cures["unknown-port"] == "did you mean 'vector'?"
    assert cures["unknown-field"] == "did you mean 'score'?"
    with pytest.raises(PlanInvalid, match="5 problems"):
        checked(from_yaml(text)).require_ok()


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([node("ask@1", prompt=Ref("n"))], ("type-mismatch", "a", "prompt")),
        ([node("ask@1", prompt=Value(3))], ("wrong-type", "a", "prompt")),
        ([node("ask@1", prompt=Ref("maybe"))], ("type-mismatch", "a", "prompt")),
        ([node("ask@1", prompt=Ref("key"))], ("sensitivity", "a", "prompt")),
        ([node("ask@1", prompt=Op("+", (Ref("text"), Ref("key"))))], ("sensitivity", "a", "prompt")),
        ([node("ask@1", config={"x": 1}, prompt=Ref("text"))], ("config-invalid", "a", "")),
        ([node("ask@1", prompt=Op("+", (Ref("text"), Ref("n"))))], ("type-mismatch", "a", "prompt")),
        ([node("ask@1", prompt=Op("**", (Ref("n"), Ref("n"))))], ("unknown-operator", "a", "prompt")),
        ([node("ask@1", prompt=Op("not", (Ref("flag"), Ref("flag"))))], ("wrong-arity", "a", "prompt")),
        ([node("ask@1", "lambda", prompt=Ref("text"))], ("bad-identifier", "lambda", "id")),
        ([node("ask@1", "Upper", prompt=Ref("text"))], ("bad-identifier", "Upper", "id")),
        ([node("ask@1", "text", prompt=Ref("mail"))], ("name-clash", "text", "")),
        ([node("ask@1", prompt=Ref("text")), node("ask@1", prompt=Ref("text"))], ("duplicate-id", "a", "")),
        (
            [node("when@1", condition=Ref("n"), then=Ref("n"), otherwise=Ref("n"))],
            ("type-mismatch", "a", "condition"),
        ),
        ([node("when@1", condition=Ref("flag"), then=Ref("n"))], ("missing-port", "a", "otherwise")),
        ([node("when@1", then=Ref("n"), otherwise=Ref("n"))], ("missing-port", "a", "condition")),
        ([node("switch@1", value=Ref("lang"), default=Ref("n"))], ("wrong-value", "a", "config.cases")),
        (
            [node("switch@1", config={"cases": ["en"]}, value=Ref("lang"), case_0=Ref("n"))],
            ("missing-port", "a", "default"),
        ),
        (
            [
                node(
                    "switch@1",
                    config={"cases": [1, 1]},
                    value=Ref("n"),
                    case_0=Ref("n"),
                    case_1=Ref("n"),
                    default=Ref("n"),
                )
            ],
            ("duplicate-case", "a", "config.cases[1]"),
        ),
        ([node("first_of@1", option_0=Ref("n"), option_2=Ref("n"))], ("unknown-port", "a", "option_2")),
        (
            [node("first_of@1", config={"accept": "x"}, option_0=Ref("n"))],
            ("wrong-value", "a", "config.accept"),
        ),
        (
            [node("each@1", config={"kind": "ask@1", "over": "prompt"}, items=Ref("text"))],
            ("type-mismatch", "a", "items"),
        ),
        (
            [node("each@1", config={"kind": "ask@1", "over": "promt"}, items=Ref("many"))],
            ("wrong-value", "a", "config.over"),
        ),
        (
            [node("each@1", config={"kind": "when@1", "over": "then"}, items=Ref("many"))],
            ("wrong-value", "a", "config.kind"),
        ),
        (
            [node("each@1", config={"kind": "ask@1", "over": "prompt", "concurrency": 0}, items=Ref("many"))],
            ("wrong-value", "a", "config.concurrency"),
        ),
        (
            [node("sub_algorithm@1", config={"algorithm": "x", "version": "3"})],
            ("unknown-algorithm", "a", "config"),
        ),
    ],
)
def test_single_mistakes(nodes, expected):
    nodes = [msgspec.structs.replace(each, id=str(each.id)) for each in nodes]
    assert expected in found(plan_with(*nodes))


def test_cycles_are_named():
    nodes = (
        node("ask@1", "a", prompt=Ref("c")),
        node("ask@1", "b", prompt=Ref("a")),
        node("ask@1", "c", prompt=Ref("b")),
    )
    problems = checked(plan_with(*nodes)).problems
    assert [each.code for each in problems] == ["cycle"]
    assert "a → b → c → a" in problems[0].message
    with pytest.raises(PlanInvalid, match="cycle"):
        topological(plan_with(*nodes))


def test_any_order_of_nodes_is_taken():
    plan = from_yaml(GOOD)
    backwards = msgspec.structs.replace(plan, nodes=plan.nodes[::-1])
    assert checked(backwards).ok
    assert [each.id for each in topological(backwards)] == ["vector", "hits", "said", "answer"]


def test_expressions_are_typed_by_the_given_function():
    plan = from_yaml(
        GOOD.replace(
            '{op: ">", args: [{ref: hits, path: [0, score]}, {value: 0.7}]}', "{cel: broken, vars: {}}"
        )
    )
    assert found(plan) == {("cel-syntax", "answer", "condition")}


def test_a_condition_may_look_at_a_secret_but_not_pass_it_on():
    same = Op("==", (Ref("key"), Value("x")))
    assert found(plan_with(node("when@1", condition=same, then=Ref("n"), otherwise=Ref("n")))) == set()
    assert found(plan_with(result=same, output=BOOLEAN)) == {("sensitivity", "", "result")}


def test_control_types():
    each = node("each@1", config={"kind": "ask@1", "over": "prompt"}, items=Ref("many"))
    assert checked(plan_with(each)).node_types["a"] == ListType(STRING)
    first = node("first_of@1", config={"accept": "value"}, option_0=Ref("maybe"), option_1=Ref("text"))
    assert checked(plan_with(first)).node_types["a"] == STRING
    full = node(
        "switch@1", config={"cases": ["en", "de"]}, value=Ref("lang"), case_0=Ref("n"), case_1=Ref("text")
    )
    assert checked(plan_with(full)).require_ok().node_types["a"] == UnionType((INTEGER, STRING))


def test_sub_algorithms():
    inner = plan_with(node("ask@1", prompt=Ref("q")), inputs={"q": Input(type=STRING)}, output=STRING)
    inner = msgspec.structs.replace(inner, name="inner")
    call = node("sub_algorithm@1", config={"algorithm": "inner", "version": "@prod"}, q=Ref("n"))
    assert found(plan_with(call), algorithms={"inner": inner}) == {("type-mismatch", "a", "q")}
    itself = msgspec.structs.replace(inner, nodes=(call,), inputs={"n": Input(type=STRING)})
    assert ("algorithm-cycle", "a", "config") in found(plan_with(call), algorithms={"inner": itself})


def test_sub_algorithms_may_not_nest_too_deep():
    def level(number):
        config = {"algorithm": f"level{number + 1}", "version": "1"}
        nodes = (node("sub_algorithm@1", config=config),) if number < 9 else ()
        return Plan(name=f"level{number}", inputs={}, output=ANY, nodes=nodes, result=Value(1))

    plans = {f"level{number}": level(number) for number in range(10)}
    assert ("too-deep", "a", "config") in found(plans["level0"], algorithms=plans)
    assert found(plans["level2"], algorithms=plans) == set()


@pytest.mark.parametrize(
    ("change", "port"),
    [
        ({"timeout": 0.0}, "timeout"), ({"timeout": -1.0}, "timeout"), ({"unit": "nobody"}, "unit"),
        ({"unit": "flag"}, "unit"), ({"bundle": "abc"}, "bundle"), ({"name": "Big Name"}, "name"),
        ({"output": INTEGER}, "result"),
        ({"inputs": {"text": Input(type=INTEGER, required=False, default="x")}}, "inputs.text.default"),
    ],
)  # fmt: skip
def test_mistakes_of_the_plan_itself(change, port):
    plan = msgspec.structs.replace(plan_with(node("ask@1", prompt=Ref("text"))), **change)
    assert port in {each.port for each in checked(plan).problems}


def test_policies():
    text = GOOD.replace(
        "kind: ask@1,", "kind: ask@1, retry: {attempts: 0}, cache: {ttl: 0, size: 0}, breaker: {reset: 0},"
    )
    text = text.replace("kind: when@1", "kind: when@1\n  timeout: 3\n  cache: {}")
    result = checked(from_yaml(text))
    assert {each.port for each in result.problems} == {
        "retry.attempts",
        "cache.ttl",
        "cache.size",
        "breaker.reset",
        "cache",
    }
    assert [each.port for each in result.problems if each.code == "policy-not-possible"] == ["cache"]


def test_fallbacks_must_fit():
    bad = msgspec.structs.replace(node("ask@1", prompt=Ref("text")), fallback=Value(3))
    assert found(plan_with(bad)) == {("wrong-type", "a", "fallback")}


def test_warnings_do_not_stop_a_plan():
    unused = node("ask@1", "unused", prompt=Ref("text"))
    constant = node("when@1", condition=Value(True), then=Ref("mail"), otherwise=Ref("text"))
    result = checked(plan_with(unused, constant, output=STRING))
    assert result.ok
    assert {each.code for each in result.warnings} == {"unused-node", "constant-condition", "unmarked-pii"}


def test_two_hundred_nodes_are_checked_quickly():
    nodes = [
        node("ask@1", f"n{i}", prompt=Op("+", (Ref(f"n{i - 1}" if i else "text"), Value("x"))))
        for i in range(200)
    ]
    plan = plan_with(*nodes)
    start = time.process_time()
    assert checked(plan).ok
    assert time.process_time() - start < 0.5, "a guard against quadratic work, not a benchmark"


def test_two_thousand_nodes_in_the_worst_order():
    nodes = [node("ask@1", f"n{i}", prompt=Ref(f"n{i - 1}" if i else "text")) for i in range(2_000)]
    assert topological(plan_with(*nodes[::-1])) == tuple(nodes)
    assert found(plan_with(*nodes, node("ask@1", "more", prompt=Ref("text")))) == {("too-many-nodes", "", "")}
