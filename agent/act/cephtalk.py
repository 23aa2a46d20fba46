"""A process of its own that talks to a cluster through Ceph's Python bindings, run by `agent.act.cephcommands`.

Of its own because librados waits for ever when it likes, keeps threads, and is only there for the system's Python. Reads
one JSON document from standard input, writes one to standard output; with ``--stay`` a document a line, for starting and
connecting cost more than most questions. Standard library, rados, rbd and cephfs only.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterable
from errno import EIO
from typing import Any

CONNECT_SECONDS = 20
STAY_SECONDS = 60
"""With ``--stay``: without another task for so long it ends."""
COMMAND_SECONDS = 60
OBJECT_SECONDS = 10
"""For a look at what OSDs answer: without it one at a pool that can't be used would never end."""


def connect(task: dict[str, Any], seconds: int = 0) -> Any:
    """``seconds`` are the patience with OSDs; without them they are waited for, however slow."""
    rados = importlib.import_module("rados")  # not there on every machine
    cluster: Any = rados.Rados(conffile=task["conf"], name=task["entity"])
    for name, value in task.get("options", {}).items():
        cluster.conf_set(name, value)
    cluster.conf_set("client_mount_timeout", str(CONNECT_SECONDS))
    cluster.conf_set("rados_mon_op_timeout", str(COMMAND_SECONDS))  # the bindings ignore the time-out of a command
    if seconds:
        cluster.conf_set("rados_osd_op_timeout", str(seconds))
    cluster.conf_set("log_to_stderr", "false")
    cluster.connect(timeout=CONNECT_SECONDS)
    return cluster


def commands(task: dict[str, Any]) -> dict[str, Any]:
    """One after the other, until one fails with a number that its ``may_fail`` does not hold."""
    cluster = task.get("cluster") or connect(task, OBJECT_SECONDS)
    answers = []
    for item in task["commands"]:
        if item.get("pool"):
            answers.append(namespaces(cluster, item["pool"]))
            continue
        send = cluster.mgr_command if item["manager"] else cluster.mon_command
        code, out, status = send(item["command"], item["payload"].encode(), timeout=COMMAND_SECONDS)
        text = out.decode("utf-8", "replace") if isinstance(out, bytes) else str(out)
        said = status.decode("utf-8", "replace") if isinstance(status, bytes) else str(status)
        answers.append({"code": abs(code), "output": text, "status": said})
        if code != 0 and abs(code) not in item["may_fail"]:
            break
    return {"answers": answers}


def monmap(task: dict[str, Any]) -> dict[str, Any]:
    """The monitors' map, as it is, into the file ``path``."""
    code, out, status = connect(task).mon_command('{"prefix": "mon getmap"}', b"", timeout=COMMAND_SECONDS)
    if code != 0:
        return {"error": f"mon getmap: {status} ({code})"}
    with open(task["path"], "wb") as file:  # noqa: PTH123 - nothing more is imported than needed
        file.write(out)
    return {}


def namespaces(cluster: Any, pool: str) -> dict[str, Any]:
    """The RBD namespaces of a pool, as the answer to a command. Whatever goes wrong is an error number."""
    try:
        rbd = importlib.import_module("rbd")
        with cluster.open_ioctx(pool) as place:
            found = sorted(rbd.RBD().namespace_list(place))
    except Exception as error:  # bindings raise many kinds
        number = getattr(error, "errno", None)
        return {"code": abs(number) if isinstance(number, int) and number else EIO, "output": "", "status": str(error)}
    return {"code": 0, "output": json.dumps({"pool": pool, "namespaces": found}), "status": ""}


