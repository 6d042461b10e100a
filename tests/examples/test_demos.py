"""Both demos run as a person would run them, on a part of their data; what they print is checked."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def run(demo: str, home: Path, *options: str) -> str:
    environment = {**os.environ, "ALGORAIL_HOME": str(home), "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{demo}.demo", *options],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found, f"{pattern!r} is not in:\n{text}"
    return float(found.group(1))


def test_digits_are_read_recorded_and_split(tmp_path):
    told = run("read_digit", tmp_path / "home", "--limit", "80")
    assert number(r"accuracy +([\d.]+)% of 80", told) >= 90
    first, second = (number(rf"{branch} +(\d+) runs", told) for branch in ("first look", "second opinion"))
    assert first + second == 80
    assert first > second > 0
    assert number(r"speed +([\d.]+) requests/s", told) > 1
    assert 100 < number(r"record +([\d.,]+) bytes a run".replace(",", ""), told.replace(",", "")) < 100_000
    assert "second_opinion v1 succeeded" in told, "the trace goes into the sub-algorithm"
    assert "read_digit@prod → v1=80% v2=20%" in told
    one, two = (number(rf"version {version} +(\d+) of 40 writers", told) for version in (1, 2))
    assert one + two == 40
    assert 1 <= two <= 18
    assert number(r"changed sides +(\d+)", told) == 0
    assert "try.curl" in told
    assert not (tmp_path / "home" / "server.json").exists(), "the server has ended"


def test_messages_are_routed_answered_and_masked(tmp_path):
    told = run("support_routing", tmp_path / "home", "--limit", "36")
    assert number(r"right team +([\d.]+)% of 36", told) >= 65
    answered, left = (number(rf"{what} +(\d+) ", told) for what in ("answered at once", "left to a person"))
    assert answered + left == 36
    assert answered > 5
    assert "Hello Anna, parcel 50114 arrives tomorrow before noon." in told
    trace = told[told.index("$ algorail trace") : told.index("A whole inbox")]
    assert "text ← ‹pii›" in trace
    assert "Where is my order" not in trace, "the message is masked in the record"
    assert "Anna" not in trace, "and so is the name, also in the reply"
    assert re.search(r"12 messages +in \d+ ms: \d+ \w+", told)
    assert "Hello Elif" in told, "without the model keywords decide"


def test_a_second_demo_replaces_the_first_but_nobody_elses_folder(tmp_path, monkeypatch):
    from examples import common

    monkeypatch.setenv("ALGORAIL_HOME", str(tmp_path / "mine"))
    home = common.fresh_home("[engine]\n")
    (home / "left-over").touch()
    assert common.fresh_home("[engine]\n") == home
    assert not (home / "left-over").exists()
    (home / common.MARK).unlink()
    with pytest.raises(SystemExit, match="was not made by a demo"):
        common.fresh_home("[engine]\n")
    assert (home / "settings.toml").exists()
