"""The one data plane: requests of every protocol become rows, rows become batches, one thread runs the
model.

A batch is taken whenever the model is free, and no time window delays it: at low load every request
runs at once, at high load batches grow by themselves. The queue is bounded in rows and refuses at the
door.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeAlias

import numpy as np

from algorail.engine.kit.errors import AlgorailError, DeadlineExceeded, Overloaded, Unavailable
from algorail.model_host.serve.runtimes import Runtime
from algorail.model_host.serve.tensors import Columns, from_model
from algorail.model_host.spec import Tensor

SMOOTHING = 0.2
"""Weight of the newest batch in the moving average of seconds per row."""

_Results: TypeAlias = "list[Columns | AlgorailError]"


@dataclass(slots=True, eq=False)
class _Work:
    inputs: Columns
    rows: int
    deadline: float
    answer: asyncio.Future[Columns]

    def shape(self) -> list[tuple[int, ...]]:
        return [column.shape[1:] for column in self.inputs.values()]


class Batcher:
    """Queues rows for a model and answers every request by itself.

    Args:
        runtime: The model; called in one thread of its own, one batch at a time.
        outputs: What it promises to return.
        max_batch: Rows of one call; a request with more runs alone.
        max_queue: Rows that may wait.
        observe: Told the rows and seconds of each call.
    """

    def __init__(
        self,
        runtime: Runtime,
        outputs: Mapping[str, Tensor],
        *,
        max_batch: int = 64,
        max_queue: int = 1024,
        observe: Callable[[int, float], None] = lambda _rows, _seconds: None,
    ) -> None:
        self._runtime = runtime
        self._outputs = outputs
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._observe = observe
        self._jobs: SimpleQueue[tuple[asyncio.AbstractEventLoop, list[_Work]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._waiting: deque[_Work] = deque()
        self._busy = False
        self._seconds_per_row = 0.0
        self.queued_rows = 0
        self._thread.start()

    async def submit(self, inputs: Columns, rows: int, deadline: float = math.inf) -> Columns:
        """The outputs for these rows.

        Args:
            inputs: Checked columns, all of `rows` rows.
            rows: At least one.
            deadline: On the clock of the event loop; work that has not begun by then is not begun.

        Raises:
            Overloaded: `model-overloaded`, at once, if the queue is full.
            DeadlineExceeded: If the deadline came first.
            AlgorailError: `model-failed` or `model-lies`.
        """
        loop = asyncio.get_running_loop()
        if deadline <= loop.time():
            raise _too_late()
        if self._busy and self.queued_rows + rows > self._max_queue:
            raise Overloaded(
                f"{self.queued_rows} rows are waiting, {self._max_queue} may",
                code="model-overloaded",
                retry_after=self.queued_rows * self._seconds_per_row,
            )
        work = _Work(inputs, rows, deadline, loop.create_future())
        self._waiting.append(work)
        self.queued_rows += rows
        if not self._busy:
            self._next(loop)
        return await work.answer

    def close(self) -> None:
        """Let the thread go once its batch is done; whoever still waits is told so."""
        while self._waiting:
            work = self._waiting.popleft()
            if not work.answer.done():
                work.answer.set_exception(Unavailable("the replica stops", code="replica-stopping"))
        self.queued_rows = 0
        self._jobs.put(None)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        batch = self._take(loop.time())
        self._busy = bool(batch)
        if batch:
            self._jobs.put((loop, batch))

    def _take(self, now: float) -> list[_Work]:
        """The oldest requests whose rows fit one call and have one shape."""
        batch: list[_Work] = []
        rows = 0
        while self._waiting:
            work = self._waiting[0]
            live = not work.answer.done()
            if live and work.deadline > now and batch and not self._joins(work, rows, batch[0]):
                break
            self._waiting.popleft()
            self.queued_rows -= work.rows
            if live and work.deadline <= now:
                work.answer.set_exception(_too_late())
            elif live:
                batch.append(work)
                rows += work.rows
        return batch

    def _joins(self, work: _Work, rows: int, first: _Work) -> bool:
        return rows + work.rows <= self._max_batch and work.shape() == first.shape()

    def _work(self) -> None:
        """The model's thread: a queue and one wake-up of the loop cost half of what an executor does."""
        while (job := self._jobs.get()) is not None:
            loop, batch = job
            results, seconds = self._run(batch)
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._finish, loop, batch, results, seconds)

    def _finish(
        self, loop: asyncio.AbstractEventLoop, batch: list[_Work], results: _Results, seconds: float
    ) -> None:
        rows = sum(work.rows for work in batch)
        self._seconds_per_row += SMOOTHING * (seconds / rows - self._seconds_per_row)
        self._observe(rows, seconds)
        for work, result in zip(batch, results, strict=True):
            if work.answer.done():
                continue
            if isinstance(result, AlgorailError):
                work.answer.set_exception(result)
            else:
                work.answer.set_result(result)
        self._next(loop)

    def _run(self, batch: list[_Work]) -> tuple[_Results, float]:
        """In the model's thread. When a batch fails, each request of it is tried alone: one must not
        fail the others.
        """
        start = time.perf_counter()
        results = self._together(batch)
        if isinstance(results[0], AlgorailError) and len(batch) > 1:
            results = [self._together([work])[0] for work in batch]
        return results, time.perf_counter() - start

    def _together(self, batch: list[_Work]) -> _Results:
        if len(batch) == 1:
            inputs = batch[0].inputs
        else:
            inputs = {name: np.concatenate([work.inputs[name] for work in batch]) for name in batch[0].inputs}
        rows = sum(work.rows for work in batch)
        try:
            found = from_model(self._outputs, self._runtime.predict(inputs), rows)
        except AlgorailError as error:
            return [error] * len(batch)
        except Exception as error:  # noqa: BLE001  # a model may raise anything; the request gets it
            failed = AlgorailError(f"the model raised {type(error).__name__}: {error}", code="model-failed")
            return [failed] * len(batch)
        return _split(found, [work.rows for work in batch])


def _split(found: Columns, sizes: list[int]) -> _Results:
    if len(sizes) == 1:
        return [found]
    parts: _Results = []
    start = 0
    for size in sizes:
        parts.append({name: column[start : start + size] for name, column in found.items()})
        start += size
    return parts


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("the deadline passed before the model was free", code="deadline-exceeded")
