"""The second archive: how one appliance is reached and what is trusted. Never part of the cached image."""

from __future__ import annotations

from agent import wire
from images.cpio import cpio_archive

SITE_PATH = "/etc/rackseed/site.json"


def site_cpio(bundle: wire.SiteBundle) -> bytes:
    """``site.cpio``: an uncompressed newc archive that holds only the bundle, for the kernel to unpack after the image."""
    return cpio_archive({SITE_PATH: (0o644, wire.encode(bundle))})
