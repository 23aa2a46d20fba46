"""Signatures by libblkid, called directly: all of them (like ``wipefs``), on a descriptor, without a process each.

The ``blkid`` command gives up ("ambivalent result") on a disk that carries two; ``wipefs`` opens by name and takes no
offset. Both matter here: what is on a disk is checked again on the descriptor through which it will be written.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

from agent.probe.device import Device
from agent.wire import Signature

LIBRARY = "libblkid.so.1"
LABEL, UUID, TYPE, USAGE = 1 << 1, 1 << 3, 1 << 5, 1 << 7  # BLKID_SUBLKS_…
MAXIMUM = 32


@functools.cache
def _library() -> Any:
    library = ctypes.CDLL(LIBRARY, use_errno=True)
    probe = ctypes.c_void_p
    library.blkid_new_probe.restype = probe
    library.blkid_free_probe.argtypes = [probe]
    library.blkid_free_probe.restype = None
    library.blkid_probe_set_device.argtypes = [probe, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    library.blkid_probe_enable_superblocks.argtypes = [probe, ctypes.c_int]
    library.blkid_probe_enable_partitions.argtypes = [probe, ctypes.c_int]
    library.blkid_probe_set_superblocks_flags.argtypes = [probe, ctypes.c_int]
    library.blkid_do_probe.argtypes = [probe]
    library.blkid_probe_lookup_value.argtypes = [
        probe,
        ctypes.c_char_p,
        ctypes.POINTER(ctypes.c_char_p),
        ctypes.POINTER(ctypes.c_size_t),
    ]
    return library


def signatures(device: Device, start: int, size: int) -> tuple[Signature, ...]:
    """What libblkid recognises in ``size`` bytes at ``start``, sorted. Raises OSError when the disk can't be read or the
    library is missing: "nothing found" must never mean "could not look"."""
    if size <= 0:
        return ()
    library = _library()
    probe = library.blkid_new_probe()
    if not probe:
        raise OSError("libblkid: no memory for a probe")
    try:
        if library.blkid_probe_set_device(probe, device.fd, start, size) != 0:
            raise OSError(ctypes.get_errno(), "libblkid can't read the device")
        library.blkid_probe_enable_partitions(probe, 0)
        library.blkid_probe_enable_superblocks(probe, 1)
        library.blkid_probe_set_superblocks_flags(probe, LABEL | UUID | TYPE | USAGE)
        found: set[Signature] = set()
        for _ in range(MAXIMUM):
            answer = library.blkid_do_probe(probe)
            if answer < 0:
                raise OSError(ctypes.get_errno(), "libblkid failed while reading the device")
            if answer > 0:
                break
            found.add(
                Signature(
                    kind=_value(library, probe, b"TYPE"),
                    uuid=_value(library, probe, b"UUID"),
                    label=_value(library, probe, b"LABEL"),
                )
            )
    finally:
        library.blkid_free_probe(probe)
    return tuple(sorted(found, key=lambda item: (item.kind, item.uuid, item.label)))


def _value(library: Any, probe: Any, name: bytes) -> str:
    data, length = ctypes.c_char_p(), ctypes.c_size_t()
    if library.blkid_probe_lookup_value(probe, name, ctypes.byref(data), ctypes.byref(length)) != 0:
        return ""
    return (data.value or b"").decode("utf-8", "replace").strip()
