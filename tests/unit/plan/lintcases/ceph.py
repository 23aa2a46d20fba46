"""The CRUSH tree, rules, pools and daemons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from appliance.model.availability import Availability, Gap, Tier
from appliance.model.ceph import Bucket, Erasure, RuleLayout
from appliance.model.place import Level, Place
from appliance.model.plan import WaitReason
from tests.unit.plan.lintcases.case import case
from tests.unit.plan.lintcases.sane import TB, Sane, who


def buckets(s: Sane, *others: Bucket) -> None:
    s.of_ceph(buckets=(*s.ceph.buckets, *others))


def items(s: Sane, name: str) -> tuple[str, ...]:
    return next(bucket.items for bucket in s.ceph.buckets if bucket.name == name)


def steps(name: str, *texts: str) -> Any:
    return lambda s: s.crush_rule(name, steps=texts)


# ---------------------------------------------------------------- the tree

case(
    "bucket-twice",
    lambda s: buckets(s, Bucket(name="r1", level="rack", items=())),
    lambda s: buckets(s, Bucket(name="r 9", level="rack", items=())),
    lambda s: buckets(s, Bucket(name="osd.7x", level="rack", items=())),
    lambda s: buckets(s, Bucket(name="r9", level="shelf", items=())),
    lambda s: buckets(s, Bucket(name="r9", level="rack", items=("n1",))),
)
case("bucket-item-unknown", lambda s: s.bucket("r1", items=("n1", "n2", "n99")))
case(
    "bucket-circle",
    lambda s: buckets(s, Bucket(name="x", level="row", items=("y",)), Bucket(name="y", level="row", items=("x",))),
    also="bucket-order",
)
case(
    "bucket-order",
    lambda s: buckets(s, Bucket(name="x", level="host", items=("y",)), Bucket(name="y", level="rack", items=())),
)
case("bucket-order", lambda s: s.bucket("r1", items=("n1", "n2", "osd.0")), also="bucket-twice osd-in-wrong-host")
case(
    "osd-in-wrong-host",
    lambda s: (s.bucket("n1", items=items(s, "n1")[1:]), s.bucket("n2", items=("osd.0", *items(s, "n2")))),
    also="domains-unequal",
)
case(
    "host-not-in-tree",
    lambda s: s.bucket("r4", items=("n7",)),
    also="bucket-not-place domains-unequal capacity-too-good pool-promise-wrong",
)
case(
    "bucket-not-place",
    lambda s: s.node(2, place=Place(rack="r2", unit=1)),
    lambda s: (s.bucket("r1", items=("n3", "n2")), s.bucket("r2", items=("n1", "n4"))),
)


def heavy(s: Sane) -> None:
    """Every disk is so large that a rack is too heavy."""
    size = 2100 << 40
    for number, found in s.machines.items():
        assert found.inventory is not None
        s.observe(number, disks=tuple(replace(d, size=size) if d.rotational else d for d in found.inventory.disks))
    s.of_ceph(
        osds=tuple(
            replace(o, data_size=size, data=replace(o.data, size=size)) if o.device_class == "hdd" else o
            for o in s.ceph.osds
        )
    )


case("bucket-too-heavy", heavy, also="db-small")


def unequal(s: Sane) -> None:
    """Rack 4 has one host less; rack 1 has two more, which stand there."""
    s.bucket("r1", items=("n1", "n2", "n3"))
    s.bucket("r2", items=("n4",))
    s.node(3, place=Place(rack="r1", unit=30))
    s.services("mon", "m-1", "m-4", "m-5")


case("domains-unequal", unequal, also="capacity-too-good")


def two_hosts(s: Sane) -> None:
    s.keep(range(1, 3))
    s.of_ceph(pools=(), rules=(), capacity=())
    s.services("mon", "m-1", "m-2", "appliance")
    s.services("mgr", "m-1", "m-2")


case("few-hosts", two_hosts, also="few-nodes")
# ---------------------------------------------------------------- rules

case("crush-rule-twice", lambda s: s.crush_rule("hdd-rack", number=1), lambda s: s.crush_rule("hdd-rack", number=-1))
case("crush-rule-twice", lambda s: s.of_ceph(rules=(*s.ceph.rules, replace(s.ceph.rules[0], number=9))))


def extra_rule(*texts: str) -> Any:
    return lambda s: s.of_ceph(rules=(*s.ceph.rules, RuleLayout(number=9, name="more", erasure=False, steps=texts)))


case(
    "crush-rule-steps",
    extra_rule("jump"),
    extra_rule("emit"),
    extra_rule(),
    extra_rule("take default", "emit"),
    extra_rule("take default", "chooseleaf firstn 0 type rack"),
    extra_rule("take default", "chooseleaf firstn 0 type shelf", "emit"),
    extra_rule("take default", "choose firstn 0 type rack", "emit"),
)
case(
    "crush-rule-takes-nothing",
    extra_rule("take elsewhere", "chooseleaf firstn 0 type rack", "emit"),
    extra_rule("take default class ssd", "chooseleaf firstn 0 type rack", "emit"),
)

# ---------------------------------------------------------------- pools

case("pool-twice", lambda s: s.of_ceph(pools=(*s.ceph.pools, replace(s.ceph.pools[1], pg_num=16))))
case("pool-size", lambda s: s.pool("block", size=1, min_size=1), also="loss-below-min-size")
case("pool-size", lambda s: s.pool("block", min_size=1))
case("pool-size", lambda s: s.pool("block", min_size=4), also="loss-below-min-size")
case(
    "erasure-min-size", lambda s: s.pool("objects", min_size=4), lambda s: s.pool("objects", erasure=Erasure(k=4, m=1))
)
case("erasure-min-size", lambda s: s.pool("objects", erasure=Erasure(k=6, m=0)))


def wide(s: Sane) -> None:
    s.pool("objects", size=9, min_size=8, erasure=Erasure(k=7, m=2), heals=False)


case("pool-too-wide", wide)
case("pool-rule-missing", lambda s: s.pool("files", rule="none"))
case("pool-unlike-rule", lambda s: s.crush_rule("hdd-rack", erasure=True))
case("pool-unlike-rule", lambda s: s.pool("files", rule="nvme-rack"))
case(
    "pool-unlike-rule",
    lambda s: (buckets(s, Bucket(name="row1", level="row", items=())), s.pool("files", root="row1")),
    also="pool-promise-wrong pool-too-wide pool-without-osds",
)
case(
    "loss-below-min-size",
    steps("hdd-rack", "take r1 class hdd", "chooseleaf firstn 0 type host", "emit"),
    also="pool-promise-wrong",
)
case("pool-without-osds", lambda s: s.pool("files", root="elsewhere"), also="pool-too-wide pool-promise-wrong")
case(
    "pool-without-osds",
    lambda s: s.pool("files", device_class="ssd"),
    also="pool-too-wide pool-promise-wrong pool-unlike-rule",
)
case("pool-pg-num", lambda s: s.pool("files", pg_num=0))
case("pg-num-uneven", lambda s: s.pool("files", pg_num=500))


def lost(s: Sane) -> None:
    """Rack 3 and 4 are gone, for good; the pools stand, and the plan says so."""
    s.keep(range(1, 5))
    s.of_ceph(pools=(s.ceph.pools[0],), capacity=())
    s.pool("block", domains=2, heals=False)
    s.services("mon", "m-1", "m-3", "appliance")
    s.wait("block", WaitReason.TOO_FEW_DOMAINS)


case("pool-degraded", lost, also="few-nodes")

# ---------------------------------------------------------------- promises

case("loss-below-min-size", lambda s: s.pool("block", min_size=3))
case(
    "loss-below-min-size",
    steps("nvme-rack", "take default class nvme", "chooseleaf firstn 0 type host", "emit"),
    also="pool-promise-wrong",
)
case(
    "loss-below-min-size",
    steps("nvme-rack", "take default class nvme", "choose firstn 0 type rack", "chooseleaf firstn 2 type host", "emit"),
    also="pool-promise-wrong",
)
case("pool-promise-wrong", lambda s: s.pool("block", domains=5))
case("pool-promise-wrong", lambda s: s.pool("block", per_domain=0))


def three_racks(s: Sane, **facts: Any) -> None:
    """Rack 4 is emptied into rack 3."""
    s.bucket("r3", items=("n5", "n6", "n7", "n8"))
    s.bucket("r4", items=())
    for number in (7, 8):
        s.node(number, place=Place(rack="r3", unit=number))
    for pool in ("block", "files"):
        s.pool(pool, domains=3, **facts)


case("pool-promise-wrong", three_racks, also="pool-does-not-heal domains-unequal capacity-too-good")
case("pool-does-not-heal", lambda s: three_racks(s, heals=False), also="domains-unequal capacity-too-good")
case("erasure-exact", lambda s: s.pool("objects", size=8, min_size=7, erasure=Erasure(k=6, m=2), heals=False))
case("pgs-per-osd", lambda s: s.pool("block", pg_num=2048), lambda s: s.pool("block", pg_num=128))


def capacity(**facts: int) -> Any:
    return lambda s: s.of_ceph(capacity=(replace(s.ceph.capacity[0], **facts),))


case("capacity-too-good", capacity(usable=42 * TB), capacity(nearfull=41 * TB), capacity(healable=41 * TB))


def throughput(**facts: int) -> Any:
    return lambda s: s.of_ceph(throughput=(replace(s.ceph.throughput[0], **facts),))


case("throughput-too-good", throughput(write_expected=11 * 10**9), throughput(read_expected=21 * 10**9))

# ---------------------------------------------------------------- daemons


def daemons(kind: str, *numbers: int) -> Any:
    return lambda s: s.services(kind, *(who(number) for number in numbers))


case("monitors-even", lambda s: (s.ready(), daemons("mon", 1, 3, 5, 7)(s)))
case("monitors-even-standing", daemons("mon", 1, 3, 5, 7))
case("monitors-even-standing", daemons("mon", 1, 3), also="few-monitors")
case("few-monitors", daemons("mon"))
case("few-monitors", daemons("mon", 1))
case("service-not-on-member", daemons("mgr", 1, 3, 77))
case("service-not-on-member", daemons("mds", 1, 3, 3))
case("monitors-crowded", lambda s: (s.ready(), daemons("mon", 1, 2, 3)(s)))
case("monitors-crowded", lambda s: (s.ready(), s.services("mon", "m-1", "m-2", "m-3", "m-5", "appliance")))
case("monitors-crowded-standing", daemons("mon", 1, 2, 3))


def in_one_rack(s: Sane) -> None:
    """All members of Ceph stand in rack 1; three more racks are declared."""
    s.keep(range(1, 4))
    s.node(3, place=Place(rack="r1", unit=9))
    s.bucket("r1", items=("n1", "n2", "n3"))
    s.bucket("r2", items=())
    daemons("mon", 1, 2, 3)(s)
    daemons("mds", 1, 2)(s)
    s.of_ceph(pools=(), capacity=())


case("monitors-in-one-place", in_one_rack, also="few-nodes")
case("few-managers", daemons("mgr", 1))
case("few-metadata-servers", daemons("mds", 1))
case("no-gateway", daemons("rgw", 1))
case("few-time-servers", lambda s: s.of_site(time_servers=("10.1.10.253",)))

# ---------------------------------------------------------------- stretch


def stretch(s: Sane, *monitors: str) -> None:
    """Two datacenters of two racks each."""
    racks = {"r1": "east", "r2": "east", "r3": "west", "r4": "west"}
    s.of_site(racks=tuple(replace(rack, datacenter=racks[rack.name]) for rack in s.site.racks))
    for number, node in enumerate(s.plan.desired.nodes, 1):
        s.node(number, place=replace(node.place, datacenter=racks[node.place.rack]))
    s.bucket("default", items=("east", "west"))
    buckets(
        s,
        Bucket(name="east", level="datacenter", items=("r1", "r2")),
        Bucket(name="west", level="datacenter", items=("r3", "r4")),
    )
    rule = ("take default", "choose firstn 0 type datacenter", "chooseleaf firstn 2 type host", "emit")
    s.crush_rule("nvme-rack", steps=rule)
    pool = {"size": 4, "domain": Level.DATACENTER, "domains": 2, "per_domain": 2, "heals": False, "pg_num": 256}
    s.of_ceph(stretch=True, pools=(replace(s.ceph.pools[0], **pool),), capacity=(), rules=s.ceph.rules[:1])
    s.services("mon", *(monitors or ("m-1", "m-3", "m-5", "m-7", "appliance")))


STRETCHED = "pool-does-not-heal"
case("pool-does-not-heal", stretch)
case(
    "pool-unlike-rule",
    lambda s: (
        stretch(s),
        s.crush_rule(
            "nvme-rack",
            steps=(
                "take default class nvme",
                "choose firstn 0 type datacenter",
                "chooseleaf firstn 2 type host",
                "emit",
            ),
        ),
    ),
    also="pool-does-not-heal",
)
case("stretch-monitors", lambda s: stretch(s, "m-1", "m-3", "m-4", "m-5", "appliance"), also=STRETCHED)
case("stretch-monitors", lambda s: stretch(s, "m-1", "m-3", "m-5", "m-7", "m-8"), also=STRETCHED)
case("stretch-monitors", lambda s: s.of_ceph(stretch=True, pools=()))
case(
    "stretch-with-erasure",
    lambda s: (stretch(s), s.pool("block", erasure=Erasure(k=2, m=2))),
    also="erasure-min-size pool-unlike-rule pool-does-not-heal",
)
case(
    "stretch-with-erasure",
    lambda s: (stretch(s), s.pool("block", size=3)),
    also="loss-below-min-size pool-does-not-heal",
)

# ---------------------------------------------------------------- the site

GAP = Gap(tier=Tier.III, about="power", text="lay a second feed to rack r1")
case(
    "tier-not-reached", lambda s: s.change(availability=Availability(wanted=Tier.IV, reached=Tier.II, gaps=(GAP, GAP)))
)
case("tier-not-reached", lambda s: s.of_site(availability=Tier.III))
case("secrets-needed", lambda s: s.of_site(secrets=("bmc", "root")))
