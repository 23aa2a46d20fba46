"""RBD namespaces: made through librbd, and proven with the key that may use one of them and nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from agent.act import cephcommands as commands
from agent.act import cephfiles as files
from agent.act import cephkeyrings as keyrings
from agent.act import cephmonitors as monitors
from agent.act.cepherrand import Errand
from agent.errors import CephError
from agent.run import run
from agent.wire import RbdNamespace

SECONDS = 180.0
REFUSED = "(1) Operation not permitted"
"""What ``rbd`` says of EPERM, and of nothing else."""


def make(wanted: Sequence[RbdNamespace]) -> str:
    """Those that are missing. Raises `CephError`."""
    task = {
        "do": "namespaces",
        "entity": commands.CLIENT_ADMIN,
        "wanted": [(one.pool, one.name) for one in wanted],
    }
    said = commands.talk(task, timeout=SECONDS + 10.0 * len(wanted))
    made = ", ".join(said["made"])
    return f"namespaces {made} made" if made else f"{len(wanted)} namespaces are there"


def check(errand: Errand, size: int, name: str) -> str:
    """In each namespace with a key: an image is written, read and compared; the pool outside of namespaces and another
    namespace are refused. Those without a key are only there to be refused. Raises `CephError`."""
    files.need_programs(("rbd",))
    there = errand.order.namespaces
    wanted = [one for one in there if one.entity]
    with monitors.scratch() as place:
        for index, one in enumerate(wanted):
            errand.tell("check namespace", (index + 0.2) / len(wanted), f"{one.pool}/{one.name}")
            keyring = place / "keyring"
            text = keyrings.text(one.entity, errand.secrets(one.secret).strip())
            files.write(keyring, text, mode=0o600)
            base = ["rbd", "--id", one.entity.removeprefix("client."), "--keyring", str(keyring)]
            _use(base, place, f"{one.pool}/{one.name}/{name}", size)
            others = [other.name for other in there if other.pool == one.pool and other.name != one.name][:1]
            for closed in (one.pool, *(f"{one.pool}/{other}" for other in others)):
                _refused(base, one, closed, name)
    shown = ", ".join(f"{one.pool}/{one.name}" for one in wanted)
    return (
        f"RBD namespaces {shown}: {size >> 20} MiB written, read back and equal with their own keys; refused elsewhere"
    )


def _use(base: list[str], place: Path, image: str, size: int) -> None:
    data = os.urandom(size)
    there, back = place / "there", place / "back"
    there.write_bytes(data)
    back.unlink(missing_ok=True)
    pool, namespace, _ = image.split("/")
    target = ["--dest-pool", pool, "--dest-namespace", namespace]
    run([*base, "import", "--no-progress", *target, str(there), image], timeout=SECONDS)
    try:
        run([*base, "export", "--no-progress", image, str(back)], timeout=SECONDS)
        same = back.read_bytes() == data
    finally:
        run([*base, "rm", "--no-progress", image], check=False, timeout=SECONDS)
    if not same:
        raise CephError(f"RBD namespace {pool}/{namespace}: what was read is not what was written")


def _refused(base: list[str], one: RbdNamespace, closed: str, name: str) -> None:
    """Looking and making are both refused there. An image that could be made is removed again."""
    image = f"{closed}/{name}"
    for argv in (["ls", closed], ["create", "--size", "1M", image]):
        done = run([*base, *argv], check=False, timeout=SECONDS)
        if REFUSED in done.stderr:
            continue
        if done.code == 0 and argv[0] == "create":
            run([*base, "rm", "--no-progress", image], check=False, timeout=SECONDS)
        how = "was not refused" if done.code == 0 else f"failed otherwise: {done.stderr.strip()[-200:]}"
        raise CephError(f"the key of namespace {one.pool}/{one.name} used in {closed} (rbd {argv[0]}) {how}")
