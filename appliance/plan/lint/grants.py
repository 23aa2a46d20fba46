"""What the site file allows and forbids."""

from __future__ import annotations

from appliance.plan.lint.rule import WARNING, Findings, rule
from appliance.plan.lint.scene import Scene


@rule(WARNING, "correct the serial, or take the grant out")
def idle_grant(scene: Scene) -> Findings:
    """A grant fits a disk that we know: else it is a typing error, or the disk is gone."""
    for grant in scene.site.erase:
        if scene.serials and not scene.serials[scene.key(grant.serial)]:
            yield grant.serial, "no machine has reported a disk with this serial (erase)"


@rule(WARNING, "correct the serial, or take the line out")
def idle_protection(scene: Scene) -> Findings:
    """A protected serial fits a disk that we know: if it is a typing error, the disk is not protected."""
    for serial in scene.site.protect:
        if scene.serials and not scene.serials[scene.key(serial)]:
            yield serial, "no machine has reported a disk with this serial (protect); is it typed right?"


@rule(WARNING, "write the reason beside the serial")
def grant_without_reason(scene: Scene) -> Findings:
    """A grant says why the data may go: in a year nobody knows."""
    for grant in scene.site.erase:
        if not grant.reason:
            yield grant.serial, "the grant has no reason; write down why this data may go"


@rule(WARNING, "remove one of the disks, or grant by taking the right one out first")
def grant_ambiguous(scene: Scene) -> Findings:
    """A grant names one disk: for a serial that several disks have, it counts for none."""
    for grant in scene.site.erase:
        count = scene.serials[scene.key(grant.serial)]
        if count > 1:
            yield grant.serial, f"{count} disks have this serial, so the grant counts for none of them"


@rule(WARNING, "approve by serial, MAC or code instead")
def approve_any(scene: Scene) -> Findings:
    """Machines are approved one by one or by a mark of their own; outside of a lab nothing is approved just like that."""
    if any(entry.any for entry in scene.site.approve):
        yield "approve", "'any: true' approves whatever is plugged in; for labs only"


@rule(WARNING, "give a public key in ssh_keys")
def no_ssh_keys(scene: Scene) -> Findings:
    """Somebody can log in to an installed machine."""
    if scene.installs and not scene.site.ssh_keys:
        yield "ssh_keys", "no key is given: nobody can log in to the installed machines"
