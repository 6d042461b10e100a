"""`http_call`: one HTTP request built from typed pieces, to checked addresses only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from algorail.blocks._addresses import AllowList
from algorail.blocks._guarded import GuardedTransport
from algorail.blocks._http_config import PARAMETER, HttpCallConfig, problems
from algorail.blocks._retry_after import seconds_of
from algorail.blocks._schemas import ports_from, schema_of, type_from
from algorail.engine.dsl import placed
from algorail.engine.kind import BlockKind, CallContext, Effect, Runner, Secrets, Services
from algorail.engine.kit.errors import (
    AlgorailError,
    ConfigInvalid,
    DeadlineExceeded,
    InvalidInput,
    LimitExceeded,
    Unavailable,
)
from algorail.engine.plan.signature import Port, Signature
from algorail.engine.plan.types import (
    BYTES,
    NULL,
    STRING,
    Type,
    optional,
)
from algorail.engine.plan.values import compile_validator, decode, encode

MAX_CONNECTIONS = 100
CONNECT_SECONDS = 5.0


def effect_of(config: HttpCallConfig) -> tuple[Effect, bool]:
    """The effect of the call, and whether twice is the same as once (RFC 9110, 9.2)."""
    reads = config.method in {"GET", "HEAD"} if config.effect == "auto" else config.effect == "read"
    return (Effect.READ if reads else Effect.WRITE), reads or config.method in {"PUT", "DELETE"}


def signature(config: HttpCallConfig) -> Signature:
    """The inputs, and the answer.

    Raises:
        ConfigInvalid: With every problem.
    """
    ports = ports_from(config.inputs)
    found = list(problems(config, ports))
    if found:
        raise ConfigInvalid("the call is not valid", code=found[0].code, problems=found)
    answers: Mapping[str, Type] = {"text": STRING, "bytes": BYTES, "none": NULL}
    output = answers.get(config.answer) or type_from(config.output, "output")
    return Signature(ports, optional(output) if config.not_found == "null" else output)


def build(config: HttpCallConfig, services: Services) -> Runner:
    """Prepare the request; all blocks of a process share one client."""
    ports = signature(config).inputs
    allowed = AllowList.parse(services.settings.get("http_call", {}).get("allow", ()))
    client = services.shared("http_call:client", lambda: _client(allowed))
    return Runner(call=_Call(config, ports, client, services.secrets), is_async=True, wants_context=True)


def _client(allowed: AllowList) -> httpx.AsyncClient:
    limits = httpx.Limits(
        max_connections=MAX_CONNECTIONS, max_keepalive_connections=20, keepalive_expiry=30.0
    )
    transport = GuardedTransport(allowed, lambda: httpx.AsyncHTTPTransport(limits=limits))
    # No proxies and no .netrc from the environment: both would go around the checks.
    return httpx.AsyncClient(
        transport=transport, trust_env=False, timeout=httpx.Timeout(None, connect=CONNECT_SECONDS)
    )


class _Call:
    def __init__(
        self, config: HttpCallConfig, ports: Mapping[str, Port], client: httpx.AsyncClient, secrets: Secrets
    ) -> None:
        self._config = config
        self._client = client
        self._secrets = secrets
        self._checks = {name: compile_validator(port.type) for name, port in ports.items()}
        self._defaults = {name: port.default for name, port in ports.items() if not port.required}
        self._writes = effect_of(config)[0] is Effect.WRITE
        self._host = urlsplit(config.base_url).hostname or ""
        self._check_output = compile_validator(type_from(config.output, "output"))

    async def __call__(self, ctx: CallContext, **inputs: Any) -> Any:
        given = self._defaults | inputs
        values = {name: check(given[name]) for name, check in self._checks.items()}
        left = ctx.remaining()
        seconds = self._config.timeout if left is None else min(self._config.timeout, left)
        if seconds <= 0:
            raise DeadlineExceeded("no time is left for the call")
        request = self._request(values, ctx, seconds)
        try:
            async with asyncio.timeout(seconds):
                response, body = await self._exchange(request)
        except TimeoutError:
            message = f"{self._host} did not answer within {seconds:.3g} seconds"
            raise Unavailable(message, code="http-timeout") from None
        except httpx.HTTPError as error:
            message = f"{self._host} cannot be reached: {type(error).__name__}"
            raise Unavailable(message, code="http-unavailable") from None
        return self._read(response, body)

    def _request(self, values: Mapping[str, Any], ctx: CallContext, seconds: float) -> httpx.Request:
        config = self._config
        path = PARAMETER.sub(lambda match: _segment(match[1], values[match[1]]), config.path)
        query = [(key, text) for key, name in config.query.items() for text in _texts(values[name])]
        content = encode(values[config.body]) if config.body else None
        url = httpx.URL(config.base_url.rstrip("/") + path, params=query or None)
        return self._client.build_request(
            config.method, url, headers=self._headers(ctx, seconds, content is not None), content=content
        )

    def _headers(self, ctx: CallContext, seconds: float, with_body: bool) -> dict[str, str]:
        headers = {
            "Accept": "application/json" if self._config.answer == "json" else "*/*",
            # A compressed answer could be a thousand times its size.
            "Accept-Encoding": "identity",
            "X-Algorail-Deadline-Ms": str(int(seconds * 1_000)),
        }
        if with_body:
            headers["Content-Type"] = "application/json"
        if ctx.traceparent:
            headers["traceparent"] = ctx.traceparent
        if self._writes:
            headers["Idempotency-Key"] = ctx.effect_key()
        for name, value in self._config.headers.items():
            headers[name] = value if isinstance(value, str) else value.prefix + self._secret(value.secret)
        return headers

    def _secret(self, reference: str) -> str:
        value = self._secrets.resolve(reference)
        if not value.isascii() or not value.isprintable():
            raise ConfigInvalid(f"the secret {reference!r} cannot stand in a header", code="http-config")
        return value

    async def _exchange(self, request: httpx.Request) -> tuple[httpx.Response, bytes]:
        for _ in range(self._config.redirects + 1):
            response = await self._client.send(request, stream=True)
            try:
                following = response.next_request if self._config.redirects else None
                if following is None:
                    return response, await self._body(response)
            finally:
                await response.aclose()
            if _origin(following.url) != _origin(request.url):
                # Headers with secrets are meant for one server.
                raise _refused(response, "it redirects to another server", "call that server")
            request = following
        raise _refused(response, f"it redirects more than {self._config.redirects} times", "")

    async def _body(self, response: httpx.Response) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise _refused(response, "it sends a compressed answer, though none was asked for", "")
        parts, size = [], 0
        async for part in response.aiter_raw():
            size += len(part)
            if size > self._config.max_bytes:
                message = f"{self._host} answers with more than {self._config.max_bytes} bytes"
                raise LimitExceeded(message, code="http-too-large", cure="raise max_bytes, or ask for less")
            parts.append(part)
        return b"".join(parts)

    def _read(self, response: httpx.Response, body: bytes) -> Any:
        config = self._config
        if response.status_code == 404 and config.not_found == "null":
            return None
        if not response.is_success:
            raise _status_error(self._host, response)
        if config.answer == "none":
            return None
        if config.answer == "bytes":
            return body
        try:
            if config.answer == "text":
                return body.decode()
            return self._check_output(decode(body, max_bytes=config.max_bytes))
        except UnicodeDecodeError:
            raise InvalidInput(
                f"{self._host} answers with text that is not UTF-8", code="http-answer"
            ) from None
        except InvalidInput as error:
            message = f"{self._host} answers with something else than declared"
            raise InvalidInput(
                message, code="http-answer", problems=error.problems, cure="correct output"
            ) from None


def _segment(name: str, value: Any) -> str:
    """A value as one segment of a path: whatever it is, it cannot leave it."""
    text = next(_texts(value), "")
    if text in {"", ".", ".."}:
        raise InvalidInput(f"{name} == {value!r} cannot be part of a path", code="http-value")
    return quote(text, safe="")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None:
        yield ("true" if value else "false") if isinstance(value, bool) else str(value)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _refused(response: httpx.Response, why: str, cure: str) -> InvalidInput:
    host = response.request.url.host
    return InvalidInput(f"the answer of {host} is refused: {why}", code="http-answer", cure=cure)


def _status_error(host: str, response: httpx.Response) -> AlgorailError:
    status = response.status_code
    message = f"{host} answers {status} {response.reason_phrase}".rstrip()
    details = {"status": status}
    if status in {408, 425, 429} or status >= 500:
        seconds = seconds_of(response.headers.get("retry-after"))
        return Unavailable(message, code="http-status", retry_after=seconds, details=details)
    cure = "give redirects=, or the address it leads to" if 300 <= status < 400 else ""
    return InvalidInput(message, code="http-status", cure=cure, details=details)


KIND = BlockKind(
    name="http_call",
    summary="Call an HTTP API with typed inputs and a checked answer.",
    config=HttpCallConfig,
    signature=signature,
    build=build,
    effect=Effect.WRITE,
    idempotent=False,
    effect_of=effect_of,
    category="data",
    doc=__doc__,
)


def http_call(
    base_url: str,
    path: str = "",
    *,
    inputs: Mapping[str, Any] | None = None,
    output: Any = None,
    **options: Any,
) -> Callable[..., Any]:
    """A block that calls an HTTP API.

    Args:
        base_url: Scheme, host, and the beginning of the path.
        path: What follows, with `{name}` for inputs.
        inputs: Type of each input: a Python annotation, a port type or a JSON Schema.
        output: Type of the answer; left out, anything.
        options: The further fields of `HttpCallConfig`: method, query, body, headers, answer, not_found,
            timeout, max_bytes, redirects, effect.
    """
    fields = {
        **options,
        "base_url": base_url,
        "path": path,
        "inputs": {name: schema_of(source) for name, source in (inputs or {}).items()},
        "output": {} if output is None else schema_of(output),
    }
    return placed(KIND, fields)
