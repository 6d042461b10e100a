"""Batching against a model that a test holds and lets go."""

import asyncio
import threading

import numpy as np
import pytest

from algorail.engine.kit.errors import AlgorailError, DeadlineExceeded, Overloaded, Unavailable
from algorail.model_host.serve.batching import Batcher
from algorail.model_host.spec import Tensor

OUTPUTS = {"y": Tensor("float64")}


class Held:
    """Doubles its input, but only while the gate is open."""

    def __init__(self):
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.sizes = []

    def predict(self, inputs):
        x = inputs["x"]
        self.sizes.append(len(x))
        self.entered.release()
        assert self.gate.wait(10)
        if (x == 13).any():
            raise ValueError("thirteen")
        return {"y": x.sum(axis=-1) * 2 if x.ndim > 1 else x * 2}


def rows(*values):
    return {"x": np.array(values, dtype="float64")}


def run(test, **limits):
    model = Held()

    async def go():
        batcher = Batcher(model, OUTPUTS, **limits)
        first = asyncio.ensure_future(batcher.submit(rows(1), 1))
        await asyncio.get_running_loop().run_in_executor(None, model.entered.acquire)
        try:
            await test(batcher, model, first)
        finally:
            model.gate.set()
            await asyncio.gather(first, return_exceptions=True)
            batcher.close()

    asyncio.run(go())
    return model


async def queue(*submits):
    """Tasks that have reached the queue."""
    tasks = [asyncio.ensure_future(submit) for submit in submits]
    await asyncio.sleep(0)
    return tasks


def test_what_waits_becomes_one_batch_and_everyone_gets_their_own():
    async def test(batcher, model, first):
        tasks = await queue(*(batcher.submit(rows(n, n), 2) for n in range(2, 5)))
        model.gate.set()
        found = [answer["y"].tolist() for answer in await asyncio.gather(first, *tasks)]
        assert found == [[2], [4, 4], [6, 6], [8, 8]]

    assert run(test).sizes == [1, 6]


def test_rows_are_counted_not_requests():
    async def test(batcher, model, first):
        tasks = await queue(*(batcher.submit(rows(n, n), 2) for n in range(3)))
        model.gate.set()
        await asyncio.gather(*tasks)

    assert run(test, max_batch=4).sizes == [1, 4, 2]


def test_only_equal_shapes_share_a_batch():
    async def test(batcher, model, first):
        tasks = await queue(
            batcher.submit({"x": np.ones((1, 2))}, 1), batcher.submit({"x": np.ones((1, 3))}, 1)
        )
        model.gate.set()
        assert [answer["y"].tolist() for answer in await asyncio.gather(*tasks)] == [[4], [6]]

    assert run(test).sizes == [1, 1, 1]


def test_a_full_queue_refuses_at_once():
    async def test(batcher, model, first):
        [waiting] = await queue(batcher.submit(rows(1, 2), 2))
        with pytest.raises(Overloaded):
            await batcher.submit(rows(3), 1)
        assert batcher.queued_rows == 2
        model.gate.set()
        await waiting

    run(test, max_queue=2)


def test_one_bad_request_does_not_fail_its_neighbours():
    async def test(batcher, model, first):
        good, bad = await queue(batcher.submit(rows(2), 1), batcher.submit(rows(13), 1))
        model.gate.set()
        assert (await good)["y"].tolist() == [4]
        with pytest.raises(AlgorailError, match="thirteen"):
            await bad

    assert run(test).sizes == [1, 2, 1, 1]


def test_work_that_is_too_late_is_never_begun():
    async def test(batcher, model, first):
        loop = asyncio.get_running_loop()
        with pytest.raises(DeadlineExceeded):
            await batcher.submit(rows(9), 1, loop.time())
        soon = loop.time() + 0.005
        [late, fine] = await queue(batcher.submit(rows(2), 1, soon), batcher.submit(rows(3), 1))
        while loop.time() <= soon:
            await asyncio.sleep(0)
        model.gate.set()
        with pytest.raises(DeadlineExceeded):
            await late
        assert (await fine)["y"].tolist() == [6]

    assert run(test).sizes == [1, 1]


def test_cancelled_work_is_skipped():
    async def test(batcher, model, first):
        gone, stays = await queue(batcher.submit(rows(2), 1), batcher.submit(rows(3), 1))
        gone.cancel()
        await asyncio.sleep(0)
        model.gate.set()
        assert (await stays)["y"].tolist() == [6]
        assert batcher.queued_rows == 0

    assert run(test).sizes == [1, 1]


def test_closing_tells_whoever_waits():
    async def test(batcher, model, first):
        [waiting] = await queue(batcher.submit(rows(2), 1))
        batcher.close()
        with pytest.raises(Unavailable):
            await waiting

    run(test)
