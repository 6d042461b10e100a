"""Filters: exact against a plain Python loop, for every operator, kind of index and class of value."""

import operator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from algorail.blocks import indexes
from algorail.blocks.indexes import Condition, FromPort, LoadedIndex
from algorail.blocks.indexes.filters import Clause, clauses
from algorail.engine.kit.errors import InvalidInput

TESTS = {
    "eq": operator.eq,
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
    "in": lambda value, choices: value in choices,
}
VALUES = {
    "whole": st.sampled_from([-3, 0, 1, 2, 2**53 + 1, 2**62]),
    "real": st.sampled_from([-1.5, 0.0, 0.5, 2, 1e300]),
    "flag": st.booleans(),
    "word": st.sampled_from(["", "a", "ab", "b", "\u00e4", "\U0001f600", "\uffff"]),
}
QUERIES = {
    "whole": VALUES["whole"] | st.sampled_from([0.5, -1e30, 1e30, 2**53, -(2**70), 2**70]),
    "real": VALUES["real"] | st.sampled_from([7, 10**400, -(10**400)]),
    "flag": VALUES["flag"],
    "word": VALUES["word"] | st.just("aa"),
}


@st.composite
def wanted(draw):
    found = []
    for _ in range(draw(st.integers(1, 3))):
        field, test = draw(st.sampled_from(list(VALUES))), draw(st.sampled_from(list(TESTS)))
        value = draw(st.lists(QUERIES[field], max_size=3)) if test == "in" else draw(QUERIES[field])
        found.append(Clause(field, test, tuple(value) if test == "in" else value))
    return tuple(found)


def loaded(home, rows, payloads, **options):
    version = indexes.build("basis", rows, home=home, payloads=payloads, cores=1, **options)
    return LoadedIndex(home / "indexes" / "basis" / version.version)


def ids(index, vector, k, filter_, **options):
    scores, rows = index.search(index.prepare(k, filter_, **options), index.queries([vector]))
    return [hit["id"] for hit in index.hits(scores[0], rows[0])]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """300 rows with every kind of value and absent ones, in all three structures."""
    rng = np.random.default_rng(0)
    payloads = [
        {
            field: [None, *choices][place]
            for field, choices in CHOICES.items()
            if (place := rng.integers(-1, len(choices) + 1)) >= 0
        }
        for _ in range(300)
    ]
    rows = rng.standard_normal((300, 8), dtype=np.float32)
    built = [
        loaded(tmp_path_factory.mktemp(kind), rows, payloads, kind=kind) for kind in ("flat", "hnsw", "ivf")
    ]
    return rows, payloads, built


CHOICES = {
    "whole": [-3, 0, 1, 2, 2**53 + 1, 2**62],
    "real": [-1.5, 0.0, 0.5, 2, 1e300],
    "flag": [True, False],
    "word": ["", "a", "ab", "b", "\u00e4", "\U0001f600", "\uffff"],
}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted(), st.integers(0, 2))
def test_filters_are_exact(small, filter_, which):
    rows, payloads, built = small
    matching = {
        row
        for row, payload in enumerate(payloads)
        if all(
            payload.get(c.field) is not None and TESTS[c.operator](payload[c.field], c.value) for c in filter_
        )
    }
    found = ids(built[which], rows[0], 300, filter_, exact=True)
    assert len(found) == len(matching)
    assert set(found) == matching


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
@pytest.mark.parametrize("share", [0.002, 0.6])
def test_a_filter_never_costs_hits_and_keeps_the_recall(tmp_path, kind, share):
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((40, 16), dtype=np.float32)
    rows = centres[rng.integers(0, 40, 3_000)] + 0.5 * rng.standard_normal((3_000, 16), dtype=np.float32)
    index = loaded(tmp_path, rows, [{"u": float(u)} for u in rng.random(3_000)], kind=kind)
    filter_ = (Clause("u", "lt", share),)
    common = total = 0
    for query in rows[:40]:
        found, true = ids(index, query, 10, filter_), ids(index, query, 10, filter_, exact=True)
        assert len(found) == len(true) == min(10, index.prepare(10, filter_).k)
        common, total = common + len(set(found) & set(true)), total + len(true)
    assert common / total >= 0.93


def test_nothing_matches(small):
    rows, _, built = small
    for index in built:
        assert ids(index, rows[0], 5, (Clause("whole", "eq", 999),)) == []
        assert ids(index, rows[0], 5, (Clause("word", "in", ()),)) == []


@pytest.mark.parametrize(
    ("clause", "says"),
    [
        (Clause("nowhere", "eq", 1), "cannot filter by 'nowhere'"),
        (Clause("whole", "eq", "1"), "class number"),
        (Clause("whole", "eq", True), "class number"),
        (Clause("flag", "eq", 1), "class boolean"),
        (Clause("word", "in", ("a", 1)), "class text"),
        (Clause("real", "lt", float("nan")), "finite"),
        (Clause("whole", "ge", float("inf")), "finite"),
    ],
)
def test_comparisons_that_cannot_be(small, clause, says):
    index = small[2][0]
    index.prepare(1, (Clause("flag", "eq", True),))  # a kept selection must not answer for its look-alike 1
    with pytest.raises(InvalidInput, match=says):
        index.prepare(1, (clause,))


def test_values_from_ports():
    conditions = {
        "lang": Condition(eq=FromPort("lang")),
        "price": Condition(ge=1, lt=FromPort("below", optional=True)),
    }
    assert clauses(conditions, {"lang": "de", "below": 5}) == (
        Clause("lang", "eq", "de"),
        Clause("price", "ge", 1),
        Clause("price", "lt", 5),
    )
    assert clauses(conditions, {"lang": "de", "below": None})[-1] == Clause("price", "ge", 1)
    assert clauses({"x": Condition(in_=FromPort("xs"))}, {"xs": ["a", "b"]}) == (
        Clause("x", "in", ("a", "b")),
    )


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, b"x"])
def test_a_missing_value_is_refused_and_not_read_as_no_filter(value):
    with pytest.raises(InvalidInput):
        clauses({"tenant": Condition(eq=FromPort("tenant"))}, {} if value is None else {"tenant": value})


def test_kept_selections_are_few(small):
    index = small[2][0]
    for value in range(500):
        index.prepare(1, (Clause("whole", "eq", value),))
    assert len(index._filter._cache.items) <= 64
