"""`algorail index` on the command line: build, list, show, promote, delete."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from algorail.blocks.index_command import app
from algorail.engine.kit.errors import AlgorailError


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ALGORAIL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def rows(tmp_path):
    """Forty points on a circle, with two fields to filter by."""
    path = tmp_path / "faq.jsonl"
    points = [[(number % 7) + 1.0, number + 1.0, 1.0] for number in range(40)]
    lines = [
        {"id": f"q{number}", "vector": point, "lang": "en", "price": number}
        for number, point in enumerate(points)
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def call(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def read(*arguments):
    return json.loads(call(*arguments, "--json"))


def test_a_built_version_says_everything_as_json(home, rows):
    built = read("build", "faq", "--from", rows, "--note", "first", "--metric", "l2")
    assert (built["name"], built["metric"], built["count"], built["size"]) == ("faq", "l2", 40, 3)
    assert (built["recall"], built["kind"], built["note"], built["current"]) == (1.0, "flat", "first", True)
    assert built["bytes"] == sum(file["bytes"] for file in built["files"].values()) > 0
    assert built["filterable"] == {"lang": "text", "price": "number"}
    assert read("show", "faq") == read("list", "faq")[0] == read("list")[0] == built


def test_only_the_named_fields_can_be_filtered(home, rows):
    built = read("build", "faq", "--from", rows, "--filterable", "lang", "--filterable", "price")
    assert set(built["filterable"]) == {"lang", "price"}
    assert set(read("build", "one", "--from", rows, "--filterable", "lang")["filterable"]) == {"lang"}
    with pytest.raises(AlgorailError, match="colour"):
        call("build", "two", "--from", rows, "--filterable", "colour")


def test_versions_are_promoted_and_deleted(home, rows):
    first = read("build", "faq", "--from", rows)["version"]
    second = read("build", "faq", "--from", rows, "--metric", "dot", "--no-promote")["version"]
    assert {version["version"]: version["current"] for version in read("list", "faq")} == {
        first: True,
        second: False,
    }
    assert read("promote", "faq", second)["current"]
    assert read("show", "faq", "--version", first)["current"] is False
    assert read("delete", "faq", "--version", first) == {"deleted": "faq", "version": first}
    assert [version["version"] for version in read("list")] == [second]
    call("delete", "faq")
    assert read("list") == []


def test_people_get_words(home, rows):
    assert "40 × 3, cosine" in call("build", "faq", "--from", rows)
    assert "recall@10" in call("show", "faq")
    assert "current" in call("list")
