"""What is acknowledged reaches an end; what is committed is never executed again."""

from __future__ import annotations

import asyncio
import json

import pytest

from algorail.engine.kit.errors import Conflict, InvalidInput, LimitExceeded, NotFound, Overloaded
from algorail.engine.run.outcome import RunStatus
from algorail.engine.store import queue
from algorail.engine.store.queue import NewRun
from algorail.engine.worker.embedded import EmbeddedExecutor

FIVE = ["a", "b", "c", "d", "e"]


def test_a_run_is_acknowledged_done_and_on_record(lab):
    async def scenario():
        async with lab() as it:
            it.publish("five")
            run_id = await it.submit("five", unit="u1")
            queued = it.asynchronous.read(run_id)
            assert (queued["status"], queued["queue"]["attempts"], queued["blocks"]) == ("queued", 0, [])
            await it.work()
            row = it.row(run_id)
            assert (row.status, row.output, row.lease_until_ns) == (RunStatus.SUCCEEDED, b"6", None)
            document = it.asynchronous.read(run_id)
            assert document["output"] == 6
            assert [block["node"] for block in document["blocks"]] == FIVE
            assert [block["inputs"] for block in document["blocks"]] == [{"x": n} for n in range(1, 6)]
            assert (document["alias"], document["unit"], document["reason"]) == ("prod", "u1", "alias")
            with it.engine.database.read() as tx:
                assert queue.checkpoints(tx, run_id) == {}
                assert queue.doorbells(tx) == []

    asyncio.run(scenario())


def test_a_split_is_on_record_with_its_state_and_chance(lab):
    async def scenario():
        async with lab() as it:
            it.publish("five")
            it.publish("five", "step", "step")
            it.engine.aliases.split(it.call("five", b"{}").principal, "five", "prod", {"1": 3, "2": 1})
            run_id = await it.submit("five", unit="u1")
            await it.work()
            document = it.asynchronous.read(run_id)
            chance = {"1": "0.75", "2": "0.25"}[document["variant"]]
            assert document["reason"] == "split:assigned"
            assert document["labels"] == {"split.epoch": "2", "split.propensity": chance}

    asyncio.run(scenario())


def test_committed_blocks_are_not_executed_again_and_the_record_shows_one_run(lab):
    async def scenario():
        async with lab() as it:
            it.publish("five")
            run_id = await it.submit("five")
            silent = await it.die_at("c")
            assert it.asynchronous.read(run_id)["queue"]["committed"] == ["a", "b"]
            it.gate("c").open.set()
            await silent  # it comes back to life, and what it computed is refused
            assert it.row(run_id).status is RunStatus.QUEUED
            await it.work()
            assert it.blocks.calls == {"a": 1, "b": 1, "c": 2, "d": 1, "e": 1}
            document = it.asynchronous.read(run_id)
            assert (document["status"], document["output"], document["queue"]["attempts"]) == (
                "succeeded",
                6,
                2,
            )
            assert [(block["node"], block["status"]) for block in document["blocks"]] == [
                (n, "ok") for n in FIVE
            ]
            assert [block["output"] for block in document["blocks"]] == [2, 3, 4, 5, 6]
            assert document["blocks"][0]["duration_ns"] > 0
            assert it.blocks.keys.count(f"{run_id}:c") == 2  # the effect key is stable

    asyncio.run(scenario())


def test_values_of_every_kind_survive(lab):
    async def scenario():
        async with lab() as it:
            it.publish("values", "bear", "add_up", "step")
            run_id = await it.submit("values")
            it.gate("c")
            silent = await it.die_at("c")
            it.gate("c").open.set()
            await silent
            await it.work()
            # 1 + 2 + 3 of the vector, two bytes, one for the big number, one for the last step
            assert it.row(run_id).output == b"10"

    asyncio.run(scenario())


