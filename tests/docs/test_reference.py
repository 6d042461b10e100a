"""The generated pages say what the code says, and every code, command, setting and metric is documented."""

from __future__ import annotations

import pytest

from algorail.engine.service.settings import EngineSettings
from docs.reference import __main__ as generator
from docs.reference import cli_page, metrics_page, pages
from docs.reference.codes import ROOT, error_codes


@pytest.fixture(scope="module")
def generated():
    return pages.generated()


def test_no_generated_page_is_stale(generated):
    stale = [str(path) for path, text in generated.items() if path.read_text(encoding="utf-8") != text]
    assert not stale, f"run `make docs`: {stale}"


def test_every_error_code_has_a_meaning_and_every_meaning_a_code():
    told, used = set(pages.meanings()), set(error_codes())
    assert used - told == set(), "give them a line in docs/reference/error_meanings.toml"
    assert told - used == set(), "nothing uses them any more"
    assert len(used) > 200


def test_codes_are_found_where_they_hide():
    found = error_codes()
    assert "engine/algorail/engine/kit/errors.py" in found["invalid-input"].files  # a class default
    assert "NotFound" in found["run-not-found"].raised  # a keyword
    assert "cycle" in found  # a problem
    assert "no-result" in found  # an argument of a helper
    assert "db-sql" in found  # of a private helper
    assert {"code-syntax", "code-type"} <= found.keys()  # either of two


def test_meanings_are_sentences():
    for code, meaning in pages.meanings().items():
        assert meaning.endswith((".", "?")), code
        assert meaning[0].isupper() or not meaning[0].isalpha(), code
        assert "|" not in meaning, code


def test_every_command_and_option_is_documented():
    text = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    for name, command in cli_page.commands().items():
        assert command.help, name
        assert f"## algorail {name}\n" in text
        for parameter in command.params:
            assert parameter.help, f"{name}: {parameter.name}"


def test_commands_that_the_design_names_are_there():
    wanted = [
        "up",
        "publish",
        "validate",
        "invoke",
        "runs",
        "trace",
        "explain",
        "export",
        "split",
        "alias",
        "index",
        "block",
        "doctor",
    ]
    assert set(wanted) <= {name.split()[0] for name in cli_page.commands()}


def test_every_command_prints_json():
    without = {
        name
        for name, command in cli_page.commands().items()
        if not any("--json" in parameter.opts for parameter in command.params)
    }
    assert without == {"worker"}, "which prints nothing but its log"


def test_every_setting_says_why():
    for name, field in EngineSettings.model_fields.items():
        assert field.description, name
        assert len(field.description) > 30, name


def test_every_metric_is_documented():
    text = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    families = metrics_page.families()
    assert len(families) >= 10
    for family in families:
        assert family.documentation, family.name
        assert f"`{family.name}" in text


def test_the_generator_writes_what_differs_and_only_then(tmp_path, monkeypatch, capsys):
    page = tmp_path / "deep" / "page.md"
    monkeypatch.setattr(generator, "generated", lambda: {page: "new"})
    assert generator.main(["--check"]) == 1
    assert not page.exists()
    assert generator.main([]) == 0
    assert page.read_text() == "new"
    assert generator.main(["--check"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"stale: {page}", f"wrote {page}"]