def make_namespaces(task: dict[str, Any]) -> dict[str, Any]:
    """RBD namespaces that are missing; those that are there are no error. ``wanted`` are pairs of pool and name."""
    rbd = importlib.import_module("rbd")
    cluster = connect(task)
    made = []
    for pool, name in task["wanted"]:
        with cluster.open_ioctx(pool) as place:
            if name not in rbd.RBD().namespace_list(place):
                rbd.RBD().namespace_create(place, name)
                made.append(f"{pool}/{name}")
    return {"made": made}


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


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Write objects for some seconds, each as a whole, again when all are there; then read each once, for as long at
    most."""
    cluster = connect(task)
    pool = cluster.open_ioctx(task["pool"])
    pool.set_namespace(task["namespace"])
    names = [f"{task['namespace']}-{number}" for number in range(task["objects"])]
    depth, size, data = task["depth"], task["size"], os.urandom(task["size"])
    _remove(pool, names, depth)
    try:
        names = _elsewhere(cluster, task, names)
        written: dict[str, None] = {}

        def put(name: str, over: Callable[..., None]) -> None:
            written[name] = None
            pool.aio_write_full(name, data, over)

        write = _flow(put, itertools.cycle(names), size, depth, task["seconds"])
        read = _flow(lambda name, over: pool.aio_read(name, size, 0, over), written, size, depth, task["seconds"])
    finally:
        _remove(pool, names, depth)
    return {"objects": len(written), "write": write, "read": read}


def _elsewhere(cluster: Any, task: dict[str, Any], names: list[str]) -> list[str]:
    """Names of objects whose first copy is on another host: to one of its own a client has no network. All of them when
    this is the only host."""

    def asked(**words: Any) -> Any:
        code, out, _ = cluster.mon_command(json.dumps({"format": "json", **words}), b"", timeout=COMMAND_SECONDS)
        return json.loads(out) if code == 0 else None

    own = set(asked(prefix="osd ls-tree", name=task["host"]) or ())
    found = []
    for name in names if own else ():
        where = asked(prefix="osd map", pool=task["pool"], object=name, nspace=task["namespace"])
        if where and where["acting_primary"] not in own:
            found.append(name)
    return found or names


def _flow(
    begin: Callable[[str, Callable[..., None]], Any], names: Iterable[str], size: int, depth: int, seconds: float
) -> dict[str, Any]:
    """Begin one after the other, at least one and ``depth`` at a time, until the time is over; what was begun is waited
    for and counted. Raises OSError."""
    free, ends, bad = threading.Semaphore(depth), list[float](), list[int]()

    def over(completion: Any, *_data: Any) -> None:
        code = completion.get_return_value()
        if code < 0:
            bad.append(-code)
        ends.append(time.monotonic())
        free.release()

    start = time.monotonic()
    for number, name in enumerate(names):
        free.acquire()
        if bad or (number and time.monotonic() >= start + seconds):
            free.release()
            break
        begin(name, over)
    for _ in range(depth):
        free.acquire()
    if bad:
        raise OSError(bad[0], os.strerror(bad[0]))
    return {"bytes": size * len(ends), "seconds": max(ends, default=start) - start}


def _remove(pool: Any, names: list[str], depth: int) -> None:
    """Whether they are there or not."""
    free = threading.Semaphore(depth)
    for name in names:
        free.acquire()
        pool.aio_remove(name, lambda *_: free.release())
    for _ in range(depth):
        free.acquire()


DO = {
    "connect": lambda task: {"cluster": connect(task, OBJECT_SECONDS)},
    "commands": commands,
    "monmap": monmap,
    "filesystem": filesystem,
    "measure": measure,
    "namespaces": make_namespaces,
}


def perform(task: dict[str, Any]) -> dict[str, Any]:
    try:
        return DO[task["do"]](task)
    except ImportError as error:
        return {"missing": str(error)}
    except Exception as error:  # bindings raise many kinds
        return {"error": f"{type(error).__name__}: {error}"}


def stay() -> None:
    """Commands over one connection, as long as they are for one user and one configuration and nothing goes wrong; then this
    process ends, and the next one connects anew."""
    cluster, whose = None, None
    while select.select([sys.stdin.buffer], [], [], STAY_SECONDS)[0]:
        line = sys.stdin.buffer.readline()
        if not line:
            return
        task = json.loads(line)
        who = [task["conf"], task["entity"], task.get("options"), changed(task["conf"])]
        if cluster is not None and who != whose:
            return  # asked again, of a new process
        said = {} if cluster is not None else perform({**task, "do": "connect"})
        cluster, whose = cluster or said.pop("cluster", None), who
        said = said or perform({**task, "cluster": cluster})
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
        if "answers" not in said:
            return


def changed(path: str) -> int:
    """When a file was written last; 0 without one."""
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - nothing more is imported than needed
    except OSError:
        return 0


def main() -> None:
    if sys.argv[1:] == ["--stay"]:
        stay()
    else:
        json.dump(perform(json.load(sys.stdin)), sys.stdout)
        sys.stdout.flush()
    os._exit(0)  # librados may take long to say goodbye to monitors that are gone


if __name__ == "__main__":
    main()