def test_nodes_of_sub_algorithms_are_committed_and_keep_their_version(lab):
    async def scenario():
        async with lab() as it:
            it.publish("inner", "step", "step", "step")
            sub = {"kind": "sub_algorithm@1", "config": {"algorithm": "inner", "version": "@prod"}}
            it.publish("outer", sub, "step")
            run_id = await it.submit("outer")
            silent = await it.die_at("c")
            it.gate("c").open.set()
            await silent
            it.publish("inner", "step")  # the alias moves on: the run does not
            await it.work()
            assert it.row(run_id).output == b"5"
            assert it.blocks.calls == {"a": 1, "b": 2, "c": 2}  # `b` once inside, once outside
            document = it.asynchronous.read(run_id)
            (child,) = document["blocks"][0]["children"]
            assert (child["algorithm"], child["version"], child["inputs"]) == ("inner", 1, {"x": 1})
            assert [block["output"] for block in child["blocks"]] == [2, 3, 4]

    asyncio.run(scenario())


def test_a_write_whose_outcome_is_unknown_needs_attention(lab):
    async def scenario():
        async with lab() as it:
            it.publish("pay", "step", "charge", "step")
            run_id = await it.submit("pay")
            silent = await it.die_at("b")
            it.gate("b").open.set()
            await silent
            await it.work()
            row = it.row(run_id)
            assert row.status is RunStatus.NEEDS_ATTENTION
            assert json.loads(row.error)["code"] == "outcome-unknown"
            assert it.blocks.calls == {"a": 1, "b": 1}
            assert it.asynchronous.read(run_id)["queue"]["committed"] == ["a"]
            assert (await it.asynchronous.cancel(run_id))["status"] == "cancelled"

    asyncio.run(scenario())


@pytest.mark.parametrize(("decision", "calls", "output"), [("happened", 1, b"8"), ("repeat", 2, b"4")])
def test_a_person_decides_what_an_unsure_write_did(lab, decision, calls, output):
    async def scenario():
        async with lab() as it:
            it.publish("pay", "step", "charge", "step")
            run_id = await it.submit("pay")
            silent = await it.die_at("b")
            it.gate("b").open.set()
            await silent
            await it.work()
            by = it.call("pay").principal
            resume = it.engine.attention.resume
            for wrong in ({}, {"a": 1}, {"b": 1, "c": 2}):
                with pytest.raises(InvalidInput, match="named once"):
                    resume(by, run_id, outputs=wrong, repeat=[])
            outputs, repeat = ({"b": 7}, []) if decision == "happened" else ({}, ["b"])
            assert resume(by, run_id, outputs=outputs, repeat=repeat)["status"] == "queued"
            with pytest.raises(Conflict):
                resume(by, run_id, outputs=outputs, repeat=repeat)
            await it.work()
            assert it.row(run_id).output == output
            assert it.blocks.calls == {"a": 1, "b": calls, "c": 1}
            (line,) = it.engine.audit.entries(by, action="run.resume", subject="", before=None, limit=5)
            assert line.subject == run_id

    asyncio.run(scenario())


def test_a_write_that_is_committed_is_not_repeated(lab):
    async def scenario():
        async with lab() as it:
            it.publish("pay", "charge", "step")
            run_id = await it.submit("pay")
            silent = await it.die_at("b")
            it.gate("b").open.set()
            await silent
            await it.work()
            assert it.row(run_id).status is RunStatus.SUCCEEDED
            assert it.blocks.calls == {"a": 1, "b": 2}

    asyncio.run(scenario())


def test_a_run_that_kills_three_workers_is_dead_with_a_reason_and_on_record(lab):
    async def scenario():
        async with lab() as it:
            it.publish("five")
            run_id = await it.submit("five")
            silent = [await it.die_at("c") for _ in range(3)]
            document = it.asynchronous.read(run_id)
            assert (document["status"], document["error"]["code"]) == ("dead", "dead")
            assert [block["node"] for block in document["blocks"]] == ["a", "b"]
            it.gate("c").open.set()
            await asyncio.gather(*silent)
            assert it.row(run_id).status is RunStatus.DEAD

    asyncio.run(scenario())


