"""What a machine boots, over all combinations of what the decision may depend on."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from itertools import product
from typing import Any

from appliance.model.machine import Phase, Policy, TroubleKind
from appliance.plan.boot import LOADERS, BootFacts, boot_for
from hwprofiles.profile import BootSettings, ClientArchitecture, Loader, LoaderFile, LocalMethod
from pxe.ports import Action, Architecture, Client, Decision, Kernel, Stage, Transport

URL = "http://10.0.0.1:8080"
AGENT = Kernel(
    kernel=f"{URL}/artefacts/aa/vmlinuz",
    initrds=(f"{URL}/artefacts/bb/agent.initrd", f"{URL}/site.cpio"),
    arguments=("console=tty0",),
)
MAC = "3c:ec:ef:00:00:01"


def client(architecture: Architecture, stage: Stage, transport: Transport = Transport.DHCP) -> Client:
    return Client(mac=MAC, architecture=architecture, stage=stage, transport=transport, server=IPv4Address("10.0.0.1"))


def facts(architecture: Architecture, stage: Stage, transport: Transport = Transport.DHCP, **known: Any) -> BootFacts:
    known.setdefault("agent", AGENT)
    return BootFacts(client=client(architecture, stage, transport), public_url=URL, **known)


def askers() -> list[tuple[Architecture, Stage, Transport]]:
    """Who can ask: every program over DHCP, and the script over HTTP."""
    dhcp = [(architecture, stage, Transport.DHCP) for architecture, stage in product(Architecture, Stage)]
    return [*dhcp, *((architecture, Stage.IPXE, Transport.HTTP) for architecture in Architecture)]


def states() -> list[tuple[Phase | None, Policy | None, bool]]:
    known = [(phase, policy, permit) for phase, policy, permit in product(Phase, Policy, (False, True))]
    return [(None, None, False), *known]


def brief(decision: Decision) -> str:
    what = decision.file.removeprefix(URL) or (decision.kernel.kernel.removeprefix(URL) if decision.kernel else "")
    return f"{decision.action} {what}".strip()


def test_matrix(golden: Any) -> None:
    """Rows: phase, policy, permit. One line for each different row of answers, so that the whole table can be read."""
    table: dict[tuple[str, ...], list[str]] = {}
    for phase, policy, permit in states():
        answers = tuple(
            brief(boot_for(facts(*asker, phase=phase, policy=policy, permit_open=permit, machine="m-1")))
            for asker in askers()
        )
        table.setdefault(answers, []).append(f"{phase or 'unknown'}/{policy or '-'}/{'permit' if permit else '-'}")
    text = []
    for answers, names in table.items():
        text.append("\n".join(f"# {name}" for name in names))
        for (architecture, stage, transport), answer in zip(askers(), answers, strict=True):
            text.append(f"{architecture:12} {stage:13} {transport:5} {answer}")
        text.append("")
    assert len(table) == 2, "two behaviours: agent image or local disk"
    golden.check("plan/boot-matrix.txt", "\n".join(text))


def test_rules_hold_for_every_combination() -> None:
    """The rules of the module, said again as properties over all combinations."""
    for (phase, policy, permit), asker, trouble in product(states(), askers(), (None, TroubleKind.IDENTITY_CONFLICT)):
        decision = boot_for(
            facts(*asker, phase=phase, policy=policy, permit_open=permit, trouble=trouble, machine="m-1")
        )
        assert decision.reason
        assert decision.machine == "m-1"
        architecture, stage, transport = asker
        if stage is Stage.OS:
            assert decision.action is Action.IGNORE
        if decision.action is Action.LOADER:
            assert decision.file
            assert "://" not in decision.file or stage is Stage.FIRMWARE_HTTP
        if decision.kernel is not None:
            assert transport is Transport.HTTP
            assert f"rackseed.boot_mac={MAC}" in decision.kernel.arguments
        serves = phase in (Phase.DEPLOYING, Phase.DEPLOYED, Phase.MEMBER, Phase.LEAVING) and not permit
        retired = phase is Phase.RETIRED and policy is not Policy.USE
        if serves or retired or policy is Policy.EXPUNGE:
            assert decision.kernel is None
            assert transport is not Transport.HTTP or decision.action in (Action.LOCAL, Action.IGNORE)
        elif architecture in (Architecture.X86_BIOS, Architecture.X86_64_UEFI) and transport is Transport.HTTP:
            assert decision.action is Action.SCRIPT


def test_asking_twice_is_the_same() -> None:
    question = facts(Architecture.X86_BIOS, Stage.IPXE, Transport.HTTP, phase=Phase.READY, policy=Policy.USE)
    assert boot_for(question) == boot_for(question)


def test_a_machine_in_service_ignores_a_stranger_with_its_identity() -> None:
    decision = boot_for(
        facts(
            Architecture.X86_64_UEFI,
            Stage.IPXE,
            Transport.HTTP,
            phase=Phase.DEPLOYED,
            policy=Policy.HOLD,
            trouble=TroubleKind.IDENTITY_CONFLICT,
        )
    )
    assert decision.action is Action.LOCAL
    seen = boot_for(
        facts(
            Architecture.X86_64_UEFI,
            Stage.IPXE,
            Transport.HTTP,
            phase=Phase.SEEN,
            policy=Policy.HOLD,
            trouble=TroubleKind.IDENTITY_CONFLICT,
        )
    )
    assert seen.action is Action.SCRIPT
    assert "nothing is allocated" in seen.reason


def test_profile_settings() -> None:
    """A profile names another loader, leaves by INT 13h, and adds kernel arguments and consoles."""
    settings = BootSettings(
        loaders=(Loader(client=ClientArchitecture.X86_64_UEFI, file=LoaderFile("ipxe.efi")),),
        local_method=LocalMethod.SANBOOT,
        kernel_arguments=("iommu=pt", "console=tty0"),
    )
    known: dict[str, Any] = {"settings": settings, "console": ("ttyS1,115200n8",), "phase": Phase.READY}
    assert boot_for(facts(Architecture.X86_64_UEFI, Stage.FIRMWARE, **known)).file == "ipxe.efi"
    assert boot_for(facts(Architecture.X86_BIOS, Stage.FIRMWARE, **known)).file == "undionly.kpxe"
    http = boot_for(facts(Architecture.X86_64_UEFI, Stage.FIRMWARE_HTTP, **known)).file
    assert http == f"{URL}/loaders/ipxe.efi"
    script = boot_for(facts(Architecture.X86_BIOS, Stage.IPXE, Transport.HTTP, **known))
    assert script.kernel is not None
    assert script.kernel.arguments == (
        "console=tty0",
        "console=ttyS1,115200n8",
        "iommu=pt",
        f"rackseed.boot_mac={MAC}",
    )
    known["phase"] = Phase.DEPLOYED
    local = boot_for(facts(Architecture.X86_BIOS, Stage.IPXE, Transport.HTTP, **known))
    assert (local.action, local.local_method) == (Action.LOCAL, "sanboot")


def test_bios_goes_to_its_disk_through_the_script() -> None:
    known: dict[str, Any] = {"phase": Phase.DEPLOYED, "policy": Policy.USE}
    assert boot_for(facts(Architecture.X86_BIOS, Stage.FIRMWARE, **known)).file == "undionly.kpxe"
    assert boot_for(facts(Architecture.X86_BIOS, Stage.IPXE, **known)).file == f"{URL}/autoexec.ipxe"
    assert boot_for(facts(Architecture.X86_BIOS, Stage.IPXE, Transport.HTTP, **known)).action is Action.LOCAL
    uefi = boot_for(facts(Architecture.X86_64_UEFI, Stage.FIRMWARE, **known))
    assert (uefi.action, uefi.file) == (Action.LOCAL, "")


def test_without_an_agent_image_machines_wait() -> None:
    http = boot_for(facts(Architecture.X86_BIOS, Stage.IPXE, Transport.HTTP, agent=None))
    assert http.action is Action.IGNORE
    assert http.retry > 0
    assert "rackseed image agent" in http.reason
    assert boot_for(facts(Architecture.X86_BIOS, Stage.FIRMWARE, agent=None)).action is Action.LOADER
    deployed = facts(Architecture.X86_BIOS, Stage.IPXE, Transport.HTTP, agent=None, phase=Phase.DEPLOYED)
    assert boot_for(deployed).action is Action.LOCAL


def test_every_transport_of_dhcp_gets_the_same_answer() -> None:
    for (architecture, stage), phase in product(LOADERS, (None, Phase.READY, Phase.DEPLOYED)):
        question = facts(architecture, stage, Transport.DHCP, phase=phase)
        answers = {
            boot_for(replace(question, client=replace(question.client, transport=transport)))
            for transport in (Transport.DHCP, Transport.PROXY, Transport.BOOT_SERVER, Transport.TFTP)
        }
        assert len(answers) == 1


def test_unsupported_clients_say_why() -> None:
    for architecture in (Architecture.RASPBERRY_PI, Architecture.ARM64_UEFI, Architecture.IA32_UEFI):
        decision = boot_for(facts(architecture, Stage.FIRMWARE))
        assert decision.action is Action.IGNORE
        assert len(decision.reason) > 20
