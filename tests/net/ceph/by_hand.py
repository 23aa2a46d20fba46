"""A Ceph formed by hand on a lab, as in Ceph's "manual deployment": proves the lab without the product."""

from __future__ import annotations

import json
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agent.cephorder import MonAnswer, MonCommand
from appliance.rehearsal.cephlab.lab import CephLab
from appliance.rehearsal.cephlab.monitors import Monitors

STUB = "hashpw = gensalt = checkpw = None\n"
"""Before python3-bcrypt, which refuses ceph-mgr's subinterpreters, so that none of its modules loads (Debian 13)."""
ADMIN = "/etc/ceph/ceph.client.admin.keyring"
BOOTSTRAP = """
set -e
for p in mon. client.admin; do
  caps="--cap mon 'allow *'"
  [ $p = mon. ] || caps="$caps --cap osd 'allow *' --cap mds 'allow *' --cap mgr 'allow *'"
  eval ceph-authtool --create-keyring /tmp/$p --gen-key -n $p $caps
done
cat /tmp/client.admin >> /tmp/mon.
"""


class ByHand:
    """Monitors and managers on the first ``monitors`` hosts, every disk an OSD."""

    def __init__(self, lab: CephLab, monitors: int = 3) -> None:
        self.lab = lab
        self.fsid = str(uuid.uuid4())
        self.hosts = [host.name for host in lab.description.hosts]
        self.members = self.hosts[:monitors]
        self.osds: dict[int, str] = {}
        self.asked = Monitors(host=lab.appliance)
        self._asking = threading.Lock()

    def close(self) -> None:
        """End the connection to the monitors."""
        self.asked.close()

    def form(self) -> None:
        """Returns when every daemon was started."""
        self._bootstrap()
        for name in self.members:
            self._monitor(name)
        for name in self.members[:2]:
            self._manager(name)
        with ThreadPoolExecutor() as pool:  # hosts at the same time, disks of one after the other
            list(pool.map(self._fill, self.hosts))

    def _bootstrap(self) -> None:
        first = self.lab.host(self.hosts[0])
        first.run(["sh", "-c", BOOTSTRAP])
        admin, monitor = (first.run(["cat", f"/tmp/{name}"]).stdout for name in ("client.admin", "mon."))
        for name in (*self.hosts, "appliance"):
            self.lab.host(name).write("/etc/ceph/ceph.conf", self._configuration(name))
            self.lab.host(name).write("/etc/default/ceph", "PYTHONPATH=/usr/local/lib/by-hand\n")
            self.lab.host(name).write("/usr/local/lib/by-hand/bcrypt.py", STUB)
            self.lab.host(name).write(ADMIN, admin, mode=0o600, owner="ceph")
        for name in self.members:
            self.lab.host(name).write("/tmp/mon.keyring", monitor, mode=0o600, owner="ceph")

    def _configuration(self, name: str) -> str:
        about = self.lab.description
        rack = next((host.rack for host in about.hosts if host.name == name), "")
        pairs = {
            "fsid": self.fsid,
            "mon_host": ",".join(self._address(name) for name in self.members),
            "mon_initial_members": ",".join(self.members),
            "public_network": about.public,
            "cluster_network": about.cluster,
            "auth_cluster_required": "cephx",
            "auth_service_required": "cephx",
            "auth_client_required": "cephx",
            "auth_allow_insecure_global_id_reclaim": "false",
            "mgr_initial_modules": "iostat",  # not restful: it can't be loaded on Debian 13 (docs/ceph-lab.md)
        }
        lines = ["[global]", *(f"{key} = {value}" for key, value in pairs.items())]
        return "\n".join([*lines, "[osd]", f"crush_location = root=default rack={rack} host={name}", ""])

    def _address(self, name: str) -> str:
        address = self.lab.description.address(self.lab.description.public, name)
        return f"[v2:{address}:3300,v1:{address}:6789]"

    def _monitor(self, name: str) -> None:
        added = [word for item in self.members for word in ("--addv", item, self._address(item))]
        host = self.lab.host(name)
        flags = ["--create", "--clobber", "--fsid", self.fsid, "--enable-all-features", "--set-min-mon-release", "reef"]
        host.run(["monmaptool", *flags, *added, "/tmp/monmap"])
        host.run(["install", "-d", "-o", "ceph", "-g", "ceph", f"/var/lib/ceph/mon/ceph-{name}"])
        made = ["--monmap", "/tmp/monmap", "--keyring", "/tmp/mon.keyring", "--setuser", "ceph", "--setgroup", "ceph"]
        host.run(["ceph-mon", "--mkfs", "--id", name, *made])
        host.daemon("start", "mon", name)

    def _manager(self, name: str) -> None:
        key = self.wait_for("auth get-or-create", entity=f"mgr.{name}", caps=_caps("mon", "allow profile mgr"))
        self.lab.host(name).run(["install", "-d", "-o", "ceph", "-g", "ceph", f"/var/lib/ceph/mgr/ceph-{name}"])
        self._keyring(name, f"/var/lib/ceph/mgr/ceph-{name}/keyring", f"mgr.{name}", key[0]["key"])
        self.lab.host(name).daemon("start", "mgr", name)

    def _fill(self, name: str) -> None:
        for serial in self.lab.host(name).disks:
            self.osd(name, serial)

    def osd(self, name: str, serial: str) -> int:
        """Make a disk an OSD and start it; its id."""
        host, own = self.lab.host(name), str(uuid.uuid4())
        secret = host.run(["ceph-authtool", "--gen-print-key"]).stdout.strip()
        number = int(self.wait_for("osd new", payload=json.dumps({"cephx_secret": secret}), uuid=own)["osdid"])
        folder = f"/var/lib/ceph/osd/ceph-{number}"
        host.run(["install", "-d", "-o", "ceph", "-g", "ceph", folder])
        host.run(["ln", "-s", f"/dev/disk/by-id/{host.disks[serial].by_id}", f"{folder}/block"])
        self._keyring(name, f"{folder}/keyring", f"osd.{number}", secret)
        user = ["--setuser", "ceph", "--setgroup", "ceph"]
        host.run(["ceph-osd", "--mkfs", "--id", str(number), "--osd-uuid", own, "--no-mon-config", *user])
        host.daemon("start", "osd", str(number))
        self.osds[number] = name
        return number

    def _keyring(self, name: str, path: str, entity: str, key: str) -> None:
        self.lab.host(name).write(path, f"[{entity}]\n\tkey = {key}\n", mode=0o600, owner="ceph")

    def ask(self, prefix: str, *, payload: str = "", **words: Any) -> Any:
        """One command's answer as JSON; None when no monitor answers. AssertionError when it is refused."""
        command = json.dumps({"prefix": prefix, "format": "json", **words})
        with self._asking:
            answers = self.asked.ask([MonCommand(command=command, payload=payload)])
        if answers is None:
            return None
        assert answers[0].code == 0, f"{prefix}: {answers[0]}"
        return _read(answers[0])

    def usage(self) -> list[dict[str, Any]]:
        """How full each OSD is, as the manager knows it (it is told every few seconds)."""
        command = json.dumps({"prefix": "osd df", "format": "json", "output_method": "plain"})
        end = time.monotonic() + 90
        while True:
            with self._asking:
                answers = self.asked.ask([MonCommand(command=command, manager=True)])
            if answers is not None and answers[0].code == 0:
                return list(_read(answers[0])["nodes"])
            assert time.monotonic() < end, f"no manager answered: {answers}"
            time.sleep(0.5)

    def wait_for(self, prefix: str, *, seconds: float = 60, payload: str = "", **words: Any) -> Any:
        """The same, patient while there is no quorum."""
        end = time.monotonic() + seconds
        while (answer := self.ask(prefix, payload=payload, **words)) is None:
            assert time.monotonic() < end, f"no monitor answered within {seconds} s"
            time.sleep(0.2)
        return answer

    def until(self, what: str, seconds: float, good: Any) -> float:
        """Wait until ``good(status)``; how long that took."""
        begin = time.monotonic()
        status = self.wait_for("status")
        while not good(status):
            assert time.monotonic() - begin < seconds, f"not {what} within {seconds} s: {json.dumps(status)[:2000]}"
            time.sleep(0.3)
            status = self.wait_for("status")
        return time.monotonic() - begin


def healthy(status: Any) -> bool:
    """HEALTH_OK, and every placement group is active and clean."""
    return bool(status["health"]["status"] == "HEALTH_OK" and clean(status))


def clean(status: Any) -> bool:
    """Every placement group is active and clean, and there is one."""
    states = {item["state_name"] for item in status["pgmap"].get("pgs_by_state", [])}
    return states == {"active+clean"}


def up(status: Any) -> int:
    """How many OSDs are up."""
    return int(status["osdmap"]["num_up_osds"])


def _caps(*words: str) -> list[str]:
    return [*words, "osd", "allow *", "mds", "allow *"]


def _read(answer: MonAnswer) -> Any:
    return json.loads(answer.output) if answer.output.strip() else {}
