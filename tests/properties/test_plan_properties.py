"""What holds for every plan, type and value."""

from __future__ import annotations

import json
import random

import jsonschema_rs
import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from algorail.engine.kit.errors import InvalidInput
from algorail.engine.plan.check import check
from algorail.engine.plan.checkers import checker
from algorail.engine.plan.codec import (
    canonical,
    content_hash,
    from_dict,
    from_json,
    from_yaml,
    to_dict,
    to_json,
    to_yaml,
)
from algorail.engine.plan.compat import compatible
from algorail.engine.plan.contract import contract_change
from algorail.engine.plan.diff import diff
from algorail.engine.plan.leaves import Rejected
from algorail.engine.plan.mistakes import mistakes
from algorail.engine.plan.order import topological
from algorail.engine.plan.picture import mermaid, svg
from algorail.engine.plan.schema import document_schema
from algorail.engine.plan.types import ANY, describe, from_schema, to_schema
from algorail.engine.plan.values import compile_validator, decode, encode, input_decoder
from algorail.engine.plan.yaml_text import dump_yaml, load_yaml
from algorail.engine.testing.kinds import SimpleKinds
from algorail.engine.testing.strategies import instances, json_values, plan_inputs, random_plans, types

QUICK = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCHEMA = jsonschema_rs.validator_for(document_schema())


def shuffled(value, chance):
    if isinstance(value, dict):
        items = [(key, shuffled(item, chance)) for key, item in value.items()]
        chance.shuffle(items)
        return dict(items)
    return [shuffled(item, chance) for item in value] if isinstance(value, list) else value


@QUICK
@given(random_plans())
def test_round_trips_are_identities(plan):
    assert from_dict(to_dict(plan)) == plan
    assert from_json(to_json(plan)) == plan
    assert from_yaml(to_yaml(plan)) == plan
    assert SCHEMA.is_valid(json.loads(to_json(plan)))


@QUICK
@given(random_plans(), st.integers(0, 2**32))
def test_the_hash_knows_no_key_order_and_no_canvas(plan, seed):
    document = shuffled(to_dict(plan), random.Random(seed))
    document["ui"] = {"positions": {"elsewhere": [seed, 1]}}
    again = from_dict(document)
    assert canonical(again) == canonical(plan)
    assert content_hash(again) == content_hash(plan)
    assert not diff(plan, again)


@QUICK
@given(random_plans())
def test_a_random_plan_has_no_problem(plan):
    found = check(plan, SimpleKinds().signature, lambda name, version: None, lambda text, variables: ANY)
    assert found.problems == ()
    assert set(found.node_types) == {node.id for node in plan.nodes}
    assert contract_change(plan, plan).level == "same"


@QUICK
@given(random_plans(), st.integers(0, 2**32))
def test_every_order_of_nodes_has_the_same_types(plan, seed):
    nodes = list(plan.nodes)
    random.Random(seed).shuffle(nodes)
    mixed = msgspec.structs.replace(plan, nodes=tuple(nodes))
    ordered = [node.id for node in topological(mixed)]
    assert sorted(ordered) == sorted(node.id for node in nodes)
    checks = [
        check(each, SimpleKinds().signature, lambda name, version: None, lambda text, variables: ANY)
        for each in (plan, mixed)
    ]
    assert checks[0].node_types == checks[1].node_types
    assert not diff(plan, mixed)


@QUICK
@given(random_plans(), random_plans())
def test_a_difference_is_seen_exactly_when_the_hash_differs(one, other):
    assert bool(diff(one, other)) == (content_hash(one) != content_hash(other))


@settings(QUICK, max_examples=10)
@given(random_plans())
def test_pictures_show_every_node(plan):
    drawn, text = svg(plan), mermaid(plan)
    assert all(node.id in drawn and node.id in text for node in plan.nodes)


@MANY
@given(types(sensitive=True))
def test_types_survive_json_schema(source):
    assert from_schema(to_schema(source)) == source
    assert describe(source)


@MANY
@given(types(sensitive=True))
def test_compatibility_is_reflexive(source):
    assert compatible(source, source) is None


@MANY
@given(*[types(any_type=False, sensitive=True)] * 3)
def test_compatibility_is_transitive_without_any(one, two, three):
    assume("any" not in describe(one) + describe(two) + describe(three))
    if compatible(one, two) is None and compatible(two, three) is None:
        assert compatible(one, three) is None


@MANY
@given(types(any_type=False).flatmap(lambda source: st.tuples(st.just(source), instances(source))))
def test_what_fits_is_taken_by_the_wider_type(pair):
    source, value = pair
    plain = compile_validator(source)(value)
    for target in (ANY, source):
        assert compatible(source, target) is None
        compile_validator(target, coerce=False)(plain)


@MANY
@given(types(), json_values())
def test_the_fast_and_the_slow_path_agree(source, value):
    for decoded in (False, True):
        try:
            checker(source, coerce=True, decoded=decoded)(value)
        except Rejected:
            assert mistakes(source, value, coerce=True)
        else:
            assert mistakes(source, value, coerce=True) == []


@MANY
@given(types().flatmap(lambda source: st.tuples(st.just(source), instances(source))))
def test_instances_are_valid_and_survive_json(pair):
    source, value = pair
    validate = compile_validator(source)
    raw = encode(validate(value))
    assert encode(validate(decode(raw))) == raw


@QUICK
@given(random_plans(max_nodes=2).flatmap(lambda plan: st.tuples(st.just(plan), plan_inputs(plan))))
def test_inputs_are_decoded_with_defaults(pair):
    plan, inputs = pair
    found = input_decoder(plan.inputs)(json.dumps(inputs).encode())
    assert found.keys() == plan.inputs.keys()
    assert {name: found[name] for name in inputs} == inputs


@MANY
@given(json_values())
def test_json_and_yaml_texts_keep_any_value(value):
    assert decode(encode(value)) == value
    assert load_yaml(dump_yaml(value).encode()) == value


@MANY
@given(st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_taken_or_refused_clearly(raw):
    for read in (decode, from_json, from_yaml):
        try:
            read(raw)
        except InvalidInput:
            continue
        assert read is decode


@QUICK
@given(random_plans(max_nodes=3), st.data())
def test_a_damaged_document_is_refused_with_places_or_still_a_plan(plan, data):
    document = to_dict(plan)
    key = data.draw(st.sampled_from(sorted(document)))
    document[key] = data.draw(json_values())
    try:
        found = from_dict(document)
    except InvalidInput as error:
        problems = error.problems
    else:
        assert from_dict(to_dict(found)) == found
        return
    assert problems
    assert all(problem.code and problem.message for problem in problems)


def test_the_schema_of_the_document_is_itself_valid():
    jsonschema_rs.meta.validate(document_schema())
    with pytest.raises(jsonschema_rs.ValidationError):
        SCHEMA.validate({"name": "x", "nodes": []})
