"""The agent as files: what the agent image's layer and an installed system get, and the unit that starts it there."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

HOME = PurePosixPath("/usr/lib/rackseed")
"""Folder on ``PYTHONPATH``; the package is ``agent`` below it."""

CONFIGURATION = PurePosixPath("/etc/rackseed")
UNIT_NAME = "rackseed-agent.service"
UNIT_PATH = PurePosixPath("/etc/systemd/system") / UNIT_NAME

UNIT = f"""\
[Unit]
Description=rackseed agent: reports this machine to its appliance
Documentation=file://{HOME}/agent
Wants=network-online.target
After=network-online.target
ConditionPathExists={CONFIGURATION}/site.json

[Service]
Environment=PYTHONPATH={HOME} PYTHONDONTWRITEBYTECODE=1
ExecStart=/usr/bin/python3 -m agent --installed
Restart=always
RestartSec=10
# It reads raw disks and firmware tables, so it stays root; it writes by signed orders only. No ProtectSystem, PrivateTmp
# or other option that gives it a mount namespace of its own: what `ceph-volume lvm activate` mounts for an OSD must be
# seen by the OSD's own unit. AF_ALG is the kernel's cryptography, for cryptsetup.
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET AF_ALG
UMask=0077

[Install]
WantedBy=multi-user.target
"""


def files(package: Path | None = None) -> tuple[tuple[PurePosixPath, Path], ...]:
    """Every file of the agent package: its path in the target (absolute) and where it is now, sorted.

    ``package`` is the folder ``agent`` itself; by default the one that runs.
    """
    folder = package or Path(__file__).parent
    found = sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)
    return tuple((HOME / "agent" / PurePosixPath(path.relative_to(folder).as_posix()), path) for path in found)


def byte_code(package: Path | None = None) -> tuple[tuple[PurePosixPath, Path], ...]:
    """Byte code beside the sources, where the agent image carries it: saves the installed system, whose service can't
    write any, from compiling at every start. It is of the unchecked kind: whoever replaces sources must replace it too.
    Another version of Python than the image's ignores it."""
    folder = package or Path(__file__).parent
    found = sorted(folder.rglob("__pycache__/*.pyc"))
    return tuple((HOME / "agent" / PurePosixPath(path.relative_to(folder).as_posix()), path) for path in found)
