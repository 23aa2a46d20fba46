"""Our boot servers alone, with the small SQLite directory: ``python -m bench.boot_server INTERFACE ADDRESS/PREFIX …``."""

from __future__ import annotations

import argparse
import logging
import sys
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from bench.directory import SqliteDirectory
from pxe.errors import PxeError
from pxe.ports import Pool
from pxe.serve import Mode, run


def pool(text: str, seconds: int) -> Pool:
    """``ADDRESS/PREFIX,FIRST,LAST[,ROUTER]``."""
    subnet, first, last, *router = text.split(",")
    return Pool(
        subnet=IPv4Interface(subnet),
        first=IPv4Address(first),
        last=IPv4Address(last),
        lease_seconds=seconds,
        router=IPv4Address(router[0]) if router else None,
        dns=(IPv4Interface(subnet).ip,),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("interfaces", nargs="+")
    parser.add_argument("--pool", action="append", default=[], help="ADDRESS/PREFIX,FIRST,LAST[,ROUTER]")
    parser.add_argument("--fixed", action="append", default=[], help="MAC=ADDRESS")
    parser.add_argument("--database", type=Path, required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--url", default="http://192.0.2.1:8080")
    parser.add_argument("--mode", type=Mode, choices=list(Mode), default=Mode.AUTHORITATIVE)
    parser.add_argument("--probe", type=float, default=0.0)
    parser.add_argument("--lease", type=int, default=3600)
    parser.add_argument("--level", default="INFO")
    options = parser.parse_args()
    logging.basicConfig(level=options.level, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    fixed = {mac: IPv4Address(address) for mac, address in (each.split("=") for each in options.fixed)}
    pools = tuple(pool(text, options.lease) for text in options.pool)
    directory = SqliteDirectory(options.database, pools, root=options.root, url=options.url, fixed=fixed)
    try:
        run(
            directory,
            options.interfaces,
            options.mode,
            probe_seconds=options.probe,
            on_ready=lambda: print("ready", flush=True),
        )
    except PxeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
