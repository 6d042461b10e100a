"""`http_call` against a real server on loopback: requests, answers, limits, redirects, refusals."""

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import msgspec
import pytest

from algorail.blocks._addresses import AllowList
from algorail.blocks._guarded import GuardedTransport
from algorail.blocks.http_call import KIND, HttpCallConfig, build, effect_of, http_call, signature
from algorail.engine.kind import Effect
from algorail.engine.kit.errors import (
    AlgorailError,
    ConfigInvalid,
    DeadlineExceeded,
    Forbidden,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Unavailable,
)
from algorail.engine.plan.types import INTEGER, STRING, optional

INT, TEXT = {"type": "integer"}, {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked, or with what the path says."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.path.strip("/").split("?")[0].split("/")
        if kind[0] == "status":
            self.answer(int(kind[1]), b"{}", **({"Retry-After": "7"} if kind[1] == "503" else {}))
        elif kind[0] == "raw":
            self.answer(200, self.server.raw[kind[1]])
        elif kind[0] == "gzip":
            self.answer(200, b"{}", **{"Content-Encoding": "gzip"})
        elif kind[0] == "redirect":
            self.answer(302, b"", Location=self.server.targets[kind[1]])
        elif kind[0] == "slow":
            self.server.release.wait(5)
            self.answer(200, b"{}")
        elif kind[0] == "drop":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            echo = {
                "method": self.command,
                "path": self.path,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "body": json.loads(body) if body else None,
            }
            self.answer(200, json.dumps(echo).encode())

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that went away is part of some tests."""


@pytest.fixture(scope="module")
def server():
    with Server(("127.0.0.1", 0), Echo) as server:
        server.raw = {
            "text": "grüß".encode(),
            "bytes": b"\x00\xff",
            "not-json": b"<html>",
            "nan": b'{"x": NaN}',
            "deep": b"[" * 100 + b"]" * 100,
            "number": b"7",
            "big": b"x" * 100_000,
        }
        server.targets = {
            "here": "/echo",
            "loop": "/redirect/loop",
            "elsewhere": "http://example.com/",
            "port": "http://127.0.0.1:1/",
            "file": "file:///etc/passwd",
        }
        server.release = threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.release.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def call(server, services, context):
    """Calls a block once: `call(path="/x", **values)`."""

    def call(config, values=None, left=None, allow=("127.0.0.1",), traceparent="", secrets=None):
        made = services(settings={"http_call": {"allow": list(allow)}}, secrets=secrets)
        runner = build(msgspec.convert({"base_url": server.url, **config}, HttpCallConfig), made)

        async def once():
            try:
                return await runner.call(context(left=left, traceparent=traceparent), **(values or {}))
            finally:
                await made._shared["http_call:client"].aclose()

        return asyncio.run(once())

    return call


def failure(call, *args, **kwargs):
    with pytest.raises(AlgorailError) as caught:
        call(*args, **kwargs)
    return caught.value


def test_a_get_of_typed_pieces(call):
    config = {
        "path": "/users/{user}/orders",
        "inputs": {
            "user": TEXT,
            "tags": TEXTS,
            "page": {"type": "integer", "default": 1},
            "gone": {"type": ["string", "null"]},
        },
        "query": {"tag": "tags", "page": "page", "gone": "gone"},
        "headers": {"X-Client": "algorail"},
    }
    echo = call(
        config, {"user": "a b", "tags": ["x&y", "z"], "gone": None}, left=2.0, traceparent="00-1-2-01"
    )
    assert echo["method"] == "GET"
    assert echo["path"] == "/users/a%20b/orders?tag=x%26y&tag=z&page=1"
    assert echo["headers"]["x-client"] == "algorail"
    assert echo["headers"]["traceparent"] == "00-1-2-01"
    assert 0 < int(echo["headers"]["x-algorail-deadline-ms"]) <= 2_000
    assert "idempotency-key" not in echo["headers"]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("a/b", "/x/a%2Fb"),
        ("../../admin", "/x/..%2F..%2Fadmin"),
        ("a?b#c", "/x/a%3Fb%23c"),
        ("%2e%2e", "/x/%252e%252e"),
        ("a\r\nHost: evil", "/x/a%0D%0AHost%3A%20evil"),
        ("{user}", "/x/%7Buser%7D"),
        ("@evil.com", "/x/%40evil.com"),
        ("日本", "/x/%E6%97%A5%E6%9C%AC"),
    ],
)
def test_a_path_parameter_stays_one_segment(call, value, path):
    assert call({"path": "/x/{user}", "inputs": {"user": TEXT}}, {"user": value})["path"] == path


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_path_parameter_that_is_no_segment(call, value):
    error = failure(call, {"path": "/x/{user}", "inputs": {"user": TEXT}}, {"user": value})
    assert error.code == "http-value"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_write_carries_its_body_and_a_stable_key(call, method):
    config = {
        "method": method,
        "inputs": {"order": {"type": "object", "additionalProperties": INT}},
        "body": "order",
    }
    echo = call(config, {"order": {"a": 1}})
    assert (echo["method"], echo["body"]) == (method, {"a": 1})
    assert echo["headers"]["idempotency-key"] == "run_1.node"
    assert echo["headers"]["content-type"] == "application/json"


def test_a_post_that_only_asks_has_no_key(call):
    echo = call({"method": "POST", "inputs": {"q": TEXT}, "body": "q", "effect": "read"}, {"q": "x"})
    assert "idempotency-key" not in echo["headers"]


def test_secrets_stand_in_headers_only_when_sent(call):
    config = {"headers": {"Authorization": {"secret": "crm-key", "prefix": "Bearer "}}}
    assert call(config, secrets={"crm-key": "hush"})["headers"]["authorization"] == "Bearer hush"
    assert isinstance(failure(call, config), NotFound)
    error = failure(call, config, secrets={"crm-key": "hush\r\nX: y"})
    assert error.code == "http-config"
    assert "hush" not in str(error)


@pytest.mark.parametrize(
    ("config", "value"),
    [
        ({"path": "/raw/number", "output": INT}, 7),
        ({"path": "/raw/text", "answer": "text"}, "grüß"),
        ({"path": "/raw/bytes", "answer": "bytes"}, b"\x00\xff"),
        ({"path": "/raw/bytes", "answer": "none"}, None),
        ({"path": "/status/404", "not_found": "null"}, None),
    ],
)
def test_answers(call, config, value):
    assert call(config) == value


@pytest.mark.parametrize(
    ("config", "error", "code"),
    [
        ({"path": "/raw/number", "output": TEXT}, InvalidInput, "http-answer"),
        ({"path": "/raw/not-json"}, InvalidInput, "http-answer"),
        ({"path": "/raw/nan"}, InvalidInput, "http-answer"),
        ({"path": "/raw/deep"}, InvalidInput, "http-answer"),
        ({"path": "/raw/bytes", "answer": "text"}, InvalidInput, "http-answer"),
        ({"path": "/gzip"}, InvalidInput, "http-answer"),
        ({"path": "/raw/big", "answer": "bytes", "max_bytes": 99_999}, LimitExceeded, "http-too-large"),
        ({"path": "/status/404"}, InvalidInput, "http-status"),
        ({"path": "/status/401"}, InvalidInput, "http-status"),
        ({"path": "/status/429"}, Unavailable, "http-status"),
        ({"path": "/status/500"}, Unavailable, "http-status"),
        ({"path": "/drop"}, Unavailable, "http-unavailable"),
        ({"path": "/redirect/here"}, InvalidInput, "http-status"),
        ({"path": "/redirect/loop", "redirects": 3}, InvalidInput, "http-answer"),
        ({"path": "/redirect/elsewhere", "redirects": 3}, InvalidInput, "http-answer"),
        ({"path": "/redirect/port", "redirects": 3}, InvalidInput, "http-answer"),
        ({"path": "/redirect/file", "redirects": 3}, AlgorailError, ""),
        ({"base_url": "http://127.0.0.1:1"}, Unavailable, "http-unavailable"),
        ({"base_url": "http://no-such-host.invalid"}, Unavailable, "http-unavailable"),
    ],
)
def test_answers_that_are_errors(call, config, error, code):
    found = failure(call, config)
    assert isinstance(found, error)
    assert code in found.code


def test_retry_after_and_status_are_told(call):
    error = failure(call, {"path": "/status/503"})
    assert error.retry_after == 7
    assert error.retryable
    assert error.details == {"status": 503}


def test_a_redirect_within_the_server_is_followed(call):
    assert call({"path": "/redirect/here", "redirects": 1})["path"] == "/echo"


def test_a_slow_server_is_left(call):
    started = time.monotonic()
    error = failure(call, {"path": "/slow", "timeout": 0.1})
    assert isinstance(error, Unavailable)
    assert error.code == "http-timeout"
    assert failure(call, {"path": "/slow"}, left=0.1).code == "http-timeout"
    assert isinstance(failure(call, {"path": "/slow"}, left=0.0), DeadlineExceeded)
    assert time.monotonic() - started < 3


def test_loopback_is_forbidden_unless_allowed(call, server):
    error = failure(call, {}, allow=())
    assert isinstance(error, Forbidden)
    assert error.code == "http-forbidden-address"
    for host in ("localhost", "127.1", "2130706433"):
        url = f"http://{host}:{server.server_port}"
        assert isinstance(failure(call, {"base_url": url}, allow=()), Forbidden)
    by_name = {"base_url": f"http://localhost:{server.server_port}", "path": "/echo"}
    assert call(by_name, allow=["localhost"])["headers"]["host"] == f"localhost:{server.server_port}"


def test_a_name_is_resolved_once_and_every_address_is_checked(call, server, monkeypatch):
    asked = []

    async def rebinding(self, host, port, **kwargs):
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "10.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", rebinding)
    url = f"http://rebind.example:{server.server_port}"
    assert call({"base_url": url, "path": "/echo"})["headers"]["host"].startswith("rebind.example")
    assert [host for host in asked if host == "rebind.example"] == ["rebind.example"]
    assert isinstance(failure(call, {"base_url": url}), Forbidden)


def test_one_bad_address_among_good_ones_is_enough(call, monkeypatch):
    async def both(self, host, port, **kwargs):
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("8.8.8.8", "10.0.0.1")
        ]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", both)
    assert isinstance(failure(call, {"base_url": "http://mixed.example"}), Forbidden)


def test_proxies_of_the_environment_are_not_used(call, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert call({"path": "/echo"})["path"] == "/echo"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_tls_checks_the_name_though_the_address_is_fixed(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += [
        "-keyout",
        str(key),
        "-out",
        str(certificate),
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
    ]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def ask(host, port):
        transport = GuardedTransport(
            AllowList.parse(["127.0.0.1", "::1"]), lambda: httpx.AsyncHTTPTransport(verify=trusting)
        )
        async with httpx.AsyncClient(transport=transport) as client:
            return (await client.get(f"https://{host}:{port}/echo")).json()

    with Server(("127.0.0.1", 0), Echo) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            assert asyncio.run(ask("localhost", server.server_port))["path"] == "/echo"
            with pytest.raises(httpx.ConnectError, match="certificate"):
                asyncio.run(ask("127.0.0.1", server.server_port))
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "config",
    [
        {"base_url": "ftp://example.com"},
        {"base_url": "example.com"},
        {"base_url": "http://"},
        {"base_url": "http://{host}/"},
        {"base_url": "http://user:hush@example.com"},
        {"base_url": "http://example.com/?q=1"},
        {"base_url": "http://example.com/#x"},
        {"base_url": "http://exa mple.com"},
        {"base_url": "http://example.com:99999"},
        {"base_url": "http://[::1"},
        {"path": "/a?b"},
        {"path": "/a/../b"},
        {"path": "//evil.com"},
        {"path": "/{nope}"},
        {"path": "/{}"},
        {"query": {"q": "nope"}},
        {"body": "nope", "method": "POST"},
        {"inputs": {"a": TEXT}},
        {"inputs": {"a": TEXT}, "body": "a"},
        {"method": "HEAD"},
        {"inputs": {"a": {"type": "object"}}, "path": "/{a}"},
        {"inputs": {"a": TEXTS}, "path": "/{a}"},
        {"inputs": {"not a name": TEXT}},
        {"inputs": {"a": {"type": "nonsense"}}, "query": {"a": "a"}},
        {"headers": {"Host": "evil.com"}},
        {"headers": {"Idempotency-Key": "x"}},
        {"headers": {"X-A\r\nB": "x"}},
        {"headers": {"X-A": "x\r\nB: y"}},
        {"headers": {"X-A": "ü"}},
        {"timeout": 0},
        {"max_bytes": 0},
        {"redirects": 6},
        {"output": {"type": "nonsense"}},
    ],
)
def test_configurations_that_cannot_be(config):
    with pytest.raises(ConfigInvalid) as caught:
        signature(msgspec.convert({"base_url": "http://example.com", **config}, HttpCallConfig))
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "effect"),
    [
        ({}, (Effect.READ, True)),
        ({"method": "HEAD", "answer": "none"}, (Effect.READ, True)),
        ({"method": "POST"}, (Effect.WRITE, False)),
        ({"method": "PATCH"}, (Effect.WRITE, False)),
        ({"method": "PUT"}, (Effect.WRITE, True)),
        ({"method": "DELETE"}, (Effect.WRITE, True)),
        ({"method": "POST", "effect": "read"}, (Effect.READ, True)),
        ({"method": "GET", "effect": "write"}, (Effect.WRITE, False)),
    ],
)
def test_the_effect_follows_from_the_method(config, effect):
    assert effect_of(msgspec.convert({"base_url": "http://x", **config}, HttpCallConfig)) == effect


def test_signature_kind_and_factory():
    config = HttpCallConfig(
        base_url="http://x", inputs={"n": INT}, query={"n": "n"}, output=TEXT, not_found="null"
    )
    assert signature(config).output == optional(STRING)
    assert signature(config).inputs["n"].type == INTEGER
    assert KIND.key == "http_call@1"
    assert http_call("http://x", "/{n}", inputs={"n": int}, output=str) is not None
    with pytest.raises(ConfigInvalid):
        http_call("http://x", metod="GET")
