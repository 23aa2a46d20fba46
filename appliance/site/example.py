"""The site file that ``rackseed site init`` writes: what must be said, and as comments what may be said."""

from __future__ import annotations

EXAMPLE = """\
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


def example(name: str) -> str:
    """The example with the site's name put in; ``name`` is a host name (`values.hostname`)."""
    return EXAMPLE.replace("site: edge-1", f"site: {name}", 1)
