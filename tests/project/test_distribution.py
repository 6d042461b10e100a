"""The layout that users get: one namespace, one wheel that works without the checkout."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPONENTS = ("engine", "blocks", "editor", "model_host", "ab_testing", "migrations")

PROBE = """
import sys
sys.path[:0] = [{wheel!r}, {packages!r}]
from importlib.metadata import distribution, entry_points
import algorail.engine, algorail.blocks, algorail.editor, algorail.model_host, algorail.ab_testing
import algorail.migrations
assert all({wheel!r} in path for path in algorail.__path__), list(algorail.__path__)
from algorail.engine import algorithm, block, plan_of

@block
def double(x: int) -> int:
    return 2 * x

@algorithm
def twice(x: int) -> int:
    once = double(x=x)
    return double(x=once)

assert twice(5) == 20 and len(plan_of(twice).nodes) == 2
points = {{point.name for point in distribution("algorail").entry_points if point.group == "algorail.blocks"}}
assert "vector_search" in points, points
from sqlalchemy import create_engine
from algorail.migrations import is_current, upgrade
engine = create_engine("sqlite://", poolclass=__import__("sqlalchemy").pool.StaticPool)
upgrade(engine)
assert is_current(engine)
engine.dispose()
print("works")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_namespace_has_no_init_file():
    assert list(ROOT.glob("*/algorail/__init__.py")) == []


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_is_one_typed_package(component):
    packages = [path.name for path in (ROOT / component / "algorail").iterdir() if path.is_dir()]
    assert [name for name in packages if name != "__pycache__"] == [component]
    assert (ROOT / component / "algorail" / component / "py.typed").is_file()


@pytest.mark.slow
def test_the_wheel_holds_every_source_and_nothing_else(wheel):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("algorail/")}
    sources = {
        path.relative_to(ROOT / component).as_posix()
        for component in COMPONENTS
        for path in (ROOT / component / "algorail").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == sources


@pytest.mark.slow
def test_the_wheel_works_without_the_checkout(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    probe = PROBE.format(wheel=str(tmp_path / "installed"), packages=sysconfig.get_path("purelib"))
    # Without the site module the editable install of this checkout is out of reach.
    command = [sys.executable, "-I", "-S", "-c", probe]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout.strip() == "works", done.stderr


def test_lock_files_name_no_address():
    for lock in (ROOT / "requirements").glob("*.lock"):
        text = lock.read_text()
        assert "--hash=sha256:" in text
        assert not [line for line in text.splitlines() if "://" in line or "index-url" in line]
