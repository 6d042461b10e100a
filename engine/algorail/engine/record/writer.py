"""The writer: takes finished runs from the event loop, encodes and commits them in its own thread.

`durable` resolves after COMMIT; whatever else waits is committed with it (group commit); one call wakes
the loop for the whole batch. `offer` returns at once: the run waits in a bounded window; what does not fit
is dropped and counted, never silently. When the store fails, durable runs wait and are tried again until
their caller's time is up, offered ones stay in the window.
"""

from __future__ import annotations

import asyncio
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from algorail.engine.kit.deadlines import Deadlines
from algorail.engine.kit.errors import AlgorailError, Unavailable
from algorail.engine.record.encoder import RecordEncoder
from algorail.engine.record.finished import Recordable
from algorail.engine.record.shape import RecordShape
from algorail.engine.record.sizes import Sizes
from algorail.engine.record.store import EncodedRun, RecordStore
from algorail.engine.run.outcome import RunStatus

NOT_DURABLE_CURE = "the run was done but is not safely on record: retry with the same idempotency key"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterOptions:
    """Bounds of the writer.

    Attributes:
        window_runs: Runs that may wait, encoded or not; more are refused (durable) or dropped (offered).
        window_bytes: Bytes that may wait: of runs not encoded yet, estimated from earlier runs of their plan,
            and as many of encoded ones. A single run is always taken.
        batch_runs: Runs in one commit; keeps a commit, and with it the wait of a durable run, short.
        batch_bytes: Encoded bytes in one commit.
        linger: Seconds that offered runs may wait for company, so that fsync is shared.
        retry_after: Seconds before a failed commit is tried again.
        durable_timeout: Longest wait of a durable run in seconds, whatever its caller's deadline: a store
            that is full or away does not come back while everybody waits.
    """

    window_runs: int = 4_096
    window_bytes: int = 64 * 1024 * 1024
    batch_runs: int = 512
    batch_bytes: int = 8 * 1024 * 1024
    linger: float = 0.05
    retry_after: float = 0.1
    durable_timeout: float = 10.0


@dataclass(slots=True)
class WriterStats:
    """Counters since the start, for `/metrics` and `algorail doctor`.

    Attributes:
        written: Runs committed.
        commits: Transactions committed.
        retries: Commits that failed and are tried again.
        dropped: Runs lost because the window was full or the writer was closed.
        sampled_out: Runs left out on purpose by `sampled`.
        unencodable: Runs whose encoding failed (a defect; the run's row is lost).
        expired: Durable runs whose caller was told that they are not on record.
        waiting: Runs in the window now.
        waiting_bytes: Bytes in the window now, estimated for runs that are not encoded yet.
    """

    written: int = 0
    commits: int = 0
    retries: int = 0
    dropped: int = 0
    sampled_out: int = 0
    unencodable: int = 0
    expired: int = 0
    waiting: int = 0
    waiting_bytes: int = 0


HOPELESS = frozenset({"storage-full"})
"""Failures that last: whoever waits for a commit is told at once; their runs stay in the window."""


