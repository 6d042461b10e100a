"""`db_lookup` on SQLite and PostgreSQL: shapes, types, limits, and everything that must not get through."""

import sqlite3

import msgspec
import psycopg
import pytest

from algorail.blocks.db_lookup import KIND, DbLookupConfig, build, db_lookup, signature
from algorail.engine.kind import Effect
from algorail.engine.kit.errors import (
    AlgorailError,
    ConfigInvalid,
    DeadlineExceeded,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Unavailable,
)
from algorail.engine.plan.types import (
    ANY,
    INTEGER,
    STRING,
    ListType,
    VectorType,
    describe,
    optional,
    to_schema,
)

INT, TEXT = {"type": "integer"}, {"type": "string"}
INTS = {"type": "array", "items": INT}
PERSON = {
    "type": "object",
    "properties": {"id": INT, "name": TEXT, "active": {"type": "boolean"}, "score": {"type": "number"}},
    "required": ["id", "name", "active", "score"],
    "additionalProperties": False,
}
ROWS = [(n, f"name {n}", n % 2 == 0, n / 4) for n in range(20)]
CREATE = "CREATE TABLE people (id integer, name text, active {boolean}, score {number})"


@pytest.fixture
def sqlite(tmp_path, services):
    """Services with a SQLite connection `people`, and the file."""
    with sqlite3.connect(tmp_path / "people.db") as connection:
        connection.execute(CREATE.format(boolean="integer", number="real"))
        connection.executemany("INSERT INTO people VALUES (?, ?, ?, ?)", ROWS)
    connection.close()
    return services(settings={"db_lookup": {"connections": {"people": "sqlite:///people.db"}}})


@pytest.fixture(scope="session")
def people_url(postgres_server):
    url = postgres_server.new_database("people")
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute(CREATE.format(boolean="boolean", number="numeric"))
        connection.cursor().executemany("INSERT INTO people VALUES (%s, %s, %s, %s)", ROWS)
        connection.execute("CREATE SEQUENCE numbers")
        connection.execute("CREATE EXTENSION vector")
        connection.execute("CREATE TABLE points (id integer, at vector(3))")
        connection.execute("INSERT INTO points VALUES (1, '[1,2,3]'), (2, '[3,2,1]')")
    return url


