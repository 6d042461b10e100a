"""Building indexes: sources, checks, choice of kind, measured recall, bad input."""

import json
import resource
import sys

import numpy as np
import pytest

from algorail.blocks import indexes
from algorail.blocks.indexes import LoadedIndex, training
from algorail.blocks.indexes.columns import common_class
from algorail.engine.kit.errors import InvalidInput, Unavailable


def clustered(count, size=16, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(1, count // 50), size), dtype=np.float32)
    return centres[rng.integers(0, len(centres), count)] + np.float32(0.4) * rng.standard_normal(
        (count, size), dtype=np.float32
    )


def load(home, version):
    return LoadedIndex(home / "indexes" / version.name / version.version)


def search(home, version, vector, k=3):
    loaded = load(home, version)
    scores, rows = loaded.search(loaded.prepare(k), loaded.queries([vector]))
    return loaded.hits(scores[0], rows[0])


# -- kinds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "kind"), [(1, "flat"), (10_000, "flat"), (10_001, "hnsw"), (500_000, "hnsw"), (500_001, "ivf")]
)
def test_kind_is_chosen_by_size_and_explained(count, kind):
    chosen, why = training.choose(count)
    assert chosen == kind
    assert f"{count:,} rows" in why


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivf"])
def test_every_kind_and_metric_finds_what_numpy_finds(tmp_path, kind, metric):
    rows = clustered(1_500)
    if metric == "dot":
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    version = indexes.build("basis", rows, home=tmp_path, kind=kind, metric=metric)
    assert (version.kind, version.count, version.size, version.ids) == (kind, 1_500, 16, "row")
    assert version.recall >= 0.95
    loaded = load(tmp_path, version)
    queries = clustered(40, seed=1)
    scores, found = loaded.search(loaded.prepare(10, exact=True), loaded.queries(list(queries)))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = {
        "cosine": (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ unit.T,
        "dot": queries @ rows.T,
        "l2": -np.linalg.norm(queries[:, None] - rows[None], axis=2),
    }[metric]
    best = -np.sort(-expected, axis=1)[:, :10]
    assert np.allclose(scores, -best if metric == "l2" else best, atol=1e-3)
    ids = [[hit["id"] for hit in loaded.hits(*line)] for line in zip(scores, found, strict=True)]
    assert np.allclose(np.take_along_axis(expected, np.array(ids), axis=1), best, atol=1e-3)


def test_recall_is_measured_on_rows_held_out_and_kept_in_the_manifest(tmp_path):
    version = indexes.build("basis", clustered(3_000), home=tmp_path, kind="ivf", recall=0.99)
    again = indexes.show("basis", home=tmp_path)
    assert [m.effort for m in again.curve] == sorted(m.effort for m in again.curve)
    assert again.curve[-1] == again.measured
    assert again.measured.recall >= 0.99 > again.curve[0].recall
    assert "99" in again.why
    assert version == again


def test_auto_falls_back_to_exact_where_a_graph_cannot_reach_the_recall(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "FLAT_ROWS", 500)
    monkeypatch.setattr(training, "_EF", (1,))
    noise = np.random.default_rng(0).standard_normal((2_000, 64), dtype=np.float32)
    version = indexes.build("noise", noise, home=tmp_path)
    assert (version.kind, version.recall) == ("flat", 1.0)
    assert "only" in version.why
    asked = indexes.build("noise", noise, home=tmp_path, kind="hnsw")
    assert asked.kind == "hnsw"
    assert asked.recall < 0.95


def test_too_few_rows_for_a_graph_are_compared_one_by_one(tmp_path):
    assert indexes.build("few", clustered(5), home=tmp_path, kind="hnsw").kind == "flat"


def test_more_rows_than_there_are_cannot_be_found(tmp_path):
    version = indexes.build("few", clustered(5), home=tmp_path)
    assert len(search(tmp_path, version, clustered(1)[0], k=100)) == 5


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_k_beyond_the_effort_is_filled_exactly(tmp_path, kind):
    rows = clustered(2_000)
    version = indexes.build("basis", rows, home=tmp_path, kind=kind)
    assert len({hit["id"] for hit in search(tmp_path, version, rows[0], k=1_900)}) == 1_900


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_recall_holds_for_more_hits_than_it_was_measured_for(tmp_path, kind):
    version = indexes.build("basis", clustered(4_000), home=tmp_path, kind=kind)
    loaded = load(tmp_path, version)
    queries = loaded.queries(list(clustered(30, seed=3)))
    found = loaded.search(loaded.prepare(100), queries)[1]
    true = loaded.search(loaded.prepare(100, exact=True), queries)[1]
    assert np.mean([len(np.intersect1d(a, b)) / 100 for a, b in zip(found, true, strict=True)]) >= 0.93


# -- sources --------------------------------------------------------------------------------------------------

ROWS = [
    {"id": "a", "vector": [1.0, 0.0], "text": "first", "n": 1},
    {"id": "b", "vector": [0, 1], "text": "zweite \u00e4", "n": None},
    {"id": "c", "vector": [0.7, 0.7], "text": "third", "nested": {"x": [1]}},
]


def jsonl(path, rows=ROWS):
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    return path


def check_rows(home, version):
    hits = search(home, version, [1.0, 0.1], k=3)
    assert [hit["id"] for hit in hits] == ["a", "c", "b"]
    assert hits[0]["payload"] == {"text": "first", "n": 1}
    assert hits[1]["payload"]["nested"] == {"x": [1]}
    assert hits[2]["payload"] == {"text": "zweite \u00e4", "n": None}


def test_jsonl(tmp_path):
    version = indexes.build("faq", jsonl(tmp_path / "faq.jsonl"), home=tmp_path)
    assert (version.source, version.ids) == ("faq.jsonl", "text")
    assert version.filterable == {"text": "text", "n": "number"}
    check_rows(tmp_path, version)


def test_npy_with_payloads_beside_it(tmp_path):
    np.save(tmp_path / "v.npy", np.array([row["vector"] for row in ROWS], dtype=np.float64))
    payloads = [{k: v for k, v in row.items() if k != "vector"} for row in ROWS]
    version = indexes.build(
        "faq", str(tmp_path / "v.npy"), home=tmp_path, payloads=jsonl(tmp_path / "p.jsonl", payloads)
    )
    check_rows(tmp_path, version)


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    vectors = pyarrow.array([row["vector"] for row in ROWS], pyarrow.list_(pyarrow.float32(), 2))
    table = pyarrow.table({"emb": vectors, "key": [7, 8, 9], "price": [1.5, float("nan"), 2.0]})
    parquet.write_table(table, tmp_path / "faq.parquet")
    version = indexes.build("faq", tmp_path / "faq.parquet", home=tmp_path, vector="emb", id="key")
    hits = search(tmp_path, version, [1.0, 0.1])
    assert [(hit["id"], hit["payload"]) for hit in hits] == [
        (7, {"price": 1.5}),
        (9, {"price": 2.0}),
        (8, {"price": None}),
    ]


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(InvalidInput, match=r"algorail\[parquet\]"):
        indexes.build("faq", tmp_path / "x.parquet", home=tmp_path)


def test_the_same_rows_are_not_built_twice(tmp_path):
    first = indexes.build("faq", clustered(100), home=tmp_path)
    other = indexes.build("faq", clustered(100, seed=1), home=tmp_path)
    stages = []
    again = indexes.build("faq", clustered(100), home=tmp_path, progress=lambda p: stages.append(p.stage))
    assert (again, set(stages)) == (first, {"read"})
    assert other.version != first.version
    assert [(v.version, v.current) for v in indexes.list(home=tmp_path)] == [
        (other.version, False),
        (first.version, True),
    ]


def test_progress_tells_every_stage(tmp_path):
    seen = []
    indexes.build("basis", clustered(1_200), home=tmp_path, kind="ivf", progress=seen.append)
    assert list(dict.fromkeys(p.stage for p in seen)) == ["read", "train", "add", "measure", "write"]
    assert all(p.done <= p.total for p in seen)


# -- bad input ------------------------------------------------------------------------------------------------


def refused(tmp_path, source, **options):
    with pytest.raises(InvalidInput) as error:
        indexes.build("faq", source, home=tmp_path, **options)
    assert not list((tmp_path / "indexes").glob("*/v*"))
    assert not list((tmp_path / "indexes").glob("*/.*"))
    return str(error.value)


def test_rows_with_nan_are_named(tmp_path):
    rows = clustered(10)
    rows[3, 1], rows[7, 0] = np.nan, np.inf
    assert "rows [4, 8]" in refused(tmp_path, rows)
    assert "rows [1, 2]" in refused(tmp_path, np.full((2, 3), 1e300))


def test_zero_vectors_have_no_cosine(tmp_path):
    rows = clustered(10)
    rows[5] = 0
    assert "rows [6]" in refused(tmp_path, rows)
    assert indexes.build("l2", rows, home=tmp_path, metric="l2").count == 10


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "no rows"),
        ([{"vector": [1, 2]}, {"vector": [1, 2, 3]}], "row 2 has 3 dimensions"),
        ([{"vector": [1, 2]}, {"text": "x"}], "row 2 has no list"),
        ([{"vector": ["1", "2"]}], "dtype"),
        ([{"vector": [True, False]}], "dtype"),
        ([{"vector": [[1], [2]]}], "shape"),
        ([{"vector": []}], "dimensions"),
        ([{"vector": [1, 2], "id": 1}, {"vector": [1, 3], "id": 1}], "given twice"),
        ([{"vector": [1, 2], "id": 1}, {"vector": [1, 3]}], "have no id"),
        ([{"vector": [1, 2], "id": 1}, {"vector": [1, 3], "id": "1"}], "ids"),
        ([{"vector": [1, 2], "id": ""}], "ids"),
        ([{"vector": [1, 2], "id": 2**64}], "ids"),
    ],
)
def test_bad_rows(tmp_path, rows, says):
    assert says in refused(tmp_path, jsonl(tmp_path / "bad.jsonl", rows))


