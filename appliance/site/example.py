"""Site files to begin with. The short one says what must be said, and as comments what may be said; the others show whole
clouds in a few lines."""

from __future__ import annotations

from collections.abc import Mapping

SHORT = """\
# A rackseed site file. `rackseed site check FILE` tells what is wrong with it.
site: edge-1
domain: edge.internal
networks:
  provisioning:                   # machines boot here
    cidr: 192.168.90.0/24
    # appliance: 192.168.90.1     # the first address unless given
    # pool: 192.168.90.128-254    # leases; the upper half unless given
    # hosts: 192.168.90.10-99     # addresses of installed machines; what the pool leaves unless given
    # gateway: 192.168.90.9
    # interfaces: [eth1]          # DHCP is answered only here
machines:
  n1: {serial: A0000001}          # serial of board or chassis, or mac: 3c:ec:ef:00:00:01, or uuid: ...
  n2: {serial: A0000002}
  n3: {serial: A0000003, address: 192.168.90.13}
approve:
  - expected: true                # machines named above, without a person; leave it out to type codes
# erase: [{serial: WD-OLD1234, reason: former database}]    # disks with foreign data that may be erased
# protect: [S3Z8NB0K]             # disks that are never erased
# ssh_keys: [ssh-ed25519 AAAA... admin]
# console: ttyS1,115200n8         # instead of the profiles' consoles
"""

THREE = """\
# Three machines, one Proxmox cluster, Ceph on their disks.
site: edge-1
networks:
  provisioning: {cidr: 192.168.90.0/24}
machines:
  n1: {serial: A0000001}
  n2: {serial: A0000002}
  n3: {serial: A0000003}
approve:
  - expected: true
clusters: {pve1: }
ceph:
"""

CLOUD = """\
# Eight EPYC servers in two racks: Proxmox and Ceph, storage on bonds of its own.
site: edge-1
networks:
  provisioning: {cidr: 10.1.0.0/24}
  corosync-0: {cidr: 10.1.10.0/24, vlan: 10}
  storage-public: {cidr: 10.1.20.0/24, vlan: 20, mtu: 9000, carrier: bond}
racks:
  r1: {switches: [sw1], power: [a, b]}
  r2: {switches: [sw2], power: [a, b]}
expect: {epyc-compute: 8}
clusters:
  pve1: {profiles: epyc-compute, frozen: 2026-11-01}
ceph: {pools: {vms: block, backup: {service: object, erasure: auto}}}
"""

EDGE = """\
# Three machines cabled to each other without a switch, and a Raspberry Pi that breaks the tie when only two are left.
site: edge-1
networks:
  provisioning: {cidr: 192.168.90.0/24}
  storage-public: {cidr: 10.1.20.0/24, mtu: 9000, carrier: mesh}
machines:
  n1: {serial: A0000001}
  n2: {serial: A0000002}
  n3: {serial: A0000003}
  pi1: {serial: 62511f5a1550c74c, profile: raspberry-pi-5}
clusters:
  pve1: {machines: [n1, n2, n3], arbiter: pi1}
ceph:
backbone: mesh
"""

EXAMPLES: Mapping[str, str] = {"short": SHORT, "three": THREE, "cloud": CLOUD, "edge": EDGE}


def example(name: str, which: str = "short") -> str:
    """An example with the site's name put in; ``name`` is a host name (`values.hostname`)."""
    return EXAMPLES[which].replace("site: edge-1", f"site: {name}", 1)
