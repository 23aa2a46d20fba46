"""The boot server's own agent: whatever it is told, it does nothing but a monitor's work, and never touches a disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent import arbiter
from agent.act import ceph
from agent.act.actions import ArbiterActions
from agent.cephorder import (
    CephAction,
    CephOrder,
    ConfigFile,
    DeviceGrant,
    MonCommand,
    ObjectStore,
    OsdOrder,
    SecretFile,
)
from agent.errors import AgentError, OrderRefusedError
from agent.wire import InstallOrder, Order, OrderKind, RebootOrder

LAWS = settings(derandomize=True, deadline=None, max_examples=400)
PLAN = "p" * 64
GRANT = DeviceGrant(
    machine=arbiter.MACHINE, plan=PLAN, serial="S1", wwn="naa.1", model="M", size=1 << 40, fingerprint="f" * 64
)
WORDS = st.sampled_from(["", "mon", "osd", "mgr", "mon osd", "rgw", "appliance", "n1", "3", "block"])
PATHS = st.sampled_from(
    ["", "/etc/ceph/ceph.conf", "/etc/ceph/ceph.client.admin.keyring", "/etc/shadow", "/etc/ceph/../passwd"]
)
ENTITIES = st.sampled_from(["mon.", "client.admin", "client.bootstrap-osd", "mgr.n1"])
OSD = OsdOrder(number=0, uuid="u", device_class="ssd", data=GRANT)
ORDERS = st.builds(
    CephOrder,
    action=st.sampled_from(CephAction),
    fsid=st.just("7d0f3a52-0c52-5a53-8a3e-1b0a34f3c0de"),
    daemon=WORDS,
    kind=WORDS,
    files=st.lists(st.builds(ConfigFile, path=PATHS, content=st.just("x")), max_size=2).map(tuple),
    secrets=st.lists(st.builds(SecretFile, path=PATHS, entity=ENTITIES, secret=st.just("s")), max_size=2).map(tuple),
    commands=st.sampled_from([(), (MonCommand(command='{"prefix": "osd destroy"}'),)]),
    osd=st.sampled_from([None, OSD]),
    zap=st.sampled_from([(), (GRANT,)]),
    check=WORDS,
    service=WORDS,
    store=st.sampled_from([None, ObjectStore(realm="s3")]),
    rules=st.sampled_from([(), ("rule r {}",)]),
)


class Untouched:
    """Nobody may ask it for anything."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"{name} was used")


@dataclass
class Performed:
    """Instead of the agent's own `perform`: what came through, and with which disks."""

    orders: list[CephOrder]

    def __call__(self, order: CephOrder, machine: str, plan: str, disks: Any, *_rest: Any) -> tuple[str, tuple[()]]:
        assert tuple(disks()) == (), "it is not told which disks there are"
        self.orders.append(order)
        return "done", ()


def told(body: CephOrder, actions: ArbiterActions) -> None:
    order = Order(
        id="o", machine=arbiter.MACHINE, plan=PLAN, step="s", fence=1, nonce="n", kind=OrderKind.CEPH, ceph=body
    )
    actions.ceph(order, body, Untouched(), FakeReporter())  # type: ignore[arg-type]


class FakeReporter:
    """A reporter that nothing is told before the order was let in."""

    def running(self, *_what: object) -> NoReturn:
        raise AssertionError("work began")


@LAWS
@given(body=ORDERS)
def test_nothing_but_a_monitor_comes_through(body: CephOrder) -> None:
    """What comes through writes no disk, asks the cluster nothing, and writes two files of /etc/ceph at most."""
    performed = Performed([])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ceph, "perform", performed)
        try:
            told(body, ArbiterActions(daemons=Untouched()))  # type: ignore[arg-type]
        except OrderRefusedError as error:
            assert arbiter.refusal(body) in str(error)
            assert performed.orders == []
            return
    assert performed.orders == [body]
    assert body.grants == ()
    assert body.osd is None
    assert body.action in {CephAction.CONFIGURE, CephAction.MON, CephAction.STOP, CephAction.REMOVE}
    assert body.kind == "mon"
    assert body.action is CephAction.CONFIGURE or body.daemon == "appliance"
    assert (body.commands, body.rules, body.check, body.store) == ((), (), "", None)
    assert {file.path for file in body.files} <= {"/etc/ceph/ceph.conf"}
    assert {file.path for file in body.secrets} <= {"", "/etc/ceph/ceph.client.admin.keyring"}


@LAWS
@given(body=ORDERS)
def test_an_order_with_disks_ends_before_any_effect(body: CephOrder) -> None:
    """With the agent's real code behind it: nothing is asked, fetched, started or written."""
    assume(body.grants or body.osd is not None)
    with pytest.raises(OrderRefusedError, match="nothing on the boot server is ever erased"):
        told(body, ArbiterActions(daemons=Untouched()))  # type: ignore[arg-type]


def test_it_is_neither_installed_nor_restarted() -> None:
    actions, nobody = ArbiterActions(daemons=Untouched()), Untouched()  # type: ignore[arg-type]
    order, body = (object.__new__(kind) for kind in (Order, InstallOrder))
    with pytest.raises(OrderRefusedError):
        actions.install(order, body, nobody, nobody, "")  # type: ignore[arg-type]
    with pytest.raises(OrderRefusedError):
        actions.prepare_reboot(RebootOrder())
    with pytest.raises(AgentError):
        actions.reboot()


def test_a_monitors_orders_are_let_in() -> None:
    """The law above is not kept by refusing everything."""
    secret = SecretFile(path="", entity="mon.", secret="s")
    admin = SecretFile(path="/etc/ceph/ceph.client.admin.keyring", entity="client.admin", secret="s")
    fsid, files = "7d0f3a52-0c52-5a53-8a3e-1b0a34f3c0de", (ConfigFile(path="/etc/ceph/ceph.conf", content="x"),)
    for body in (
        CephOrder(action=CephAction.CONFIGURE, fsid=fsid, kind="mon", files=files, secrets=(admin,)),
        CephOrder(action=CephAction.MON, fsid=fsid, kind="mon", daemon="appliance", secrets=(secret, admin)),
        CephOrder(action=CephAction.STOP, fsid=fsid, kind="mon", daemon="appliance"),
        CephOrder(action=CephAction.REMOVE, fsid=fsid, kind="mon", daemon="appliance"),
    ):
        assert arbiter.refusal(body) == ""
