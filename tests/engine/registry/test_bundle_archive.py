import io
import stat
import zipfile

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorail.engine.kit.errors import InvalidInput, LimitExceeded
from algorail.engine.registry.bundles import archive
from algorail.engine.registry.bundles.archive import (
    MANIFEST,
    BlockEntry,
    Bundle,
    Manifest,
    file_hash,
    from_zip,
)


def bundle(source: bytes = b"x = 1\n") -> Bundle:
    entry = BlockEntry(module="shop", name="price", inputs={}, output={"type": "number"})
    files = {"shop.py": source, "tools/__init__.py": b""}
    return Bundle(
        Manifest(
            entry="shop",
            files={path: file_hash(data) for path, data in files.items()},
            blocks={"price@1": entry},
        ),
        files,
    )


def test_the_same_content_gives_the_same_bytes_and_name():
    assert bundle().to_zip() == bundle().to_zip()
    assert bundle().digest == from_zip(bundle().to_zip()).digest
    assert bundle().digest != bundle(b"x = 2\n").digest


def test_a_bundle_survives_the_journey():
    assert from_zip(bundle().to_zip()) == bundle()


def zipped(members: dict[str, bytes], mode: int = 0o644) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for path, data in members.items():
            info = zipfile.ZipInfo(path)
            info.external_attr = mode << 16
            target.writestr(info, data)
    return buffer.getvalue()


MANIFEST_BYTES = msgspec.json.encode(bundle().manifest)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a bundle"),
        (b"PK\x03\x04 and then nothing", "not a bundle"),
        (zipped({"shop.py": b""}), "not a bundle"),
        (zipped({MANIFEST: b"{"}), "does not read"),
        (zipped({MANIFEST: b'{"entry": 1}'}), "does not read"),
        (zipped({MANIFEST: MANIFEST_BYTES, "../shop.py": b""}), "not the path of a Python source"),
        (zipped({MANIFEST: MANIFEST_BYTES, "/etc/shop.py": b""}), "not the path of a Python source"),
        (zipped({MANIFEST: MANIFEST_BYTES, "C:/shop.py": b""}), "not the path of a Python source"),
        (zipped({MANIFEST: MANIFEST_BYTES, "a\\..\\shop.py": b""}), "not the path of a Python source"),
        (zipped({MANIFEST: MANIFEST_BYTES, "shop/": b""}), "not the path of a Python source"),
        (zipped({MANIFEST: MANIFEST_BYTES, "shop.so": b""}), "not the path of a Python source"),
        (zipped({MANIFEST: MANIFEST_BYTES, ("a" * 200) + ".py": b""}), "not the path of a Python source"),
        (zipped({MANIFEST: MANIFEST_BYTES, "shop.py": b"x"}, stat.S_IFLNK | 0o777), "is a link"),
        (zipped({MANIFEST: MANIFEST_BYTES, "shop.py": b"changed"}), "do not match the manifest"),
    ],
)
def test_what_is_no_bundle_is_refused_with_the_reason(data, says):
    with pytest.raises(InvalidInput, match=says) as caught:
        from_zip(data)
    assert caught.value.code == "bundle-invalid"


@pytest.mark.parametrize(
    ("key", "changes", "says"),
    [
        ("price", {}, "not the key of a block"),
        ("price@0", {}, "not the key of a block"),
        ("price@x", {}, "not the key of a block"),
        ("price@1", {"module": "os"}, "stands in no source"),
        ("price@1", {"name": "price; import os"}, "stands in no source"),
        ("price@1", {"effect": "magic"}, "does not read"),
        ("price@1", {"inputs": {"sum": {"schema": {}}}}, "does not read"),
    ],
)
def test_a_block_that_cannot_be_is_refused(key, changes, says):
    whole = bundle()
    document = msgspec.to_builtins(whole.manifest)
    document["blocks"] = {key: {**document["blocks"]["price@1"], **changes}}
    with pytest.raises(InvalidInput, match=says):
        from_zip(zipped({MANIFEST: msgspec.json.encode(document), **whole.sources}))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_compression_is_refused_since_one_block_of_it_may_be_huge(method):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as target:
        target.writestr(MANIFEST, MANIFEST_BYTES)
    with pytest.raises(InvalidInput, match="in another way than deflate"):
        from_zip(buffer.getvalue())


@given(st.data())
def test_damaged_bytes_are_refused_and_nothing_else_is_raised(data):
    whole = bytearray(bundle().to_zip())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = from_zip(bytes(whole))
    except (InvalidInput, LimitExceeded):
        return
    assert found == bundle()


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch):
    monkeypatch.setattr(archive, "MAX_BYTES", 1_000)
    with pytest.raises(LimitExceeded) as caught:
        from_zip(bundle(b"#" * 2_000).to_zip())
    assert caught.value.code == "bundle-too-large"
