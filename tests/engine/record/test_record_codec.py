"""Runs survive encoding; sensitive values do not; bodies of old releases stay readable."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorail.engine.kit.errors import NotFound
from algorail.engine.plan.document import Cel, DictOf, Input, ListOf, Node, Op, Plan, Ref, Value
from algorail.engine.plan.types import (
    AnyType,
    DictType,
    Field,
    ListType,
    ObjectType,
    ScalarType,
    UnionType,
    VectorType,
)
from algorail.engine.record.codec import RecordDamaged, RecordOptions, RecordShape, decode, encode
from algorail.engine.record.marks import Mark, is_complete, plain
from algorail.engine.run.outcome import Attempt, BlockRecord, ErrorInfo, NodeStatus, RunRecord, RunStatus

BODIES = Path(__file__).parent / "bodies"
TEXT = ScalarType("string")
SECRET = ScalarType("string", sensitivity="secret")
PII = ScalarType("string", sensitivity="pii")


def node(name, *, kind="transform@1", inputs=None, record="full"):
    return Node(id=name, kind=kind, inputs=inputs or {}, record=record)


def make_plan(*nodes, inputs=None, output=None, result=None, unit=""):
    return Plan(
        name="faq",
        inputs=inputs if inputs is not None else {"question": Input(type=TEXT)},
        output=output or AnyType(),
        nodes=nodes,
        result=result or Ref(nodes[-1].id),
        unit=unit,
    )


def shape_of(plan, child=lambda _hash: None, **types):
    return RecordShape.of(plan, {one.id: types.get(one.id, AnyType()) for one in plan.nodes}, child)


def block(name, output=None, *, start=0, status=NodeStatus.OK, **rest):
    return BlockRecord(name, "transform@1", status, start, 1_000, output, **rest)


def make_run(*blocks, inputs=None, output=None, status=RunStatus.SUCCEEDED, **rest):
    return RunRecord(
        run_id="run_1",
        algorithm="faq",
        version=3,
        plan_hash="hash",
        status=status,
        started_ns=1_795_435_200_000_000_000,
        duration_ns=5_000,
        inputs={"question": "why?"} if inputs is None else inputs,
        output=output,
        blocks=list(blocks),
        **rest,
    )


def everything(encoded):
    """All bytes that would be stored, decompressed, as text to search in."""
    run = decode(encoded)
    return repr(encoded.head) + repr(run) + repr([decode_apart(data) for _, data in encoded.values])


def decode_apart(data):
    import zstandard

    return zstandard.ZstdDecompressor().decompress(data)


class TestRoundTrip:
    def test_a_run_comes_back_with_what_its_blocks_received(self):
        plan = make_plan(
            node("a", inputs={"text": Ref("question"), "k": Value(5)}),
            node("b", inputs={"first": Ref("a", ("hits", 0)), "all": ListOf((Ref("a"), Value(1)))}),
            node("c", inputs={"score": Op("+", (Ref("b"), Value(1))), "o": DictOf({"q": Ref("question")})}),
        )
        hits = {"hits": ["x", "y"]}
        run = make_run(
            block("a", hits, start=1),
            block(
                "b", 4, start=2, attempts=[Attempt(2, 1, ErrorInfo("timeout", "slow", "b")), Attempt(4, 1)]
            ),
            block("c", "end", start=3, status=NodeStatus.FALLBACK, error=ErrorInfo("x", "y", "c")),
            output="end",
            alias="prod",
            variant="v",
            labels={"team": "ml"},
        )
        back = decode(encode(run, shape_of(plan)), shape_of(plan))
        assert [one.inputs for one in back.blocks] == [
            {"text": "why?", "k": 5},
            {"first": "x", "all": [hits, 1]},
            {"score": 5, "o": {"q": "why?"}},
        ]
        for one in back.blocks:
            one.inputs = None
        assert back == run

    def test_cel_inputs_are_restored(self):
        plan = make_plan(node("a"), node("b", inputs={"x": Cel("n * 2", {"n": Ref("a")})}))
        back = decode(encode(make_run(block("a", 4), block("b", 1, start=1)), shape_of(plan)), shape_of(plan))
        assert back.blocks[1].inputs == {"x": 8}

    def test_blocks_come_in_the_order_of_their_starts(self):
        plan = make_plan(node("a"), node("b"))
        run = make_run(block("b", 2, start=9), block("a", 1, start=3), output=2)
        back = decode(encode(run, shape_of(plan)), shape_of(plan))
        assert [one.node for one in back.blocks] == ["a", "b"]
        assert back.output == 2

    def test_a_branch_not_taken_leaves_its_port_out(self):
        plan = make_plan(
            node("a"),
            node("b"),
            node(
                "w", kind="when@1", inputs={"condition": Value(True), "then": Ref("a"), "otherwise": Ref("b")}
            ),
        )
        back = decode(encode(make_run(block("a", 1), block("w", 1, start=1)), shape_of(plan)), shape_of(plan))
        assert back.blocks[1].inputs == {"condition": True, "then": 1}

    def test_children_nest(self):
        inner = make_plan(node("i", inputs={"q": Ref("question")}))
        plan = make_plan(node("s", kind="sub_algorithm@1"))
        child = make_run(block("i", "deep"), output="deep")
        shape = shape_of(plan, child={"hash": shape_of(inner)}.get)
        back = decode(encode(make_run(block("s", "deep", children=[child])), shape), shape)
        assert back.blocks[0].children[0].blocks[0].inputs == {"q": "why?"}
        assert back.blocks[0].children[0].output == "deep"

    def test_a_child_of_unknown_shape_keeps_no_values(self):
        child = make_run(block("i", "deep"), inputs={"question": "deep"}, output="deep", labels={"x": "deep"})
        shape = shape_of(make_plan(node("s")))
        encoded = encode(make_run(block("s", "ok", children=[child])), shape)
        assert "deep" not in everything(encoded)
        assert decode(encoded).blocks[0].children[0].blocks[0].node == "i"

    @settings(max_examples=60, deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
            max_leaves=20,
        )
    )
    def test_plain_values_are_identities(self, value):
        shape = shape_of(make_plan(node("a")))
        options = RecordOptions(large=64, whole=256)
        encoded = encode(
            make_run(block("a", value), inputs={"question": value}, output=value), shape, options
        )
        back = decode(encoded, shape, dict(encoded.values).__getitem__)
        assert (back.blocks[0].output, back.inputs["question"], back.output) == (value, value, value)


class TestValues:
    def test_large_arrays_are_summarised_and_small_ones_kept(self):
        large, small = np.arange(1_025, dtype=np.float32), np.arange(1_024, dtype=np.float32)
        shape = shape_of(make_plan(node("a")))
        encoded = encode(make_run(block("a", {"large": large, "small": small})), shape)
        output = decode(encoded).blocks[0].output
        mark = output["large"]
        assert (mark.kind, mark.details["dtype"], mark.details["shape"]) == ("array", "float32", [1_025])
        assert mark.details["head"] == [0, 1, 2, 3, 4, 5, 6, 7]
        assert not is_complete(output)
        assert np.array_equal(output["small"], small)
        assert output["small"].dtype == np.float32

    def test_the_inputs_of_a_run_are_kept_in_full_and_those_of_its_children_are_not(self):
        vector = np.random.default_rng(1).random(2_000)
        inner = make_plan(node("i", inputs={"q": Ref("question")}))
        shape = shape_of(make_plan(node("s", kind="sub_algorithm@1")), child={"hash": shape_of(inner)}.get)
        child = make_run(block("i", 1), inputs={"question": vector}, output=1)
        run = make_run(block("s", 1, children=[child]), inputs={"question": vector}, output=1)
        encoded = encode(run, shape)
        back = decode(encoded, shape, dict(encoded.values).__getitem__)
        assert np.array_equal(back.inputs["question"], vector)
        assert back.blocks[0].children[0].inputs["question"].kind == "array"
        assert len(encoded.values) == 1, "a large input stands apart"

    def test_a_masked_input_is_not_kept_however_small(self):
        secret = VectorType(2, sensitivity="pii")
        plan = make_plan(node("a"), inputs={"v": Input(type=secret)})
        encoded = encode(make_run(block("a", 1), inputs={"v": np.array([0.25, 0.75])}), shape_of(plan))
        assert decode(encoded).inputs["v"] == Mark("masked", sensitivity="pii")
        assert "0.75" not in everything(encoded)

    def test_arrays_can_be_kept(self):
        vector = np.random.default_rng(1).random(2_000)
        shape = shape_of(make_plan(node("a")))
        encoded = encode(make_run(block("a", vector)), shape, RecordOptions(arrays="full"))
        back = decode(encoded, shape, dict(encoded.values).__getitem__)
        assert np.array_equal(back.blocks[0].output, vector)
        assert plain(back.blocks[0].output) == vector.tolist()

    def test_large_values_stand_apart_once(self):
        text = "".join(chr(97 + i * i % 26) for i in range(9_000))
        shape = shape_of(make_plan(node("a"), node("b")))
        run = make_run(block("a", text), block("b", text), inputs={"question": text})
        encoded = encode(run, shape, RecordOptions(whole=10_000))
        assert len(encoded.values) == 1
        assert decode(encoded).blocks[0].output.kind == "apart"
        back = decode(encoded, shape, dict(encoded.values).__getitem__)
        assert (back.blocks[0].output, back.blocks[1].output, back.inputs["question"]) == (text, text, text)

    def test_a_run_of_moderate_size_is_kept_in_one_piece(self):
        shape = shape_of(make_plan(node("a"), node("b")))
        encoded = encode(make_run(block("a", "x" * 9_000), block("b", "y" * 9_000, start=1)), shape)
        assert not encoded.values
        assert encoded.unpacked > 18_000
        assert [one.output[0] for one in decode(encoded).blocks] == ["x", "y"]

    def test_a_value_whose_day_was_dropped_stays_a_mark(self):
        def gone(digest):
            raise NotFound(digest)

        shape = shape_of(make_plan(node("a")))
        back = decode(encode(make_run(block("a", "x" * 33_000)), shape), shape, gone)
        assert back.blocks[0].output.kind == "apart"

    @pytest.mark.parametrize(
        ("value", "seen"),
        [
            (2**70, 2**70),
            ([-(2**65), "\ud800"], [-(2**65), "\\ud800"]),
            (np.float32(0.5), 0.5),
            ({"o": object()}, {"o": Mark("absent", why="a object is not plain data")}),
        ],
    )
    def test_what_msgpack_refuses_is_kept_as_well_as_can_be(self, value, seen):
        shape = shape_of(make_plan(node("a")))
        assert decode(encode(make_run(block("a", value)), shape)).blocks[0].output == seen

    def test_a_bottomless_value_is_cut(self):
        value = []
        value.append(value)
        shape = shape_of(make_plan(node("a")))
        assert "nested deeper" in repr(decode(encode(make_run(block("a", value)), shape)).blocks[0].output)

    def test_node_modes(self):
        plan = make_plan(
            node("d", record="digest"),
            node("o", record="off"),
            node("e", inputs={"x": Ref("d", ("k",)), "y": Ref("o", ("k",))}),
        )
        run = make_run(block("d", {"k": "hush"}), block("o", {"k": "hush"}), block("e", 1, start=1))
        encoded = encode(run, shape_of(plan))
        assert "hush" not in everything(encoded)
        back = decode(encoded, shape_of(plan))
        assert [one.output.kind for one in back.blocks[:2]] == ["digest", "absent"]
        assert {port.kind for port in back.blocks[2].inputs.values()} == {"absent"}


class TestMasks:
    PERSON = ObjectType({"name": Field(PII), "age": Field(ScalarType("integer"))})

    @pytest.mark.parametrize(
        ("kind", "value", "seen"),
        [
            (SECRET, "swordfish", Mark("masked", sensitivity="secret")),
            (UnionType((ScalarType("null"), PII)), None, None),
            (UnionType((ScalarType("null"), PII)), "swordfish", Mark("masked", sensitivity="pii")),
            (ListType(PII), ["swordfish"], [Mark("masked", sensitivity="pii")]),
            (DictType(PII), {"k": "swordfish"}, {"k": Mark("masked", sensitivity="pii")}),
            (PERSON, {"name": "swordfish", "age": 3}, {"name": Mark("masked", sensitivity="pii"), "age": 3}),
            (PERSON, ["swordfish"], Mark("masked", sensitivity="secret")),
            (UnionType((PERSON, TEXT)), "swordfish", Mark("masked", sensitivity="secret")),
            (AnyType(sensitivity="pii"), {"x": ["swordfish"]}, Mark("masked", sensitivity="pii")),
        ],
    )
    def test_types_decide(self, kind, value, seen):
        shape = shape_of(make_plan(node("a")), a=kind)
        encoded = encode(make_run(block("a", value), output=value), shape)
        assert decode(encoded).blocks[0].output == seen
        assert "swordfish" not in everything(encoded).replace(repr(make_run().inputs), "")

    def test_nothing_secret_in_row_body_messages_or_labels(self):
        plan = make_plan(
            node("a", inputs={"t": Ref("token"), "u": Op("+", (Ref("token"), Value("!")))}),
            inputs={"token": Input(type=SECRET), "who": Input(type=PII)},
            output=SECRET,
            unit="who",
        )
        shape = shape_of(plan, a=SECRET)
        error = ErrorInfo("refused", "bad token swordfish for Ada Byron", "a")
        run = make_run(
            block("a", "swordfish2", error=error, attempts=[Attempt(0, 1, error)]),
            inputs={"token": "swordfish", "who": "Ada Byron"},
            output="swordfish2",
            error=error,
            status=RunStatus.FAILED,
            unit="Ada Byron",
            labels={"caller": "Ada Byron"},
        )
        encoded = encode(run, shape, RecordOptions(salt=b"salt"))
        assert not any(text in everything(encoded) for text in ("swordfish", "Ada", "Byron"))
        back = decode(encoded, shape)
        assert back.error.message == "bad token [masked] for [masked]"
        assert back.blocks[0].inputs["t"].kind == "masked"
        assert back.blocks[0].inputs["u"].kind == "absent"
        assert encoded.head.unit.startswith("masked:")

    def test_an_output_declared_sensitive_is_masked_in_its_block_too(self):
        shape = shape_of(make_plan(node("a"), output=SECRET))
        assert "swordfish" not in everything(
            encode(make_run(block("a", "swordfish"), output="swordfish"), shape)
        )

    def test_salted_digests_are_stable(self):
        shape = shape_of(make_plan(node("a")), a=SECRET)

        def digest(value, salt):
            return (
                decode(encode(make_run(block("a", value)), shape, RecordOptions(salt=salt))).blocks[0].output
            )

        assert digest("x", b"1") == digest("x", b"1")
        assert digest("x", b"1") != digest("y", b"1")
        assert digest("x", b"1") != digest("x", b"2")

    def test_nothing_is_recorded_on_a_guess(self):
        with pytest.raises(KeyError):
            RecordShape.of(make_plan(node("a")), {})


class TestBodies:
    @pytest.mark.parametrize("path", sorted(BODIES.glob("*.bin")), ids=lambda path: path.stem)
    def test_bodies_of_old_releases_stay_readable(self, path):
        plan = make_plan(node("a", inputs={"q": Ref("question")}), node("b", inputs={"x": Ref("a")}))
        shape = shape_of(plan)
        kept = dataclasses.replace(encode(make_run(), shape), body=path.read_bytes())
        back = decode(kept, shape)
        assert back.inputs == {"question": "why?"}
        assert back.output == {"answer": 42, "vector": back.output["vector"]}
        assert back.output["vector"].details["head"] == [1.0, 2.0]
        assert [one.inputs for one in back.blocks] == [{"q": "why?"}, {"x": 2**70}]
        assert back.blocks[0].attempts[0].error == ErrorInfo("timeout", "slow", "a")
        assert back.blocks[0].children[0].blocks[0].node == "inner"
        assert back.labels == {"team": "ml"}

    @pytest.mark.parametrize("body", [b"", b"\x02rest", b"\x01", b"\x01garbage"])
    def test_damage_is_said(self, body):
        encoded = encode(make_run(), shape_of(make_plan(node("a"))))
        with pytest.raises(RecordDamaged):
            decode(dataclasses.replace(encoded, body=body))

    def test_truncation_is_said(self):
        encoded = encode(make_run(block("a", "text" * 50)), shape_of(make_plan(node("a"))))
        for length in range(0, len(encoded.body) - 1, 7):
            with pytest.raises(RecordDamaged):
                decode(dataclasses.replace(encoded, body=encoded.body[:length]))