@pytest.fixture
def postgres(people_url, services):
    return services(settings={"db_lookup": {"connections": {"people": people_url}}})


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.integration)])
def people(request):
    """The same table in each database."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def look_up(context):
    def call(services, sql, values=None, left=None, **config):
        config = {"connection": "people", **config}
        runner = build(msgspec.convert({"sql": sql, **config}, DbLookupConfig), services)
        return runner.call(context(left=left), **(values or {}))

    return call


def failure(call, *args, **kwargs):
    with pytest.raises(AlgorailError) as caught:
        call(*args, **kwargs)
    return caught.value


BY_ID = "SELECT id, name, active, score FROM people WHERE id = :id"


def test_one_row(people, look_up):
    row = look_up(people, BY_ID, {"id": 2}, inputs={"id": INT}, shape="one", row=PERSON)
    assert row == {"id": 2, "name": "name 2", "active": True, "score": 0.5}


def test_one_row_that_is_missing(people, look_up):
    config = {"inputs": {"id": INT}, "shape": "one", "row": PERSON}
    assert look_up(people, BY_ID, {"id": 99}, missing="null", **config) is None
    error = failure(look_up, people, BY_ID, {"id": 99}, **config)
    assert isinstance(error, NotFound)
    assert error.code == "db-no-row"


def test_one_row_where_there_are_several(people, look_up):
    error = failure(look_up, people, "SELECT id FROM people", shape="one")
    assert isinstance(error, LimitExceeded)
    assert error.code == "db-rows"


def test_all_rows(people, look_up):
    sql = "SELECT id, name FROM people WHERE score > :least AND active = :active ORDER BY id"
    inputs = {"least": {"type": "number"}, "active": {"type": "boolean"}}
    rows = look_up(people, sql, {"least": 4, "active": True}, inputs=inputs)
    assert rows == [{"id": 18, "name": "name 18"}]


def test_a_column_from_a_list(people, look_up):
    sql = "SELECT name FROM people WHERE id IN :ids ORDER BY id"
    config = {"inputs": {"ids": INTS}, "shape": "column", "row": TEXT}
    assert look_up(people, sql, {"ids": [3, 1]}, **config) == ["name 1", "name 3"]
    assert look_up(people, sql, {"ids": []}, **config) == []
    assert failure(look_up, people, sql, {"ids": list(range(10_001))}, **config).code == "db-rows"


def test_a_value(people, look_up):
    assert look_up(people, "SELECT count(*) FROM people", shape="value", row=INT) == 20
    assert look_up(people, "SELECT id FROM people WHERE id < 0", shape="value", missing="null") is None


def test_a_default_is_used(people, look_up):
    config = {"inputs": {"id": {**INT, "default": 7}}, "shape": "one"}
    assert look_up(people, "SELECT name FROM people WHERE id = :id", **config) == {"name": "name 7"}


def test_the_row_limit(people, look_up):
    sql = "SELECT id FROM people ORDER BY id"
    assert len(look_up(people, sql, limit=20)) == 20
    assert failure(look_up, people, sql, limit=19).code == "db-rows"
    cut = look_up(people, sql, limit=2, over="truncate", shape="column", row=INT)
    assert cut == {"rows": [0, 1], "truncated": True}
    assert look_up(people, sql, limit=20, over="truncate")["truncated"] is False


@pytest.mark.parametrize(
    "value", ["'; DROP TABLE people; --", "' OR '1'='1", ":id", "%s", "{}", "\\", "name 1' --"]
)
def test_a_parameter_is_a_value(people, look_up, value):
    sql = "SELECT count(*) FROM people WHERE name = :name OR name = ':x' /* :y */ -- :z"
    assert look_up(people, sql, {"name": value}, inputs={"name": TEXT}, shape="value") == 0
    assert look_up(people, "SELECT count(*) FROM people", shape="value") == 20


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"id": "1"}, "invalid-input"),
        ({"id": True}, "invalid-input"),
        ({"id": None}, "invalid-input"),
        ({"id": 2**70}, ""),
    ],
)
def test_parameters_are_typed(people, look_up, values, code):
    error = failure(look_up, people, BY_ID, values, inputs={"id": INT})
    assert isinstance(error, InvalidInput)
    assert code in error.code


def test_rows_are_typed(people, look_up):
    error = failure(look_up, people, "SELECT id, name FROM people", row=PERSON)
    assert isinstance(error, InvalidInput)
    assert error.problems


def test_a_text_with_a_zero_character_is_refused(people, look_up):
    sql = "SELECT id FROM people WHERE name = :name"
    assert failure(look_up, people, sql, {"name": "a\0b"}, inputs={"name": TEXT}).code == "db-value"


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT 1; DELETE FROM people", "db-statements"),
        ("SELECT 1;;", "db-statements"),
        ("DELETE FROM people", "db-not-read"),
        ("UPDATE people SET id = 1", "db-not-read"),
        ("PRAGMA writable_schema = 1", "db-not-read"),
        ("ATTACH 'x.db' AS x", "db-not-read"),
        ("COPY people TO '/tmp/x'", "db-not-read"),
        ("SET ROLE postgres", "db-not-read"),
        ("/* SELECT */ DROP TABLE people", "db-not-read"),
        ("-- SELECT\nDROP TABLE people", "db-not-read"),
        ("SELECT * FROM people WHERE id = %s", "db-sql"),
        ("SELECT * FROM people WHERE id = %(id)s", "db-sql"),
        ("SELECT 'open", "db-sql"),
        ("SELECT 1 /* open", "db-sql"),
        ("", "db-sql"),
        ("-- nothing", "db-sql"),
        ("SELECT :nope", "db-parameter"),
    ],
)
def test_statements_that_are_refused_before_a_database_sees_them(sql, code):
    with pytest.raises(ConfigInvalid) as caught:
        signature(DbLookupConfig(connection="people", sql=sql))
    assert code in {problem.code for problem in caught.value.problems}


def test_all_problems_of_a_configuration_at_once():
    with pytest.raises(ConfigInvalid) as caught:
        signature(DbLookupConfig(connection="x", sql="DROP :a; x", inputs={"b": INT}, limit=0, timeout=0))
    assert len(caught.value.problems) == 6


@pytest.mark.parametrize(
    "sql",
    [
        "WITH gone AS (DELETE FROM people RETURNING id) SELECT * FROM gone",
        "SELECT nope FROM people",
        "SELECT * FROM nobody",
        "SELECT 1 FROM",
    ],
)
def test_statements_that_the_database_refuses(people, look_up, sql):
    error = failure(look_up, people, sql)
    assert isinstance(error, InvalidInput)
    assert error.code == "db-refused"
    assert "people.db" not in str(error)
    assert look_up(people, "SELECT count(*) FROM people", shape="value") == 20


def test_columns_that_cannot_be_told_apart(people, look_up):
    assert failure(look_up, people, "SELECT id, id FROM people").code == "db-columns"
    assert failure(look_up, people, "SELECT id, name FROM people", shape="column").code == "db-columns"


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


def test_a_slow_statement_is_stopped(people, look_up):
    error = failure(look_up, people, ENDLESS, timeout=0.1)
    assert isinstance(error, LimitExceeded)
    assert error.code == "db-timeout"
    assert error.retryable
    assert look_up(people, "SELECT 1 AS x", shape="value") == 1


def test_the_deadline_of_the_run_counts(people, look_up):
    assert failure(look_up, people, ENDLESS, left=0.1).code == "db-timeout"
    assert isinstance(failure(look_up, people, "SELECT 1", left=0.0), DeadlineExceeded)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT load_extension('x')",
        "SELECT zeroblob(900000000)",
        "SELECT writefile('x', 'y')",
        "SELECT readfile('/etc/passwd')",
    ],
)
def test_sqlite_functions_that_do_harm(sqlite, look_up, sql):
    assert failure(look_up, sqlite, sql).code == "db-refused"


def test_sqlite_values(sqlite, look_up):
    assert look_up(sqlite, "SELECT x'00ff' AS raw, 7 % 4 AS rest, NULL AS none") == [
        {"raw": b"\x00\xff", "rest": 3, "none": None}
    ]


@pytest.mark.parametrize(
    ("declared", "error", "says"),
    [
        ("sqlite:///../outside.db", ConfigInvalid, "state folder"),
        ("sqlite://", ConfigInvalid, "name a file"),
        ("sqlite:///:memory:", ConfigInvalid, "name a file"),
        ("sqlite:///file.db?mode=rwc", ConfigInvalid, "without options"),
        ("mysql://user:hush@host/db", ConfigInvalid, "sqlite and postgresql"),
        ("nonsense", ConfigInvalid, "give it a url"),
        ({"pool": 3}, ConfigInvalid, "give it a url"),
        ({"url": "sqlite:///people.db", "pool": "many"}, ConfigInvalid, "number of connections"),
        ({"url_from": "nowhere"}, NotFound, "nowhere"),
        ("sqlite:///missing.db", Unavailable, "does not answer"),
        ("postgresql://user:hush@127.0.0.1:1/db", Unavailable, "does not answer"),
    ],
)
def test_connections_that_cannot_be_used(services, look_up, declared, error, says):
    made = services(settings={"db_lookup": {"connections": {"people": declared}}})
    found = failure(look_up, made, "SELECT 1")
    assert isinstance(found, error)
    assert says in str(found)
    assert "hush" not in str(found)


def test_an_unknown_connection_lists_the_known(sqlite, look_up):
    error = failure(look_up, sqlite, "SELECT 1", connection="people2")
    assert error.code == "db-connection"
    assert "declared are: people" in error.cure


def test_a_pool_is_shared(sqlite):
    for sql in ("SELECT 1", "SELECT 2"):
        build(DbLookupConfig(connection="people", sql=sql), sqlite)
    assert list(sqlite._shared) == ["db_lookup:people"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT nextval('numbers')", "read-only"),
        ("SELECT set_config('transaction_read_only', 'off', true)", "before any query"),
        ("SELECT * FROM people FOR UPDATE", ""),
        ("SELECT lo_create(0)", "read-only"),
        # What the reader of SQL takes for two strings is three statements to PostgreSQL.
        (r"SELECT E'\''; COMMIT; DELETE FROM people; SELECT E'\''", "multiple commands"),
    ],
)
def test_postgres_only_reads(postgres, look_up, sql, says):
    error = failure(look_up, postgres, sql)
    assert error.code == "db-refused"
    assert says in str(error)


@pytest.mark.integration
def test_postgres_timeout_cannot_be_lifted_from_inside(postgres, look_up):
    sql = "SELECT set_config('statement_timeout', '0', false), pg_sleep(5)"
    assert failure(look_up, postgres, sql, timeout=0.1).code == "db-timeout"
    assert (
        look_up(postgres, "SELECT current_setting('statement_timeout')", shape="value", timeout=3.0) == "3s"
    )


@pytest.mark.integration
def test_a_number_that_is_none_is_no_integer(postgres, look_up):
    config = {"shape": "value", "row": {"type": "integer"}}
    assert failure(look_up, postgres, "SELECT 'Infinity'::numeric", **config).code == "invalid-input"


@pytest.mark.integration
def test_postgres_values(postgres, look_up):
    sql = """SELECT 1.50::numeric AS exact, DATE '2026-01-02' AS day, '{"a": [1]}'::jsonb AS json, ARRAY[1, 2] AS items,
        INTERVAL '90 seconds' AS span, '00000000-0000-0000-0000-000000000001'::uuid AS id, '\\x00'::bytea AS raw"""
    assert look_up(postgres, sql, shape="one") == {
        "exact": "1.50",
        "day": "2026-01-02",
        "json": {"a": [1]},
        "items": [1, 2],
        "span": 90.0,
        "id": "00000000-0000-0000-0000-000000000001",
        "raw": b"\0",
    }
    assert failure(look_up, postgres, "SELECT '1.2.3.4'::inet").code == "db-value"


@pytest.mark.integration
def test_postgres_vectors(postgres, look_up):
    vector = to_schema(VectorType(3))
    near = "SELECT id FROM points ORDER BY at <-> CAST(:at AS vector) LIMIT 1"
    assert look_up(postgres, near, {"at": [3, 2, 1.5]}, inputs={"at": vector}, shape="value") == 2
    assert look_up(postgres, "SELECT at FROM points WHERE id = 1", shape="value", row=vector).tolist() == [
        1,
        2,
        3,
    ]


@pytest.mark.integration
def test_secrets_stay_references(people_url, services, look_up):
    connections = {"people": {"url_from": "people-url", "password": "people-password", "pool": 1}}
    made = services(
        settings={"db_lookup": {"connections": connections}},
        secrets={"people-url": people_url, "people-password": "hush"},
    )
    assert look_up(made, "SELECT 1 AS x", shape="value") == 1


@pytest.mark.parametrize(
    ("config", "output"),
    [
        ({}, ListType(ANY)),
        ({"shape": "one", "missing": "null", "row": INT}, optional(INTEGER)),
        ({"shape": "value", "row": TEXT}, STRING),
        ({"shape": "column", "row": TEXT}, ListType(STRING)),
    ],
)
def test_the_output_follows_from_shape_and_row(config, output):
    assert (
        signature(msgspec.convert({"connection": "x", "sql": "SELECT 1", **config}, DbLookupConfig)).output
        == output
    )


def test_kind_and_factory():
    assert KIND.key == "db_lookup@1"
    assert KIND.effect is Effect.READ
    placed = db_lookup("people", BY_ID, inputs={"id": int}, row=dict[str, str], shape="one")
    assert placed is not None
    config = DbLookupConfig(connection="people", sql=BY_ID, inputs={"id": INT}, over="truncate")
    assert "truncated" in describe(signature(config).output)
