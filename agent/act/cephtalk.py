"""A process of its own that talks to a cluster through Ceph's Python bindings, run by `agent.act.cephcommands`.

Of its own because librados waits for ever when it likes, keeps threads, and is only there for the system's Python. Reads
one JSON document from standard input, writes one to standard output. Standard library, rados and cephfs only.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

CONNECT_SECONDS = 20
COMMAND_SECONDS = 60


def connect(task: dict[str, Any]) -> Any:
    rados = importlib.import_module("rados")  # not there on every machine
    cluster: Any = rados.Rados(conffile=task["conf"], name=task["entity"])
    for name, value in task.get("options", {}).items():
        cluster.conf_set(name, value)
    cluster.conf_set("client_mount_timeout", str(CONNECT_SECONDS))
    cluster.conf_set("log_to_stderr", "false")
    cluster.connect(timeout=CONNECT_SECONDS)
    return cluster


def commands(task: dict[str, Any]) -> dict[str, Any]:
    """One after the other, until one fails with a number that its ``may_fail`` does not hold."""
    cluster = connect(task)
    answers = []
    for item in task["commands"]:
        send = cluster.mgr_command if item["manager"] else cluster.mon_command
        code, out, status = send(item["command"], item["payload"].encode(), timeout=COMMAND_SECONDS)
        text = out.decode("utf-8", "replace") if isinstance(out, bytes) else str(out)
        said = status.decode("utf-8", "replace") if isinstance(status, bytes) else str(status)
        answers.append({"code": abs(code), "output": text, "status": said})
        if code != 0 and abs(code) not in item["may_fail"]:
            break
    return {"answers": answers}


def filesystem(task: dict[str, Any]) -> dict[str, Any]:
    """Write a file in a file system, read it back through a second mount (nothing comes from the first one's cache)."""
    cephfs = importlib.import_module("cephfs")  # not there on every machine
    data = os.urandom(int(task["bytes"]))
    path = task["path"].encode()
    for writing in (True, False):
        mount = cephfs.LibCephFS(conffile=task["conf"], auth_id=task["entity"].removeprefix("client."))
        mount.conf_set("client_mount_timeout", str(CONNECT_SECONDS))
        mount.conf_set("log_to_stderr", "false")
        mount.mount(filesystem_name=task["filesystem"].encode())
        try:
            if writing:
                fd = mount.open(path, "w", 0o600)
                mount.write(fd, data, 0)
                mount.fsync(fd, 0)
            else:
                fd = mount.open(path, "r", 0o600)
                same = mount.read(fd, 0, len(data)) == data
            mount.close(fd)
            if not writing:
                mount.unlink(path)
        finally:
            mount.shutdown()
    return {"same": same}


def main() -> int:
    task = json.load(sys.stdin)
    try:
        said = {"commands": commands, "filesystem": filesystem}[task["do"]](task)
    except ImportError as error:
        said = {"missing": str(error)}
    except Exception as error:  # bindings raise many kinds
        said = {"error": f"{type(error).__name__}: {error}"}
    json.dump(said, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # librados may take long to say goodbye to monitors that are gone


if __name__ == "__main__":
    main()
