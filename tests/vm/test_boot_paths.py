"""Ways into the agent beside the demo's: an ordinary PXE ROM, UEFI HTTP Boot, and a machine with a stolen identity.

Nobody is approved until all have enrolled, so everything on the wire until then is what a stranger can see.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from appliance.rehearsal.demo import ENROL_SECONDS
from appliance.rehearsal.description import (
    NETWORK,
    Firmware,
    MachineDescription,
    NetworkBoot,
    RackDescription,
    supermicro,
)
from appliance.rehearsal.scenario import bios_machine
from appliance.rehearsal.session import Session
from tests.vm.capture import Capture, Wire, secrets_of

PLAIN, HTTP, TWIN = "p5", "h6", "t7"
PUBLIC = re.compile(
    r"/(boot/script\.ipxe|autoexec\.ipxe|site\.cpio|loaders/[\w.-]+|artefacts/[0-9a-f]{64}/[\w.-]+|artefacts/site/[\w./-]+)"
)
HTTP_PORT, HTTPS_PORT, AGENT_PORT = 8080, 8443, 8444


def strangers() -> RackDescription:
    plain = replace(bios_machine(PLAIN, 5), boot=NetworkBoot.PLAIN_PXE)
    http = replace(bios_machine(HTTP, 6), firmware=Firmware.UEFI, boot=NetworkBoot.HTTP)
    return RackDescription(machines=(plain, http, twin_of(plain)))


def twin_of(other: MachineDescription) -> MachineDescription:
    """Another machine with the same UUID: a board that was cloned, or somebody who would like to be it."""
    own = supermicro(7)
    return replace(bios_machine(TWIN, 7), smbios=replace(own, uuid=other.smbios.uuid))


def test_strangers_get_public_files_only_and_a_twin_is_quarantined(on_stage, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with on_stage(strangers()) as session:
        capture = Capture(session.rack.namespace, tmp_path / "wire.pcap")
        session.appliance.start()
        session.appliance.wait_ready()
        session.rack.power_on(PLAIN, HTTP)
        both = (PLAIN, HTTP)
        session.until("both have enrolled", ENROL_SECONDS, lambda: all(session.phase(n) == "enrolled" for n in both))
        check_loaders(session)
        session.rack.power_cut(HTTP)
        session.rack.power_on(TWIN)
        session.until("the twin has tried to enrol", ENROL_SECONDS, lambda: bool(conflict(session)))
        capture.stop()
        check_quarantine(session)
        check_wire(Wire(capture.path), session)
        code = session.code(PLAIN)
        session.appliance.command(
            "machine", "approve", PLAIN, "--code", code[:-1] + ("A" if code[-1] != "A" else "B"), check=False
        )
        assert show(session, PLAIN)["machine"]["phase"] == "enrolled", "a wrong code approved a machine"


def check_loaders(session: Session) -> None:
    """The machines came the way they were meant to: by TFTP and undionly, by HTTP and an EFI loader."""
    log = session.appliance.log_file.read_text()
    assert re.search(r"undionly\.kpxe", log), "nobody fetched undionly"
    console = session.rack.machines[HTTP].log.read_text()
    assert "Start HTTP Boot over IPv4" in console
    assert "Start PXE" not in console


def show(session: Session, name: str) -> dict:  # type: ignore[type-arg]
    machine = session.rack.description.machine(name)
    return json.loads(session.appliance.command("machine", "show", machine.nics[0].mac, "--format", "json").output)


def conflict(session: Session) -> list[str]:
    listed = json.loads(session.appliance.command("machine", "list", "--format", "json").output)["machines"]
    return [item["id"] for item in listed if (item["trouble"] or {}).get("kind") == "identity-conflict"]


def check_quarantine(session: Session) -> None:
    """The twin is held, stays `seen`, and can't be approved; the first one is not disturbed."""
    twin = show(session, TWIN)["machine"]
    assert twin["trouble"]["kind"] == "identity-conflict"
    assert (twin["policy"], twin["phase"]) == ("hold", "seen")
    refused = session.appliance.command("machine", "approve", twin["id"], "--without-code", check=False)
    assert refused.code != 0
    assert show(session, PLAIN)["machine"]["phase"] == "enrolled"


def check_wire(wire: Wire, session: Session) -> None:
    """Public files in clear, enrolment under TLS, and none of the appliance's secrets in any form."""
    requests = wire.requests(HTTP_PORT)
    assert len(requests) >= 4, requests
    strange = sorted(
        f"{method} {path}" for method, path in requests if method not in ("GET", "HEAD") or not PUBLIC.fullmatch(path)
    )
    assert not strange, f"asked over plain HTTP before approval: {strange}"
    assert wire.ports(str(NETWORK.ip)) == {HTTP_PORT, HTTPS_PORT}, (
        "before approval only public files and enrolment are spoken"
    )
    authority = next(session.appliance.state.rglob("ca.pem")).read_bytes()
    assert wire.contains(authority.splitlines()[3]), "the search can't even find the public CA"
    secrets = secrets_of(session.appliance.state)
    assert len(secrets) >= 4, f"the appliance has more secrets than {sorted(secrets)}"
    for name, forms in secrets.items():
        for form in forms:
            assert not wire.contains(form), f"{name} was on the wire"
