"""A lab with its appliance in it: real listeners in its network namespace, and the boot server's own agent in its root.

Orders to hosts go through the lab's door as always; those to the appliance go the product's way: into the store, signed,
fetched over mutual TLS by an agent that enrolled over the Unix socket.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.cephorder import CephOrder
from agent.trust import AgentKey
from appliance.effects.cephdoor import CephDoor, DoorResult
from appliance.engine.engine import Engine
from appliance.engine.orderdoor import OrderDoor
from appliance.model.cephstate import CephState
from appliance.model.machine import APPLIANCE
from appliance.model.observed import Observed
from appliance.operations.arbiter import ArbiterPlace
from appliance.operations.machines import observe_appliance
from appliance.rehearsal.cephlab.description import APPLIANCE as PLACE
from appliance.serve import arbiter
from tests.net.ceph.formed import Formation

ROOT = Path(__file__).resolve().parents[3]
FOLDER = "/etc/rackseed"
PATIENCE = 300.0
SERVED = 600
"""Seconds, as hang guards."""
SITE = """\
site: lab
networks:
  provisioning: {{cidr: {public}, appliance: {address}}}
racks: {{r1: {{datacenter: dc1}}, r2: {{datacenter: dc2}}}}
ceph: {{stretch: true, tiebreaker: appliance, pools: {{vms: block}}}}
"""
"""What the appliance's processes are told: its agent only runs when a site file wants it. Plans are made from the lab's."""


@dataclass
class SplitDoor:
    """What is told the appliance goes through the store; the rest to the lab's hosts."""

    hosts: CephDoor
    own: CephDoor
    told: dict[tuple[str, str], CephDoor] = field(default_factory=dict)

    def observe(self) -> CephState | None:
        return self.hosts.observe()

    def start(self, machine: str, plan: str, step: str, order: CephOrder) -> None:
        door = self.told[plan, step] = self.own if machine == APPLIANCE else self.hosts
        door.start(machine, plan, step, order)

    def result(self, plan: str, step: str) -> DoorResult:
        return self.told.get((plan, step), self.hosts).result(plan, step)


@dataclass
class OwnFormation(Formation):
    """``orders`` are those that the appliance's agent was given, by step and action."""

    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def switch_on(self) -> None:
        """The listeners, then the agent; returns when that has reported."""
        (self.folder / "site.yaml").write_text(SITE.format(public=self.lab.description.public, address=self.address))
        self._serve("https", "--site", str(self.folder / "site.yaml"))
        place, key = self._enrolled()
        self._serve("agents")
        made = self.folder / "own"
        arbiter.write(made, place, key)
        host = self.lab.appliance
        for path in made.iterdir():
            host.write(f"{FOLDER}/{path.name}", path.read_text(encoding="ascii"), mode=0o600)
        self.processes.append(host.start(["python3", "-P", "/opt/rackseed/lab/ownagent.py", FOLDER]))
        self._until(lambda: self.own() is not None, "the agent reported")

    @property
    def address(self) -> str:
        return self.lab.description.address(self.lab.description.public, PLACE)

    def _serve(self, role: str, *more: str) -> None:
        """A process of `rackseed serve` in the network of the lab's appliance, with this computer's files."""
        words = ["--state", str(self.folder), "--cache", str(self.folder / "cache"), "--address", self.address]
        argv = [sys.executable, "-m", "appliance.cli.main", "serve", role, *words, *more]
        argv = self.lab.space.inside(self.lab.appliance.pid, ["--net"], argv)
        with (self.folder / f"{role}.log").open("ab") as log:
            self.processes.append(
                subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, env={**os.environ})
            )

    def _enrolled(self) -> tuple[ArbiterPlace, AgentKey]:
        """As `rackseed serve arbiter` does it."""
        key, found = AgentKey.generate(), list[ArbiterPlace]()

        def asked() -> bool:
            try:
                found.append(arbiter.ask(self.app.settings.socket, key.csr("appliance")))
            except arbiter.AskError:
                return False
            return True

        self._until(asked, "the appliance answered on its socket")
        assert found[-1].wanted == "the site file wants the tiebreaker of ceph on the appliance"
        return found[-1], key

    def _until(self, ready: object, what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not ready():  # type: ignore[operator]
            assert time.monotonic() < end, f"not within {PATIENCE} s: {what}\n{self.logs()}"
            time.sleep(0.2)

    def logs(self) -> str:
        """What the processes said."""
        files = [*self.folder.glob("*.log"), self.lab.appliance.folder / "console"]
        return "\n".join(f"--- {path}\n{path.read_text(errors='replace')[-3000:]}" for path in files if path.exists())

    def own(self) -> object:
        """What the store knows of the appliance's machine, with an inventory; or None."""
        with self.app.store.read() as connection:
            found = observe_appliance(connection)
        return found if found is not None and found.inventory is not None else None

    def observe(self) -> Observed:
        seen = super().observe()
        with self.app.store.read() as connection:
            self.seen = replace(seen, arbiter=observe_appliance(connection))
        return self.seen

    def engine(self, door: CephDoor, lease: float = 30.0) -> Engine:
        own = OrderDoor(store=self.app.store, clock=self.app.clock, authority=self.app.authority)
        return super().engine(SplitDoor(hosts=door, own=own), lease)

    def put(self, host: str, name: str, text: str) -> None:
        """An object into the first pool, from a host with a monitor."""
        self.lab.host(host).write("/tmp/object", text)
        self._rados(host, "put", name, "/tmp/object")

    def get(self, host: str, name: str) -> str:
        """And out of it."""
        self._rados(host, "get", name, "/tmp/object.read")
        return self.lab.host(host).run(["cat", "/tmp/object.read"]).stdout

    def _rados(self, host: str, *words: str) -> None:
        """It waits while placement groups wait: after a site is lost, until the OSDs there are known to be down."""
        argv = ["timeout", str(SERVED), "rados", "--pool", self.spec.pools[0].name, *words]
        self.lab.host(host).run(argv, timeout=SERVED + 30.0)

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
        super().close()
