"""Pictures of a planned site for the documentation, by headless Chromium: ``python -m docs.make_layout_pictures``.

The site is one of the golden ones of the tests (eight EPYC servers in four racks); machines and plan are made by the
planner, no appliance runs. Racks, CRUSH tree and cabling are the SVG of the pages, with the pages' style.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from appliance.model.machine import Phase
from appliance.ui.pictures.cabling import cabling_picture
from appliance.ui.pictures.crush import crush_picture
from appliance.ui.pictures.racks import rack_picture
from docs.make_pictures import PAGES, photograph
from tests.unit.plan.sites import eight_hosts_in_four_racks, five_node_ring
from tests.unit.plan.test_sites import played

STYLE = Path(__file__).resolve().parent.parent / "appliance" / "ui" / "static" / "style.css"


def page(*pictures: str) -> str:
    """A page with nothing but pictures."""
    body = "".join(f"<p>{picture}</p>" for picture in pictures)
    return f"<!doctype html><meta charset=utf-8><style>{STYLE.read_text(encoding='utf-8')}</style><main>{body}</main>"


def main() -> None:
    """Write ``layout.png`` (racks and CRUSH tree) and ``cabling.png`` (a ring)."""
    site, seen, made, _ = played(eight_hosts_in_four_racks())
    phases = {machine.machine.id: Phase.DEPLOYED for machine in seen.machines}
    if made.desired.ceph is None:
        raise SystemExit("the golden site has no Ceph any more")
    ring_site, _, ring, _ = played(five_node_ring())
    pages = {
        "layout.png": (page(rack_picture(made.desired, site, phases), crush_picture(made.desired.ceph)), 1130),
        "cabling.png": (page(cabling_picture(ring.desired, ring_site)), 380),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, (html, height) in pages.items():
            source = Path(folder) / f"{name}.html"
            source.write_text(html, encoding="utf-8")
            photograph(source.as_uri(), PAGES / name, height)


if __name__ == "__main__":
    main()
