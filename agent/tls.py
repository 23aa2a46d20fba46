"""TLS contexts: whom the agent believes, and what it shows of itself."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL: the chain is verified, its dates are not."""


def server_context(ca_pem: str, *, check_dates: bool = True) -> ssl.SSLContext:
    """Believe servers whose certificate the site's CA signed for the address we connect to; nobody else's CA counts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca_pem)
    if not check_dates:
        context.verify_flags = ssl.VerifyFlags(context.verify_flags | NO_CHECK_TIME)
    return context


def mutual_context(ca_pem: str, certificate_pem: str, key_pem: str, *, check_dates: bool = True) -> ssl.SSLContext:
    """Like `server_context`, and shows our certificate.

    Python's ssl loads keys from files only. The file is a memfd: anonymous memory that never had a name in any file
    system and is gone when it is closed, before this function returns.
    """
    context = server_context(ca_pem, check_dates=check_dates)
    handle = os.memfd_create("agent-key")
    try:
        with os.fdopen(handle, "wb", closefd=False) as stream:
            stream.write(f"{key_pem.rstrip()}\n{certificate_pem.rstrip()}\n".encode())
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
    return context


def read_secret(path: Path) -> str:
    """A key file of the installed system. Raises PermissionError when others could read it."""
    mode = path.stat().st_mode
    if mode & 0o077:
        raise PermissionError(f"{path} has mode {mode & 0o777:04o}: others can read it; make it 0600")
    return path.read_text(encoding="ascii")
