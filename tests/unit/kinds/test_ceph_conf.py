"""The configuration of one machine, and what is computed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.kinds import ceph as kind
from appliance.kinds.ceph import conf
from appliance.kinds.ceph.commands import rule_text
from appliance.kinds.ceph.done import NotCephError
from appliance.kinds.ceph.names import access_key, block_pools, filesystems, realms
from appliance.model.ceph import CephArgs, CephHost, CephVerb, Erasure, PoolSpec, Service
from appliance.model.plan import Step, StepKind
from tests.unit.kinds.scenes import BLOCK, FILE, FSID, OBJECT, boxes, scene


def test_ipv6_is_in_brackets_and_said_to_be_the_only_one() -> None:
    host = CephHost(machine="m", name="n1", address="fd00::1", location=(("datacenter", "dc1"), ("rack", "r1")))
    args = CephArgs(
        verb=CephVerb.CONFIGURE,
        name="ceph",
        fsid=FSID,
        host=host,
        monitors=(host,),
        public_network="fd00::/64",
        cluster_network="fd00::/64",
        daemons=("mon", "osd", "rgw"),
        realm="s3",
    )
    text = conf.text(args)
    assert "mon_host = [v2:[fd00::1]:3300,v1:[fd00::1]:6789]\n" in text
    assert "ms_bind_ipv6 = true\n" in text and "ms_bind_ipv4 = false\n" in text
    assert "cluster_network" not in text
    assert "crush_location = root=default datacenter=dc1 rack=r1 host=n1\n" in text
    assert "rgw_frontends = beast endpoint=[fd00::1]:7480\n" in text
    assert "osd_memory_target" not in text


def test_sections_only_where_their_daemons_are() -> None:
    host = CephHost(machine="m", name="n1", address="10.0.0.1")
    args = CephArgs(verb=CephVerb.CONFIGURE, name="ceph", fsid=FSID, host=host, monitors=(host,), daemons=("mon",))
    assert "[osd]" not in conf.text(args) and "[client" not in conf.text(args)


def test_uuids_tell_clusters_machines_disks_and_parts_apart() -> None:
    osd = scene(boxes(4), (BLOCK,)).layout.osds[0]
    other = (
        replace(osd, machine="m-other"),
        replace(osd, data=replace(osd.data, wwn="naa.1")),
        replace(osd, part=1),
    )
    found = {kind.osd_uuid(FSID, one) for one in (osd, *other)} | {kind.osd_uuid(FSID.replace("7d", "8d"), osd)}
    assert len(found) == 5
    assert kind.osd_uuid(FSID, replace(osd, number=9, device_class="hdd")) == kind.osd_uuid(FSID, osd)


def test_services_are_found_in_the_pools() -> None:
    coded = PoolSpec(name="vol", service=Service.BLOCK, erasure=Erasure(k=2, m=2))
    pools = scene(boxes(5), (BLOCK, FILE, OBJECT, coded)).layout.pools
    assert block_pools(pools) == {"vms": "", "vol-metadata": "vol-data"}
    assert filesystems(pools) == {"fs": ("fs_metadata", "fs_data", "")}
    assert realms(pools) == ("s3",)


def test_access_keys_look_like_s3s() -> None:
    assert len(access_key(FSID, "s3")) == 20 and access_key(FSID, "s3") != access_key(FSID, "s4")


def test_a_rule_is_text_for_crushtool() -> None:
    assert rule_text(3, "r", True, ("step take x", "step emit")) == (
        "rule r {\n\tid 3\n\ttype erasure\n\tstep take x\n\tstep emit\n}"
    )


def test_a_step_of_another_kind_is_refused() -> None:
    step = Step(key="install/x", kind=StepKind.INSTALL, machine="x", name="x")
    with pytest.raises(NotCephError, match="no step of Ceph"):
        kind.done(step, None)
