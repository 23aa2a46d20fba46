"""Proof through a client: something is written into a pool's service, read back, and compared."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from agent.act import cephcommands as commands
from agent.act import cephfiles as files
from agent.act import cephmonitors as monitors
from agent.act import cephnamespaces as namespaces
from agent.act import cephservices as services
from agent.act.cepherrand import Errand
from agent.act.cephs3 import S3
from agent.errors import CephError, OrderRefusedError
from agent.run import run

SIZE = 4 * 2**20
"""Bytes that are written: one object of RBD and CephFS, and small for a spinning disk."""
SECONDS = 180.0
BUCKET = "rackseed-check"


def check(errand: Errand) -> str:
    """Raises `CephError` when anything is not as it was written."""
    order = errand.order
    if not order.check:
        raise OrderRefusedError("the order to check names no pool or file system")
    kinds = {"block": block, "file": file, "object": object_store}
    if order.service not in kinds:
        raise OrderRefusedError(f"{order.service!r} is no service of Ceph that can be checked")
    errand.tell(f"check {order.service}", 0.2, order.check)
    return kinds[order.service](errand)


def block(errand: Errand) -> str:
    """An RBD image, through librbd: no kernel module is needed."""
    if errand.order.namespaces:
        return namespaces.check(errand, SIZE, _name())
    files.need_programs(("rbd",))
    pool, data = errand.order.check, os.urandom(SIZE)
    image = f"{pool}/{_name()}"
    base = ["rbd", "--id", "admin"]
    with monitors.scratch() as place:
        there, back = place / "there", place / "back"
        there.write_bytes(data)
        run([*base, "import", "--no-progress", "--dest-pool", pool, str(there), image], timeout=SECONDS)
        try:
            run([*base, "export", "--no-progress", image, str(back)], timeout=SECONDS)
            same = back.read_bytes() == data
        finally:
            run([*base, "rm", "--no-progress", image], check=False, timeout=SECONDS)
    return _verdict(same, f"RBD in pool {pool}")


def file(errand: Errand) -> str:
    """A file in CephFS, through libcephfs: neither FUSE nor a kernel module is needed."""
    name = errand.order.check
    task = {
        "do": "filesystem",
        "entity": commands.CLIENT_ADMIN,
        "filesystem": name,
        "path": f"/.{_name()}",
        "bytes": SIZE,
    }
    said = commands.talk(task, timeout=SECONDS)
    return _verdict(bool(said["same"]), f"CephFS {name}")


def object_store(errand: Errand) -> str:
    """An object in a bucket of the store's user, over S3. The bucket stays, empty."""
    order = errand.order
    if order.store is None or not order.store.access:
        raise OrderRefusedError("the order to check objects names no user of the object store")
    host, port = services.endpoint(order.address)
    s3 = S3(host=host, port=port, access=order.store.access, secret=errand.secrets(order.store.secret).strip())
    data, path = os.urandom(SIZE), f"/{BUCKET}/{_name()}"
    try:
        _expect(s3.request("PUT", f"/{BUCKET}"), {200, 409}, "make a bucket")
        _expect(s3.request("PUT", path, data), {200}, "put an object")
        back = _expect(s3.request("GET", path), {200}, "get the object")
        _expect(s3.request("DELETE", path), {204, 200}, "delete the object")
    except OSError as error:
        raise CephError(f"the gateway at {host}:{port} does not answer: {error}") from error
    return _verdict(back == data, f"S3 at {host}:{port}")


def _expect(answer: tuple[int, bytes], wanted: set[int], words: str) -> bytes:
    status, body = answer
    if status not in wanted:
        raise CephError(f"the gateway did not {words}: {status} {body[:200].decode('utf-8', 'replace')}")
    return body


def _verdict(same: bool, what: str) -> str:
    if not same:
        raise CephError(f"{what}: what was read is not what was written")
    return f"{what}: {SIZE >> 20} MiB written, read back and equal"


def _name() -> str:
    return f"rackseed-check-{uuid.uuid4().hex[:12]}"


def admin_is_here() -> bool:
    """Whether this machine may act as client.admin."""
    return Path(files.ADMIN).is_file()
