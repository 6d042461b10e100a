"""Claims, leases, fencing, checkpoints and the sweeper, on both databases."""

from __future__ import annotations

import threading

import pytest

from algorail.engine.kit.errors import Conflict, NotFound, Unavailable
from algorail.engine.run.outcome import RunStatus
from algorail.engine.store import queue
from algorail.engine.store.database import current_ns
from algorail.engine.store.queue import LeaseLost, NewRun

MINUTE = 60 * 10**9


def enqueue(database, *names, **rest):
    with database.write() as tx:
        for name in names:
            run = NewRun(run_id=name, algorithm="faq", version=1, plan_hash="h", inputs=b"{}", **rest)
            queue.enqueue(tx, run)


def claim(database, *, lease_ns=MINUTE, **rest):
    with database.write() as tx:
        return queue.claim(tx, owner="w1", lease_ns=lease_ns, **rest)


def sweep(database, **rest):
    with database.write() as tx:
        return queue.sweep(tx, **rest)


def test_a_run_goes_its_way(database):
    enqueue(database, "r1", "r2", team="ml", batch="b")
    with database.read() as tx:
        assert queue.doorbells(tx) == ["r1", "r2"]
        assert queue.depth(tx) == {RunStatus.QUEUED: 2}
    (run,) = claim(database)
    assert (run.run_id, run.status, run.epoch, run.attempts, run.owner) == (
        "r1",
        RunStatus.RUNNING,
        1,
        1,
        "w1",
    )
    with database.write() as tx:
        assert queue.doorbells(tx) == ["r2"]
        queue.heartbeat(tx, "r1", epoch=1, lease_ns=MINUTE)
        queue.checkpoint(tx, "r1", epoch=1, results={"a": b"1", "b": b"2"})
        assert queue.checkpoints(tx, "r1") == {"a": b"1", "b": b"2"}
        done = queue.finish(tx, "r1", epoch=1, status=RunStatus.SUCCEEDED, output=b"42")
        assert (done.is_final, done.output, done.lease_until_ns) == (True, b"42", None)
        assert [run.run_id for run in queue.batch(tx, "b")] == ["r1", "r2"]


def test_a_committed_result_is_never_written_twice(database):
    enqueue(database, "r1")
    claim(database)
    with database.write() as tx:
        queue.checkpoint(tx, "r1", epoch=1, results={"a": b"1"})
    with pytest.raises(Conflict), database.write() as tx:
        queue.checkpoint(tx, "r1", epoch=1, results={"a": b"2"})
    with database.read() as tx:
        assert queue.checkpoints(tx, "r1") == {"a": b"1"}


def test_a_silent_worker_is_fenced_off(database):
    enqueue(database, "r1")
    claim(database, lease_ns=0)
    assert sweep(database).requeued == ["r1"]
    (again,) = claim(database)
    assert again.epoch > 1
    with database.write() as tx:
        for write in (
            lambda: queue.heartbeat(tx, "r1", epoch=1, lease_ns=1),
            lambda: queue.checkpoint(tx, "r1", epoch=1, results={"a": b"1"}),
            lambda: queue.finish(tx, "r1", epoch=1, status=RunStatus.FAILED),
            lambda: queue.release(tx, "r1", epoch=1),
        ):
            with pytest.raises(LeaseLost):
                write()
        queue.finish(tx, "r1", epoch=again.epoch, status=RunStatus.SUCCEEDED)


def test_a_swept_run_rings_again(database):
    enqueue(database, "r1")
    claim(database, lease_ns=0)
    sweep(database)
    with database.write() as tx:
        assert queue.doorbells(tx) == ["r1"]
        queue.rung(tx, ["r1"])
        assert queue.doorbells(tx) == []


def test_a_run_that_kills_its_workers_is_dead(database):
    enqueue(database, "r1")
    for _ in range(2):
        claim(database, lease_ns=0)
        assert sweep(database).requeued == ["r1"]
    claim(database, lease_ns=0)
    assert sweep(database, dead=b'{"code": "dead"}').dead == ["r1"]
    with database.read() as tx:
        run = queue.get(tx, "r1")
        assert (run.status, run.error, run.attempts) == (RunStatus.DEAD, b'{"code": "dead"}', 3)
        assert queue.doorbells(tx) == []
    assert claim(database) == []


def test_a_live_lease_is_left_alone(database):
    enqueue(database, "r1")
    claim(database)
    found = sweep(database)
    assert [*found.requeued, *found.dead, *found.expired] == []


def test_a_deadline_ends_what_waits_and_what_fell_silent(database):
    with database.read() as tx:
        now = current_ns(tx)
    enqueue(database, "late", "silent", deadline_ns=now - 1)
    enqueue(database, "fine", deadline_ns=now + MINUTE)
    claim(database, lease_ns=0, run_id="silent")
    assert sweep(database, expired=b"{}").expired == ["late", "silent"]
    with database.read() as tx:
        assert queue.get(tx, "late").status is RunStatus.FAILED
        assert queue.doorbells(tx) == ["fine"]


def test_released_runs_wait_without_blame(database):
    enqueue(database, "r1")
    claim(database)
    with database.write() as tx:
        queue.release(tx, "r1", epoch=1)
        assert queue.doorbells(tx) == ["r1"]
    (again,) = claim(database)
    assert (again.attempts, again.epoch) == (1, 2)


def test_delayed_runs_are_not_claimed_early(database):
    enqueue(database, "r1", delay_ns=MINUTE)
    assert claim(database) == []
    assert claim(database, run_id="r1") == []


def test_cancelling_fences_the_worker_and_never_changes_an_end(database):
    enqueue(database, "r1", "r2")
    claim(database)
    with database.write() as tx:
        assert queue.cancel(tx, "r1").status is RunStatus.CANCELLED
        with pytest.raises(LeaseLost):
            queue.heartbeat(tx, "r1", epoch=1, lease_ns=1)
        assert queue.cancel(tx, "r1").epoch == queue.get(tx, "r1").epoch
        assert queue.cancel(tx, "r2").status is RunStatus.CANCELLED
        assert queue.doorbells(tx) == []
        assert queue.purge(tx, older_than_ns=0) == 2
        with pytest.raises(NotFound):
            queue.cancel(tx, "r1")


def test_an_end_is_an_end(database):
    enqueue(database, "r1")
    claim(database)
    with database.write() as tx, pytest.raises(Conflict):
        queue.finish(tx, "r1", epoch=1, status=RunStatus.RUNNING)


def test_workers_at_once_never_share_a_run(database):
    names = [f"r{number:02}" for number in range(24)]
    enqueue(database, *names)
    taken, failed = [], []
    barrier = threading.Barrier(4)

    def claimed():
        while True:
            try:
                return claim(database, limit=2)
            except Unavailable:  # the others hold the lock for longer than the short time-out of these tests
                continue

    def work():
        barrier.wait()
        try:
            while runs := claimed():
                taken.extend(run.run_id for run in runs)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert sorted(taken) == names
