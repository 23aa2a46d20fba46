"""Sealing of secrets at rest. The key is a file beside the database, never in it: a copied database tells nothing."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance.effects.files import create_once

KEY_FILE = "secret.key"
_VERSION = b"\x01"
_KEY_ID, _NONCE = 8, 12


class SecretError(Exception):
    """A secret cannot be sealed or opened. The message says what to do."""


class SecretBox:
    """Seals and opens secrets with AES-256-GCM. A sealed value is version ‖ key id (8) ‖ nonce (12) ‖ ciphertext, bound to
    the name that it was sealed under, so that rows of the table cannot be swapped."""

    def __init__(self, key: bytes, path: Path) -> None:
        self._cipher = AESGCM(key)
        self._id = hashlib.sha256(b"rackseed secret key" + key).digest()[:_KEY_ID]
        self._path = path

    @classmethod
    def open(cls, state: Path) -> SecretBox:
        """Read ``<state>/secret.key``, or make it at first start (mode 0600). `SecretError` when it is not usable."""
        path = state / KEY_FILE
        try:
            state.mkdir(parents=True, exist_ok=True, mode=0o700)
            key = path.read_bytes() if path.exists() else create_once(path, AESGCM.generate_key(256))
            mode = path.stat().st_mode
        except OSError as error:
            raise SecretError(f"cannot read {path}: {error.strerror}; check its owner and mode") from error
        if mode & 0o077:
            raise SecretError(f"{path} may be read by others: run chmod 600 {path}, and change the secrets it protects")
        if len(key) != 32:
            raise SecretError(f"{path} has {len(key)} bytes instead of 32: restore it from a backup")
        return cls(key, path)

    def seal(self, name: str, secret: bytes) -> bytes:
        """``secret`` as it may be stored; twice the same secret gives two different values."""
        nonce = os.urandom(_NONCE)
        return _VERSION + self._id + nonce + self._cipher.encrypt(nonce, secret, _bound(name))

    def unseal(self, name: str, sealed: bytes) -> bytes:
        """The secret again. `SecretError` for another key, another name or a damaged value."""
        head = len(_VERSION) + _KEY_ID
        if len(sealed) < head + _NONCE or sealed[:1] != _VERSION:
            raise SecretError(f"the secret {name!r} is damaged: set it again")
        if sealed[1:head] != self._id:
            raise SecretError(
                f"the secret {name!r} was sealed with another key than {self._path}: restore the key file that "
                "belongs to this database, or set the secret again"
            )
        try:
            return self._cipher.decrypt(sealed[head : head + _NONCE], sealed[head + _NONCE :], _bound(name))
        except InvalidTag as error:
            raise SecretError(f"the secret {name!r} was changed outside of rackseed: set it again") from error


def _bound(name: str) -> bytes:
    return b"rackseed secret " + name.encode()
