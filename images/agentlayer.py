"""The quick part of the agent image: the agent's own code, compiled, and what says which image this is.

It is an archive of its own behind the base, so that a change of the agent's code costs a second.
"""

from __future__ import annotations

import json
from pathlib import Path

from agent import VERSION
from agent.deploy import files
from images.agentbase import AgentBase
from images.agenttree import compile_sources
from images.cache import Cache, key_of
from images.cpio import cpio_archive

IMAGE_FACTS = "etc/rackseed/image.json"
IMAGE_VERSION = "etc/rackseed/version"


def agent_sources() -> dict[str, bytes]:
    """Path in the image (relative) → content, of the agent package beside us."""
    return {str(inside).lstrip("/"): path.read_bytes() for inside, path in files()}


def layer_key(base: AgentBase, sources: dict[str, bytes]) -> str:
    """Names the whole image: base and code."""
    return key_of("agent", base.key, VERSION, *(part for name in sorted(sources) for part in (name, sources[name])))


def layer(cache: Cache, base: AgentBase, sources: dict[str, bytes], key: str) -> bytes:
    """The archive: sources, byte code beside them, ``image.json``. Raises `ToolError` for code that does not compile."""
    facts = {"version": VERSION, "image": key, "base": base.key, "kernel": base.kernel_version, "created": base.built}
    contents = {name: (0o644, content) for name, content in sources.items()}
    with cache.scratch() as scratch:
        paths = [_write(scratch / name, content) for name, content in sorted(sources.items())]
        compile_sources(base.compiler, "beside", scratch, paths)
        for path in scratch.rglob("*.pyc"):
            contents[path.relative_to(scratch).as_posix()] = (0o644, path.read_bytes())
    contents[IMAGE_FACTS] = (0o644, json.dumps(facts, sort_keys=True, indent=1).encode() + b"\n")
    contents[IMAGE_VERSION] = (0o644, f"{VERSION} ({key[:12]})\n".encode())
    return cpio_archive(contents)


def _write(path: Path, content: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)
