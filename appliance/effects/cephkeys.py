"""Keys that Ceph's programs accept, made from the kernel's random numbers."""

from __future__ import annotations

import base64
import os
import secrets
import string
import struct

_AES = 1
_SECRET_BYTES = 16
_S3_LETTERS = string.ascii_letters + string.digits
_S3_LENGTH = 40


def cephx_key(at: float) -> str:
    """A cephx key as in a keyring. ``at`` (seconds since the epoch) is written into it as its time of birth.

    Base64 of: type 1 (AES), seconds, nanoseconds, length 16 (little-endian u16 u32 u32 u16), and 16 random bytes; as
    ``ceph-authtool --gen-print-key`` writes it (CryptoKey::encode in Ceph's src/auth/Crypto.cc).
    """
    seconds, rest = divmod(max(0.0, at), 1.0)
    head = struct.pack("<HIIH", _AES, int(seconds) & 0xFFFFFFFF, int(rest * 1e9), _SECRET_BYTES)
    return base64.b64encode(head + os.urandom(_SECRET_BYTES)).decode("ascii")


def access_secret() -> str:
    """A secret key for S3: 40 letters and digits (nothing that a shell, a URL or JSON would have to escape)."""
    return "".join(secrets.choice(_S3_LETTERS) for _ in range(_S3_LENGTH))
