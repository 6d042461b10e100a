"""Indexes in service: atomic publishing, corruption, hot swap under load, memory shared and given back."""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import faiss
import numpy as np
import pytest

from algorail.blocks import indexes
from algorail.blocks.indexes import IndexStore, LiveIndex, LoadedIndex
from algorail.blocks.indexes.live import LOOK_SECONDS
from algorail.engine.kit.errors import Conflict, NotFound, Unavailable

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


class FakeClock:
    def __init__(self):
        self.seconds = 0.0

    def now_ns(self):
        return int(self.seconds * 1e9)

    def monotonic(self):
        return self.seconds


def rows(seed=0, count=400, size=8):
    return np.random.default_rng(seed).standard_normal((count, size), dtype=np.float32)


def build(home, seed=0, **options):
    payloads = [{"seed": seed, "row": row, "word": f"w{row}"} for row in range(len(rows(seed)))]
    return indexes.build("faq", rows(seed), home=home, payloads=payloads, **options)


def answer(loaded):
    scores, found = loaded.search(loaded.prepare(1), loaded.queries([rows()[0]]))
    return loaded.hits(scores[0], found[0])[0]["payload"]["seed"]


def follow(live, clock):
    """Let the time pass until the next look, and wait for the load it may have begun."""
    clock.seconds += LOOK_SECONDS
    live.get()
    live.settle()
    return live.get()


# -- versions -------------------------------------------------------------------------------------------------


def test_promote_list_show_delete(tmp_path):
    first, second = build(tmp_path), build(tmp_path, 1, promote=False, note="candidate")
    assert indexes.show("faq", home=tmp_path) == first
    assert indexes.show("faq", second.version, home=tmp_path).note == "candidate"
    assert indexes.promote("faq", second.version, home=tmp_path).current
    assert {v.version: v.current for v in indexes.list("faq", home=tmp_path)} == {
        first.version: False,
        second.version: True,
    }
    with pytest.raises(Conflict, match="current"):
        indexes.delete("faq", second.version, home=tmp_path)
    indexes.delete("faq", first.version, home=tmp_path)
    assert [v.version for v in indexes.list(home=tmp_path)] == [second.version]
    indexes.delete("faq", home=tmp_path)
    assert indexes.list(home=tmp_path) == ()
    assert list((tmp_path / "indexes").iterdir()) == []


def test_what_is_missing_is_said_with_what_there_is(tmp_path):
    with pytest.raises(NotFound, match="index build"):
        indexes.show("faq", home=tmp_path)
    version = build(tmp_path, promote=False)
    with pytest.raises(NotFound, match=f"promote one of .*{version.version}"):
        indexes.show("faq", home=tmp_path)
    with pytest.raises(NotFound, match=version.version):
        indexes.show("faq", "v000000000000", home=tmp_path)
    with pytest.raises(NotFound, match=r"\['faq'\]"):
        indexes.list("fag", home=tmp_path)
    for act in (indexes.promote, indexes.delete):
        with pytest.raises(NotFound):
            act("faq", "v000000000000", home=tmp_path)


def test_files_of_a_version_are_read_only(tmp_path):
    folder = tmp_path / "indexes" / "faq" / build(tmp_path).version
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}


