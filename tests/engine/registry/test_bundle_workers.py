"""Real child processes: calls, crashes, endless loops, limits."""

import asyncio
import dataclasses
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from algorail.engine.kit.errors import BlockFailed, Unavailable
from algorail.engine.registry.bundles import wire
from algorail.engine.registry.bundles.pool import Pool
from algorail.engine.registry.bundles.process import Launch

HEADER = """
import asyncio, os, sys, time
import msgspec
from algorail.engine.kind import BlockKind, Runner, Signature
from algorail.engine.kit.errors import Unavailable
from algorail.engine.plan.types import AnyType

class Empty(msgspec.Struct, frozen=True):
    pass

def make(name, call, **how):
    return BlockKind(name=name, summary="", config=Empty, signature=lambda _: Signature({}, AnyType()),
                     build=lambda _c, _s: Runner(call=call, **how))
"""

BLOCKS = """
async def wait(seconds):
    await asyncio.sleep(seconds)

def fail(kind):
    if kind == "own":
        raise Unavailable("the shelf is empty", code="shelf-empty")
    raise ValueError("no such shelf")

def talk(context):
    print("said to stdout")
    context.emit("a"); context.emit("b")
    return context.effect_key()

def spin():
    while True: pass

def hold(began, go):
    open(began, "w").close()
    while not os.path.exists(go):
        time.sleep(0.005)
    return "held"

def babble(frame):
    os.write(int(sys.argv[1]), frame)
    time.sleep(60)

hold = make("hold", hold)
babble = make("babble", babble)
echo = make("echo", lambda value: value)
pid = make("pid", os.getpid)
die = make("die", lambda: os._exit(3))
environment = make("environment", lambda: dict(os.environ))
eat = make("eat", lambda: len(bytearray(8_000_000_000)))
spin_here = make("spin_here", spin)
spin_in_thread = make("spin_in_thread", spin, in_thread=True)
wait_a_bit = make("wait_a_bit", wait, is_async=True)
failing = make("failing", fail)
talking = make("talking", talk, wants_context=True)
unpackable = make("unpackable", lambda: object())
"""

NAMES = [
    "hold",
    "babble",
    "echo",
    "pid",
    "die",
    "environment",
    "eat",
    "spin_here",
    "spin_in_thread",
    "wait_a_bit",
    "failing",
    "talking",
    "unpackable",
]
CONTEXT = {
    "run_id": "run_1",
    "node_id": "box",
    "attempt": 1,
    "traceparent": "",
    "key": "run_1:box",
    "remaining": None,
}


def launch(folder: Path, source: str = BLOCKS, names=NAMES, **rest) -> Launch:
    folder.joinpath("things.py").write_text(HEADER + textwrap.dedent(source))
    return Launch(
        python=Path(sys.executable),
        folder=folder,
        blocks=[f"things:{name}" for name in names],
        memory=4_000_000_000,
        **{"grace_seconds": 0.1, **rest},
    )


def with_pool(how: Launch, work, size=1):
    async def main():
        pool = Pool(lambda: how, size=size)

        async def call(name, emit=lambda _: None, **inputs):
            return await pool.call(f"{name}@1", inputs, dict(CONTEXT), emit)

        try:
            return await work(pool, call)
        finally:
            await pool.aclose()

    return asyncio.run(main())


def test_values_cross_unharmed(tmp_path):
    async def work(_pool, call):
        for value in (None, True, 7, 0.1, "ж", b"\x00", [1, [2]], {"a": {"b": []}}):
            assert await call("echo", value=value) == value
        vector = np.arange(4, dtype=np.float32)
        back = await call("echo", value={"v": vector})
        assert back["v"].dtype == np.float32
        assert np.array_equal(back["v"], vector)

    with_pool(launch(tmp_path), work)


def test_a_block_s_own_error_keeps_its_code_and_a_stranger_s_names_its_line(tmp_path):
    async def work(_pool, call):
        with pytest.raises(BlockFailed, match="the shelf is empty") as own:
            await call("failing", kind="own")
        assert (own.value.code, own.value.retryable, own.value.node) == ("shelf-empty", True, "box")
        with pytest.raises(
            BlockFailed, match=r"ValueError: no such shelf \(things.py:\d+ in fail\)"
        ) as other:
            await call("failing", kind="other")
        assert other.value.code == "block-raised"

    with_pool(launch(tmp_path), work)


def test_parts_and_context_travel_and_printing_harms_nothing(tmp_path):
    async def work(_pool, call):
        parts = []
        assert await call("talking", emit=parts.append) == "run_1:box"
        assert parts == ["a", "b"]

    with_pool(launch(tmp_path), work)


def test_a_result_that_is_no_data_is_said_so(tmp_path):
    async def work(_pool, call):
        with pytest.raises(BlockFailed, match="must return plain data or a vector, got object"):
            await call("unpackable")

    with_pool(launch(tmp_path), work)


def test_a_dead_child_fails_its_calls_and_is_replaced(tmp_path):
    async def work(pool, call):
        first = await call("pid")
        with pytest.raises(BlockFailed) as caught:
            await call("die")
        assert (caught.value.code, caught.value.retryable) == ("bundle-crashed", True)
        assert await call("pid") != first
        assert pool.restarts == 1

    with_pool(launch(tmp_path), work)


