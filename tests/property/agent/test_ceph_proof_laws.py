"""The judge of live maps against a second one that only counts: whatever the map, they agree on what is good."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.cephorder import PoolLaw
from agent.cephproof import NONE, judge

OSDS, HOSTS, RACKS = 12, 6, 3


@st.composite
def cases(draw: st.DrawFn) -> tuple[PoolLaw, list[list[int]], list[int], list[str]]:
    """A law, rows of OSDs, the host of each OSD, its class. Racks take hosts in turns. Most rows are good ones, else no
    map would ever be."""
    level = draw(st.sampled_from(("host", "rack")))
    per_domain = draw(st.integers(1, 2))
    size = draw(st.integers(1, 4))
    law = PoolLaw(
        pool="p",
        size=size,
        min_size=draw(st.integers(1, size)),
        level=level,
        per_domain=per_domain,
        root="default",
        device_class="ssd",
    )
    hosts = [number % HOSTS for number in range(OSDS)]
    classes = draw(st.lists(st.sampled_from(["ssd"] * 30 + ["hdd"]), min_size=OSDS, max_size=OSDS))
    good = st.permutations(range(OSDS)).map(lambda order: order[:size])
    odd = st.lists(st.sampled_from([*range(OSDS), NONE]), max_size=5)
    rows = draw(st.lists(st.one_of(good, good, good, odd), min_size=1, max_size=3))
    return law, rows, hosts, classes


def keeps(law: PoolLaw, row: list[int], hosts: list[int], classes: list[str]) -> bool:
    """By counting alone."""
    if len(row) != law.size or NONE in row or len(set(row)) != law.size or any(classes[osd] != "ssd" for osd in row):
        return False
    on_host = [hosts[osd] for osd in row]
    domains = on_host if law.level == "host" else [host % RACKS for host in on_host]
    most_on_host = law.per_domain if law.level == "host" else 1
    return all(
        domains.count(one) <= law.per_domain and law.size - domains.count(one) >= law.min_size for one in domains
    ) and all(on_host.count(one) <= most_on_host for one in on_host)


@given(cases())
def test_it_agrees_with_counting(case: tuple[PoolLaw, list[list[int]], list[int], list[str]]) -> None:
    law, rows, hosts, classes = case
    pool = {"pool": 1, "pool_name": "p", "size": law.size, "min_size": law.min_size, "pg_num": len(rows)}
    nodes: list[dict[str, Any]] = [{"id": -1, "name": "default", "type": "root", "children": [-2, -3, -4]}]
    for rack in range(RACKS):
        inside = [-10 - host for host in range(HOSTS) if host % RACKS == rack]
        nodes.append({"id": -2 - rack, "name": f"r{rack}", "type": "rack", "children": inside})
    for host in range(HOSTS):
        inside = [osd for osd in range(OSDS) if hosts[osd] == host]
        nodes.append({"id": -10 - host, "name": f"h{host}", "type": "host", "children": inside})
    nodes += [{"id": n, "name": f"osd.{n}", "type": "osd", "device_class": classes[n]} for n in range(OSDS)]
    text = "".join(f"1.{seed:x}\t[{','.join(map(str, row))}]\t0\n" for seed, row in enumerate(rows))
    dump = {"pools": [pool], "osds": [{"osd": n, "up": 1} for n in range(OSDS)]}
    found = judge((law,), dump, {"nodes": nodes}, text)
    assert found.groups == len(rows)
    assert (found.problems == ()) == all(keeps(law, row, hosts, classes) for row in rows), found.problems