def test_a_failed_block_ends_the_run_as_failed(lab):
    async def scenario():
        async with lab() as it:
            it.publish("broken", "step", "fail")
            run_id = await it.submit("broken")
            await it.work()
            document = it.asynchronous.read(run_id)
            assert (document["status"], document["error"]["node"]) == ("failed", "b")
            assert it.row(run_id).is_final

    asyncio.run(scenario())


def test_a_run_whose_version_is_gone_fails_and_says_so(lab):
    async def scenario():
        async with lab() as it:
            it.publish("five")
            with it.engine.database.write() as tx:
                queue.enqueue(
                    tx, NewRun(run_id="run_1", algorithm="five", version=9, plan_hash="", inputs=b"{}")
                )
            await it.work()
            document = it.asynchronous.read("run_1")
            assert (document["status"], document["error"]["code"]) == ("failed", "version-not-found")

    asyncio.run(scenario())


def test_a_cancellation_at_the_last_moment_is_what_the_record_says(lab):
    async def scenario():
        async with lab(async_lease=30) as it:
            it.publish("five")
            run_id = await it.submit("five")
            record = it.engine.writer.record

            async def cancelled_meanwhile(*args, **rest):
                it.engine.writer.record = record
                await record(*args, **rest)
                with it.engine.database.write() as tx:
                    queue.cancel(tx, run_id)

            it.engine.writer.record = cancelled_meanwhile
            await it.work()
            document = it.asynchronous.read(run_id)
            assert (document["status"], document["output"], len(document["blocks"])) == ("cancelled", None, 5)
            assert it.engine.runs.read(run_id)["status"] == "cancelled"

    asyncio.run(scenario())


def test_a_lost_lease_is_no_reason_for_a_fallback(lab):
    async def scenario():
        async with lab() as it:
            it.publish("safe", {"kind": "step@1", "fallback": {"value": -1}}, "step")
            run_id = await it.submit("safe")
            silent = await it.die_at("a")
            it.gate("a").open.set()
            await silent
            assert it.blocks.calls == {"a": 1}
            await it.work()
            assert it.row(run_id).output == b"3"

    asyncio.run(scenario())


def test_cancelling_stops_the_worker_and_is_on_record(lab):
    async def scenario():
        async with lab(async_lease=0.3) as it:
            it.publish("five")
            gate = it.gate("b")
            executor = EmbeddedExecutor(it.engine)
            await executor.start()
            run_id = await it.submit("five")
            await asyncio.wait_for(gate.reached.wait(), 10)
            assert (await it.asynchronous.cancel(run_id))["status"] == "cancelled"
            document = it.asynchronous.read(run_id)
            assert (document["status"], [block["node"] for block in document["blocks"]]) == (
                "cancelled",
                ["a"],
            )
            while executor.active:
                await asyncio.sleep(0.01)
            await executor.aclose()
            assert it.blocks.calls == {"a": 1, "b": 1}

    asyncio.run(scenario())


def test_a_deadline_that_passes_in_the_queue_ends_the_run(lab):
    async def scenario():
        async with lab() as it:
            it.publish("five")
            run_id = await it.submit("five", seconds=0.001)
            while it.row(run_id).status is RunStatus.QUEUED:
                await it.sweep()
            document = it.asynchronous.read(run_id)
            assert (document["status"], document["error"]["code"]) == ("failed", "deadline-exceeded")
            assert it.blocks.calls == {}

    asyncio.run(scenario())


def test_a_worker_that_stops_gives_its_runs_back_without_blame(lab):
    async def scenario():
        async with lab(async_lease=30) as it:
            it.publish("five")
            gate = it.gate("c")
            executor = EmbeddedExecutor(it.engine, drain=0)
            it.asynchronous.executor = executor
            await executor.start()
            run_id = await it.submit("five")
            await asyncio.wait_for(gate.reached.wait(), 10)
            await executor.aclose()
            row = it.row(run_id)
            assert (row.status, row.attempts) == (RunStatus.QUEUED, 0)
            gate.open.set()
            await it.work()
            assert it.row(run_id).status is RunStatus.SUCCEEDED
            assert it.blocks.calls["a"] == it.blocks.calls["b"] == 1

    asyncio.run(scenario())


