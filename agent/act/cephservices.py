"""Managers, metadata servers and gateways: a folder, a keyring, a process."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.act import cephconfigure as configure
from agent.act import cephdaemons as daemons
from agent.act import cephfiles as files
from agent.act.cephdaemons import DAEMON
from agent.act.cepherrand import Errand
from agent.errors import CephError, OrderRefusedError
from agent.run import CommandError, run
from agent.wire import ObjectStore

PROGRAMS = {"mgr": "ceph-mgr", "mds": "ceph-mds", "rgw": "radosgw"}
PATIENCE = 300.0
GATEWAY_PORT = 7480
ENOENT, EINVAL = 2, 22
NO_USER = "no user info saved"
"""What `radosgw-admin user info` (18.2.7) says of a user that is not there, with EINVAL."""


def make(errand: Errand) -> str:
    """``action`` says which. Raises `CephError`."""
    order = errand.order
    kind, daemon = order.action.value, order.daemon
    if not DAEMON.fullmatch(daemon):
        raise OrderRefusedError(f"the order does not say which {kind}: {daemon or '(none)'}")
    files.need_programs((PROGRAMS[kind],))
    ceph = files.owner_of("ceph")
    folder = files.data_folder(kind, daemon)
    files.make_folder(folder.parent, ceph)
    files.make_folder(folder, ceph)
    written = configure.write(order, errand.secrets)
    if not _has_keyring(kind, daemon, folder):
        raise CephError(f"{kind}.{daemon} has no keyring ({folder / 'keyring'}): the order must bring one")
    was = errand.daemons.running(kind, daemon)
    if was and written:
        daemons.stop(errand.daemons, kind, daemon)  # a daemon reads its keyring once
    if kind == "rgw" and order.store and order.store.realm:
        errand.tell("realm", 0.3, "")
        Realm(daemon=daemon, store=order.store).make()
    errand.tell("start", 0.6, f"{kind}.{daemon}")
    daemons.start_and_wait(
        errand.daemons,
        kind,
        daemon,
        ready=lambda: missing(kind, daemon, order.address),
        tell=errand.tell,
        seconds=PATIENCE,
    )
    said = f"{kind}.{daemon} {'runs' if was and not written else 'was started'}"
    if kind == "rgw" and order.store and order.store.user:
        realm = Realm(daemon=daemon, store=order.store)
        said += f"; {realm.make_user(errand.secrets(order.store.secret).strip())}"
    return said


def _has_keyring(kind: str, daemon: str, folder: Path) -> bool:
    other = files.ETC / f"ceph.client.rgw.{daemon}.keyring"
    return (folder / "keyring").is_file() or (kind == "rgw" and other.is_file())


def missing(kind: str, daemon: str, address: str) -> str:
    """Empty when it answers: over its admin socket, a gateway on its port."""
    if kind != "rgw":
        prefix = "status" if kind == "mds" else "version"
        return "" if daemons.answer(kind, daemon, prefix) else "it does not answer on its admin socket"
    host, port = endpoint(address or "127.0.0.1")
    try:
        with socket.create_connection((host, port), timeout=5):
            return ""
    except OSError as error:
        return f"nobody answers at {host}:{port} ({error}): does `rgw_frontends` of ceph.conf say so?"


def endpoint(address: str) -> tuple[str, int]:
    """``10.0.0.1``, ``10.0.0.1:7480``, ``[fd00::1]:7480`` or ``fd00::1``."""
    if address.startswith("["):
        host, _, port = address[1:].partition("]")
        port = port.removeprefix(":")
    elif address.count(":") == 1:
        host, _, port = address.partition(":")
    else:
        host, port = address, ""
    if port and not port.isdigit():
        raise CephError(f"{address!r} is not an address with a port")
    return host, int(port or GATEWAY_PORT)


# ---------------------------------------------------------------- the object store's realm and user


@dataclass(frozen=True, slots=True, kw_only=True)
class Realm:
    """The realm of an object store, made with the key of a gateway: few machines with a gateway have the administrator's,
    and a gateway may do all of this anyway."""

    daemon: str
    store: ObjectStore

    def make(self) -> None:
        """Realm, zone group and zone of one name, each where it is not there, then one period with all of it."""
        store, name = self.store, self.store.realm
        names = self._names()
        changed = False
        if self._admin("realm", "get", names[0]) is None:
            self._create("realm", "create", names[0], "--default")
            changed = True
        if self._admin("zonegroup", "get", *names[:2]) is None:
            self._create("zonegroup", "create", *names[:2], "--master", "--default")
            changed = True
        zone = self._admin("zone", "get", *names)
        if zone is None:
            self._create("zone", "create", *names, "--master", "--default")
            zone, changed = self._admin("zone", "get", *names), True
        if store.pool and _data_pool(zone) != store.pool:
            place = ("--placement-id=default-placement", f"--data-pool={store.pool}")
            self._create("zone", "placement", "modify", *names, *place)
            changed = True
        if changed or not self._is_committed(f"--rgw-realm={name}"):
            self._create("period", "update", "--commit", *names)

    def make_user(self, secret: str) -> str:
        """With the keys that are wanted; a user that is there gets them too. The secret key goes over a process's argument
        list: radosgw-admin reads it from nowhere else, and only root reads it there with hidepid."""
        store, scope = self.store, self._names() if self.store.realm else ()
        found = self._admin("user", "info", f"--uid={store.user}", *scope)
        wanted = {"access_key": store.access, "secret_key": secret}
        keys = [] if found is None else [{name: item.get(name) for name in wanted} for item in found.get("keys", [])]
        if wanted in keys:
            return f"user {store.user} is there"
        words = [f"--uid={store.user}", f"--access-key={store.access}", f"--secret-key={secret}", *scope]
        if found is None:
            self._create("user", "create", *words, f"--display-name={store.user}")
            return f"user {store.user} was made"
        self._create("key", "create", *words, "--key-type=s3")
        return f"user {store.user} got its key"

    def _names(self) -> tuple[str, ...]:
        return tuple(f"--rgw-{what}={self.store.realm}" for what in ("realm", "zonegroup", "zone"))

    def _is_committed(self, realm: str) -> bool:
        """Whether the realm's current period knows its zone group (a power cut may have come before the commit)."""
        period = self._admin("period", "get", realm)
        return bool(period and dict(period).get("period_map", {}).get("zonegroups"))

    def _create(self, *words: str) -> None:
        if self._admin(*words) is None:
            said = f"`radosgw-admin {' '.join(words[:2])}` found nothing to work on: are the object pools there?"
            raise CephError(said)

    def _admin(self, *words: str) -> Any:
        """None when it says that there is no such thing."""
        keyring = files.data_folder("rgw", self.daemon) / "keyring"
        argv = ["radosgw-admin", *words, "--name", f"client.rgw.{self.daemon}", "--keyring", str(keyring)]
        try:
            done = run([*argv, "--format", "json"], check=False, timeout=600)
        except CommandError as error:  # its text would hold all arguments, with a secret key among them
            said = f"`radosgw-admin {' '.join(words[:2])}` does not end: do the object pools' placement groups work?"
            raise CephError(said) from (None if any("--secret-key" in word for word in words) else error)
        if done.code == ENOENT or (done.code == EINVAL and NO_USER in done.stderr):
            return None
        if done.code != 0:
            text = done.stderr.strip()[-300:]
            raise CephError(f"`radosgw-admin {' '.join(words[:2])}` ended with {done.code}: {text}")
        try:
            return json.loads(done.stdout or "{}")
        except ValueError:
            return {}


def _data_pool(zone: Any) -> str:
    for item in (zone or {}).get("placement_pools", []):
        if item.get("key") == "default-placement":
            return str(item["val"]["storage_classes"]["STANDARD"].get("data_pool", ""))
    return ""
