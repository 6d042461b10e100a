from importlib.metadata import EntryPoint

import msgspec
import pytest

from algorail.engine.kind import BlockKind, Runner, Signature
from algorail.engine.kit.errors import ConfigInvalid, NotFound
from algorail.engine.plan.types import AnyType
from algorail.engine.registry.kinds import GROUP, InstalledKinds


class Empty(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


def kind(name: str, version: int = 1) -> BlockKind:
    return BlockKind(
        name=name,
        version=version,
        summary="A test kind.",
        config=Empty,
        signature=lambda _: Signature({}, AnyType()),
        build=lambda _config, _services: Runner(call=lambda: None),
    )


ECHO = kind("echo")
ECHO_2 = kind("echo", 2)
NOT_A_KIND = 7


def point(name: str, attribute: str) -> EntryPoint:
    return EntryPoint(name, f"{__name__}:{attribute}", GROUP)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _module())


def _module():
    import types

    module = types.ModuleType(__name__)
    module.__dict__.update(globals())
    return module


def test_two_versions_of_a_kind_stand_side_by_side():
    kinds = InstalledKinds([point("echo", "ECHO"), point("echo@2", "ECHO_2")])
    assert kinds.keys() == ["echo@1", "echo@2"]
    assert kinds.get("echo@1") is ECHO
    assert kinds.get("echo@2") is ECHO_2


def test_an_unknown_kind_names_the_nearest():
    kinds = InstalledKinds([], extra=[ECHO])
    with pytest.raises(NotFound, match="did you mean 'echo@1'") as caught:
        kinds.get("ehco@1")
    assert caught.value.code == "block-kind-not-found"


@pytest.mark.parametrize(
    ("name", "attribute", "says"),
    [
        ("gone", "MISSING", "cannot be imported"),
        ("seven", "NOT_A_KIND", "must be a BlockKind"),
        ("other", "ECHO", "must name its kind"),
    ],
)
def test_a_broken_entry_point_breaks_nothing_else(name, attribute, says):
    kinds = InstalledKinds([point(name, attribute)], extra=[ECHO_2])
    with pytest.raises(ConfigInvalid, match=says) as caught:
        kinds.get(f"{name}@1")
    assert caught.value.code == "block-kind-broken"
    assert kinds.all() == [ECHO_2]
    assert list(kinds.broken()) == [f"{name}@1"]
