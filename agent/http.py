"""The one door to the appliance over HTTP(S), on the standard library's ``http.client``.

Not ``requests``: it costs as much to import as the rest of the agent together (seconds under emulation), and hides the
TLS context that is needed here to ignore certificate dates while the clock is wrong. One connection per request: polls
are seconds apart, and nothing has to be found out about connections that died meanwhile.
"""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from agent.errors import RefusedError, UnauthorisedError, UnavailableError, UntrustedError

MAXIMUM_ANSWER = 16 * 2**20
RETRY_STATUS = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """One listener of the appliance. ``context`` is None for plain HTTP; ``timeout`` is seconds without a byte."""

    base_url: str
    context: ssl.SSLContext | None = None
    timeout: float = 30.0

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of a 2xx answer. Raises `UnavailableError`, `UntrustedError`, `RefusedError`, `UnauthorisedError`."""
        headers = {"Accept": "application/json", "Connection": "close"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        with self.open(method, path, body, headers) as response:
            data = response.read(MAXIMUM_ANSWER)
            if response.status >= 300:
                raise _failure(self.base_url, response.status, data)
            return data

    @contextmanager
    def open(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer as a stream, whatever its status. Failures below HTTP, also inside the block, are translated."""
        parts = urllib.parse.urlsplit(self.base_url)
        where = f"{parts.scheme}://{parts.netloc}"
        connection = self._connection(parts)
        try:
            connection.request(method, parts.path.rstrip("/") + path, body=body, headers=headers)
            yield connection.getresponse()
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
            connection.close()

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
