"""``python3 -m agent``."""

from __future__ import annotations

import sys

from agent.main import main

sys.exit(main())