@pytest.mark.parametrize("line", [b"[1]", b"{", b"\xff", b'{"vector": [NaN]}', b'{"x":' * 100_000])
def test_bad_json_names_the_line(tmp_path, line):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b'{"vector": [1, 2]}\n' + line + b"\n")
    assert "line 2" in refused(tmp_path, path)


def test_numbers_too_large_for_json_are_refused(tmp_path):
    path = tmp_path / "huge.jsonl"
    path.write_bytes(b'{"vector": [1, 1e999]}\n')
    refused(tmp_path, path)


def test_vectors_of_later_batches_must_fit_too(tmp_path):
    rows = [{"vector": [1.0, float(n)]} for n in range(5_000)] + [{"vector": [1, 2, 3]}]
    assert "row 5001 has 3 dimensions" in refused(tmp_path, jsonl(tmp_path / "x.jsonl", rows))


def npy(path, header, body=b""):
    text = (header + "\n").encode()
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body)
    return path


def test_npy_that_lies_about_its_size_allocates_nothing(tmp_path):
    bomb = npy(
        tmp_path / "bomb.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 384)}"
    )
    assert "not a readable .npy" in refused(tmp_path, bomb)
    endless = npy(tmp_path / "long.npy", "{'descr': '<f4', 'shape': " + "(" * 20_000)
    assert "not a readable .npy" in refused(tmp_path, endless)


