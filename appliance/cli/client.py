"""The people's API as the commands see it: over the appliance's Unix socket, or over HTTPS with a token."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import urllib3.connection
import urllib3.connectionpool
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool

from appliance.cli.errors import CommandError, NotRunning, ServerError

SECONDS = 60.0


class _SocketConnection(urllib3.connection.HTTPConnection):
    """HTTP/1.1 over AF_UNIX."""

    def __init__(self, path: Path) -> None:
        super().__init__("rackseed", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(str(self._path))


class _SocketPool(HTTPConnectionPool):
    def __init__(self, path: Path) -> None:
        super().__init__("rackseed")
        self._path = path

    def _new_conn(self) -> Any:
        return _SocketConnection(self._path)


class _SocketAdapter(HTTPAdapter):
    """Sends every request of a session to one Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._pool = _SocketPool(path)

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> HTTPConnectionPool:
        return self._pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the appliance is: ``socket`` on this host, or ``url`` with ``token`` (and ``ca``, a PEM file to trust)."""

    socket: Path
    url: str = ""
    token: str = ""
    ca: str = ""


class Client:
    """Calls of the people's API. Raises `ServerError` with the appliance's own words, or `NotRunning`."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.session = requests.Session()
        self.session.trust_env = False
        if place.url:
            self.base = place.url.rstrip("/")
            self.session.headers["Authorization"] = f"Bearer {place.token}"
            self.session.verify = place.ca or True
        else:
            self.base = "http://rackseed"
            self.session.mount("http://rackseed", _SocketAdapter(place.socket))

    def get(self, path: str, **query: str) -> Any:
        """The JSON document at ``path`` (below ``/api/v1``)."""
        return self._call("GET", path, query=query)

    def post(self, path: str, body: Mapping[str, Any] | None = None, **headers: str) -> Any:
        """Send ``body`` as JSON and return the JSON answer."""
        return self._call("POST", path, body=body or {}, headers=headers)

    def every(self, path: str, noun: str, **query: str) -> list[Any]:
        """All items of a list that comes in pages; ``noun`` is the key that holds them."""
        items: list[Any] = []
        while True:
            page = self.get(path, **query)
            items += page[noun]
            if not page["next"]:
                return items
            query["cursor"] = page["next"]

    def events(self, **query: str) -> Iterator[dict[str, Any]]:
        """Events as they happen (server-sent events), until the connection ends."""
        headers = {"Accept": "text/event-stream"}
        with self._send("GET", "/events/stream", query=query, headers=headers, stream=True) as response:
            for line in response.iter_lines(chunk_size=1, decode_unicode=True):
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        response = self._send(method, path, query=query, body=body, headers=headers)
        return response.json() if response.content else None

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> requests.Response:
        url = f"{self.base}/api/v1{path}"
        try:
            response = self.session.request(
                method, url, params=query, json=body, headers=headers, timeout=SECONDS, stream=stream
            )
        except requests.exceptions.SSLError as error:
            raise NotRunning(
                f"{self.base} shows a certificate that is not trusted; name its CA with --ca FILE"
            ) from error
        except requests.exceptions.Timeout as error:
            raise CommandError(f"the appliance did not answer within {SECONDS:.0f} s") from error
        except requests.exceptions.ConnectionError as error:
            raise self._unreachable(error) from error
        if response.status_code >= 400:
            raise ServerError(_refusal(response), response.status_code)
        return response

    def _unreachable(self, error: Exception) -> CommandError:
        if self.place.url:
            return NotRunning(f"nobody answers at {self.base}: check the URL, and that the appliance is running")
        path = self.place.socket
        try:
            path.stat()
        except PermissionError:
            return NotRunning(f"{path} is not yours to use: run this as root or as the appliance's user")
        except OSError:
            pass
        if "Permission denied" in str(error):
            return NotRunning(f"{path} is not yours to use: run this as root or as the appliance's user")
        return NotRunning(
            f"the appliance is not running: start it with: rackseed serve --state {path.parent.parent} "
            "--address ADDRESS --interface INTERFACE"
        )


def _refusal(response: requests.Response) -> str:
    """The problem document in words; every place that is wrong on a line of its own."""
    try:
        problem = response.json()
        text = problem["detail"] or problem["title"]
        more = [f"  {item['at']}: {item['message']}" for item in problem["errors"] if item["message"] not in text]
        return "\n".join([text, *more])
    except (ValueError, KeyError, TypeError):
        return f"the answer was {response.status_code} {response.reason}, not from rackseed: check the URL"
