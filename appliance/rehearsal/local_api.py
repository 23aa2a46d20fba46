"""GET from an appliance's Unix socket: what the demo's table and the tests watch, without a process per look."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from appliance.rehearsal.errors import ApplianceError


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def get(path: Path, resource: str, timeout: float = 20.0) -> Any:
    """The JSON of ``/api/v1/RESOURCE`` from the socket at ``path``. `ApplianceError` when it is down or says no."""
    connection = _Connection(path, timeout)
    try:
        connection.request("GET", f"/api/v1/{resource}")
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise ApplianceError(f"GET /api/v1/{resource}: {answer.status} {body[:300].decode('utf-8', 'replace')}")
        return json.loads(body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ApplianceError(f"GET /api/v1/{resource}: {error}") from error
    finally:
        connection.close()
