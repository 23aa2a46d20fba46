"""The files of an installed system, from what the plan decided: data for the renderers, which know nothing of plans."""

from __future__ import annotations

import importlib

from agent.wire import FileSpec, PartitionSpec
from appliance.model.plan import HostConfig
from appliance.store.artefacts import ArtefactRow


def operating_system(image: ArtefactRow) -> str:
    """Name of the folder in ``images/os`` that a root image was built from."""
    return str(image.document.get("os") or image.name.split(".")[0])


def render_files(image: ArtefactRow, host: HostConfig, partitions: tuple[PartitionSpec, ...]) -> tuple[FileSpec, ...]:
    """What is written into the installed system after the image was unpacked."""
    rendered: tuple[FileSpec, ...] = importlib.import_module("images.render").render(
        operating_system(image), host, partitions
    )
    return rendered
