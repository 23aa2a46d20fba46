"""The steps that this version carries out: install a machine, and wait until its system has reported in."""

from __future__ import annotations

from agent.wire import Disk
from appliance.model.machine import DEADLINE_SECONDS, Phase
from appliance.model.plan import DiskChoice, HostConfig, InstallArgs, Step, StepKind
from appliance.model.site import Site
from appliance.plan.candidate import Candidate
from appliance.plan.disks.layout import partitions
from appliance.plan.network.ports import boot_port, configure
from hwprofiles.profile import Profile

FIRST_BOOT_SECONDS = 1800.0


CEPH = "-ceph"
"""What the name of an operating system with Ceph in it ends with: ``debian-13-ceph`` is ``debian-13`` and more."""


def operating_system(site: Site, *, storage: bool) -> str:
    """The root image of a machine: the site's, and with Ceph in it where ``storage`` (the machine runs Debian's Ceph)."""
    system = site.operating_system
    return system + CEPH if storage and not system.endswith(CEPH) else system


def install_steps(site: Site, candidate: Candidate, choice: DiskChoice, system: Disk, image: str) -> tuple[Step, Step]:
    """Install on ``system`` (named to people by ``choice``) and first boot of one machine. ``image`` is a SHA-256."""
    who, name, profile = candidate.id, candidate.name, candidate.profile
    install = Step(
        key=f"install/{who}",
        kind=StepKind.INSTALL,
        machine=who,
        name=name,
        deadline=deadline(site, profile, Phase.DEPLOYING) or DEADLINE_SECONDS[Phase.DEPLOYING],
        reversible=False,
        install=InstallArgs(
            disk=choice,
            partitions=partitions(who, system),
            image=image,
            host=host_config(site, candidate),
        ),
    )
    boot = Step(
        key=f"first-boot/{who}",
        kind=StepKind.FIRST_BOOT,
        machine=who,
        name=name,
        after=(install.key,),
        deadline=max(FIRST_BOOT_SECONDS, deadline(site, profile, Phase.APPROVED) or 0.0),
    )
    return install, boot


def deadline(site: Site, profile: Profile, phase: Phase) -> float | None:
    """Seconds that a machine of this profile may stay in ``phase``: by the site file, else by the profile."""
    for entry in site.deadlines:
        if (entry.profile, entry.phase) == (profile.name, phase.value):
            return entry.seconds
    return profile.deadline(phase.value)


def host_config(site: Site, candidate: Candidate) -> HostConfig:
    """What the files of the installed system are rendered from. The last console becomes ``/dev/console``; the others
    are plain kernel arguments."""
    profile, port = candidate.profile, boot_port(candidate.inventory, candidate.given.port)
    consoles = (site.console,) if site.console else present(profile.console, candidate.inventory.uarts)
    arguments = [f"console={console}" for console in consoles[:-1]]
    arguments += [*profile.boot.kernel_arguments, *site.kernel_arguments]
    return HostConfig(
        hostname=candidate.name,
        domain=site.domain,
        nics=configure(site, candidate.given, port) if port else (),
        ssh_keys=site.ssh_keys,
        time_servers=site.time_servers,
        console=consoles[-1] if consoles else "",
        kernel_arguments=tuple(dict.fromkeys(arguments)),
    )


def present(consoles: tuple[str, ...], uarts: tuple[str, ...]) -> tuple[str, ...]:
    """The consoles of a profile whose ports this machine has. A console on a port that is not there takes ``/dev/console``
    with it, and its login restarts for ever. All of them where nothing is known of the ports, or none would be left."""
    found = tuple(console for console in consoles if console.partition(",")[0] in uarts)
    return found or consoles