def test_builder_killed_at_any_moment_leaves_the_former_version_in_service(tmp_path):
    before = build(tmp_path)
    program = (
        "import os, signal, sys, pathlib, numpy as np\n"
        "from algorail.blocks import indexes\n"
        "rows = np.random.default_rng(9).standard_normal((400, 8), dtype=np.float32)\n"
        "die = lambda p: os.kill(os.getpid(), signal.SIGKILL) if p.stage == 'write' else None\n"
        "indexes.build('faq', rows, home=pathlib.Path(sys.argv[1]), progress=die)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [v.version for v in indexes.list(home=tmp_path)] == [before.version]
    (left,) = (tmp_path / "indexes" / "faq").glob(".building-*")
    os.utime(left, (0, 0))
    after = build(tmp_path, 1)
    assert not left.exists(), "an old one is swept away by the next build"
    assert indexes.show("faq", home=tmp_path) == after


def test_many_builders_of_the_same_version_agree(tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(build(tmp_path).version)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert sorted(p.name for p in (tmp_path / "indexes" / "faq").iterdir()) == ["current", found[0]]


# -- damage ---------------------------------------------------------------------------------------------------


def damaged(home, name, change):
    folder = home / "indexes" / "faq" / indexes.show("faq", home=home).version
    (folder / name).chmod(0o644)
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    return folder


def middle_bit(data):
    half = len(data) // 2
    return data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :]


@pytest.mark.parametrize(
    "name", ["index.faiss", "payloads.bin", "payloads.npy", "ids.npy", "field-0-rows.npy", "field-2-keys.bin"]
)
@pytest.mark.parametrize(
    "change", [middle_bit, lambda data: data[:-1], lambda data: b""], ids=["bit", "cut", "empty"]
)
def test_a_damaged_artefact_is_not_loaded_nor_promoted(tmp_path, name, change):
    version = build(tmp_path)
    folder = damaged(tmp_path, name, change)
    for act in (lambda: LoadedIndex(folder), lambda: indexes.promote("faq", version.version, home=tmp_path)):
        with pytest.raises(Unavailable, match=name) as error:
            act()
        assert (error.value.code, error.value.retryable) == ("index-corrupt", False)


def test_a_missing_file_is_named(tmp_path):
    folder = tmp_path / "indexes" / "faq" / build(tmp_path).version
    (folder / "payloads.bin").unlink()
    with pytest.raises(Unavailable, match=r"payloads\.bin"):
        LoadedIndex(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"{",
        lambda data: b"\xff",
        lambda data: data.replace(b'"schema": 1', b'"schema": 2'),
        lambda data: data.replace(b'"name": "faq"', b'"name": "fag"'),
        lambda data: data.replace(b'"index.faiss"', b'"../../../x"'),
        lambda data: json.dumps({**json.loads(data), "count": "many"}).encode(),
        lambda data: json.dumps({**json.loads(data), "count": 3}).encode(),
        lambda data: json.dumps({**json.loads(data), "filterable": {"a": "text", "b": "text"}}).encode(),
    ],
)
def test_a_manifest_that_lies_is_refused(tmp_path, change):
    build(tmp_path)
    folder = damaged(tmp_path, "manifest.json", change)
    with pytest.raises(Unavailable) as error:
        LoadedIndex(folder)
    assert error.value.code == "index-corrupt"


def test_a_damaged_version_does_not_hide_the_others(tmp_path, caplog):
    other = build(tmp_path, 1)
    build(tmp_path)
    damaged(tmp_path, "manifest.json", lambda data: b"{")
    assert [v.version for v in indexes.list(home=tmp_path)] == [other.version]
    assert "damaged" in caplog.text


# -- hot swap -------------------------------------------------------------------------------------------------


def test_a_promoted_version_takes_over_and_the_old_one_is_freed(tmp_path):
    first = build(tmp_path)
    clock = FakeClock()
    live = LiveIndex(IndexStore(tmp_path), "faq", clock=clock)
    old = weakref.ref(live.get())
    second = build(tmp_path, 1)
    assert live.get().version.version == first.version, "not before the next look"
    assert follow(live, clock).version.version == second.version
    gc.collect()
    assert old() is None
    live.close()


@linux
def test_the_old_version_is_unmapped(tmp_path):
    first = build(tmp_path)
    clock = FakeClock()
    live = LiveIndex(IndexStore(tmp_path), "faq", clock=clock)
    assert f"{first.version}/index.faiss" in Path("/proc/self/maps").read_text()
    build(tmp_path, 1)
    follow(live, clock)
    gc.collect()
    assert first.version not in Path("/proc/self/maps").read_text()


