"""The REST API as the commands see it: where the server is, which key to send, errors as exceptions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from algorail.engine.kit.errors import AlgorailError, NotFound, Problem, Unavailable
from algorail.engine.kit.home import home_folder

SERVER_FILE = "server.json"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is and how to be let in."""

    url: str
    key: str


def address() -> Address:
    """The server to talk to: `ALGORAIL_URL` and `ALGORAIL_API_KEY`, else what `algorail up` wrote.

    Raises:
        NotFound: `server-unknown`, if neither says.
    """
    url, key = os.environ.get("ALGORAIL_URL", ""), os.environ.get("ALGORAIL_API_KEY", "")
    if url and key:
        return Address(url, key)
    try:
        written = json.loads((home_folder() / SERVER_FILE).read_text(encoding="utf-8"))
        local = Address(written["url"], key or written["key"])
    except (OSError, ValueError, KeyError) as error:
        raise NotFound(
            "no server is known on this machine",
            code="server-unknown",
            cure="start one with `algorail up`, or set ALGORAIL_URL and ALGORAIL_API_KEY",
        ) from error
    # The key of this machine's server is an admin's, and nothing for another one to see.
    if url and url.rstrip("/") != local.url:
        raise NotFound(f"there is no key for {url}", code="server-unknown", cure="set ALGORAIL_API_KEY, too")
    return local


class RemoteError(AlgorailError):
    """What the server answered instead of a result."""

    code = "remote-error"


class Client:
    """A connection to one server.

    Args:
        where: Its address; looked up when not given.
        timeout: Seconds for one answer.
        transport: For tests.
    """

    def __init__(
        self,
        where: Address | None = None,
        *,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.address = where or address()
        self._http = httpx.Client(
            base_url=self.address.url,
            headers={"authorization": f"Bearer {self.address.key}"},
            timeout=timeout,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        """A GET; parameters that are None are left out."""
        return self.send("GET", path, params=_present(params)).json()

    def post(self, path: str, body: Any = None) -> Any:
        """A POST of JSON."""
        return self.send("POST", path, json=body).json()

    def put(self, path: str, body: Any) -> Any:
        """A PUT of JSON."""
        return self.send("PUT", path, json=body).json()

    def delete(self, path: str) -> None:
        """A DELETE."""
        self.send("DELETE", path)

    def send(self, method: str, path: str, **rest: Any) -> httpx.Response:
        """Any request; the answer is checked.

        Raises:
            RemoteError: With the code, problems and cure of the server's problem document.
            Unavailable: `server-unreachable`.
        """
        try:
            response = self._http.request(method, path, **rest)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        _check(response)
        return response

    def stream(self, path: str, body: Any, headers: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
        """A POST whose answer is a stream of events: (event, data) pairs."""
        try:
            with self._http.stream(
                "POST", path, json=body, headers={**headers, "accept": "text/event-stream"}
            ) as response:
                if response.is_error:
                    response.read()
                _check(response)
                yield from _events(response.iter_lines())
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: httpx.TransportError) -> Unavailable:
        return Unavailable(
            f"{self.address.url} does not answer: {error}",
            code="server-unreachable",
            cure="is `algorail up` running?",
        )


def algorithm_path(name: str, *rest: str | int) -> str:
    """The path of an algorithm or something under it, each part encoded."""
    return "/".join(["/v1/algorithms", *(quote(str(part), safe="@") for part in (name, *rest))])


def _present(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value not in (None, "")}


def _events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    event = "message"
    for line in lines:
        name, _, text = line.partition(": ")
        if name == "event":
            event = text
        elif name == "data":
            yield event, json.loads(text)


def _check(response: httpx.Response) -> None:
    if not response.is_error:
        return
    try:
        document = response.json()
        problems = [
            Problem(**{key: value for key, value in item.items() if key in Problem.__slots__})
            for item in document.get("problems", [])
        ]
    except (ValueError, AttributeError, TypeError):
        raise RemoteError(f"the server answered {response.status_code}: {response.text[:200]}") from None
    raise RemoteError(
        document.get("detail") or document.get("title") or f"status {response.status_code}",
        code=document.get("code", "remote-error"),
        cure=document.get("cure", ""),
        problems=problems,
        details={"status": response.status_code, "run_id": document.get("run_id", "")},
    )
