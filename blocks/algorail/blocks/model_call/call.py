"""One call of a model: address, deadline, attempts, errors with stable codes.

The pooled httpx transport is used directly: redirects, cookies and proxies of a full client are neither
wanted here nor cheap.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import httpx
import msgspec

from algorail.blocks._retry_after import seconds_of
from algorail.blocks.model_call.addresses import Address, Directory, Target
from algorail.blocks.model_call.config import ModelCallConfig
from algorail.blocks.model_call.protocols import CODECS, Codec, OpenAiChat, ServerSentEvents
from algorail.engine.kind import CallContext, Services
from algorail.engine.kit.errors import AlgorailError, DeadlineExceeded, Overloaded, Unavailable

MAX_RESPONSE = 64 * 1024 * 1024
BACKOFF = 0.05
"""Seconds, doubled with every attempt and multiplied by chance, before the same address is tried again."""

_RETRIED = frozenset({"model-down", "model-overloaded"})
_LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=100, keepalive_expiry=30.0)


@dataclass(slots=True)
class _Attempt:
    """What one attempt needs to know."""

    codec: Codec
    body: bytes
    path: str
    headers: list[tuple[str, str]]
    seconds: float
    by_deadline: bool
    emitted: bool = False


class ModelCaller:
    """Calls one configured model.

    Args:
        config: Of the block.
        services: Of the process; connections and addresses are shared by all model calls in it.
    """

    def __init__(self, config: ModelCallConfig, services: Services) -> None:
        self._config = config
        self._services = services
        settings = services.settings.get("model_call", {})
        self._directory = services.shared(
            "model_call:directory", lambda: Directory(services.home, settings, services.clock)
        )
        self._transport = services.shared(
            "model_call:transport", lambda: httpx.AsyncHTTPTransport(limits=_LIMITS, trust_env=False)
        )
        self._known: tuple[Target, Codec] | None = None

    async def __call__(self, ctx: CallContext, **inputs: Any) -> Any:
        """The model's output.

        Raises:
            NotFound: `model-not-found`.
            Forbidden: `model-url-forbidden`.
            Unavailable: `model-down`, `model-timeout`, `model-error`, `model-refused`,
            `model-bad-response`.
            Overloaded: `model-overloaded`.
            DeadlineExceeded: If the run has no time left.
        """
        target = self._directory.find(self._config.model, self._config.url)
        codec = self._codec(target)
        body = codec.encode(inputs)
        headers = self._headers(ctx, target)
        path = self._config.request_path(target.model)
        target.pool.deposit()
        tried: list[Address] = []
        while True:
            address = target.pool.pick(tried)
            attempt = self._attempt(ctx, codec, body, path, headers)
            try:
                return await self._send(address, attempt, ctx, inputs)
            except AlgorailError as error:
                tried.append(address)
                if attempt.emitted or not await self._again(error, target, tried, ctx):
                    raise

    def _codec(self, target: Target) -> Codec:
        if self._known is None or self._known[0] is not target:
            codec = CODECS[self._config.protocol](self._config, target.model, target.inputs)
            self._known = (target, codec)
        return self._known[1]

    def _headers(self, ctx: CallContext, target: Target) -> list[tuple[str, str]]:
        headers = [("Content-Type", "application/json"), ("Accept", "application/json")]
        if self._config.stream:
            headers[1] = ("Accept", "text/event-stream")
        if ctx.traceparent:
            headers.append(("traceparent", ctx.traceparent))
        reference = self._config.api_key or target.api_key
        if reference:
            headers.append(("Authorization", f"Bearer {self._services.secrets.resolve(reference)}"))
        return headers

    def _attempt(
        self, ctx: CallContext, codec: Codec, body: bytes, path: str, headers: list[tuple[str, str]]
    ) -> _Attempt:
        remaining = ctx.remaining()
        if remaining is not None and remaining <= 0:
            raise DeadlineExceeded(f"no time is left to call {self._label}")
        by_deadline = remaining is not None and remaining < self._config.timeout
        seconds = remaining if by_deadline and remaining is not None else self._config.timeout
        limit = ("X-Deadline-Ms", str(max(1, int(seconds * 1000))))
        return _Attempt(codec, body, path, [*headers, limit], seconds, by_deadline)

    async def _again(
        self, error: AlgorailError, target: Target, tried: list[Address], ctx: CallContext
    ) -> bool:
        """Whether to try once more; waits first, if it would be the same address again."""
        if error.code not in _RETRIED or len(tried) > self._config.retries or not target.pool.withdraw():
            return False
        if any(address not in tried for address in target.pool.addresses):
            return True
        wait = error.retry_after
        if wait is None:
            wait = random.random() * BACKOFF * 2 ** len(tried)
        remaining = ctx.remaining()
        if wait >= self._config.timeout or (remaining is not None and wait >= remaining):
            return False
        await asyncio.sleep(wait)
        return True

    async def _send(
        self, address: Address, attempt: _Attempt, ctx: CallContext, inputs: Mapping[str, Any]
    ) -> Any:
        healthy: bool | None = None
        probe = address.begin()
        try:
            async with asyncio.timeout(attempt.seconds):
                found = await self._exchange(address, attempt, ctx, inputs)
            healthy = True
        except TimeoutError:
            healthy = None if attempt.by_deadline else False
            self._too_slow(address, attempt)
        except httpx.HTTPError as error:
            healthy = False
            raise Unavailable(
                f"{self._label} does not answer at {address.url}: {type(error).__name__}: {error}",
                code="model-down",
            ) from error
        except AlgorailError as error:
            # An answer that does not fit may be the plan's mistake: it must not take the model from others.
            healthy = False if error.code == "model-error" else None
            raise
        finally:
            address.end(healthy, self._services.clock.monotonic(), probe=probe)
        return found

    async def _exchange(
        self, address: Address, attempt: _Attempt, ctx: CallContext, inputs: Mapping[str, Any]
    ) -> Any:
        base = address.parsed
        url = base.copy_with(raw_path=base.raw_path.rstrip(b"/") + attempt.path.encode())
        request = httpx.Request("POST", url, headers=attempt.headers, content=attempt.body)
        response = await self._transport.handle_async_request(request)
        try:
            if response.status_code != 200:
                self._refused(response, await self._read(response))
            codec = attempt.codec
            if self._config.stream and isinstance(codec, OpenAiChat):
                return await self._stream(response, codec, attempt, ctx)
            return codec.decode(await self._read(response), inputs)
        finally:
            await response.aclose()

    async def _stream(
        self, response: httpx.Response, codec: OpenAiChat, attempt: _Attempt, ctx: CallContext
    ) -> Any:
        events = ServerSentEvents()
        parts: list[str] = []
        async for chunk in self._chunks(response):
            for event in events.feed(chunk):
                delta = codec.delta(event)
                if delta:
                    attempt.emitted = True
                    ctx.emit(delta)
                    parts.append(delta)
        return codec.finish("".join(parts))

    async def _read(self, response: httpx.Response) -> bytes:
        return b"".join([chunk async for chunk in self._chunks(response)])

    async def _chunks(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """The answer, piece by piece, as long as it is not too large altogether."""
        size = 0
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size > MAX_RESPONSE:
                raise Unavailable(
                    f"{self._label} answered more than {MAX_RESPONSE} bytes",
                    code="model-bad-response",
                    retryable=False,
                )
            yield chunk

    def _refused(self, response: httpx.Response, body: bytes) -> NoReturn:
        status, text = response.status_code, _message(body)
        if status in (429, 503):
            raise Overloaded(
                f"{self._label} is too busy ({status}): {text}",
                code="model-overloaded",
                retry_after=seconds_of(response.headers.get("retry-after")),
            )
        if status == 504:
            raise Unavailable(f"{self._label} gave up in time: {text}", code="model-timeout")
        if status >= 500:
            raise Unavailable(f"{self._label} failed ({status}): {text}", code="model-error")
        raise Unavailable(
            f"{self._label} refused the request ({status}): {text}", code="model-refused", retryable=False
        )

    def _too_slow(self, address: Address, attempt: _Attempt) -> NoReturn:
        if attempt.by_deadline:
            raise DeadlineExceeded(f"{self._label} did not answer before the deadline") from None
        raise Unavailable(
            f"{self._label} did not answer within {attempt.seconds:g} s at {address.url}",
            code="model-timeout",
        ) from None

    @property
    def _label(self) -> str:
        return f"model {self._config.model or self._config.url!r}"


def _message(body: bytes) -> str:
    """What the model says is wrong, shortened."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body[:300].decode(errors="replace")
    error = found.get("error", found.get("detail", found)) if isinstance(found, dict) else found
    if isinstance(error, dict) and "message" in error:
        error = error["message"]
    return str(error)[:300]
