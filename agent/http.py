"""The one door to the appliance over HTTP(S), on the standard library's ``http.client``.

Not ``requests``: it costs as much to import as the rest of the agent together (seconds under emulation), and hides the
TLS context that is needed here to ignore certificate dates while the clock is wrong. One connection per request, because
polls are seconds apart and ten thousand machines must not hold ten thousand connections; only a machine that is worked on
keeps one (`Kept`): a handshake with certificates on both sides costs more than the request.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from agent.errors import RefusedError, UnauthorisedError, UnavailableError, UntrustedError

MAXIMUM_ANSWER = 16 * 2**20
RETRY_STATUS = frozenset({408, 425, 429})
KEEP_SECONDS = 10.0
"""A connection that was not used for so long is not used again: the appliance closes it after 15 s."""


@dataclass(slots=True, kw_only=True)
class Kept:
    """The connection that one `Http` keeps. ``lock``: one request at a time. ``until`` is monotonic."""

    connection: http.client.HTTPConnection | None = None
    until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> http.client.HTTPConnection | None:
        """The connection, if it may still be open at the other end."""
        connection, self.connection = self.connection, None
        if connection is not None and time.monotonic() > self.until:
            connection.close()
            return None
        return connection

    def keep(self, connection: http.client.HTTPConnection) -> None:
        """For the next request."""
        self.connection, self.until = connection, time.monotonic() + KEEP_SECONDS

    def close(self) -> None:
        """The next request is not soon."""
        with self.lock:
            if self.connection is not None:
                self.connection.close()
                self.connection = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """One listener of the appliance. ``context`` is None for plain HTTP; ``timeout`` is seconds without a byte; with
    ``kept`` the connection of a request may serve the next one."""

    base_url: str
    context: ssl.SSLContext | None = None
    timeout: float = 30.0
    kept: Kept | None = None

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of a 2xx answer. Raises `UnavailableError`, `UntrustedError`, `RefusedError`, `UnauthorisedError`.

        One that finds its kept connection dead is sent once more over a new one: it may arrive twice, as after any failure.
        """
        headers = {"Accept": "application/json", "Connection": "keep-alive" if self.kept else "close"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.kept is None:
            with self.open(method, path, body, headers) as response:
                status, data = response.status, response.read(MAXIMUM_ANSWER)
        else:
            with self.kept.lock:
                status, data = self._on_kept(self.kept, method, path, body, headers)
        if status >= 300:
            raise _failure(self.base_url, status, data)
        return data

    def _on_kept(
        self, kept: Kept, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        connection = kept.take()
        while True:
            again = connection is not None
            connection = connection or self._connection(urllib.parse.urlsplit(self.base_url))
            try:
                with self.open(method, path, body, headers, connection=connection) as response:
                    data = response.read(MAXIMUM_ANSWER)
                    if response.isclosed() and not response.will_close:
                        kept.keep(connection)
                    return response.status, data
            except UnavailableError:
                if not again:
                    raise
                connection = None
            finally:
                if connection is not None and kept.connection is not connection:
                    connection.close()

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
        *,
        connection: http.client.HTTPConnection | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer as a stream, whatever its status. Failures below HTTP, also inside the block, are translated. A
        ``connection`` that is given is not closed."""
        parts = urllib.parse.urlsplit(self.base_url)
        where = f"{parts.scheme}://{parts.netloc}"
        on = connection or self._connection(parts)
        try:
            on.request(method, parts.path.rstrip("/") + path, body=body, headers=headers)
            yield on.getresponse()
        except ssl.SSLCertVerificationError as error:
            raise UntrustedError(f"{where} is not the appliance of this site: {error.verify_message}") from error
        except ssl.SSLError as error:
            reason = error.reason or str(error)
            if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
                raise UnauthorisedError(403, f"TLS: {reason}") from error
            raise UnavailableError(f"{where}: TLS failed: {reason}") from error
        except (OSError, http.client.HTTPException) as error:
            raise UnavailableError(f"{where}: {_reason(error)}") from error
        finally:
            if connection is None:
                on.close()

    def _connection(self, parts: urllib.parse.SplitResult) -> http.client.HTTPConnection:
        if not parts.hostname:
            raise UnavailableError(f"not a URL of the appliance: {self.base_url!r}")
        if parts.scheme == "https":
            return http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=self.timeout, context=self.context or ssl.create_default_context()
            )
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=self.timeout)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, http.client.IncompleteRead):
        return "the answer ended early"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _failure(where: str, status: int, data: bytes) -> Exception:
    """An answer that is not 2xx: ``application/problem+json`` where the appliance wrote it."""
    detail = ""
    try:
        problem = json.loads(data)
        if isinstance(problem, dict):
            detail = str(problem.get("detail") or problem.get("title") or "")
            errors = problem.get("errors")
            if isinstance(errors, list):
                found = [f"{item.get('at')}: {item.get('message')}" for item in errors if isinstance(item, dict)]
                detail = "; ".join([detail, *found])
    except ValueError:
        pass
    detail = detail or http.client.responses.get(status, "no reason given")
    if status in {401, 403}:
        return UnauthorisedError(status, detail)
    if 400 <= status < 500 and status not in RETRY_STATUS:
        return RefusedError(status, detail)
    return UnavailableError(f"{where}: answered {status}: {detail}")