def test_pickles_are_never_read(tmp_path):
    np.save(tmp_path / "p.npy", np.array([{"a": 1}, print], dtype=object), allow_pickle=True)
    assert "not a readable .npy" in refused(tmp_path, tmp_path / "p.npy")


@pytest.mark.parametrize("shape", [(4,), (2, 2, 2), (3, 0), (0, 3)])
def test_arrays_that_are_no_matrix(tmp_path, shape):
    refused(tmp_path, np.zeros(shape, np.float32))


@pytest.mark.parametrize("array", [np.array([["a", "b"]]), np.array([[True]]), np.array([[1j]])])
def test_arrays_that_are_no_numbers(tmp_path, array):
    assert "dtype" in refused(tmp_path, array)


def test_payloads_must_be_as_many_as_rows(tmp_path):
    assert "only 2 payloads" in refused(tmp_path, clustered(3), payloads=[{}, {}])
    assert "more payloads" in refused(tmp_path, clustered(3), payloads=[{}] * 4)
    assert "not a JSON object" in refused(tmp_path, clustered(1), payloads=[{"x": object()}])


@pytest.mark.parametrize(
    "options",
    [{"metric": "hamming"}, {"kind": "magic"}, {"recall": 0}, {"recall": 1.5}, {"recall": float("nan")}],
)
def test_options_out_of_range(tmp_path, options):
    refused(tmp_path, clustered(3), **options)


@pytest.mark.parametrize("name", ["../x", "a/b", "", "A", "current", ".hidden", "x" * 3 + "\x00", "a..b"])
def test_names_cannot_lead_elsewhere(tmp_path, name):
    for act in (
        lambda: indexes.build(name, clustered(3), home=tmp_path),
        lambda: indexes.show(name, home=tmp_path),
        lambda: indexes.show("faq", name or "/", home=tmp_path),
        lambda: indexes.delete(name, home=tmp_path),
        lambda: indexes.promote("faq", name, home=tmp_path),
    ):
        with pytest.raises(InvalidInput, match="no name"):
            act()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("source", ["missing.npy", "x.csv", "."])
def test_sources_that_cannot_be_read(tmp_path, source):
    (tmp_path / "x.csv").write_text("1,2")
    refused(tmp_path, tmp_path / source)


def test_fields_to_filter_by_must_hold_one_class_of_plain_values(tmp_path):
    mixed = [{"x": 1}, {"x": "a"}, {"y": [1], "z": 1}]
    assert indexes.build("auto", clustered(3), home=tmp_path, payloads=mixed).filterable == {"z": "number"}
    for field in ("x", "y", "nowhere"):
        assert repr(field) in refused(tmp_path / field, clustered(3), payloads=mixed, filterable=[field])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2.5, None], "number"),
        ([2**60, 1], "number"),
        ([2**60, 1.5], None),
        ([2**63], None),
        ([True, 1], None),
        ([None], None),
    ],
)
def test_numbers_are_only_compared_where_that_is_exact(values, kind):
    assert common_class(values) == kind


def test_full_disk_leaves_nothing_behind(tmp_path):
    """A limit on file sizes is what a full disk looks like, without filling one."""
    before = indexes.build("faq", clustered(50), home=tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(Unavailable) as error:
            indexes.build("faq", clustered(3_000), home=tmp_path, kind="flat")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.code == "index-write-failed"
    assert sorted(path.name for path in (tmp_path / "indexes" / "faq").iterdir()) == [
        "current",
        before.version,
    ]