def test_a_lost_doorbell_is_rung_again(lab):
    async def scenario():
        async with lab() as it:
            it.publish("five")
            run_id = await it.submit("five")
            assert await it.sweep() == [run_id]
            with it.engine.database.write() as tx:
                queue.rung(tx, [run_id])
            rung = []
            while not rung:
                rung = await it.sweep()
            assert rung == [run_id]

    asyncio.run(scenario())


def test_the_version_is_that_of_the_acknowledgement(lab):
    async def scenario():
        async with lab() as it:
            it.publish("moving", "step")
            run_id = await it.submit("moving")
            it.publish("moving", "step", "step")
            await it.work()
            assert (it.row(run_id).version, it.row(run_id).output) == (1, b"2")

    asyncio.run(scenario())


def test_the_same_key_is_the_same_run(lab):
    async def scenario():
        async with lab() as it:
            it.publish("five")
            first = await it.asynchronous.submit(it.call("five", idempotency_key="k"))
            again = await it.asynchronous.submit(it.call("five", idempotency_key="k"))
            assert (again.run_id, again.repeated, first.repeated) == (first.run_id, True, False)
            with pytest.raises(InvalidInput, match="another body"):
                await it.submit("five", b'{"x": 2}', idempotency_key="k")
            both = await asyncio.gather(*(it.submit("five", idempotency_key="at once") for _ in range(8)))
            assert len(set(both)) == 1

    asyncio.run(scenario())


def test_a_full_queue_says_so_before_the_acknowledgement(lab):
    async def scenario():
        async with lab(async_waiting=2) as it:
            it.publish("five")
            results = await asyncio.gather(*(it.submit("five") for _ in range(5)), return_exceptions=True)
            refused = [error for error in results if isinstance(error, Overloaded)]
            assert [error.code for error in refused] == ["queue-full"] * 3
            assert refused[0].retry_after
            with pytest.raises(Overloaded):
                await it.submit("five", idempotency_key="later")
            await it.work()
            assert await it.submit("five", idempotency_key="later")

    asyncio.run(scenario())


def test_a_batch_is_one_commit_and_keeps_its_order(lab):
    async def scenario():
        async with lab() as it:
            it.publish("one", "step")
            body = json.dumps({"inputs": [{"x": n} for n in range(20)]}).encode()
            ticket = await it.asynchronous.submit_batch(it.call("one", body))
            for _ in range(20):
                await it.work()
            found = it.asynchronous.batch(it.call("one").principal, ticket.run_id, limit=15)
            assert (found["total"], found["done"], found["counts"]) == (20, True, {"succeeded": 20})
            rest = it.asynchronous.batch(it.call("one").principal, ticket.run_id, after=found["cursor"])
            runs = [run["run_id"] for run in found["runs"] + rest["runs"]]
            assert [it.row(run_id).output for run_id in runs] == [str(n + 1).encode() for n in range(20)]
            with pytest.raises(NotFound):
                it.asynchronous.batch(it.call("one").principal, "batch_none")

    asyncio.run(scenario())


def test_a_batch_with_wrong_inputs_starts_nothing(lab):
    async def scenario():
        async with lab() as it:
            it.publish("one", "step")
            body = b'{"inputs": [{"x": 1}, {"x": "two"}, {}]}'
            with pytest.raises(InvalidInput) as refused:
                await it.asynchronous.submit_batch(it.call("one", body))
            assert [problem.port.split(".")[1] for problem in refused.value.problems] == ["1", "2"]
            with it.engine.database.read() as tx:
                assert queue.depth(tx) == {}
            for wrong in (b"[]", b'{"inputs": 1}', b'{"inputs": [], "more": 1}'):
                with pytest.raises(InvalidInput, match="list of inputs"):
                    await it.asynchronous.submit_batch(it.call("one", wrong))
            many = json.dumps({"inputs": [{"x": 1}] * 10_001}).encode()
            with pytest.raises(LimitExceeded):
                await it.asynchronous.submit_batch(it.call("one", many))

    asyncio.run(scenario())
