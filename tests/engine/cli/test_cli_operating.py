"""Versions, aliases, splits, keys, blocks, indexes and the doctor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from algorail.engine.cli.server import _CHECKS


@pytest.fixture
def two_versions(greet):
    file = Path("support.py")
    file.write_text(file.read_text().replace("text.upper()", "text.upper() + '!'"))
    assert greet("publish", "support.py:loud", "--note", "louder").code == 0
    greet("alias", "set", "loud", "prod", "1")
    return greet


def test_list_and_versions(two_versions):
    listed = two_versions("list").out
    assert "A name, so that it is heard." in listed
    assert "@prod→v1" in listed
    assert {item["name"] for item in two_versions("list", "--json").json} >= {"greet", "loud"}
    shown = two_versions("versions", "loud").out
    assert shown.startswith("loud: versions")
    assert "louder" in shown


def test_diff(two_versions):
    shown = two_versions("diff", "loud", "1", "2").out
    assert shown.startswith("loud: 1 → 2")
    assert "bundle" in shown
    assert max(map(len, shown.splitlines())) <= 100
    (change,) = two_versions("diff", "loud", "1", "2", "--json").json["changes"]
    assert change["where"] == "bundle"
    assert "no difference" in two_versions("diff", "loud", "1", "@prod").out


def test_split(two_versions):
    done = two_versions("split", "loud", "prod", "v1=80", "v2=20")
    assert done.out.strip() == "✓ loud@prod → v1=80% v2=20%"
    assert two_versions("split", "loud", "prod", "1=1", "2=1", "--json").json["weights"] == {
        "1": 50.0,
        "2": 50.0,
    }
    assert "v1=50% v2=50%" in two_versions("list").out
    again = [two_versions("invoke", "loud", "name=a", "--unit", "ada", "--json").json for _ in range(3)]
    assert len(set(again)) == 1


def test_aliases_are_set_listed_rolled_back_and_deleted(two_versions):
    assert two_versions("alias", "set", "loud", "next", "v2").out.strip() == "✓ loud@next → v2"
    assert two_versions("alias", "set", "loud", "next", "1", "--json").json["version"] == 1
    assert two_versions("alias", "rollback", "loud", "next").out.strip() == "✓ loud@next → v2"
    assert two_versions("alias", "rollback", "loud", "next", "--json").json["version"] == 1
    assert "next   v1" in two_versions("alias", "list", "loud").out
    assert {item["alias"] for item in two_versions("alias", "list", "loud", "--json").json} >= {
        "next",
        "prod",
    }
    assert two_versions("alias", "delete", "loud", "next").out.strip() == "✓ loud@next is gone"
    two_versions("alias", "set", "loud", "next", "1")
    assert two_versions("alias", "delete", "loud", "next", "--json").json == {"deleted": "next"}


def test_a_breaking_change_needs_to_be_allowed(two_versions):
    file = Path("support.py")
    assert two_versions("publish", "support.py:spelled").code == 0
    file.write_text(file.read_text().replace("def spelled(text: str)", "def spelled(text: str, twice: bool)"))
    refused = two_versions("publish", "support.py:spelled")
    assert refused.code == 1
    assert "contract-breaking" in refused.err
    allowed = two_versions("publish", "support.py:spelled", "--allow-breaking")
    assert "contract  breaking" in allowed.out
    assert "• " in allowed.out


def test_keys_are_made_listed_and_revoked(algorail, server, monkeypatch):
    made = algorail("key", "new", "shop", "--json").json
    assert made["scope"] == "viewer"
    assert algorail("key", "new", "other").out.count("ark_") == 1
    bare = algorail("key", "new", "author", "--scope", "author", "--bare").out.strip()
    monkeypatch.setenv("ALGORAIL_API_KEY", bare)
    assert algorail("list").code == 0
    refused = algorail("key", "list")
    assert "scope-missing" in refused.err
    monkeypatch.setenv("ALGORAIL_API_KEY", server.admin_key)
    listed = algorail("key", "list").out
    assert made["id"] in listed
    assert "ark_" not in listed
    assert algorail("key", "revoke", made["id"]).out.strip() == f"✓ {made['id']} opens nothing any more"
    revoked = {key["id"] for key in algorail("key", "list", "--json").json if key["revoked"]}
    assert revoked == {made["id"]}
    assert algorail("key", "revoke", "nobody", "--json").json["code"] == "key-not-found"


def test_blocks_are_listed(algorail):
    shown = algorail("block", "list").out
    for kind in (
        "model_call@1",
        "vector_search@1",
        "db_lookup@1",
        "transform@1",
        "expression@1",
        "http_call@1",
    ):
        assert kind in shown
    assert {"kind", "effect", "config"} <= algorail("block", "list", "--json").json[0].keys()


def test_a_new_block_passes_its_own_test(typed, tmp_path):
    done = typed("block", "new", "shorten")
    assert done.out.startswith("made shorten_block; next: pip install -e shorten_block")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "shorten_block"]
    tested = subprocess.run(command, capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout
    again = typed("block", "new", "shorten", "--json")
    assert again.code == 1
    assert again.json["code"] == "file-exists"
    made = typed("block", "new", "other", "--into", str(tmp_path / "deep"), "--json").json
    assert made["files"] == ["README.md", "other_block/__init__.py", "pyproject.toml", "tests/test_other.py"]
    assert typed("block", "new", "Not A Name", "--json").json["code"] == "block-name"


def test_a_new_block_is_offered_through_its_entry_point(typed, tmp_path):
    typed("block", "new", "shorten")
    project = (tmp_path / "shorten_block" / "pyproject.toml").read_text()
    assert '[project.entry-points."algorail.blocks"]\nshorten = "shorten_block:shorten"' in project
    check = (
        "from importlib.metadata import EntryPoint\n"
        "from algorail.engine.registry.kinds import InstalledKinds\n"
        "point = EntryPoint('shorten', 'shorten_block:shorten', 'algorail.blocks')\n"
        "kinds = InstalledKinds(points=[point])\n"
        "print(kinds.keys(), kinds.broken())"
    )
    done = subprocess.run(
        [sys.executable, "-c", check],
        capture_output=True,
        text=True,
        cwd=tmp_path / "shorten_block",
        check=False,
    )
    assert "shorten@1" in done.stdout, done.stderr
    assert "{}" in done.stdout


def test_indexes_are_built_listed_promoted_and_deleted(typed):
    rng = np.random.default_rng(5)
    np.save("vectors.npy", rng.random((50, 8), dtype=np.float32))
    Path("rows.jsonl").write_text("\n".join(json.dumps({"id": n, "even": n % 2 == 0}) for n in range(50)))
    built = typed(
        "index", "build", "things", "--from", "vectors.npy", "--payloads", "rows.jsonl", "--note", "one"
    )
    assert built.code == 0, built.err
    assert "50 × 8, cosine" in built.out
    assert "why" in built.out
    first = typed("index", "show", "things", "--json").json["version"]
    second = typed(
        "index", "build", "things", "--from", "vectors.npy", "--metric", "l2", "--no-promote", "--json"
    ).json
    assert second["current"] is False
    assert len(typed("index", "list", "--json").json) == 2
    assert "current" in typed("index", "list", "things").out
    assert "(current)" in typed("index", "promote", "things", second["version"]).out
    assert typed("index", "delete", "things", "--version", first, "--json").json["version"] == first
    assert (
        typed("index", "delete", "things", "--version", second["version"], "--json").json["code"]
        == "index-in-use"
    )
    assert typed("index", "delete", "things").code == 0
    assert "none yet" in typed("index", "list").out
    assert typed("index", "show", "things", "--json").json["code"] == "index-not-found"


def test_the_doctor_finds_all_well(algorail, server):
    done = algorail("doctor")
    assert done.code == 0, done.out
    assert done.out.count("✓") == len(_CHECKS)
    assert f"{server.url} is ready" in done.out


def test_the_doctor_names_the_cure(typed):
    done = typed("doctor")
    assert done.code == 1
    assert "✗ server no server is known on this machine" in done.out
    assert "→ start one with `algorail up`" in done.out
    findings = {one["check"]: one["ok"] for one in typed("doctor", "--json").json}
    assert findings == {"python": True, "home": True, "blocks": True, "server": False, "key": False}
