"""What is wrong with places, networks, clusters, Ceph and the rest: every input with all that is said about it."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.site.load import SiteError, load_text

BASE = "site: s\nnetworks:\n  provisioning: {cidr: 10.0.0.0/24}\n"


def lines(*more: str) -> str:
    """A correct file and some lines; those that begin with two blanks are networks."""
    return BASE + "\n".join(more) + "\n"


MACHINES = "machines: {n1: {serial: A1}, n2: {serial: A2}, n3: {serial: A3}}"
TWO_SITES = "racks: {r1: {datacenter: d1}, r2: {datacenter: d2}, r3: {datacenter: d3}}"

BROKEN = {
    # places
    "rack that is not declared": lines("racks: {r1: {}}", "machines: {n1: {serial: A1, rack: rl}}"),
    "rack without any rack": lines("machines: {n1: {serial: A1, rack: r1}}"),
    "unit without a rack": lines("machines: {n1: {serial: A1, unit: 3}}"),
    "unit above the rack": lines("racks: {r1: {units: 24}}", "machines: {n1: {serial: A1, rack: r1, unit: 25}}"),
    "unit zero": lines("racks: {r1: {}}", "machines: {n1: {serial: A1, rack: r1, unit: 0}}"),
    "two machines in one unit": lines(
        "racks: {r1: {}, r2: {}}",
        "machines:",
        "  n1: {serial: A1, rack: r1, unit: 7}",
        "  n2: {serial: A2, rack: r1, unit: 7}",
        "  n3: {serial: A3, rack: r2, unit: 7}",
    ),
    "rack of no height": lines("racks: {r1: {units: 0}}"),
    "rack without words": lines("racks: {r1: tall}"),
    "a switch in two racks": lines("racks:", "  r1: {switches: [sw1, sw2]}", "  r2: {switches: [sw2]}"),
    "power feed twice": lines("racks: {r1: {power: [a, A]}}"),
    "rack and datacenter with one name": lines("racks: {a: {datacenter: b}, b: {datacenter: c}}"),
    "zone and datacenter with one name": lines("racks: {r1: {datacenter: x, zone: x}}"),
    "row buckets that meet": lines("racks: {r1: {datacenter: a-b, row: c}, r2: {datacenter: a, row: b-c}}"),
    "row and rack with one name": lines("racks: {r1: {row: r2}, r2: {row: r2}}"),
    "rack and machine with one name": lines("racks: {n1: {}}", "machines: {n1: {serial: A1}}"),
    "rack called as a machine would be": lines("racks: {node3: {}}"),
    "datacenter called as a machine would be": lines("hostname_prefix: dc", "racks: {r1: {datacenter: dc1}}"),
    "names that Ceph uses": lines("racks: {default: {}, osd.3: {}}"),
    "name that CRUSH refuses": lines("racks: {'rack 1': {}}"),
    "datacenter in two zones": lines(
        "racks:",
        "  r1: {datacenter: d1, zone: a}",
        "  r2: {datacenter: d1, zone: b}",
        "  r3: {datacenter: d2, zone: b}",
    ),
    "row in two zones": lines("racks:", "  r1: {row: x, zone: a}", "  r2: {row: x, zone: b}"),
    "zone for some racks only": lines("racks:", "  r1: {zone: a}", "  r2: {}"),
    "datacenter for some racks only": lines("racks:", "  r1:", "  r2: {datacenter: d1, row: x}"),
    # machines
    "switch port without a slash": lines("machines: {n1: {switch_port: sw1-7}}"),
    "switch port twice": lines("machines: {n1: {switch_port: sw1/7}, n2: {switch_port: sw1 / 7}}"),
    "BMC twice": lines("machines: {n1: {serial: A1, bmc: 10.9.0.1}, n2: {serial: A2, bmc: 10.9.0.1}}"),
    "count of an unknown profile": lines("expect: {epyc-compte: 8}"),
    "counts": lines("expect: {epyc-compute: 0, arm-storage: many, raspberry-pi-5: }"),
    "count twice": lines("expect: [{profile: epyc-compute, count: 1}, {profile: epyc-compute, count: 2}]"),
    "too many for the leases": BASE.replace("/24}", "/28}") + "expect: {epyc-compute: 8}\n" + MACHINES + "\n",
    "too many for the management network": lines(
        "  management: {cidr: 10.9.0.0/29}", "expect: {epyc-compute: 4}", MACHINES
    ),
    "too many for the storage network": lines(
        "  storage: {cidr: 10.9.0.0/29, carrier: ring}",
        "expect: {epyc-compute: 6}",
        "machines: {n1: {serial: A1, profile: epyc-compute}}",
        "clusters: {a: {profiles: epyc-compute}}",
    ),
    "expected without anybody": lines("approve: [{expected: true}]"),
    "expected with numbers alone": lines("expect: {epyc-compute: 3}", "approve: [{expected: true}]"),
    # networks
    "network without a range": lines("  migration:", "  tenant: {vlan: 7}"),
    "provisioning without a range": "site: s\nnetworks: {provisioning: {}}\n",
    "provisioning with what it can't have": BASE.replace("}", ", mtu: 9000, carrier: bond, cidr6: 'fd00::/64'}"),
    "provisioning as something else": BASE.replace("}", ", plane: tenant}"),
    "networks that overlap in IPv6": lines(
        "  migration: {cidr6: 'fd00:1::/48'}", "  management: {cidr6: 'fd00:1:0:7::/64'}"
    ),
    "IPv6 network with host bits": lines("  migration: {cidr6: 'fd00:1::7/64'}"),
    "IPv6 network that is none": lines("  migration: {cidr6: 10.9.0.0/24}", "  management: {cidr6: 'fd00:1::/129'}"),
    "IPv6 in cidr": lines("  migration: {cidr: 'fd00:1::/64'}"),
    "VLANs on one bond": lines(
        "  migration: {cidr: 10.1.0.0/24, vlan: 7, carrier: bond}",
        "  storage: {cidr: 10.2.0.0/24, vlan: 7, carrier: bond}",
        "  management: {cidr: 10.3.0.0/24, vlan: 7}",
    ),
    "VLAN of a mesh": lines("  storage: {cidr: 10.2.0.0/24, vlan: 7, carrier: mesh}"),
    "guests on a ring": lines("  tenant: {cidr: 10.2.0.0/24, carrier: ring}"),
    "MTUs": lines(
        "  migration: {cidr: 10.1.0.0/24, mtu: 9300}",
        "  management: {cidr: 10.2.0.0/24, mtu: 500}",
        "  storage: {cidr6: 'fd00::/64', mtu: 1000}",
    ),
    "carrier": lines("  migration: {cidr: 10.1.0.0/24, carrier: bonds}"),
    "role of ports": lines("  migration: {cidr: 10.1.0.0/24, role: storge}"),
    "plane": lines("  lan: {cidr: 10.1.0.0/24, plane: storage}"),
    "names that look like planes": lines(
        "  storage-publik: {cidr: 10.1.0.0/24}", "  ceph: {cidr: 10.2.0.0/24}", "  mgmt: {cidr: 10.3.0.0/24}"
    ),
    "one plane twice": lines("  migration: {cidr: 10.1.0.0/24}", "  fast: {cidr: 10.2.0.0/24, plane: migration}"),
    "second provisioning": lines("  boot: {cidr: 10.1.0.0/24, plane: provisioning}"),
    "corosync links": lines(
        "  corosync-0: {cidr: 10.1.0.0/24}",
        "  corosync-1: {cidr: 10.2.0.0/24, link: 8}",
        "  ring0: {cidr: 10.3.0.0/24, plane: corosync}",
        "  migration: {cidr: 10.4.0.0/24, link: 1}",
    ),
    "gateways": lines(
        "  management: {cidr: 10.1.0.0/24, gateway: 10.1.1.1}",
        "  migration: {cidr: 10.2.0.0/24, gateway: 10.2.0.1}",
        "  tenant: {cidr: 10.3.0.0/24, gateway: there}",
    ),
    "gateway in IPv6": BASE.replace("}", ", gateway: 'fd00::1'}"),
    # backbone
    "shape": lines("backbone: rnig"),
    "ring without routing": lines("backbone: {shape: ring, routing: none}"),
    "range of the backbone": lines("backbone: {ula: '2001:db8::/48', loopbacks: 10.0.0.0/25, asn: 3320}"),
    "small range of the backbone": lines("backbone: {ula: 'fd00:1::/64', loopbacks: 10.9.0.0/30}", MACHINES),
    "backbone and carrier": lines("  storage: {cidr: 10.1.0.0/24, carrier: mesh}", "backbone: ring"),
    "cables": lines(
        MACHINES,
        "racks: {r1: {switches: [sw1]}}",
        "backbone:",
        "  cables:",
        "    - n1:nic1 -- n2:nic1",
        "    - n1:nic1 -- sw1:7",
        "    - n2:nic2 -- n2:nic3",
        "    - n4 -- sw2:1",
        "    - n1 to n2",
        '    - \'"n2":"3C:EC:EF:00:00:01" -- "n3":"nic1"\'',
        "    - n2:3cecef000001 -- n3",
    ),
    # clusters
    "names of clusters": lines("clusters:", "  a-very-long-name: {machines: []}", "  pve_1:", "  pve.1:"),
    "members": lines(
        MACHINES,
        "racks: {r1: {zone: az1}}",
        "clusters:",
        "  a: {machines: [n1, n7, n1]}",
        "  b: {profiles: [epyc, epyc-compute], racks: r2, zones: [az1, az2]}",
        "  c: {machines: n2, profiles: epyc-compute}",
    ),
    "no rack in its zones": lines(
        "racks: {r1: {zone: a}, r2: {zone: b}}", "clusters: {x: {racks: r1, zones: b}, y: {racks: r1, zones: a}}"
    ),
    "counted machines by name": lines("expect: {epyc-compute: 3}", "clusters: {a: {machines: [node1, node3, node4]}}"),
    "a machine in two clusters": lines(MACHINES, "clusters:", "  a: {machines: [n1, n2]}", "  b: {machines: [n2, n3]}"),
    "a profile in two clusters": lines("clusters:", "  a: {profiles: [epyc-compute]}", "  b: {profiles: epyc-compute}"),
    "two clusters of everything": lines("clusters: {a: , b: {maximum: 3}}"),
    "links of a cluster": lines("clusters: {a: {links: [corosync-0, provisioning, provisioning]}}"),
    "arbiters": lines(
        MACHINES,
        "clusters:",
        "  a: {machines: [n1, n2], arbiter: n2}",
        "  b: {machines: [n3], arbiter: appliances}",
        "  c: {profiles: arm-storage, arbiter: somebody}",
    ),
    "nodes of a cluster": lines("clusters: {a: {maximum: 33}}"),
    "name too long for its parts": lines(
        "expect: {epyc-compute: 40}", "clusters: {fourteen-chars: {profiles: epyc-compute}}"
    ),
    "kind of a cluster": lines("clusters: {a: {kind: kubernetes}}"),
    "dates": lines(
        "clusters: {a: {frozen: 2026-13-01}}",
        "repositories: {debian: {frozen: yesterday}, ceph: {frozen: 2026-11-1}, proxmox: {frozen: 20261101}}",
    ),
    # Ceph
    "service": lines("ceph: {pools: {vms: blok}}"),
    "pool without a service": lines("ceph: {pools: {vms: {size: 3}, home: }}"),
    "names of pools": lines("ceph: {pools: {.mgr: block, 'a b': block}}"),
    "pool twice": lines("ceph: {pools: [{name: vms, service: block}, {name: vms, service: file}]}"),
    "one copy": lines("ceph: {pools: {vms: {service: block, size: 1}}}"),
    "two copies": lines(
        "ceph:",
        "  pools:",
        "    a: {service: block, size: 2}",
        "    b: {service: block, size: 2, min_size: 1}",
        "    c: {service: block, size: 2, min_size: 2}",
    ),
    "min_size": lines(
        "ceph:",
        "  pools:",
        "    a: {service: block, min_size: 1}",
        "    b: {service: block, size: 3, min_size: 4}",
        "    c: {service: block, size: 30}",
    ),
    "erasure coding": lines(
        "ceph:",
        "  pools:",
        "    a: {service: object, erasure: 4-2}",
        "    b: {service: object, erasure: {k: 4}}",
        "    c: {service: object, erasure: {k: 4, m: 1}}",
        "    d: {service: object, erasure: 1+2}",
        "    e: {service: object, erasure: 4+2, size: 3}",
        "    f: {service: object, erasure: 4+2, min_size: 4}",
        "    g: {service: object, erasure: auto, min_size: 4}",
        "    h: {service: object, erasure: {code: 4+2, k: 4, m: 2}}",
        "    i: {service: object, erasure: 20+9}",
    ),
    "device class": lines("ceph: {pools: {vms: {service: block, device_class: nmve}}}"),
    "share": lines("ceph: {pools: {vms: {service: block, share: 0}}}"),
    "namespaces that can not be": lines(
        "ceph:",
        "  pools:",
        "    vms: {service: block, namespaces: ['tenant a', tenant-b, _, tenant-b, a.b]}",
        "    home: {service: file, namespaces: [tenant-a]}",
        "    images: {service: block, namespace: [tenant-a]}",
    ),
    "a namespace whose key has the name of another": lines(
        "ceph: {pools: {vms: {service: block, namespaces: [x]}, vms.x: block}}"
    ),
    "domains": lines(
        "racks: {r1: {zone: a}, r2: {zone: b}}",
        "ceph:",
        "  pools:",
        "    a: {service: block, domain: rack}",
        "    b: {service: file, domain: row}",
        "    c: {service: object, erasure: 4+2, domain: rack}",
        "    d: {service: block, spread: zone, domain: zone}",
        "    e: {service: block, domain: cage}",
    ),
    "members and networks of Ceph": lines(
        MACHINES, "ceph: {machines: [n1, n9], profiles: [arm], public: storage-public, cluster: provisionin}"
    ),
    "monitors": lines("ceph: {monitors: 4}"),
    "drive groups": lines(
        "ceph:",
        "  encrypted: true",
        "  osds:",
        "    Fast: {data: {all: true}}",
        "    a: {data: {limit: 2}, db: {all: true}, profiles: [epyc-compute, nobody]}",
        "    b: {data: {size: 4 XB}, wal: {size: '4TB:1TB', limit: -1}}",
        "    c: {data: {serials: [/dev/sda, S1, S1]}, osds_per_device: 8, db_slots: -1, db_size: 0}",
        "    d: {device_class: hdd2, filter_logic: XOR, encrypted: false}",
        "    e: {data: {rotational: maybe}, device_class: nvem, data_devices: {all: true}}",
    ),
    "stretch without a tiebreaker": lines(TWO_SITES, "ceph: {stretch: true}"),
    "stretch with one site": lines("racks: {r1: {datacenter: d1}}", "ceph: {stretch: true, tiebreaker: appliance}"),
    "stretch with three sites": lines(TWO_SITES, "ceph: {stretch: true, tiebreaker: appliance}"),
    "stretch with the tiebreaker inside": lines(
        "racks: {r1: {datacenter: d1}, r2: {datacenter: d2}}",
        "machines: {n1: {serial: A1, rack: r1}}",
        "ceph: {stretch: true, tiebreaker: n1}",
    ),
    "stretch with other numbers": lines(
        "racks: {r1: {datacenter: d1}, r2: {datacenter: d2}}",
        MACHINES,
        "ceph:",
        "  {stretch: true, tiebreaker: n1, machines: [n1, n2, n3], monitors: 3,",
        "   pools: {a: {service: block, size: 3}, b: {service: object, erasure: 4+2}}}",
    ),
    "unknown tiebreaker": lines("ceph: {stretch: true, tiebreaker: aplliance}"),
    "tiebreaker without stretch": lines("ceph: {tiebreaker: appliance}"),
    # the rest
    "availability": lines("availability: V"),
    "number": lines("number: 300"),
    "firewall": lines("firewall: strict"),
    "secret as a literal": lines("bmc: {user: admin, password: calvin}"),
    "secret without a name": lines("bmc: {user: admin, password: !secret }"),
    "secret where none is": lines("domain: !secret domain", "time_servers: !secret ntp"),
    "secret as a key and with a mapping": lines("!secret bmc: {user: admin}", "ceph: !secret {pools: {}}"),
    "other tags": lines("domain: !env DOMAIN"),
    "password without a user": lines("bmc: {password: !secret bmc-password}"),
    "repositories": lines(
        "repositories: {debain: {}, ceph: {}, debian: 'ftp://x', proxmox: 'http://user:word@mirror/pve'}",
        "proxy: http://proxy:3128/?a=b",
    ),
    "name servers": lines("dns_servers: [10.0.0.1, fd00::zz, 10.0.0.1]"),
    "firmware of an unknown profile": lines("firmware: {epic-compute: {bios: 2.8}}"),
    "deadlines": lines("deadlines: {epyc-compute: {deploying: soon, seen: 1h}}"),
    "keys of another tool": lines("ceph: {crush_device_class: hdd}", "clusters: {a: {nodes: 3}}", "vlans: {}"),
}


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN) >= 60


def test_error_texts(golden: Any) -> None:
    """Every broken file with all that is said about it; each of them is refused."""
    told = []
    for name, text in BROKEN.items():
        with pytest.raises(SiteError) as caught:
            load_text(text, "site.yaml", systems=("debian-13",))
        shown = "".join(f"    {line}\n" for line in text.removeprefix(BASE).splitlines())
        told.append(f"# {name}\n{shown}{caught.value}\n")
    golden.check("site/cloud-errors.txt", "\n".join(told))


def test_a_literal_password_is_not_repeated() -> None:
    """The message goes to terminals and logs."""
    with pytest.raises(SiteError) as caught:
        load_text(BROKEN["secret as a literal"])
    assert "calvin" not in str(caught.value)
    with pytest.raises(SiteError) as caught:
        load_text(BROKEN["repositories"])
    assert "word@" not in str(caught.value)
