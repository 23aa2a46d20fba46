"""Our boot servers over the appliance's own store, for the bench: ``python -m bench.netboot_server STATE``.

A fresh appliance (keys, database) with one site file whose provisioning network is 10.98.0.0/16.
"""

from __future__ import annotations

import logging
import sys
from ipaddress import IPv4Address
from pathlib import Path

from appliance.model.settings import Settings
from appliance.operations.context import SYSTEM, Appliance
from appliance.operations.netboot import NetbootDirectory
from appliance.operations.sites import load_site
from pxe.serve import run

SITE = """\
site: bench
networks:
  provisioning: {cidr: 10.98.0.0/16, appliance: 10.98.0.1, pool: 10.98.4.1-10.98.255.254}
"""


def main(state: Path) -> None:
    logging.basicConfig(level="WARNING", stream=sys.stderr)
    settings = Settings(state=state, cache=state / "cache", address=IPv4Address("10.98.0.1"), interfaces=("eth0",))
    app = Appliance.open(settings)
    file = state / "site.yaml"
    file.write_text(SITE, encoding="utf-8")
    load_site(app, SYSTEM, file)
    run(NetbootDirectory(app), settings.interfaces, probe_seconds=0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
