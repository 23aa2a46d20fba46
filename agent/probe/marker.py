"""Which install made the running system: the GPT disk GUID of the disk that carries ``/`` is its permit."""

from __future__ import annotations

import os

from agent.probe.device import opened
from agent.probe.table import read_table
from agent.probe.tree import Tree


def running_permit(tree: Tree) -> str:
    """Empty when ``/`` is not directly on a partition of a GPT disk, or the disk can't be read."""
    status = tree.root.stat()
    base = f"sys/dev/block/{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    if not tree.exists(f"{base}/partition"):
        return ""
    disk = tree.real(base).split("/")[-2]
    try:
        with opened(tree.path(f"dev/{disk}")) as device:
            table = read_table(device)
    except OSError:
        return ""
    return table.id if table.kind == "gpt" else ""
