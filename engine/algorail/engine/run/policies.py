"""A node's policies around its call: cache, circuit breaker, retry, timeout. Nodes without any pay nothing.

From the outside in: the cache answers what is known; each try asks the breaker and has its own time limit.
The fallback is not here: it may pull nodes, and so is generated code.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from algorail.engine.kind import Effect, Services
from algorail.engine.kit.errors import AlgorailError, PlanInvalid, Problem, Unavailable
from algorail.engine.plan.document import Node, Retry
from algorail.engine.run.breaker import CircuitBreaker
from algorail.engine.run.calls import Call
from algorail.engine.run.context import NodeContext, RunContext
from algorail.engine.run.memory import Memory, hash_of
from algorail.engine.run.messages import code_of, info
from algorail.engine.run.trace import Try

_MISTAKES = (TypeError, AttributeError, NameError, AssertionError, NotImplementedError)
"""Errors of the block's own code: they come back the same."""

_BY_DEFAULT = Retry(attempts=1)


def policed(node: Node, index: int, call: Call, services: Services) -> Call:
    """The call with the node's policies; the same call if it has none.

    Raises:
        PlanInvalid: If a policy would repeat or skip a write that must happen exactly once.
    """
    if not any((node.retry, node.timeout is not None, node.cache, node.breaker)):
        return call
    _check(node, call)
    breaker = None
    if node.breaker is not None:
        policy, clock = node.breaker, services.clock
        identity = hash_of({"config": dict(node.config), "failures": policy.failures, "reset": policy.reset})
        breaker = services.shared(
            f"run.breaker:{node.kind}:{identity.hex()}", lambda: CircuitBreaker(policy, clock)
        )
    memory = None if node.cache is None else Memory(node.cache, services.clock)
    return replace(call, function=Policed(node, index, call, memory, breaker), is_async=True, wants="engine")


def unsafe_cache(node: str) -> Problem:
    """A node that writes may not have a cache."""
    text = "a write cannot be answered from memory"
    return Problem(code="unsafe-cache", message=text, node=node, cure="remove cache=")


def _check(node: Node, call: Call) -> None:
    if call.effect is not Effect.WRITE:
        return
    problems = []
    if node.cache is not None:
        problems.append(unsafe_cache(node.id))
    repeats = node.retry is not None and node.retry.attempts > 1
    if repeats and not call.idempotent and call.wants == "plain":
        text = "a write that is not idempotent is not tried twice: it does not send the effect key"
        cure = "let the block take the call's context and send effect_key(), or remove retry="
        problems.append(Problem(code="unsafe-retry", message=text, node=node.id, cure=cure))
    if problems:
        raise PlanInvalid(f"the policies of node {node.id!r} are not safe", problems=problems)


class Policed:
    """A call with policies, itself called with the run's context and the inputs."""

    def __init__(
        self, node: Node, index: int, call: Call, memory: Memory | None, breaker: CircuitBreaker | None
    ) -> None:
        self._node = node
        self._index = index
        self._call = call
        self._memory = memory
        self._breaker = breaker
        self._retry = node.retry or _BY_DEFAULT

    async def __call__(self, ctx: RunContext, /, **inputs: Any) -> Any:
        """The output, after as many tries as it takes."""
        if self._memory is None:
            return await self._tried(ctx, inputs)
        value, known = await self._memory.get(inputs, lambda: self._tried(ctx, inputs))
        if known and ctx.record:
            ctx.noted().cached.add(self._index)
        return value

    async def _tried(self, ctx: RunContext, inputs: Mapping[str, Any]) -> Any:
        attempt = 0
        while True:
            attempt += 1
            started = ctx.clock.monotonic() if ctx.record else 0.0
            try:
                value = await self._once(ctx, attempt, inputs)
            except Exception as error:
                self._note(ctx, started, error)
                wait = self._wait(ctx, error, attempt)
                if wait is None:
                    raise
            else:
                if attempt > 1:
                    self._note(ctx, started, None)
                return value
            await asyncio.sleep(wait)

    async def _once(self, ctx: RunContext, attempt: int, inputs: Mapping[str, Any]) -> Any:
        breaker = self._breaker
        if breaker is None:
            return await self._limited(ctx, attempt, inputs)
        breaker.enter(self._node.id)
        try:
            value = await self._limited(ctx, attempt, inputs)
        except Exception as error:
            if not isinstance(error, AlgorailError) or error.retryable:
                breaker.failed()
            else:
                breaker.abandoned()
            raise
        except BaseException:
            breaker.abandoned()
            raise
        breaker.succeeded()
        return value

    async def _limited(self, ctx: RunContext, attempt: int, inputs: Mapping[str, Any]) -> Any:
        limit = self._node.timeout
        timer = nullcontext() if limit is None else asyncio.timeout(limit)
        try:
            async with timer:
                result = self._start(ctx, attempt, inputs)
                return await result if inspect.isawaitable(result) else result
        except TimeoutError:
            if isinstance(timer, asyncio.Timeout) and timer.expired():
                raise Unavailable(f"no answer within {limit:g} s", code="timeout") from None
            raise

    def _start(self, ctx: RunContext, attempt: int, inputs: Mapping[str, Any]) -> Any:
        call = self._call
        if call.wants == "engine":
            return call.function(ctx, **inputs)
        if call.wants == "context":
            return call.function(NodeContext(ctx, self._node.id, attempt, self._node.timeout), **inputs)
        return call.function(**inputs)

    def _wait(self, ctx: RunContext, error: Exception, attempt: int) -> float | None:
        """Seconds until the next try; None if there shall be none. Full jitter, as AWS describes it."""
        retry = self._retry
        if attempt >= retry.attempts or not retries(error, retry):
            return None
        wait = random.random() * min(retry.max, retry.first * 2 ** (attempt - 1))
        wait = max(wait, getattr(error, "retry_after", None) or 0.0)
        left = ctx.remaining()
        return None if left is not None and wait >= left else wait

    def _note(self, ctx: RunContext, started: float, error: Exception | None) -> None:
        if ctx.record:
            told = None if error is None else info(error, self._node.id)
            tries = ctx.noted().tries.setdefault(self._index, [])
            tries.append(Try(started, ctx.clock.monotonic(), told))


def retries(error: Exception, retry: Retry) -> bool:
    """Whether an error is worth another try."""
    if getattr(error, "non_retryable", False):
        return False
    if retry.on:
        return code_of(error) in retry.on
    if isinstance(error, AlgorailError):
        return error.retryable
    return not isinstance(error, _MISTAKES)
