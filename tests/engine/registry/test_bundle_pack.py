import textwrap

import pytest

from algorail.engine.kit.errors import InvalidInput
from algorail.engine.registry.bundles import environment
from algorail.engine.registry.bundles.pack import local_modules, script_metadata


def write(folder, **files):
    for name, source in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))


def packed(folder):
    return {path.relative_to(folder).as_posix() for path in local_modules(folder / "main.py", folder)}


def test_only_what_the_file_imports_goes_in(tmp_path):
    write(
        tmp_path,
        main="import json, helpers",
        helpers="from numbers_ import one",
        numbers_="one = 1",
        other="",
    )
    assert packed(tmp_path) == {"main.py", "helpers.py", "numbers_.py"}


def test_packages_come_with_their_parents_and_relative_imports_are_followed(tmp_path):
    write(
        tmp_path,
        main="import kitchen.tools.knife",
        kitchen__tools__knife="from . import board\nfrom ..shelf import cup",
        kitchen__tools__board="",
        kitchen__shelf="cup = 1",
    )
    (tmp_path / "kitchen/__init__.py").touch()
    (tmp_path / "kitchen/tools/__init__.py").touch()
    assert packed(tmp_path) == {
        "main.py",
        "kitchen/__init__.py",
        "kitchen/tools/__init__.py",
        "kitchen/tools/knife.py",
        "kitchen/tools/board.py",
        "kitchen/shelf.py",
    }


def test_modules_that_import_each_other_end(tmp_path):
    write(tmp_path, main="import helpers", helpers="import main")
    assert packed(tmp_path) == {"main.py", "helpers.py"}


def test_a_broken_module_is_named(tmp_path):
    write(tmp_path, main="import helpers", helpers="def :")
    with pytest.raises(InvalidInput, match=r"helpers\.py does not parse"):
        packed(tmp_path)


def test_the_script_header_declares_requirements():
    source = '# /// script\n# requires-python = ">=3.11"\n# dependencies = ["rapidfuzz>=3", "numpy"]\n# ///\nx = 1\n'
    assert script_metadata(source) == (("rapidfuzz>=3", "numpy"), ">=3.11")
    assert script_metadata("x = 1\n") == ((), "")


@pytest.mark.parametrize(
    "source", ["# /// script\n# dependencies = [\n# ///\n", '# /// script\n# dependencies = "numpy"\n# ///\n']
)
def test_a_bad_header_is_refused(source):
    with pytest.raises(InvalidInput) as caught:
        script_metadata(source)
    assert caught.value.code == "bundle-requirements"


@pytest.mark.parametrize(
    ("requirements", "python", "says"),
    [
        (["not a name!"], "", "Expected"),
        (["tool @ file:///tmp/tool.whl"], "", "declared by address"),
        (["numpy"], ">=4", "needs Python >=4"),
        (["numpy"], "four", "Invalid specifier"),
    ],
)
def test_requirements_that_cannot_be_met_are_refused(requirements, python, says):
    with pytest.raises(InvalidInput, match=says):
        environment.parse(requirements, python)


def test_requirements_that_the_server_meets_need_no_environment():
    assert environment.satisfied(environment.parse(["numpy>=1", "definitely-absent; python_version < '3'"]))
    assert not environment.satisfied(environment.parse(["numpy<1"]))
    assert not environment.satisfied(environment.parse(["definitely-absent"]))
