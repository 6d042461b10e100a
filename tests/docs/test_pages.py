"""Links of all pages lead somewhere, and their Python examples run."""

from __future__ import annotations

import doctest
import re
import tomllib
from pathlib import Path

import pytest

from algorail.engine.service.principal import Scope

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """As GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def broken_links(page: Path) -> list[str]:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    broken = []
    for found in LINK.finditer(text):
        link = found[1] or found[2]
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_lead_somewhere(page):
    assert broken_links(page) == []


def test_a_broken_link_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](#one) [b](#two) [c](missing.md) [d](https://example.org)\n")
    assert broken_links(page) == ["#two", "missing.md"]


def test_every_page_can_be_reached_from_the_index():
    reached, waiting = set(), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        links = LINK.findall(page.read_text(encoding="utf-8"))
        waiting += [
            target
            for link, _ in links
            if (target := (page.parent / link.partition("#")[0]).resolve()).is_file()
        ]
    lost = set(DOCS.rglob("*.md")) - reached
    assert not lost, sorted(map(name, lost))


@pytest.mark.parametrize(
    "page", ["index", "architecture", "operations", "security", "reliability", "record", "bundles"]
)
def test_python_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    namespace = {"__name__": f"page_{page}"}
    for example in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        if example.startswith(">>> "):
            test = doctest.DocTestParser().get_doctest(example, namespace, page, page, 0)
            assert doctest.DocTestRunner(verbose=False).run(test).failed == 0
        else:
            exec(compile(example, page, "exec", dont_inherit=True), namespace)


def test_the_architecture_page_names_every_layer():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    named = {layer.strip().removeprefix("algorail.") for group in layers for layer in group.split("|")}
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    missing = {layer for layer in named if f"`{layer}`" not in page}
    assert missing <= {"engine.testing"}, missing
    assert "`testing`" in page


def test_every_scope_is_explained():
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    assert all(f"| `{scope.label}` |" in page for scope in Scope)


def test_every_decision_is_listed():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    assert all(f"adr/{decision.name}" in index for decision in (DOCS / "adr").glob("*.md"))
