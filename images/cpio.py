"""Archives that the kernel unpacks into its first root: cpio in the "newc" format, reproducible.

The format is the one of the kernel's Documentation/driver-api/early-userspace/buffer-format.rst: a header of 110 ASCII
characters, the name with its NUL, padding to 4 bytes, the data, padding to 4 bytes; the last entry is ``TRAILER!!!``.
Everything belongs to root, has the time ``mtime`` and inode numbers in order, so equal input gives equal bytes.
"""

from __future__ import annotations

import io
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

BLOCK = 512
TRAILER = "TRAILER!!!"
MAXIMUM_SIZE = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One entry. ``name`` is relative, ``mode`` holds type and permission bits. ``data`` is a file's content (bytes, or a
    path to read it from) or a symbolic link's target; ``device`` is (major, minor) of a device node."""

    name: str
    mode: int
    data: bytes | Path = b""
    device: tuple[int, int] = (0, 0)


def write_newc(out: BinaryIO, nodes: Iterable[Node], *, mtime: int = 0) -> int:
    """Write an archive of ``nodes`` in the given order, padded to 512 bytes; returns its length.

    Raises ValueError for a name that is absolute or empty, or for more than 4 GiB in one file.
    """
    length = 0
    for inode, node in enumerate([*nodes, Node(name=TRAILER, mode=0)], start=1):
        length += _write_node(out, node, 0 if node.name == TRAILER else inode, 0 if node.name == TRAILER else mtime)
    padding = -length % BLOCK
    out.write(bytes(padding))
    return length + padding


def cpio_archive(files: Mapping[str, tuple[int, bytes]], *, mtime: int = 0) -> bytes:
    """An archive of regular files: absolute or relative path → (permission bits, content). The folders above them are
    added (0755), so that it can be appended to any other archive."""
    nodes: dict[str, Node] = {}
    for path, (mode, content) in sorted(files.items()):
        name = path.lstrip("/")
        parts = name.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            nodes.setdefault(folder, Node(name=folder, mode=stat.S_IFDIR | 0o755))
        nodes[name] = Node(name=name, mode=stat.S_IFREG | stat.S_IMODE(mode), data=content)
    out = io.BytesIO()
    write_newc(out, (nodes[name] for name in sorted(nodes)), mtime=mtime)
    return out.getvalue()


def tree_nodes(root: Path) -> Iterable[Node]:
    """Every file, folder and link below a folder, sorted by name; owners and times of the host are left out.

    Group and other lose nothing but write permission, and set-id bits are dropped: nobody but root runs in a first root.
    """
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            yield Node(name=name, mode=stat.S_IFLNK | 0o777, data=str(path.readlink()).encode())
        elif stat.S_ISDIR(mode):
            yield Node(name=name, mode=stat.S_IFDIR | 0o755)
        elif stat.S_ISREG(mode):
            executable = 0o755 if mode & 0o111 else 0o644
            yield Node(name=name, mode=stat.S_IFREG | executable, data=path)


def _write_node(out: BinaryIO, node: Node, inode: int, mtime: int) -> int:
    if not node.name or node.name.startswith("/") or "\0" in node.name:
        raise ValueError(f"not a name for a cpio archive: {node.name!r}")
    data = node.data.read_bytes() if isinstance(node.data, Path) else node.data
    if len(data) > MAXIMUM_SIZE:
        raise ValueError(f"{node.name} is larger than 4 GiB, which newc can't say")
    name = node.name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(node.mode) else 1
    fields = (inode, node.mode, 0, 0, links, mtime, len(data), 0, 0, *node.device, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    head += bytes(-len(head) % 4)
    out.write(head)
    out.write(data)
    tail = -len(data) % 4
    out.write(bytes(tail))
    return len(head) + len(data) + tail
