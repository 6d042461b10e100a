"""The block `vector_search`: ports, filters from inputs, batches, bad queries, a whole algorithm around it."""

import asyncio
import threading
from importlib import import_module

import msgspec
import numpy as np
import pytest

from algorail.blocks import indexes
from algorail.blocks.vector_search import KIND, Config, FromPort, Hit, vector_search
from algorail.engine.dsl import algorithm
from algorail.engine.kit.errors import AlgorailError, ConfigInvalid, InvalidInput, LimitExceeded, NotFound
from algorail.engine.plan.annotations import Vector
from algorail.engine.plan.types import describe
from algorail.engine.run.compile import compile_plan
from algorail.engine.run.context import RunContext
from algorail.engine.testing.fakes import FakeKinds, FakeServices

LANGS = ("de", "en", "fr")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An index `faq` of 300 rows × 8, with payloads."""
    folder = tmp_path_factory.mktemp("home")
    rows = np.random.default_rng(0).standard_normal((300, 8), dtype=np.float32)
    payloads = [{"id": f"q{n}", "lang": LANGS[n % 3], "price": n / 10} for n in range(300)]
    indexes.build("faq", rows, home=folder, payloads=payloads)
    return folder


@pytest.fixture
def services(home):
    offered = FakeServices(home=home)
    yield offered
    offered.close()


def config(**fields):
    return msgspec.convert({"index": "faq", **fields}, Config)


def call(services, fields=None, **inputs):
    return asyncio.run(KIND.build(config(**(fields or {})), services).call(**inputs))


def row(n):
    return np.random.default_rng(0).standard_normal((300, 8), dtype=np.float32)[n]


# -- in an algorithm ------------------------------------------------------------------------------------------


def test_in_an_algorithm(services):
    faq = vector_search("faq", size=8, filter={"lang": FromPort("lang"), "price": {"lt": 20}})

    @algorithm
    def nearest(vector: Vector, lang: str, k: int = 2) -> list[Hit]:
        hits = faq(vector=vector, lang=lang, k=k)
        return hits

    compiled = compile_plan(nearest.plan, kinds=FakeKinds(KIND), services=services)
    hits = asyncio.run(compiled.run({"vector": row(7), "lang": "en", "k": 3}, RunContext()))
    assert hits[0] == {"id": "q7", "score": pytest.approx(1.0), "payload": {"lang": "en", "price": 0.7}}
    assert len(hits) == 3
    assert {hit["payload"]["lang"] for hit in hits} == {"en"}
    assert all(hit["payload"]["price"] < 20 for hit in hits)


def test_scores_are_sorted_and_payloads_can_be_left_out(services):
    hits = call(services, {"k": 20, "payload": False}, vector=row(0))
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    assert {len(hit["payload"]) for hit in hits} == {0}
    assert all(type(hit["score"]) is float for hit in hits)


def test_a_list_of_numbers_is_a_vector_too(services):
    assert call(services, vector=row(3).tolist())[0]["id"] == "q3"


def test_batch(services):
    lines = call(services, {"batch": True, "k": 1}, vectors=[row(n) for n in range(5)])
    assert [[hit["id"] for hit in line] for line in lines] == [[f"q{n}"] for n in range(5)]
    assert call(services, {"batch": True}, vectors=[]) == []
    with pytest.raises(LimitExceeded):
        call(services, {"batch": True}, vectors=[row(0)] * 1_001)


@pytest.mark.parametrize(
    ("spec", "matches"),
    [
        ("de", lambda p: p["lang"] == "de"),
        (["de", "fr"], lambda p: p["lang"] in {"de", "fr"}),
        ({"eq": "de"}, lambda p: p["lang"] == "de"),
        ({"ge": "en", "lt": "fr"}, lambda p: p["lang"] == "en"),
    ],
)
def test_filters_written_short_and_long(services, spec, matches):
    placed = vector_search("faq", k=300, filter={"lang": spec})
    hits = call(services, dict(placed.config), vector=row(0))
    assert len(hits) in {100, 200}
    assert all(matches(hit["payload"]) for hit in hits)


def test_an_optional_filter_port_may_be_null(services):
    fields = {"k": 300, "filter": {"lang": {"eq": {"port": "lang", "optional": True}}}}
    assert len(call(services, fields, vector=row(0), lang=None)) == 300
    assert len(call(services, fields, vector=row(0), lang="de")) == 100


def test_a_required_filter_port_may_not(services):
    fields = {"filter": {"lang": {"eq": {"port": "lang"}}}}
    for inputs in ({}, {"lang": None}):
        with pytest.raises(InvalidInput) as error:
            call(services, fields, vector=row(0), **inputs)
        assert error.value.code == "filter-invalid"


def test_slow_searches_leave_the_event_loop_free(services, monkeypatch):
    here = threading.get_ident()
    seen = []
    original = indexes.LoadedIndex.search
    monkeypatch.setattr(
        indexes.LoadedIndex,
        "search",
        lambda *args: seen.append(threading.get_ident() == here) or original(*args),
    )
    monkeypatch.setattr(import_module("algorail.blocks.vector_search"), "INLINE_MICROS", 1e9)
    call(services, vector=row(0))
    monkeypatch.setattr(import_module("algorail.blocks.vector_search"), "INLINE_MICROS", 0.0)
    call(services, vector=row(0))
    assert seen == [True, False]


def test_one_index_per_process_and_version(services):
    for _ in range(3):
        KIND.build(config(), services)
        KIND.build(config(k=9, batch=True), services)
    assert len(services._shared) == 1


# -- ports ----------------------------------------------------------------------------------------------------


def test_signature():
    ports = KIND.signature(
        config(
            size=8,
            filter={"lang": {"eq": {"port": "lang"}}, "tag": {"in": {"port": "tags", "optional": True}}},
        )
    )
    assert {name: (describe(port.type), port.required) for name, port in ports.inputs.items()} == {
        "vector": ("Vector[8, float32]", True),
        "k": ("integer", False),
        "lang": ("string or number or boolean", True),
        "tags": ("list of (string or number or boolean) or null", False),
    }
    assert list(KIND.signature(config(batch=True)).inputs) == ["vectors", "k"]


@pytest.mark.parametrize(
    ("fields", "port"),
    [
        ({"index": "../faq"}, "index"),
        ({"version": "../v1"}, "version"),
        ({"filter": {"lang": {}}}, "filter.lang"),
        ({"filter": {"lang": {"eq": {"port": "k"}}}}, "filter.lang.eq"),
        ({"filter": {"lang": {"eq": {"port": "not a name"}}}}, "filter.lang.eq"),
        ({"filter": {"lang": {"eq": {"port": "class"}}}}, "filter.lang.eq"),
        ({"filter": {"a": {"eq": {"port": "x"}}, "b": {"in": {"port": "x"}}}}, "filter.b.in"),
    ],
)
def test_bad_configuration_is_found_before_the_run(fields, port):
    with pytest.raises(ConfigInvalid) as error:
        KIND.signature(config(**fields))
    assert [problem.port for problem in error.value.problems] == [port]


@pytest.mark.parametrize(
    "fields",
    [
        {"k": 0},
        {"k": 10_001},
        {"k": True},
        {"size": 0},
        {"filter": {"x": {"like": "a%"}}},
        {"nprobe": 3},
        {"filter": {"x": {"eq": [1]}}},
    ],
)
def test_configuration_of_another_shape_is_refused(fields):
    with pytest.raises(msgspec.ValidationError):
        config(**fields)


def test_misuse_of_the_factory_names_the_field():
    with pytest.raises(ConfigInvalid, match="'lang'"):
        vector_search("faq", filter={"lang": {"like": "x"}})


# -- bad queries ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vector", "says"),
    [
        (np.zeros(7, np.float32), "7"),
        (np.zeros((1, 8), np.float32), "shape"),
        (np.zeros(8, np.float64), "float64"),
        (np.zeros(8, np.int32), "int32"),
        (np.array([np.nan] * 8, np.float32), "NaN"),
        (np.array([np.inf] * 8, np.float32), "NaN, infinite"),
        (np.full(8, 1e30, np.float32), "too large"),
        (np.zeros(8, np.float32), "zero vector"),
        ([1.0] * 7, "7"),
        ([1e300] * 8, "too large"),
        ([10**400] * 8, "too large"),
        (["1"] * 8, "numbers"),
        ([True] * 8, "numbers"),
        ([[1.0]] * 8, "numbers"),
        ("12345678", "str"),
        (None, "NoneType"),
    ],
)
def test_queries_that_fit_no_index(services, vector, says):
    with pytest.raises(InvalidInput, match=says) as error:
        call(services, vector=vector)
    assert error.value.code == "vector-invalid"
    with pytest.raises(InvalidInput):
        call(services, {"batch": True}, vectors=[row(0), vector])


@pytest.mark.parametrize("k", [0, -1, 10_001, True, 2.0, "5"])
def test_k_out_of_range(services, k):
    with pytest.raises(InvalidInput, match="k =="):
        call(services, vector=row(0), k=k)


def test_the_querys_own_array_is_not_changed(services):
    vector = row(0) * np.float32(7)
    before = vector.copy()
    call(services, vector=vector)
    assert np.array_equal(vector, before)


def test_missing_index_says_what_there_is(services):
    with pytest.raises(NotFound, match=r"\['faq'\]") as error:
        KIND.build(config(index="fag"), services)
    assert isinstance(error.value, AlgorailError)
    with pytest.raises(NotFound, match="no version"):
        KIND.build(config(version="v0"), services)