@pytest.mark.parametrize("block", ["spin_here", "spin_in_thread"])
def test_an_endless_loop_is_killed_when_its_call_is_cancelled(tmp_path, block):
    async def work(pool, call):
        first = await call("pid")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call(block), 0.2)
        while pool.busy:
            await asyncio.sleep(0.01)
        assert await call("pid") != first

    with_pool(launch(tmp_path), work)


def test_a_cancelled_async_call_spares_the_child(tmp_path):
    async def work(pool, call):
        first = await call("pid")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call("wait_a_bit", seconds=60), 0.05)
        while pool.busy:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.15)
        assert await call("pid") == first

    with_pool(launch(tmp_path), work)


def test_memory_is_limited_and_the_child_survives(tmp_path):
    async def work(_pool, call):
        with pytest.raises(BlockFailed) as caught:
            await call("eat")
        assert caught.value.code == "bundle-memory"
        assert await call("echo", value=1) == 1

    with_pool(launch(tmp_path), work)


def test_the_child_sees_no_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("ALGORAIL_API_KEY", "top-secret")

    async def work(_pool, call):
        seen = await call("environment")
        assert "top-secret" not in seen.values()
        assert "ALGORAIL_API_KEY" not in seen

    with_pool(launch(tmp_path), work)


def test_busy_children_are_joined_by_another(tmp_path):
    async def work(pool, call):
        waiting = asyncio.create_task(call("wait_a_bit", seconds=30))
        while not pool.busy:
            await asyncio.sleep(0.01)
        assert await call("echo", value=2) == 2
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert len(pool._processes) == 2

    with_pool(launch(tmp_path), work, size=2)


def test_a_bundle_that_does_not_import_says_why_and_is_not_tried_at_once_again(tmp_path):
    async def work(_pool, call):
        with pytest.raises(
            Unavailable, match=r"ZeroDivisionError: division by zero \(things.py:\d+"
        ) as first:
            await call("echo", value=1)
        assert first.value.code == "bundle-broken"
        with pytest.raises(Unavailable, match="division by zero") as second:
            await call("echo", value=1)
        assert second.value.retry_after is not None

    with_pool(launch(tmp_path, "1 / 0", ["echo"]), work)


def test_a_bundle_that_kills_its_process_while_importing_is_told_with_its_last_words(tmp_path):
    async def work(_pool, call):
        with pytest.raises(Unavailable, match="farewell") as caught:
            await call("echo", value=1)
        assert caught.value.code == "bundle-crashed"

    with_pool(launch(tmp_path, "print('farewell', flush=True); os._exit(1)", ["echo"]), work)


async def until(condition):
    while not condition():
        await asyncio.sleep(0.005)


def test_a_call_that_gives_up_waiting_for_its_turn_harms_nobody(tmp_path):
    began, go = tmp_path / "began", tmp_path / "go"

    async def work(pool, call):
        holding = asyncio.create_task(call("hold", began=str(began), go=str(go)))
        await until(began.exists)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call("echo", value=1), 0.05)
        await asyncio.sleep(0.15)
        go.touch()
        assert await holding == "held"
        await until(lambda: not pool.busy)

    with_pool(launch(tmp_path), work)


def test_calls_behind_an_endless_loop_move_to_the_next_child(tmp_path):
    async def work(pool, call):
        await call("pid")
        spinning = asyncio.create_task(call("spin_here"))
        await until(lambda: any(one.begun for one in pool._processes[0].calls.values()))
        behind = asyncio.create_task(call("echo", value=7))
        await until(lambda: len(pool._processes[0].calls) == 2)
        spinning.cancel()
        assert await behind == 7
        await asyncio.gather(spinning, return_exceptions=True)

    with_pool(launch(tmp_path), work)


def test_callers_in_a_hurry_do_not_keep_a_child_from_ever_being_ready(tmp_path):
    imports, go = tmp_path / "imports", tmp_path / "go"
    slow = f"""
open({str(imports)!r}, "a").write("i")
while not os.path.exists({str(go)!r}):
    time.sleep(0.005)
echo = make("echo", lambda value: value)
"""

    async def work(pool, call):
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(call("echo", value=1), 0.02)
        go.touch()
        assert await call("echo", value=2) == 2
        assert imports.read_text() == "i"

    with_pool(launch(tmp_path, slow, ["echo"]), work)


@pytest.mark.parametrize(
    "frame",
    [b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc0", wire.frame(("error", 0, {"surprise": 1}))],
    ids=["too long", "no message", "unknown fields"],
)
def test_a_child_that_breaks_the_protocol_fails_its_calls_and_is_replaced(tmp_path, frame):
    async def work(_pool, call):
        with pytest.raises(BlockFailed) as caught:
            await call("babble", frame=frame)
        assert caught.value.code == "bundle-crashed"
        assert await call("echo", value=1) == 1

    with_pool(launch(tmp_path), work)


def test_an_interpreter_that_is_not_there_is_said_so_and_leaves_nothing_open(tmp_path):
    async def work(_pool, call):
        with pytest.raises(Unavailable, match="cannot be started: No such file"):
            await call("echo", value=1)

    with_pool(dataclasses.replace(launch(tmp_path), python=tmp_path / "python"), work)
