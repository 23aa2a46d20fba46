"""What a machine boots: one pure decision for DHCP, proxyDHCP, TFTP, HTTP, the preview in the UI and the tests.

It consumes nothing: asking twice gives the same answer. The order of the rules is the order of this table; the first that
applies decides.

==================================================== =====================================================
an operating system asks for a lease                 nothing to boot
retired (unless its policy is use again), or expunge the local disk
an open permit (issued or claimed)                   the agent image, also on hold: a disk is half written
deploying without an open permit                     the local disk: the install is done, the first boot is due
deployed, member, leaving                            the local disk, also with an identity conflict: a machine in
                                                     service is not diverted because a stranger has its UUID
a client that our images don't run on                nothing, with the reason
anything else (unknown … ready, wiping, rescue)      the agent image; with an identity conflict so that a person
                                                     can compare, and nothing is allocated
==================================================== =====================================================

How it boots follows from who asks: firmware gets a loader, an iPXE that can fetch gets the script, and the script, asked
over HTTP, gets kernel and initrds. Our DHCP can't see a script run, so "the loader once per boot" needs no memory: a
firmware asks as ``firmware``, the iPXE that it loaded asks as ``ipxe``, and gets the script.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.model.machine import Phase, Policy, TroubleKind
from hwprofiles.profile import BootSettings
from pxe.ports import Action, Architecture, Client, Decision, Kernel, Stage, Transport

LOADERS: dict[tuple[Architecture, Stage], str] = {
    (Architecture.X86_BIOS, Stage.FIRMWARE): "undionly.kpxe",
    (Architecture.X86_BIOS, Stage.IPXE_LIMITED): "undionly.kpxe",
    (Architecture.X86_64_UEFI, Stage.FIRMWARE): "snponly.efi",
    (Architecture.X86_64_UEFI, Stage.IPXE_LIMITED): "snponly.efi",
    (Architecture.X86_64_UEFI, Stage.FIRMWARE_HTTP): "ipxe.efi",
    (Architecture.ARM64_UEFI, Stage.FIRMWARE): "ipxe-arm64.efi",
    (Architecture.ARM64_UEFI, Stage.IPXE_LIMITED): "ipxe-arm64.efi",
    (Architecture.ARM64_UEFI, Stage.FIRMWARE_HTTP): "ipxe-arm64.efi",
}
"""Files of Debian's ``ipxe`` package, by what the client can run. ``snponly`` uses the firmware's own network driver,
which knows the card it was loaded from; HTTP Boot has no PXE to hand over, so ``ipxe.efi`` brings drivers."""

AGENT_ARCHITECTURES = frozenset({Architecture.X86_BIOS, Architecture.X86_64_UEFI})
"""Clients that the agent image exists for."""

REFUSED: dict[Architecture, str] = {
    Architecture.RASPBERRY_PI: "Raspberry Pi: its boot files are not built yet",
    Architecture.ARM64_UEFI: "arm64 UEFI: there is no agent image for arm64 yet",
    Architecture.IA32_UEFI: "32-bit UEFI is not supported; switch the firmware to BIOS or 64-bit UEFI",
    Architecture.UNKNOWN: "a client architecture that we know nothing for",
}

LOCAL_PHASES = frozenset({Phase.DEPLOYED, Phase.MEMBER, Phase.LEAVING})
RETRY_SECONDS = 20
"""How long a script waits before it asks again when we have nothing to give yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFacts:
    """All that the decision may depend on.

    ``machine`` is its id, empty when unknown (then ``phase`` and ``policy`` are None). ``settings`` are those of its
    profile, None before it has one. ``permit_open`` means that an install permit is issued or claimed, not yet spent.
    ``public_url`` is the plain HTTP base (no slash at the end). ``agent`` is what starts the agent image, without the
    arguments of machine and profile; None while no image is built.
    """

    client: Client
    public_url: str
    machine: str = ""
    name: str = ""
    phase: Phase | None = None
    policy: Policy | None = None
    trouble: TroubleKind | None = None
    settings: BootSettings | None = None
    console: tuple[str, ...] = ()
    permit_open: bool = False
    agent: Kernel | None = None


def boot_for(facts: BootFacts) -> Decision:
    """The decision for one client, with the reason in words."""
    client = facts.client
    if client.stage is Stage.OS:
        return _decision(facts, Action.IGNORE, "an operating system asks for a lease, not for a boot")
    local = _local_reason(facts)
    if local:
        return _local(facts, local)
    if client.architecture not in AGENT_ARCHITECTURES:
        return _decision(facts, Action.IGNORE, REFUSED[client.architecture])
    if facts.agent is None:
        return _without_image(facts)
    return _agent(facts, facts.agent, _agent_reason(facts))


