"""Runs in a lab's appliance, with its Python: the agent of a boot server, as `rackseed serve arbiter` starts it, with the
lab's plain processes where a machine has systemd.

``ownagent.py FOLDER``: the folder has the files that `appliance.serve.arbiter.write` makes.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main(folder: str) -> int:
    """Until it is killed."""
    environments, inhost = importlib.import_module("agent.environments"), importlib.import_module("lab.inhost")
    console, patience = importlib.import_module("agent.console"), importlib.import_module("agent.patience")
    return int(
        environments.live_as_arbiter(Path(folder), console.Console(), patience.Patience(), daemons=inhost.Daemons())
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
