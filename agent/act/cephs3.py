"""Enough of S3 to prove a gateway: put, get, delete, with AWS signature version 4 (standard library only)."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import time
import urllib.parse
from dataclasses import dataclass

REGION, SERVICE, ALGORITHM = "default", "s3", "AWS4-HMAC-SHA256"
TIMEOUT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class S3:
    """``host`` and ``port`` of a gateway; plain HTTP, as it stands inside the site's public network."""

    host: str
    port: int
    access: str
    secret: str

    def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body. Raises OSError."""
        link = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT)
        try:
            link.request(method, path, body=body or None, headers=self.headers(method, path, body, time.time()))
            answer = link.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise OSError(f"the gateway broke off: {error}") from error
        finally:
            link.close()

    def headers(self, method: str, path: str, body: bytes, now: float) -> dict[str, str]:
        """With the signature (AWS General Reference, "Signature Version 4 signing process")."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        day, digest = stamp[:8], hashlib.sha256(body).hexdigest()
        host = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        signed = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": stamp}
        names = ";".join(sorted(signed))
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        canonical = "\n".join((method, urllib.parse.quote(path), "", lines, names, digest))
        scope = f"{day}/{REGION}/{SERVICE}/aws4_request"
        text = "\n".join((ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
        key = f"AWS4{self.secret}".encode()
        for part in (day, REGION, SERVICE, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        credential = f"{self.access}/{scope}"
        return {
            "Host": host,
            "X-Amz-Content-SHA256": digest,
            "X-Amz-Date": stamp,
            "Authorization": f"{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}",
        }
