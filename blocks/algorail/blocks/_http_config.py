"""What an `http_call` is configured with, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from algorail.blocks._schemas import Schema
from algorail.engine.kit.errors import Problem
from algorail.engine.plan.signature import Port
from algorail.engine.plan.types import ListType, LiteralType, ScalarType, Type, without_null

Method: TypeAlias = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
Answer: TypeAlias = Literal["json", "text", "bytes", "none"]

MAX_BYTES = 64 * 1024 * 1024

PARAMETER = re.compile(r"\{([^{}]*)\}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_OWN_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "host",
        "idempotency-key",
        "te",
        "traceparent",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class SecretHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A header whose value is a secret.

    Attributes:
        secret: Reference of the secret, resolved for each call.
        prefix: What stands before it, such as `Bearer ` with its space.
    """

    secret: str
    prefix: str = ""


class HttpCallConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Configuration of an `http_call`.

    Attributes:
        base_url: Scheme, host, and the beginning of the path, such as `https://api.example.com/v1`.
        path: What follows, with `{name}` for inputs: `/users/{user}/orders`.
        method: The HTTP method.
        inputs: JSON Schema of each input, by name; one with a `default` is optional.
        query: Query parameters: name there → input. Null is left out, a list repeats the name.
        body: The input that is sent as JSON, empty for none.
        headers: Constant headers, or references of secrets.
        answer: How the body of the answer is read.
        output: JSON Schema of a `json` answer; left out, anything.
        not_found: What a 404 gives: `null`, or an `error`.
        timeout: Seconds for all of it; less when the run has less left.
        max_bytes: Bytes of the answer at most.
        redirects: How many redirects within the same server are followed.
        effect: What the call does there: `auto` goes by the method; a POST that only asks is a `read`.
    """

    base_url: str
    path: str = ""
    method: Method = "GET"
    inputs: dict[str, Schema] = {}
    query: dict[str, str] = {}
    body: str = ""
    headers: dict[str, str | SecretHeader] = {}
    answer: Answer = "json"
    output: Schema = {}
    not_found: Literal["null", "error"] = "error"
    timeout: float = 10.0
    max_bytes: int = 4 * 1024 * 1024
    redirects: int = 0
    effect: Literal["auto", "read", "write"] = "auto"


def problems(config: HttpCallConfig, ports: Mapping[str, Port]) -> Iterator[Problem]:
    """Everything that is wrong with a configuration whose inputs are these."""
    yield from _address_problems(config)
    yield from _use_problems(config, ports)
    yield from _header_problems(config)
    yield from _limits(config)


def _problem(port: str, message: str, cure: str = "") -> Problem:
    return Problem(code="http-config", message=message, port=port, cure=cure)


def _address_problems(config: HttpCallConfig) -> Iterator[Problem]:
    try:
        parts = urlsplit(config.base_url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or set(config.base_url) & set("{}\\ \t\r\n"):
        yield _problem(
            "base_url", "it must be an http or https address with a host", "https://api.example.com/v1"
        )
    elif parts.username is not None or parts.query or parts.fragment:
        cure = "use headers with a secret, and query"
        yield _problem("base_url", "it may hold no user, query or fragment", cure)
    if set(config.path) & set("?#\\ \t\r\n") or "//" in config.path or ".." in config.path.split("/"):
        yield _problem("path", "it may hold no query, fragment, blank, '//' or '..'", "use query")


def _use_problems(config: HttpCallConfig, ports: Mapping[str, Port]) -> Iterator[Problem]:
    in_path = PARAMETER.findall(config.path)
    uses = [("path", name) for name in in_path]
    uses += [(f"query.{key}", name) for key, name in config.query.items()]
    uses += [("body", config.body)] if config.body else []
    for place, name in uses:
        if name not in ports:
            yield _problem(place, f"there is no input {name!r}", f"there is: {', '.join(ports) or 'none'}")
        elif place != "body" and not _is_text(ports[name].type, lists=place != "path"):
            yield _problem(place, f"{name} is no text or number", "send it in the body")
    for name in ports.keys() - {name for _, name in uses}:
        yield _problem(f"inputs.{name}", "nothing uses it", "put it into path, query or body")
    if config.body and config.method in {"GET", "HEAD"}:
        yield _problem("body", f"{config.method} has no body", "use query, or POST with effect='read'")


def _is_text(port: Type, *, lists: bool) -> bool:
    kind = without_null(port)
    if isinstance(kind, ListType):
        return lists and _is_text(kind.item, lists=False)
    return isinstance(kind, LiteralType) or (
        isinstance(kind, ScalarType) and kind.name not in {"bytes", "null"}
    )


def _header_problems(config: HttpCallConfig) -> Iterator[Problem]:
    for name, value in config.headers.items():
        text = value if isinstance(value, str) else value.prefix
        if not _HEADER.match(name) or name.lower() in _OWN_HEADERS:
            yield _problem(f"headers.{name}", "this header cannot be set")
        elif not text.isascii() or not text.isprintable():
            yield _problem(f"headers.{name}", "a header is printable ASCII")


def _limits(config: HttpCallConfig) -> Iterator[Problem]:
    if config.method == "HEAD" and config.answer != "none":
        yield _problem("answer", "the answer to HEAD has no body", "use 'none'")
    if not 0 < config.timeout <= 300:
        yield _problem("timeout", "it is up to 300 seconds")
    if not 0 < config.max_bytes <= MAX_BYTES:
        yield _problem("max_bytes", f"it is up to {MAX_BYTES}")
    if not 0 <= config.redirects <= 5:
        yield _problem("redirects", "it is 0 to 5")
