"""File systems: made, mounted, unmounted again whatever happens."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agent.act.disk import Node
from agent.errors import InstallError
from agent.probe.tree import Tree
from agent.run import CommandError, run
from agent.wire import PartitionSpec

CHROOT_MOUNTS = (
    ("dev", ("--bind", "/dev")),
    ("proc", ("-t", "proc", "proc")),
    ("sys", ("-t", "sysfs", "sysfs")),
    ("run", ("-t", "tmpfs", "tmpfs")),
)


def make_filesystem(node: Node, spec: PartitionSpec) -> None:
    """With the planned UUID, so that a resumed install makes the same one and files can name it."""
    if not spec.filesystem:
        return
    path = node.verified()
    if spec.filesystem == "ext4":
        argv = ["mkfs.ext4", "-F", "-q", "-U", spec.uuid, "-L", spec.label[:16], path]
    elif spec.filesystem == "vfat":
        argv = ["mkfs.vfat", "-F", "32", "-i", spec.uuid.replace("-", ""), "-n", spec.label[:11].upper() or "ESP", path]
    else:
        raise InstallError(f"partition {spec.number}: this agent can't make {spec.filesystem!r}")
    run(argv, timeout=900)


@contextmanager
def mounted(node: Node, filesystem: str, target: Path) -> Iterator[Path]:
    """Mounted at ``target``, and checked that it is the partition that was meant."""
    target.mkdir(parents=True, exist_ok=True)
    run(["mount", "-t", filesystem, node.verified(), str(target)])
    try:
        if target.stat().st_dev != node.rdev:
            raise InstallError(f"{target} is not {node.path}: something else was mounted there")
        yield target
    finally:
        unmount(target)


@contextmanager
def chroot_mounts(target: Path) -> Iterator[None]:
    """/dev, /proc, /sys and an empty /run inside ``target``, for its own tools."""
    with ExitStack() as stack:
        for name, arguments in CHROOT_MOUNTS:
            place = target / name
            place.mkdir(exist_ok=True)
            run(["mount", *arguments, str(place)])
            stack.callback(unmount, place)
        yield


def release(target: Path, tree: Tree) -> None:
    """Unmount what an agent that was killed in the middle of an install left below ``target``, the innermost first."""
    places = [line.split()[4] for line in tree.text("proc/self/mountinfo").splitlines() if len(line.split()) > 4]
    for place in reversed(places):
        if Path(place).is_relative_to(target):
            unmount(Path(place))


def unmount(target: Path) -> None:
    """Data is on the disk when this returns. A process that still holds on gets its mount detached, and it is said."""
    try:
        run(["umount", str(target)], timeout=600)
    except CommandError as error:
        with contextlib.suppress(CommandError):
            run(["umount", "-l", str(target)])
        raise InstallError(f"{target} could not be unmounted: {error}") from error


def check_filesystem(node: Node, filesystem: str) -> None:
    """Quick and read-only, after everything was unmounted: the superblock says clean."""
    path = node.verified()
    if filesystem == "ext4":
        run(["e2fsck", "-n", path], timeout=900)
    elif filesystem == "vfat":
        run(["fsck.vfat", "-n", path], timeout=300)