class _Waiter:
    """Who waits for a durable run: resolved on its own loop."""

    __slots__ = ("future", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[None] = loop.create_future()


@dataclass(slots=True)
class _Item:
    record: Recordable
    shape: RecordShape
    waiter: _Waiter | None
    size: int


@dataclass(slots=True)
class _Ready:
    run: EncodedRun
    size: int
    waiter: _Waiter | None


class RecordWriter:
    """Writes runs to a store. Its thread starts with the first run; `close` flushes and ends it.

    Args:
        store: Where runs are kept; called from the writer's thread only.
        options: Bounds.
        encoder: Makes the encoder when the first run comes, so that what it needs may be loaded until then.
    """

    def __init__(
        self,
        store: RecordStore,
        *,
        options: WriterOptions | None = None,
        encoder: Callable[[], RecordEncoder] = RecordEncoder,
    ) -> None:
        self._store = store
        self._options = options or WriterOptions()
        self.aside: list[Callable[[], None]] = []
        """What else the thread does after each batch, when callers have their answers; must not fail."""
        self._new_encoder = encoder
        self._sizes = Sizes()
        self._stats = WriterStats()
        self._wake = threading.Condition()
        self._deadlines: WeakKeyDictionary[asyncio.AbstractEventLoop, Deadlines[_Waiter]] = (
            WeakKeyDictionary()
        )
        self._failure: AlgorailError | None = None
        self._queue: deque[_Item] = deque()
        self._queue_bytes = 0
        self._ready: deque[_Ready] = deque()
        self._ready_bytes = 0
        self._urgent = False
        self._closing = False
        self._thread: threading.Thread | None = None

    async def record(self, record: Recordable, shape: RecordShape, *, within: float | None = None) -> None:
        """Record a run as its plan's policy says; returns when the policy allows the answer."""
        mode = shape.plan.record.mode
        if mode == "durable":
            await self.durable(record, shape, within=within)
        elif mode != "off":
            self.offer(record, shape)

    async def durable(self, record: Recordable, shape: RecordShape, *, within: float | None = None) -> None:
        """Return when the run is on disk.

        Args:
            within: Seconds until the caller must answer; never more than `durable_timeout`.

        Raises:
            Unavailable: `record-unavailable` if it could not be committed in that time. The run stays in the
                window and is still written if the store comes back.
        """
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop)
        if not self._put(record, shape, waiter):
            raise self._refusal("the record's window is full")
        longest = self._options.durable_timeout
        seconds = longest if within is None else min(max(0.0, within), longest)
        deadlines = self._deadlines.get(loop)
        if deadlines is None:
            deadlines = self._deadlines[loop] = Deadlines(self._expire)
        deadlines.add(waiter, time.monotonic() + seconds)
        try:
            await waiter.future
        finally:
            deadlines.remove(waiter)

    def offer(self, record: Recordable, shape: RecordShape) -> bool:
        """Record a run soon; False if it was dropped or sampled out (both are counted)."""
        policy = shape.plan.record
        if policy.mode == "sampled" and not is_sampled(record, policy.rate):
            with self._wake:
                self._stats.sampled_out += 1
            return False
        return self._put(record, shape, None)

    def stats(self) -> WriterStats:
        """A copy of the counters."""
        with self._wake:
            found = WriterStats(**{name: getattr(self._stats, name) for name in WriterStats.__slots__})
            found.waiting = len(self._queue) + len(self._ready)
            found.waiting_bytes = self._queue_bytes + self._ready_bytes
            return found

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits, then end the thread; what cannot be written in time is counted as dropped."""
        with self._wake:
            self._closing = True
            self._wake.notify()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        with self._wake:
            left = [item.waiter for item in self._queue] + [ready.waiter for ready in self._ready]
            self._stats.dropped += len(left)
            self._queue.clear()
            self._ready.clear()
            self._queue_bytes = self._ready_bytes = 0
        _settle(left, self._refusal("the record's writer was closed"))

    def _put(self, record: Recordable, shape: RecordShape, waiter: _Waiter | None) -> bool:
        size = self._sizes.estimate(record.plan_hash)
        with self._wake:
            if self._closing or not self._has_room(size):
                self._stats.dropped += 1
                return False
            self._queue.append(_Item(record, shape, waiter, size))
            self._queue_bytes += size
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="algorail-record", daemon=True)
                self._thread.start()
            if waiter is not None:
                self._urgent = True
                self._wake.notify()
            elif len(self._queue) == 1:
                self._wake.notify()
            return True

    def _has_room(self, size: int) -> bool:
        if len(self._queue) + len(self._ready) >= self._options.window_runs:
            return False
        return not self._queue or self._queue_bytes + size <= self._options.window_bytes

    def _expire(self, waiter: _Waiter) -> None:
        if not waiter.future.done():
            with self._wake:
                self._stats.expired += 1
            waiter.future.set_exception(self._refusal("the record did not commit in time"))

    def _refusal(self, why: str) -> Unavailable:
        """The error for a caller, with what the store last complained of and how to cure that."""
        cure, failure = NOT_DURABLE_CURE, self._failure
        if failure is not None:
            why = f"{why}: {failure.message}"
            cure = f"{failure.cure}; {cure}" if failure.cure else cure
        return Unavailable(why, code="record-unavailable", cure=cure, retry_after=1.0)

    def _work(self) -> None:
        encoder = self._new_encoder()
        while True:
            items = self._next()
            self._encode(encoder, items)
            failed = not self._commit()
            for work in self.aside:
                work()
            with self._wake:
                if self._closing and not self._queue and (failed or not self._ready):
                    return
                if failed:
                    self._wake.wait(self._options.retry_after)

    def _next(self) -> Sequence[_Item]:
        """Wait for work; offered runs linger a little unless somebody waits or the batch is full."""
        with self._wake:
            while not self._queue and not self._ready and not self._closing:
                self._wake.wait()
            until = time.monotonic() + self._options.linger
            while not self._urgent and not self._closing and not self._ready:
                left = until - time.monotonic()
                if left <= 0 or len(self._queue) >= self._options.batch_runs:
                    break
                self._wake.wait(left)
            self._urgent = False
            items = [self._queue.popleft() for _ in range(min(len(self._queue), self._options.batch_runs))]
            self._queue_bytes -= sum(item.size for item in items)
            self._urgent = bool(self._queue)
            return items

    def _encode(self, encoder: RecordEncoder, items: Sequence[_Item]) -> None:
        encoded: list[_Ready] = []
        broken: list[_Waiter | None] = []
        for item in items:
            try:
                run = encoder.encode(item.record, item.shape)
            except Exception:  # noqa: BLE001  # one run that cannot be written must not end the writer
                broken.append(item.waiter)
                continue
            size = len(run.body) + sum(len(data) for _, data in run.values)
            encoded.append(_Ready(run, size, item.waiter))
            self._sizes.learn(item.record.plan_hash, run.unpacked)
        with self._wake:
            self._stats.unencodable += len(broken)
            self._ready.extend(encoded)
            self._ready_bytes += sum(ready.size for ready in encoded)
            self._bound_window()
        _settle(broken, self._refusal("the run could not be encoded"))

    def _bound_window(self) -> None:
        """Drop the oldest offered runs beyond the window's bytes; durable ones end with their callers."""
        if self._ready_bytes <= self._options.window_bytes:
            return
        kept: deque[_Ready] = deque()
        for ready in self._ready:
            gone = ready.waiter is None or ready.waiter.future.done()
            if gone and self._ready_bytes > self._options.window_bytes:
                self._ready_bytes -= ready.size
                self._stats.dropped += 1
            else:
                kept.append(ready)
        self._ready = kept

    def _commit(self) -> bool:
        """Commit what is ready, batch by batch; False if the store failed."""
        while batch := self._batch():
            try:
                self._store.write([ready.run for ready in batch])
            except AlgorailError as error:
                if error.retryable:
                    self._failure = error
                    with self._wake:
                        self._stats.retries += 1
                    if error.code in HOPELESS:
                        _settle([ready.waiter for ready in batch], self._refusal("the run is not on record"))
                    return False
                self._discard(batch, error)
            except Exception as error:  # noqa: BLE001  # a defect of a store must not end the writer
                self._discard(batch, error)
            else:
                self._failure = None
                with self._wake:
                    self._take(batch)
                    self._stats.written += len(batch)
                    self._stats.commits += 1
                _settle([ready.waiter for ready in batch], None)
        return True

    def _batch(self) -> Sequence[_Ready]:
        batch: list[_Ready] = []
        size = 0
        with self._wake:
            for ready in self._ready:
                if len(batch) == self._options.batch_runs or (batch and size > self._options.batch_bytes):
                    break
                batch.append(ready)
                size += ready.size
        return batch

    def _take(self, batch: Sequence[_Ready]) -> None:
        for ready in batch:
            self._ready.popleft()
            self._ready_bytes -= ready.size

    def _discard(self, batch: Sequence[_Ready], error: Exception) -> None:
        """Give up a batch that the store refuses for good."""
        with self._wake:
            self._take(batch)
            self._stats.dropped += len(batch)
        _settle([ready.waiter for ready in batch], self._refusal(f"the store refused the run: {error}"))


def is_sampled(record: Recordable, rate: float) -> bool:
    """Whether `sampled` keeps a run: every one that did not succeed, and a share of the rest by its id.

    The same in every process: the id decides, not chance.
    """
    if record.status is not RunStatus.SUCCEEDED:
        return True
    return zlib.crc32(record.run_id.encode()) < rate * 2**32


def _settle(waiters: Sequence[_Waiter | None], error: Exception | None) -> None:
    """Resolve futures, with one call into each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for waiter in waiters:
        if waiter is not None:
            by_loop.setdefault(waiter.loop, []).append(waiter.future)
    for loop, futures in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, futures, error)


def _resolve(futures: Sequence[asyncio.Future[None]], error: Exception | None) -> None:
    for future in futures:
        if not future.done():
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)


__all__ = ["RecordWriter", "WriterOptions", "WriterStats", "is_sampled"]
