"""An analyst can recompute every assignment in SQL: on SQLite, and on PostgreSQL by the documented query."""

import hashlib
import re
import sqlite3
from pathlib import Path

import psycopg

from algorail.ab_testing.assign import SEGMENTS, VariantTable, assign

# SQLite has no sha256 and no 128-bit product: the hash comes from the caller, and the product is taken in two
# halves of 32 bits, which is exact.
QUERY = """
WITH RECURSIVE
  hashed(unit, hex) AS (SELECT unit, sha256_hex(:salt || char(31) || unit) FROM units),
  digits(unit, hex, place, hi, lo) AS (
    SELECT unit, hex, 1, 0, 0 FROM hashed
    UNION ALL
    SELECT unit, hex, place + 1,
           CASE WHEN place <= 8 THEN hi * 16 + instr('0123456789abcdef', substr(hex, place, 1)) - 1 ELSE hi END,
           CASE WHEN place > 8 THEN lo * 16 + instr('0123456789abcdef', substr(hex, place, 1)) - 1 ELSE lo END
    FROM digits WHERE place <= 16
  )
SELECT d.unit, (d.hi * 10000 + ((d.lo * 10000) >> 32)) >> 32 AS segment, r.arm
FROM digits AS d JOIN runs AS r
  ON (d.hi * 10000 + ((d.lo * 10000) >> 32)) >> 32 >= r.start
 AND (d.hi * 10000 + ((d.lo * 10000) >> 32)) >> 32 < r.stop
WHERE d.place = 17
"""


def test_the_same_assignment_in_sql():
    table = VariantTable.new("checkout", {"3": 60, "4": 30, "5": 10}, since_ns=0)
    table = table.reweighted({"3": 20, "5": 45, "6": 35}, since_ns=1)
    units = ["1", "caf\u00e9", "a b", *(f"user-{n}" for n in range(2_000))]
    database = sqlite3.connect(":memory:")
    database.create_function("sha256_hex", 1, lambda text: hashlib.sha256(text.encode()).hexdigest())
    database.execute("CREATE TABLE units (unit TEXT)")
    database.executemany("INSERT INTO units VALUES (?)", [(unit,) for unit in units])
    database.execute("CREATE TABLE runs (arm TEXT, start INT, stop INT)")
    start = 0
    for place, length in table.to_dict()["runs"]:
        database.execute("INSERT INTO runs VALUES (?, ?, ?)", (table.arms[place], start, start + length))
        start += length
    rows = {
        unit: (segment, arm) for unit, segment, arm in database.execute(QUERY, {"salt": table.variant_salt})
    }
    database.close()
    assert start == SEGMENTS
    assert rows == {unit: (given.bucket, given.variant) for unit in units for given in [assign(table, unit)]}


def test_the_pages_query_in_postgresql(postgres_database):
    """The query of `docs/traffic-split.md`, as it stands there."""
    page = (Path(__file__).parents[2] / "docs" / "traffic-split.md").read_text()
    query = re.search(r"```sql\n(.*?)```", page, re.DOTALL).group(1)
    table = VariantTable.new("read_digit@prod", {"3": 90, "4": 10}, since_ns=0)
    table = table.reweighted({"3": 30, "4": 30, "5": 40}, since_ns=1)
    units = ["1", "café", *(f"user-{n}" for n in range(500))]
    with psycopg.connect(postgres_database.replace("postgresql+psycopg://", "postgresql://")) as database:
        database.execute("CREATE TABLE units (unit text)")
        database.execute("CREATE TABLE runs (arm text, start int, stop int)")
        database.cursor().executemany("INSERT INTO units VALUES (%s)", [(unit,) for unit in units])
        start = 0
        for place, length in table.to_dict()["runs"]:
            database.execute(
                "INSERT INTO runs VALUES (%s, %s, %s)", (table.arms[place], start, start + length)
            )
            start += length
        rows = database.execute(query).fetchall()
    assert {unit: (segment, arm) for unit, segment, arm in rows} == {
        unit: (given.bucket, given.variant) for unit in units for given in [assign(table, unit)]
    }
