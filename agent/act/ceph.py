"""How a mon, a mgr, an mds, a gateway or an OSD is made on a machine: one order in, one message (and answers) out.

Every action looks first and does what is missing, so that the same order again, at any point after a power cut, goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from agent.act import cephcheck as check
from agent.act import cephcommands as commands
from agent.act import cephconfigure as configure
from agent.act import cephcrush as crush
from agent.act import cephleave as leave
from agent.act import cephmeasure as measure
from agent.act import cephmonitors as monitors
from agent.act import cephnamespaces as namespaces
from agent.act import cephosds as osds
from agent.act import cephprove, lamp
from agent.act import cephservices as services
from agent.act.cephdaemons import DAEMON, Daemons, Systemd, Tell
from agent.act.cepherrand import Errand
from agent.act.cephlvm import Lvm
from agent.act.cephraw import Raw
from agent.errors import CephAnswerError, CephError, OrderRefusedError
from agent.run import CommandError
from agent.wire import CephAction, CephOrder, Disk, MonAnswer

__all__ = ["Daemons", "Systemd", "perform"]

BACKENDS: dict[str, Callable[[], osds.Backend]] = {"lvm": Lvm, "raw": Raw}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Answers = tuple[MonAnswer, ...]


def perform(  # noqa: PLR0917 - the contract with the lab
    order: CephOrder,
    machine: str,
    plan: str,
    disks: Callable[[], Sequence[Disk]],
    secrets: Callable[[str], str],
    daemons: Daemons,
    tell: Tell,
) -> tuple[str, Answers]:
    """The message of success and the monitors' answers. Raises `OrderRefusedError` and `DiskRefusedError` (nothing was
    changed), `CephError` (`CephAnswerError` with answers), `CommandError`, OSError, and what ``tell`` raises."""
    errand = Errand(order=order, machine=machine, plan=plan, disks=disks, secrets=secrets, daemons=daemons, tell=tell)
    _admit(errand)
    try:
        if order.action is CephAction.ASK:
            return _ask(errand)
        if order.action is CephAction.MEASURE:
            return _measure(errand)
        return ACTIONS[order.action](errand), ()
    except CommandError as error:
        raise CephError(str(error)) from error


def _admit(errand: Errand) -> None:
    """What holds for every action; grants once more, as the lab has no gate."""
    order = errand.order
    if not UUID.fullmatch(order.fsid):
        raise OrderRefusedError(f"{order.fsid!r} is not the fsid of a cluster")
    if order.daemon and not DAEMON.fullmatch(order.daemon):
        raise OrderRefusedError(f"{order.daemon!r} is not the name of a daemon")
    for grant in order.grants:
        if (grant.machine, grant.plan) != (errand.machine, errand.plan):
            raise OrderRefusedError(f"a grant is for machine {grant.machine} and plan {grant.plan}, not for this order")


def _configure(errand: Errand) -> str:
    errand.tell("configure", 0.2, "")
    return configure.configure(errand.order, errand.secrets)


def _mon(errand: Errand) -> str:
    if not errand.order.daemon:
        raise OrderRefusedError("the order for a monitor does not name it")
    return monitors.make(errand.order, errand.secrets, errand.daemons, errand.tell)


def _osd(errand: Errand) -> str:
    order = errand.order
    backend = BACKENDS.get(order.osd.backend) if order.osd else None
    if backend is None:
        raise OrderRefusedError(
            f"the order makes no OSD by a way that this agent knows ({', '.join(sorted(BACKENDS))})"
        )
    configure.write(order, errand.secrets)
    found = [*configure.leftovers(order.fsid), *configure.network_findings(order, ("osd",))]
    if found:
        raise CephError("; ".join(found))
    raised = configure.raise_limits()
    return osds.make(errand, backend()) + raised


def _ask(errand: Errand) -> tuple[str, Answers]:
    order = errand.order
    configure.write(order, errand.secrets)
    errand.tell("ask", 0.3, "")
    answers = commands.ask(order.commands, errand.secrets) if order.commands else ()
    said = [f"{len(answers)} commands answered"] if answers else []
    if order.rules:
        try:
            said.append(crush.add_rules(order.rules))
        except CephError as error:
            raise CephAnswerError(str(error), answers) from error
    if order.namespaces:
        try:
            said.append(namespaces.make(order.namespaces))
        except CephError as error:
            raise CephAnswerError(str(error), answers) from error
    return "; ".join(said) or "nothing was asked", answers


def _check(errand: Errand) -> str:
    configure.write(errand.order, errand.secrets)
    if errand.order.service in {"block", "file"} and not check.admin_is_here():
        raise CephError("this machine has no key of client.admin: check from one that has")
    return check.check(errand)


def _prove(errand: Errand) -> str:
    configure.write(errand.order, errand.secrets)
    return cephprove.prove(errand)


def _measure(errand: Errand) -> tuple[str, Answers]:
    configure.write(errand.order, errand.secrets)
    if not check.admin_is_here():
        raise CephError("this machine has no key of client.admin: measure from one that has")
    return measure.measure(errand)


ACTIONS: dict[CephAction, Callable[[Errand], str]] = {
    CephAction.CONFIGURE: _configure,
    CephAction.MON: _mon,
    CephAction.MGR: services.make,
    CephAction.MDS: services.make,
    CephAction.RGW: services.make,
    CephAction.OSD: _osd,
    CephAction.STOP: leave.stop,
    CephAction.REMOVE: leave.remove,
    CephAction.ZAP: leave.zap,
    CephAction.CHECK: _check,
    CephAction.PROVE: _prove,
    CephAction.LOCATE: lamp.perform,
}
