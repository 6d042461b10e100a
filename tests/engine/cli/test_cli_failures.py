"""Whatever goes wrong: one message, a code, a cure, exit code 1, and never a traceback."""

from __future__ import annotations

import socket
from importlib.metadata import EntryPoint
from pathlib import Path

import httpx
import pytest

from algorail.engine.cli import app
from algorail.engine.cli.client import Address, Client, RemoteError


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["invoke", "nobody", "x=1"], "algorithm-not-found"),
        (["versions", "nobody"], "algorithm-not-found"),
        (["explain", "nobody"], "algorithm-not-found"),
        (["export", "nobody"], "algorithm-not-found"),
        (["diff", "nobody", "1", "2"], "algorithm-not-found"),
        (["alias", "list", "nobody"], "algorithm-not-found"),
        (["alias", "set", "nobody", "prod", "1"], "algorithm-not-found"),
        (["alias", "rollback", "greet", "nothing"], "alias-not-found"),
        (["alias", "set", "greet", "prod", "99"], "version-not-found"),
        (["alias", "set", "greet", "prod", "newest"], "usage"),
        (["split", "greet", "prod", "v1=90", "v99=10"], "version-not-found"),
        (["split", "greet", "prod", "v1=much"], "usage"),
        (["split", "greet", "prod", "v1=0"], "split-invalid"),
        (["invoke", "greet", "name=Ada", "--version", "99"], "version-not-found"),
        (["invoke", "greet", "--version", "@nothing", "name=Ada"], "alias-not-found"),
        (["invoke", "greet", "name"], "usage"),
        (["invoke", "greet", "--data", "[1]"], "usage"),
        (["invoke", "greet", "--data", "{"], "usage"),
        (["invoke", "greet", "--data", "@missing.json"], "file-not-found"),
        (["invoke", "greet", "name=1"], "invalid-input"),
        (["invoke", "../../healthz", "name=1"], "route-not-found"),
        (["trace", "run_nothing"], "run-not-found"),
        (["trace", "../keys"], "route-not-found"),
        (["replay", "run_nothing"], "run-not-found"),
        (["publish", "missing.py"], "file-not-found"),
        (["publish", "missing.yaml"], "file-not-found"),
        (["publish", "support.py"], "algorithm-not-in-file"),
        (["publish", "support.py:nobody"], "algorithm-not-in-file"),
        (["validate", "broken.py"], "file-does-not-import"),
        (["validate", "raises.py"], "file-does-not-import"),
        (["validate", "misused.py"], "value-bool"),
        (["validate", "broken.yaml"], "plan-invalid"),
        (["key", "new", "x", "--scope", "god"], "scope-unknown"),
    ],
)
def test_a_mistake_has_a_code(greet, words, code):
    Path("broken.py").write_text("def (\n")
    Path("raises.py").write_text("import nothing_of_this_name\n")
    Path("broken.yaml").write_text("a: [\n")
    Path("misused.py").write_text(
        "from algorail.engine import algorithm\n\n@algorithm\ndef f(x: int) -> int:\n    if x:\n        return 1\n    return 2\n"
    )
    done = greet(*words, "--json") if words[0] != "export" else greet(*words)
    assert done.code == 1, done.out + done.err
    if words[0] != "export":
        assert done.json["code"] == code
        assert done.json["message"]
        done = greet(*words)
    assert done.code == 1
    assert f"error {code}" in done.err
    assert "Traceback" not in done.err + done.out


def test_the_line_of_the_file_is_named(typed):
    Path("raises.py").write_text("x = 1\nimport nothing_of_this_name\n")
    assert "raises.py:2 does not import: ModuleNotFoundError" in typed("validate", "raises.py").err
    Path("broken.py").write_text("x = 1\ndef (\n")
    assert "broken.py:2 does not import: SyntaxError" in typed("validate", "broken.py").err


def test_several_algorithms_are_named(typed, support):
    done = typed("validate", "support.py")
    assert "support.py defines several algorithms" in done.err
    assert "write support.py:NAME, with one of: greet, loud, spelled" in done.err


@pytest.mark.parametrize("words", [["runs", "--limit", "0"], ["nothing"], ["invoke"], ["up", "--port", "x"]])
def test_a_command_written_wrongly_ends_with_two(typed, words):
    done = typed(*words)
    assert done.code == 2
    assert "Error" in done.err


def test_no_words_show_the_commands(typed):
    assert "publish" in typed("--help").out
    assert typed("--version").out.startswith("algorail ")


def test_without_a_server_the_cure_is_named(typed):
    done = typed("runs")
    assert done.code == 1
    assert "error server-unknown" in done.err
    assert "→ start one with `algorail up`" in done.err
    assert typed("runs", "--json").json["code"] == "server-unknown"


def test_a_server_that_does_not_answer(typed, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ALGORAIL_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setenv("ALGORAIL_API_KEY", "ark_x")
        for words in (["runs"], ["invoke", "greet", "--stream"]):
            done = typed(*words)
            assert done.code == 1
            assert "server-unreachable" in done.err
            assert "is `algorail up` running?" in done.err


def test_a_wrong_key(algorail, monkeypatch):
    monkeypatch.setenv("ALGORAIL_API_KEY", "ark_wrong")
    done = algorail("runs")
    assert done.code == 1
    assert "unauthenticated" in done.err


@pytest.mark.parametrize("runs_here", [False, True])
def test_an_address_without_a_key(typed, monkeypatch, tmp_path, runs_here):
    """The admin key of this machine's own server is not sent to another one."""
    if runs_here:
        (tmp_path / "state").mkdir()
        written = '{"url": "http://127.0.0.1:8750", "key": "ark_of_this_machine"}'
        (tmp_path / "state" / "server.json").write_text(written)
    monkeypatch.setenv("ALGORAIL_URL", "http://127.0.0.1:1")
    done = typed("runs")
    assert "server-unknown" in done.err
    assert "ALGORAIL_API_KEY" in done.err


def test_a_proxy_that_answers_instead_of_the_server():
    proxy = httpx.MockTransport(lambda _request: httpx.Response(502, text="<html>Bad Gateway"))
    with (
        Client(Address("http://proxy", "x"), transport=proxy) as client,
        pytest.raises(RemoteError) as caught,
    ):
        client.get("/v1/runs")
    assert caught.value.code == "remote-error"
    assert "502: <html>Bad Gateway" in caught.value.message


def test_a_broken_command_of_another_package_stands_alone(typed, monkeypatch):
    broken = EntryPoint("broken", "no_such_module:app", app.GROUP)
    monkeypatch.setattr(app, "entry_points", lambda group: [broken])
    monkeypatch.setattr(app, "build", app.build.__wrapped__)
    done = typed("doctor")
    assert "the command 'broken' of no_such_module:app does not load: ModuleNotFoundError" in done.err
    assert "✓ python" in done.out


def test_brackets_in_names_are_printed_as_they_are(greet):
    done = greet("invoke", "greet", "[bold]x=1")
    assert "[bold]x" in done.err
