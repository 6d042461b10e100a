"""Routing, rest and retry budget, on a fake clock."""

from collections import Counter

import pytest

from algorail.blocks.model_call.addresses import BUDGET_MAX, FAILURES, Pool
from algorail.engine.kit.errors import Unavailable


class Clock:
    time = 0.0

    def now_ns(self):
        return 0

    def monotonic(self):
        return self.time


@pytest.fixture
def pool():
    made = Pool("m", Clock())
    made.update(["http://a", "http://b", "http://c"])
    return made


def fail(pool, address, times=FAILURES):
    for _ in range(times):
        address.end(False, pool.clock.time, probe=address.begin())


def test_the_busiest_address_is_never_chosen(pool):
    busy, *_ = pool.addresses
    busy.outstanding = 5
    counts = Counter(pool.pick([]).url for _ in range(300))
    assert busy.url not in counts
    assert all(counts[url] > 50 for url in ("http://b", "http://c"))


def test_what_was_tried_comes_last(pool):
    a, b, c = pool.addresses
    assert {pool.pick([a, b]).url for _ in range(20)} == {c.url}
    assert pool.pick([a, b, c]) in (a, b, c)


def test_rest_doubles_and_one_probe_decides(pool):
    pool.update(["http://a"])
    [a] = pool.addresses
    fail(pool, a)
    for rest in (1, 2, 4, 8, 16, 30, 30):
        with pytest.raises(Unavailable) as caught:
            pool.pick([])
        assert caught.value.retry_after == rest
        pool.clock.time += rest
        probe = pool.pick([]).begin()
        with pytest.raises(Unavailable):
            pool.pick([])
        a.end(False, pool.clock.time, probe=probe)
    pool.clock.time += 30
    a.end(True, pool.clock.time, probe=pool.pick([]).begin())
    assert [pool.pick([]) for _ in range(3)] == [a] * 3
    fail(pool, a, FAILURES - 1)
    assert pool.pick([]) is a


def test_a_late_failure_does_not_end_the_probe_of_another(pool):
    pool.update(["http://a"])
    [a] = pool.addresses
    late = a.begin()
    fail(pool, a)
    pool.clock.time += 1
    probe = pool.pick([]).begin()
    a.end(None, pool.clock.time, probe=late)
    with pytest.raises(Unavailable):
        pool.pick([])
    a.end(True, pool.clock.time, probe=probe)
    assert pool.pick([]) is a
    assert a.outstanding == 0


def test_an_update_keeps_what_is_known(pool):
    a, *_ = pool.addresses
    fail(pool, a)
    pool.update(["http://a", "http://d"])
    assert {pool.pick([]).url for _ in range(20)} == {"http://d"}


def test_retries_are_a_tenth_of_the_calls(pool):
    allowed = sum(pool.withdraw() for _ in range(100))
    assert allowed == BUDGET_MAX
    for _ in range(105):
        pool.deposit()
    assert sum(pool.withdraw() for _ in range(100)) == BUDGET_MAX