def test_no_search_fails_while_versions_change_under_load(tmp_path):
    versions = [build(tmp_path, seed) for seed in range(3)]
    clock = FakeClock()
    live = LiveIndex(IndexStore(tmp_path), "faq", clock=clock)
    stop = threading.Event()
    counts = []

    def load():
        seen = set()
        while not stop.is_set():
            loaded = live.get()
            seed = answer(loaded)
            assert versions[seed].version == loaded.version.version
            seen.add(seed)
        counts.append(seen)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(12):
            indexes.promote("faq", versions[turn % 3].version, home=tmp_path)
            assert follow(live, clock).version.version == versions[turn % 3].version
        indexes.delete("faq", home=tmp_path)
        assert answer(follow(live, clock)) == 2, "a deleted index goes on answering where it is loaded"
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(counts) == 3, "a thread died"


def test_a_damaged_new_version_leaves_the_old_one_in_service(tmp_path, caplog):
    first = build(tmp_path)
    clock = FakeClock()
    live = LiveIndex(IndexStore(tmp_path), "faq", clock=clock)
    build(tmp_path, 1)
    damaged(tmp_path, "index.faiss", middle_bit)
    assert follow(live, clock).version.version == first.version
    assert live.failure is not None
    assert "stays at" in caplog.text
    third = build(tmp_path, 2)
    assert follow(live, clock).version.version == third.version
    assert live.failure is None


def test_a_pinned_version_stays(tmp_path):
    first = build(tmp_path)
    clock = FakeClock()
    live = LiveIndex(IndexStore(tmp_path), "faq", first.version, clock=clock)
    build(tmp_path, 1)
    assert follow(live, clock).version.version == first.version


def test_between_looks_nothing_is_read_from_disk(tmp_path, monkeypatch):
    build(tmp_path)
    clock = FakeClock()
    live = LiveIndex(IndexStore(tmp_path), "faq", clock=clock)
    looks = []
    monkeypatch.setattr(IndexStore, "mark", lambda self, name: looks.append(name))
    for _ in range(100):
        clock.seconds += LOOK_SECONDS / 50
        live.get()
    assert len(looks) in {1, 2}


def test_a_search_takes_one_thread_of_faiss_wherever_it_runs(tmp_path):
    loaded = LoadedIndex(tmp_path / "indexes" / "faq" / build(tmp_path).version)
    seen = []

    def search():
        faiss.omp_set_num_threads(4)
        answer(loaded)
        seen.append(faiss.omp_get_max_threads())

    thread = threading.Thread(target=search)
    thread.start()
    thread.join()
    assert seen == [1]


# -- memory ---------------------------------------------------------------------------------------------------

PAGES = """
import pathlib, re, sys
from algorail.blocks.indexes import LoadedIndex
loaded = LoadedIndex(pathlib.Path(sys.argv[1]))
loaded.search(loaded.prepare(5, exact=True), loaded.queries([[1.0] * loaded.version.size]))
def pages():
    entry = re.search(r"index\\.faiss\\n(.*?)VmFlags", pathlib.Path("/proc/self/smaps").read_text(), re.S).group(1)
    return {key: int(value) for key, value in re.findall(r"(\\w+): +(\\d+) kB", entry)}
print("ready", flush=True)
sys.stdin.readline()
print(pages(), flush=True)
sys.stdin.readline()
"""


@linux
def test_processes_share_the_memory_of_an_index(tmp_path):
    version = indexes.build("big", rows(count=2_000, size=256), home=tmp_path, kind="hnsw", recall=0.01)
    folder = tmp_path / "indexes" / "big" / version.version
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", PAGES, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 2
        for worker in workers:
            worker.stdin.write("\n")
            worker.stdin.flush()
        for worker in workers:
            pages = eval(worker.stdout.readline())
            assert pages["Rss"] >= 2_000 * 256 * 4 / 1024, "it was read through the mapping"
            assert pages["Pss"] <= 0.6 * pages["Rss"], "each process counts half of it"
            assert pages["Anonymous"] == 0, "nothing was copied"
    finally:
        for worker in workers:
            worker.communicate("\n")