def _local_reason(facts: BootFacts) -> str:
    """Why this machine boots its local disk, or empty."""
    if facts.phase is Phase.RETIRED and facts.policy is not Policy.USE:
        return "retired: local disk"
    if facts.policy is Policy.EXPUNGE:
        return "to be expunged: local disk"
    if facts.permit_open:
        return ""
    if facts.phase is Phase.DEPLOYING:
        return "the install is done: first boot from the local disk"
    if facts.phase in LOCAL_PHASES:
        return f"{facts.phase} and on hold: local disk" if facts.policy is Policy.HOLD else f"{facts.phase}: local disk"
    return ""


def _agent_reason(facts: BootFacts) -> str:
    if facts.phase is None:
        return "unknown machine: agent image, to enrol"
    if facts.trouble is TroubleKind.IDENTITY_CONFLICT:
        return "two machines claim one identity: agent image, nothing is allocated"
    if facts.permit_open:
        return "an install permit is open: agent image"
    return f"{facts.phase}: agent image"


def _local(facts: BootFacts, reason: str) -> Decision:
    """Local boot by transport. A BIOS machine goes through our iPXE, which leaves for the disk (``exit``, or INT 13h where
    the BIOS forgets to go on). A UEFI firmware gets no boot file and goes on to its next boot option by itself."""
    client = facts.client
    method = facts.settings.local_method.value if facts.settings else "exit"
    if client.transport is Transport.HTTP:
        return _decision(facts, Action.LOCAL, reason, local_method=method)
    if client.stage is Stage.IPXE:
        return _decision(facts, Action.SCRIPT, reason, file=script_url(facts), local_method=method)
    if client.architecture is Architecture.X86_BIOS and client.stage is Stage.FIRMWARE:
        return _decision(facts, Action.LOADER, reason, file=_loader(facts), local_method=method)
    return _decision(facts, Action.LOCAL, reason, local_method=method)


def _chain(facts: BootFacts, reason: str) -> Decision:
    """The loader for a firmware, the script for an iPXE that can fetch it."""
    if facts.client.stage is Stage.IPXE:
        return _decision(facts, Action.SCRIPT, reason, file=script_url(facts))
    file = _loader(facts)
    if not file:
        return _decision(facts, Action.IGNORE, f"no loader for {facts.client.architecture} by {facts.client.stage}")
    return _decision(facts, Action.LOADER, reason, file=file)


def _without_image(facts: BootFacts) -> Decision:
    reason = "no agent image is built: run rackseed image agent"
    if facts.client.transport is Transport.HTTP:
        return _decision(facts, Action.IGNORE, reason, retry=RETRY_SECONDS)
    return _chain(facts, reason)


def _agent(facts: BootFacts, agent: Kernel, reason: str) -> Decision:
    if facts.client.transport is Transport.HTTP:
        return _decision(facts, Action.SCRIPT, reason, kernel=_kernel(facts, agent))
    return _chain(facts, reason)


def _kernel(facts: BootFacts, agent: Kernel) -> Kernel:
    """The agent's kernel with what belongs to this machine: its boot port, and its profile's consoles and arguments."""
    arguments = list(agent.arguments)
    seen = set(arguments)
    own = [*(f"console={device}" for device in facts.console)]
    own += facts.settings.kernel_arguments if facts.settings else ()
    if facts.client.mac:
        own.append(f"rackseed.boot_mac={facts.client.mac}")
    arguments += [argument for argument in own if argument not in seen]
    return Kernel(kernel=agent.kernel, initrds=agent.initrds, arguments=tuple(arguments))


def script_url(facts: BootFacts) -> str:
    """Where an iPXE gets the script that asks for its machine's own one (it passes on what it knows of itself)."""
    return f"{facts.public_url}/autoexec.ipxe"


def _loader(facts: BootFacts) -> str:
    """TFTP name, or URL for UEFI HTTP Boot; a profile may name another file than the usual one. Empty: there is none."""
    client = facts.client
    file = LOADERS.get((client.architecture, client.stage), "")
    for loader in facts.settings.loaders if facts.settings else ():
        if loader.client == client.architecture.value and file and client.stage is not Stage.FIRMWARE_HTTP:
            file = str(loader.file)
    return f"{facts.public_url}/loaders/{file}" if file and client.stage is Stage.FIRMWARE_HTTP else file


def _decision(
    facts: BootFacts,
    action: Action,
    reason: str,
    *,
    file: str = "",
    kernel: Kernel | None = None,
    local_method: str = "exit",
    retry: int = 0,
) -> Decision:
    return Decision(
        action=action,
        reason=reason,
        file=file,
        kernel=kernel,
        local_method=local_method,
        retry=retry,
        machine=facts.machine,
    )
