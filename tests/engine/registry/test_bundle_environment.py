"""An overlay environment made for real, from a wheel in a folder: no network."""

import asyncio
import io
import subprocess
import tarfile
import zipfile

import pytest

from algorail.engine.kit.errors import NotFound, Unavailable
from algorail.engine.registry.bundles import environment
from algorail.engine.registry.bundles.archive import BlockEntry, Bundle, Manifest, file_hash
from algorail.engine.registry.bundles.runner import DEFAULT_POLICY, BundlePolicy, BundleRunner
from algorail.engine.registry.kinds import InstalledKinds

SOURCE = b"""
import msgspec
from algorail.engine.kind import BlockKind, Runner, Signature
from algorail.engine.plan.types import AnyType
import %s as shelf

class Empty(msgspec.Struct, frozen=True):
    pass

label = BlockKind(name="label", summary="", config=Empty, signature=lambda _: Signature({}, AnyType()),
                  build=lambda _c, _s: Runner(call=lambda: shelf.LABEL))
"""


class Context:
    run_id, node_id, attempt, traceparent = "run_1", "box", 1, ""

    def remaining(self):
        return None

    def effect_key(self):
        return "run_1:box"

    def emit(self, _):
        pass


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder with the wheel of a package that no machine has, and an installer that knows only it."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tinyshelf-1.0-py3-none-any.whl", "w") as wheel:
        info = "tinyshelf-1.0.dist-info"
        wheel.writestr("tinyshelf.py", "LABEL = 'from its own environment'\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinyshelf\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(
            f"{info}/RECORD", f"tinyshelf.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


def bundle(module: str = "shelf_here", requirements=(), **sources) -> Bundle:
    files = {"labels.py": SOURCE % module.encode(), **sources}
    entry = BlockEntry(module="labels", name="label", inputs={}, output={})
    manifest = Manifest(
        entry="labels",
        files={path: file_hash(data) for path, data in files.items()},
        requirements=requirements,
        blocks={"label@1": entry},
    )
    return Bundle(manifest, files)


async def built_and_called(kind):
    made = kind.build(kind.config(), None)
    answer = made.call(*([Context()] if made.wants_context else []))
    return await answer if made.is_async else answer


def call_all(home, bundles, policy=DEFAULT_POLICY):
    by_digest = {one.digest: one.to_zip() for one in bundles}

    async def main():
        runner = BundleRunner(home, by_digest.__getitem__, policy)
        try:
            answers = []
            for digest in by_digest:
                kind = runner.kinds(digest, InstalledKinds([])).get("label@1")
                answers.append(await built_and_called(kind))
            return answers
        finally:
            await runner.aclose()

    return asyncio.run(main())


@pytest.mark.slow
def test_declared_packages_are_installed_in_front_of_the_server_s(tmp_path, wheels):
    assert call_all(tmp_path, [bundle("tinyshelf", ("tinyshelf>=1",))]) == ["from its own environment"]
    python = environment.interpreter(["tinyshelf>=1"], "", tmp_path)
    probe = "import tinyshelf, numpy, algorail.engine.kind; print(tinyshelf.LABEL)"
    done = subprocess.run([python, "-I", "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "from its own environment"


@pytest.mark.slow
def test_a_package_that_does_not_exist_leaves_no_half_made_environment(tmp_path, wheels):
    with pytest.raises(Unavailable, match="no-such-shelf") as caught:
        environment.interpreter(["no-such-shelf"], "", tmp_path)
    assert caught.value.code == "bundle-environment"
    assert list((tmp_path / "environments").iterdir()) == []


@pytest.mark.parametrize("mode", ["isolated", "trusted"])
def test_two_versions_of_one_module_run_side_by_side(tmp_path, mode):
    old, new = (bundle(**{"shelf_here.py": f"LABEL = {label!r}\n".encode()}) for label in ("old", "new"))
    assert call_all(tmp_path, [old, new], BundlePolicy(mode=mode)) == ["old", "new"]


@pytest.mark.parametrize("mode", ["isolated", "trusted"])
def test_a_bundle_s_kinds_are_known_without_running_any_of_it(tmp_path, mode):
    broken = bundle(**{"shelf_here.py": b"raise RuntimeError('it runs')"})

    async def main():
        runner = BundleRunner(tmp_path, lambda _: broken.to_zip(), BundlePolicy(mode=mode))
        kind = runner.kinds(broken.digest, InstalledKinds([])).get("label@1")
        assert kind.signature(kind.config()).inputs == {}
        with pytest.raises(Unavailable, match="RuntimeError: it runs") as caught:
            await built_and_called(kind)
        assert caught.value.code == "bundle-broken"
        await runner.aclose()

    asyncio.run(main())


@pytest.mark.slow
def test_installing_a_package_runs_none_of_it(tmp_path, wheels):
    with tarfile.open(tmp_path / "wheels" / "setupshelf-1.0.tar.gz", "w:gz") as source:
        script = (
            f"open({str(tmp_path / 'ran')!r}, 'w')\nfrom setuptools import setup\nsetup(name='setupshelf')\n"
        )
        info = tarfile.TarInfo("setupshelf-1.0/setup.py")
        info.size = len(script)
        source.addfile(info, io.BytesIO(script.encode()))
    with pytest.raises(Unavailable, match="setupshelf"):
        environment.interpreter(["setupshelf"], "", tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("digest", ["", "../../etc", "A" * 64, "0" * 63])
def test_a_name_that_is_no_hash_reaches_no_folder(tmp_path, digest):
    with pytest.raises(NotFound) as caught:
        BundleRunner(tmp_path, lambda _: b"").folder(digest)
    assert caught.value.code == "bundle-not-found"
