from contextlib import closing

import msgspec
import pytest

from algorail.engine.kit.ids import new_id
from algorail.engine.plan import codec
from algorail.engine.plan.document import Input, Plan, RecordPolicy, Ref
from algorail.engine.plan.types import STRING
from algorail.engine.record.store import EncodedRun, RunHead
from algorail.engine.service.records import drop_old_days, record_store
from algorail.engine.service.settings import Settings
from algorail.engine.store import algorithms
from algorail.engine.store.algorithms import NewVersion
from algorail.engine.store.database import Database
from algorail.migrations import upgrade

DAY = 86_400 * 10**9


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path)


@pytest.fixture
def database(settings):
    with closing(Database(settings.database_url)) as database:
        upgrade(database.engine)
        yield database


def publish(database, name, days):
    plan = Plan(
        name=name,
        inputs={"text": Input(type=STRING)},
        output=STRING,
        nodes=(),
        result=Ref("text"),
        record=RecordPolicy(days=days),
    )
    new = NewVersion(
        plan=msgspec.json.encode(codec.to_dict(plan)),
        plan_hash=codec.content_hash(plan),
        contract=b"{}",
        change="first",
    )
    with database.write() as tx:
        algorithms.ensure(tx, name)
        algorithms.publish(tx, name, new)


def run(day: int) -> EncodedRun:
    head = RunHead(
        run_id=new_id("run", now_ns=day * DAY),
        algorithm="echo",
        version=1,
        plan_hash="",
        status="succeeded",
        started_ns=day * DAY,
        duration_ns=1,
    )
    return EncodedRun(head, b"")


@pytest.mark.parametrize(("wish", "kept"), [(None, 10), (3, 10), (20, 20)])
def test_days_go_when_neither_the_operator_nor_an_algorithm_wants_them(settings, database, wish, kept):
    import time

    today = time.time_ns() // DAY
    publish(database, "echo", wish)
    with closing(record_store(settings, database)) as store:
        store.write([run(today - age) for age in range(30)])
        dropped = drop_old_days(store, database, 10)
        assert len(dropped) == 29 - kept
        assert len(store.partitions()) == kept + 1
