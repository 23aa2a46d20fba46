"""Pictures of a layout: the same text every time, nothing outside of the frame, nothing left out."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise

import pytest

from appliance.model.ceph import Bucket, OsdLayout
from appliance.model.machine import Phase
from appliance.model.network import BackboneLayout, CableLayout, CableState, Routing, Shape
from appliance.model.place import Place, Rack
from appliance.model.plan import Desired, NodeLayout
from appliance.ui.pictures import svg
from appliance.ui.pictures.cabling import cabling_picture
from appliance.ui.pictures.crush import LARGEST, crush_picture
from appliance.ui.pictures.racks import SHOWN, rack_picture, racks_of
from tests.conftest import Golden
from tests.unit.plan.conftest import Workshop
from tests.unit.plan.scenes import eight, forty, mesh, plain

SPACE = "{http://www.w3.org/2000/svg}"


def drawings(scene_of) -> dict[str, str]:  # type: ignore[no-untyped-def]
    scene = scene_of(Workshop())
    desired = scene.plan.desired
    phases = {machine.machine.id: machine.machine.phase for machine in scene.observed.machines}
    return {
        "racks": rack_picture(desired, scene.site, phases),
        "crush": crush_picture(desired.ceph) if desired.ceph else "",
        "cabling": cabling_picture(desired, scene.site),
    }


def pretty(text: str) -> str:
    """One element a line, to be read and compared."""
    return re.sub(r"(?<=>)(?=<(?!/))", "\n", text) + "\n"


def inside(text: str) -> ET.Element:
    """The picture; everything that it draws lies within its frame."""
    root = ET.fromstring(text)  # noqa: S314 - our own text
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for found in root.iter():
        for x, w in (("x", "width"), ("x1", ""), ("x2", ""), ("cx", "")):
            if found is not root and x in found.attrib:
                assert -1 <= float(found.attrib[x]) <= width, ET.tostring(found)
                assert float(found.attrib[x]) + float(found.attrib.get(w, 0)) <= width + 1, ET.tostring(found)
        for y, h in (("y", "height"), ("y1", ""), ("y2", ""), ("cy", "")):
            if found is not root and y in found.attrib:
                assert -1 <= float(found.attrib[y]) <= height, ET.tostring(found)
                assert float(found.attrib[y]) + float(found.attrib.get(h, 0)) <= height + 1, ET.tostring(found)
    return root


@pytest.mark.parametrize("scene_of", [eight, mesh, forty], ids=lambda scene: scene.__name__)
@pytest.mark.parametrize("what", ["racks", "crush", "cabling"])
def test_golden_pictures(scene_of, what: str, golden: Golden) -> None:  # type: ignore[no-untyped-def]
    text = drawings(scene_of)[what]
    inside(text)
    golden.check(f"pictures/{scene_of.__name__}-{what}.svg", pretty(text))


def test_the_order_of_a_layout_does_not_matter() -> None:
    scene = eight(Workshop())
    desired = scene.plan.desired
    turned = replace(desired, nodes=tuple(reversed(desired.nodes)))
    assert rack_picture(desired, scene.site, {}) == rack_picture(turned, scene.site, {})
    assert desired.ceph is not None
    buckets = tuple(replace(b, items=tuple(reversed(b.items))) for b in reversed(desired.ceph.buckets))
    assert crush_picture(desired.ceph) == crush_picture(replace(desired.ceph, buckets=buckets))


def test_every_machine_is_in_the_racks_once() -> None:
    scene = forty(Workshop())
    text = rack_picture(scene.plan.desired, scene.site, {"m-1": Phase.READY}, "/m/{}".format)
    for node in scene.plan.desired.nodes:
        assert text.count(f'href="/m/{node.machine}"') == 1
    assert "Without a known place: server-10, server-20, server-30, server-40." in text
    assert 'class="lamp phase-ready"' in text
    assert 'class="lamp unknown"' in text


def node(name: str, place: Place, cluster: str = "") -> NodeLayout:
    return NodeLayout(machine=f"m-{name}", name=name, number=1, profile="x", place=place, cluster=cluster)


def test_racks_that_are_odd() -> None:
    """Two nodes of one chassis, a unit above the top, a rack that the site file lost, racks of different height."""
    site = replace(plain(Workshop()).site, racks=(Rack(name="tall", units=47), Rack(name="low", units=6)))
    nodes = (
        node("twin-a", Place(rack="low", unit=2)),
        node("twin-b", Place(rack="low", unit=2)),
        node("above", Place(rack="low", unit=9)),
        node("lost", Place(rack="gone", row="z", unit=3)),
    )
    desired = Desired(nodes=nodes)
    assert [rack.name for rack in racks_of(desired, site)] == ["low", "tall", "gone"]
    text = rack_picture(desired, site, {})
    inside(text)
    assert "twin-a at unit 2, twin-b at unit 2" in text
    assert "Without a known place: above." in text


def test_many_racks_come_in_several_pictures() -> None:
    racks = tuple(Rack(name=f"r{k}", row=f"{k // 7}") for k in range(SHOWN + 3))
    site = replace(plain(Workshop()).site, racks=racks)
    desired = Desired(
        nodes=(node("first", Place(rack="r0", unit=1)), node("last", Place(rack=f"r{SHOWN + 2}", unit=1)))
    )
    first, second = rack_picture(desired, site, {}), rack_picture(desired, site, {}, first=SHOWN)
    inside(first)
    inside(second)
    assert ("m-first" in first, "m-last" in first) == (True, False)
    assert ("m-first" in second, "m-last" in second) == (False, True)


@pytest.mark.parametrize(("racks", "hosts"), [(1, 5), (30, 10), (1, 300), (400, 2)])
def test_a_tree_of_any_size_fits_a_page(racks: int, hosts: int) -> None:
    scene = mesh(Workshop())
    ceph = scene.plan.desired.ceph
    assert ceph is not None
    one = ceph.osds[0]
    osds: list[OsdLayout] = []
    buckets = [Bucket(name="default", level="root", items=tuple(f"r{k}" for k in range(racks)))]
    for k in range(racks):
        names = [f"h{k}-{n}" for n in range(hosts)]
        buckets.append(Bucket(name=f"r{k}", level="rack", items=tuple(names)))
        for name in names:
            buckets.append(Bucket(name=name, level="host", items=(f"osd.{len(osds)}",)))
            osds.append(replace(one, number=len(osds), machine=name))
    text = crush_picture(replace(ceph, osds=tuple(osds), buckets=tuple(buckets)))
    root = inside(text)
    rows = sum(1 for found in root.iter(f"{SPACE}rect") if "bucket" in found.attrib["class"].split())
    assert rows <= LARGEST + 1 + racks + 1 or rows <= 2 * LARGEST
    assert f"CRUSH tree of ceph: {racks * hosts} OSDs" in text


def test_a_tree_with_holes() -> None:
    ceph = mesh(Workshop()).plan.desired.ceph
    assert ceph is not None
    buckets = (
        Bucket(name="default", level="root", items=("n1", "empty")),
        Bucket(name="n1", level="host", items=("osd.0", "osd.77")),
        Bucket(name="empty", level="host", items=()),
        Bucket(name="other", level="root", items=()),
    )
    text = crush_picture(replace(ceph, buckets=buckets))
    inside(text)
    assert "osd.77: not in the layout" in text
    assert text.count("no OSDs") == 2


@pytest.mark.parametrize("shape", [Shape.RING, Shape.MESH, Shape.SWITCH, Shape.FABRIC])
@pytest.mark.parametrize("number", [1, 2, 3, 5, 12, 13, 21, 40, 41, 100])
def test_backbones_of_any_size(shape: Shape, number: int) -> None:
    ids = tuple(f"m-{k}" for k in range(number))
    following = list(zip(ids, (*ids[1:], ids[0]), strict=True)) if number > 2 else list(pairwise(ids))
    cables = tuple(CableLayout(a=a, b=b) for a, b in following)
    if number > 4:
        cables += (CableLayout(a=ids[0], b=ids[3], state=CableState.UNEXPECTED),)
    backbone = BackboneLayout(shape=shape, routing=Routing.BGP, bfd=True, members=ids, cables=cables)
    nodes = tuple(node(name.removeprefix("m-"), Place()) for name in ids)
    text = cabling_picture(Desired(nodes=nodes, backbone=backbone), None)
    root = inside(text)
    boxes = [f for f in root.iter(f"{SPACE}rect") if f.attrib["class"] == "node"]
    assert len(boxes) == number
    corners = sorted((float(box.attrib["x"]), float(box.attrib["y"])) for box in boxes)
    width, height = float(boxes[0].attrib["width"]), float(boxes[0].attrib["height"])
    for index, (x, y) in enumerate(corners):
        for other_x, other_y in corners[index + 1 :]:
            assert other_x - x >= width or abs(other_y - y) >= height, "machines never cover each other"
    if shape in (Shape.RING, Shape.MESH):
        lines = [f for f in root.iter() if f.attrib.get("class", "").startswith("cable cable-")]
        assert len(lines) == len(cables)


def test_switches_of_the_racks() -> None:
    scene = eight(Workshop())
    text = cabling_picture(scene.plan.desired, scene.site)
    assert all(f">leaf{k}<" in text for k in (1, 2, 3, 4))
    assert ">switch<" in cabling_picture(scene.plan.desired, None)
    backbone = scene.plan.desired.backbone
    assert backbone is not None
    cables = tuple(
        CableLayout(a=who, b=name, state=CableState.MISSING if who == "m-3" else CableState.OK)
        for who in backbone.members
        for name in ("tor-1", "tor-2")
    )
    dual = replace(scene.plan.desired, backbone=replace(backbone, cables=cables))
    text = cabling_picture(dual, scene.site)
    inside(text)
    assert (text.count(">tor-1<"), text.count(">tor-2<"), text.count(">leaf1<")) == (1, 1, 0)
    assert text.count("cable cable-missing") == 2


def test_no_backbone_no_picture() -> None:
    assert cabling_picture(Desired(), None) == ""
    nothing = BackboneLayout(shape=Shape.NONE, routing=Routing.NONE, bfd=False, members=("m-1",))
    assert cabling_picture(Desired(backbone=nothing), None) == ""


def test_words_are_escaped_and_cut() -> None:
    assert svg.text("<b>&\"'", 1, 2) == '<text class="label" x="1" y="2">&lt;b&gt;&amp;&quot;&#x27;</text>'
    assert svg.element("a", href='"><script>') == '<a href="&quot;&gt;&lt;script&gt;"/>'
    assert (svg.fit("abcdef", 100), svg.fit("abcdefghij", 40), svg.fit("abc", 3)) == ("abcdef", "abcde…", "")
    assert svg.shown(3.0) == "3"
    assert svg.shown(3.14) == "3.1"
