"""What a rack takes from outside: built images, OVMF, and a key to log in to the machines with."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.rehearsal.appliance_process import command_environment, rackseed
from appliance.rehearsal.errors import RehearsalError
from images import boot
from images.cache import Cache


def build_images(cache: Path) -> None:
    """``rackseed image all``: builds what is not in the cache, and says how far it is on standard error."""
    _build(cache, "all")


def build_root(cache: Path, system: str) -> None:
    """The root image of another operating system."""
    _build(cache, "root", "--os", system)


def _build(cache: Path, *words: str) -> None:
    environment = command_environment(cache=cache)
    done = subprocess.run([*rackseed(), "image", *words], env=environment, stdout=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise RehearsalError("the images could not be built; the reason is above")


def firmware_files(cache: Path) -> tuple[Path, Path]:
    """OVMF's code image and its variable template, from the boot artefacts in the cache."""
    files = boot.fetch_firmware(Cache(cache)).files
    return files["OVMF_CODE_4M.fd"].path, files["OVMF_VARS_4M.fd"].path


def make_ssh_key(folder: Path) -> tuple[Path, str]:
    """A new key pair; returns the private key's file (mode 0600) and the public key's line."""
    key = Ed25519PrivateKey.generate()
    private = folder / "ssh-key"
    private.unlink(missing_ok=True)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private, f"{public.decode('ascii')} demo"
