"""BMC and TPM: that they are there, and what they tell without being asked for secrets."""

from __future__ import annotations

from agent.probe import smbios
from agent.probe.tree import Tree
from agent.wire import Bmc, Tpm

TPM_VERSIONS = {"1": "1.2", "2": "2.0"}


def bmc(tree: Tree) -> Bmc | None:
    """SMBIOS type 38, or an IPMI device of the kernel. LAN settings are left empty: they need a conversation with the
    BMC, which belongs to the issue that controls power."""
    interface = smbios.ipmi_interface(tree.raw(smbios.TABLE))
    devices = [name for name in ("ipmi0", "ipmi/0", "ipmidev/0") if tree.exists(f"dev/{name}")]
    if not interface and not devices:
        return None
    firmware = ""
    for name in tree.names("sys/class/ipmi"):
        firmware = firmware or tree.text(f"sys/class/ipmi/{name}/device/bmc/firmware_revision")
    return Bmc(interface=interface or "ipmi", firmware=firmware)


def tpm(tree: Tree) -> Tpm | None:
    """The first TPM. The endorsement key is not read: that takes TPM commands, and a hash alone proves nothing without
    a credential challenge (DESIGN §5), so ``ek`` stays empty."""
    for name in tree.names("sys/class/tpm"):
        major = tree.text(f"sys/class/tpm/{name}/tpm_version_major")
        return Tpm(version=TPM_VERSIONS.get(major, "2.0" if tree.exists(f"dev/tpmrm{name[3:]}") else "1.2"))
    return None
