"""Real replicas in real processes: ready, killed, replaced, drained."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from algorail.engine.kit.errors import Forbidden, NotFound, Unavailable
from algorail.model_host.deploy.local import BlockingLocalHost, LocalHost, LocalSettings
from algorail.model_host.endpoints import EndpointEntry, put_endpoint, read_endpoints
from algorail.model_host.package import save_class

pytestmark = pytest.mark.integration

SETTINGS = LocalSettings(backoff=0.01, grace=5)
CLASS = '''
import os, time
from pathlib import Path


class Slow:
    """Waits in the middle of a request until a file appears."""

    def load(self, artifacts: Path) -> None:
        self.mode = (artifacts / "mode.txt").read_text() if (artifacts / "mode.txt").exists() else ""
        if self.mode == "broken":
            raise RuntimeError("no weights here")

    def predict(self, started: str, go: str) -> str:
        Path(started).touch()
        while not Path(go).exists():
            time.sleep(0.005)
        return "done"


class Threads:
    def predict(self, name: str) -> str:
        return os.environ.get(name, "")
'''


@pytest.fixture
def classes(tmp_path, monkeypatch):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "local_host_model.py").write_text(CLASS)
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    import local_host_model

    yield local_host_model
    del sys.modules["local_host_model"]


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_two_replicas_answer_one_dies_and_comes_back(digits, tmp_path):
    async def go():
        async with LocalHost(tmp_path, SETTINGS) as host, httpx.AsyncClient() as client:
            endpoint = await host.deploy("numbers", digits.folder, replicas=2, version="5")
            assert len(set(endpoint.urls)) == 2
            assert read_endpoints(tmp_path)["numbers"].urls == endpoint.urls
            for url in endpoint.urls:
                answer = await client.post(
                    f"{url}/v1/models/numbers/predict", json={"pixels": digits.images[3].tolist()}
                )
                assert answer.json()["label"] == digits.model.predict(digits.images[3:4])[0]
            before, [victim, _] = endpoint.urls, endpoint.pids
            os.kill(victim, signal.SIGKILL)
            await endpoint.until(lambda endpoint: endpoint.restarts == 1)
            assert len(endpoint.urls) == 2
            assert endpoint.urls[1] == before[1]
            assert read_endpoints(tmp_path)["numbers"].urls == endpoint.urls
            pids = endpoint.pids
            await host.remove("numbers")
            assert all(gone(pid) for pid in pids)
            assert read_endpoints(tmp_path) == {}
            with pytest.raises(NotFound):
                await host.remove("numbers")

    asyncio.run(go())


def test_a_request_in_flight_survives_the_replacement_of_its_model(classes, digits, tmp_path):
    save_class(classes.Slow, tmp_path / "slow", name="slow")
    started, released = tmp_path / "started", tmp_path / "released"

    async def appears(file):
        while not file.exists():
            await asyncio.sleep(0.005)

    async def go():
        async with LocalHost(tmp_path / "home", SETTINGS) as host, httpx.AsyncClient(timeout=30) as client:
            with pytest.raises(Forbidden):
                await host.deploy("m", tmp_path / "slow")
            old = await host.deploy("m", tmp_path / "slow", trust=True)
            assert read_endpoints(tmp_path / "home")["m"].trusted
            [url] = old.urls
            body = {"started": str(started), "go": str(released)}
            answer = asyncio.ensure_future(client.post(f"{url}/v1/models/m/predict", json=body))
            await appears(started)
            swap = asyncio.ensure_future(host.deploy("m", digits.folder))
            while read_endpoints(tmp_path / "home")["m"].urls == [url]:
                await asyncio.sleep(0.005)
            assert not answer.done()
            released.touch()
            assert (await answer).json() == {"output": "done"}
            assert (await swap).urls != [url]

    asyncio.run(go())


def test_a_model_that_does_not_load_says_why_and_leaves_the_old_one(classes, digits, tmp_path):
    (tmp_path / "mode.txt").write_text("broken")
    save_class(classes.Slow, tmp_path / "broken", name="slow", artifacts={"mode.txt": tmp_path / "mode.txt"})
    with BlockingLocalHost(tmp_path / "home", SETTINGS) as host:
        urls = host.deploy("m", digits.folder, threads=1)
        with pytest.raises(Unavailable, match="no weights here") as caught:
            host.deploy("m", tmp_path / "broken", trust=True)
        assert caught.value.code == "replica-failed"
        assert read_endpoints(tmp_path / "home")["m"].urls == urls
        host.remove("m")
        assert read_endpoints(tmp_path / "home") == {}


def test_threads_are_limited_before_libraries_load(classes, tmp_path):
    save_class(classes.Threads, tmp_path / "m", name="m")
    with BlockingLocalHost(tmp_path / "home", SETTINGS) as host:
        [url] = host.deploy("m", tmp_path / "m", trust=True, threads=3)
        answer = httpx.post(f"{url}/v1/models/m/predict", json={"name": "OPENBLAS_NUM_THREADS"})
        assert answer.json() == {"output": os.environ.get("OPENBLAS_NUM_THREADS", "3")}


ORPHAN = """
import asyncio, sys
from algorail.model_host.deploy.local import LocalHost
async def main():
    host = LocalHost(sys.argv[1])
    endpoint = await host.deploy("digits", sys.argv[2])
    print(endpoint.pids[0], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_replicas_end_with_a_supervisor_that_is_killed(digits, tmp_path):
    command = [sys.executable, "-c", ORPHAN, str(tmp_path), str(digits.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as supervisor:
        replica = int(supervisor.stdout.readline())
        ended = os.pidfd_open(replica)
        supervisor.kill()
    poll = __import__("select").poll()
    poll.register(ended)
    assert poll.poll(10_000)
    os.close(ended)
    assert json.loads((tmp_path / "models.json").read_text())["models"].keys() == {"digits"}

    async def restart():
        async with LocalHost(tmp_path):
            return read_endpoints(tmp_path)

    assert asyncio.run(restart()) == {}


def test_writers_of_the_endpoint_file_do_not_lose_each_other(tmp_path):
    threads = [
        threading.Thread(target=put_endpoint, args=(tmp_path, f"m{n}", EndpointEntry(urls=[])))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_endpoints(tmp_path)) == 20
    assert sorted(file.name for file in tmp_path.iterdir()) == [".models.json.lock", "models.json"]


def test_the_command_serves_and_stops_cleanly(digits):
    command = [sys.executable, "-m", "algorail.model_host.serve", "--path", str(digits.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as replica:
        port = json.loads(replica.stdout.readline())["port"]
        assert httpx.get(f"http://127.0.0.1:{port}/v2/health/ready").json() == {"ready": True}
        replica.terminate()
        assert replica.wait(10) == 0


def test_the_command_says_why_it_cannot_serve(tmp_path):
    command = [sys.executable, "-m", "algorail.model_host.serve", "--path", str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert found.returncode == 2
    assert found.stderr.startswith("model-not-packaged: ")


def test_a_damaged_endpoint_file_ends_neither_the_supervision_nor_the_stop(classes, tmp_path):
    save_class(classes.Threads, tmp_path / "threads", name="threads")

    async def go():
        async with LocalHost(tmp_path, SETTINGS) as host:
            endpoint = await host.deploy("threads", tmp_path / "threads", trust=True)
            (tmp_path / "models.json").write_text("{")
            os.kill(endpoint.pids[0], signal.SIGKILL)
            await endpoint.until(lambda endpoint: endpoint.restarts == 1)
            pids = endpoint.pids
        assert all(gone(pid) for pid in pids)

    asyncio.run(go())
