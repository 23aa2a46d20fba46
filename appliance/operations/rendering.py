"""The files of an installed system, from what the plan decided."""

from __future__ import annotations

import re

from agent.wire import FileSpec, PartitionSpec
from appliance.engine.orders import OrderError
from appliance.model.plan import HostConfig
from appliance.store.artefacts import ArtefactRow
from images.errors import RenderError
from images.render import render

_HASH = re.compile(r"-[0-9a-f]{12}$")


def operating_system(image: ArtefactRow) -> str:
    """Name of the folder in ``images/os`` that a root image was built from: ``debian-13`` of ``debian-13.tar.zst``, also
    when a piece of the content's hash stands between."""
    return _HASH.sub("", image.name.removesuffix(".tar.zst"))


def render_files(image: ArtefactRow, host: HostConfig, partitions: tuple[PartitionSpec, ...]) -> tuple[FileSpec, ...]:
    """What is written into the installed system after the image was unpacked. `OrderError` names what cannot be used."""
    try:
        return render(operating_system(image), host, partitions)
    except RenderError as error:
        raise OrderError(f"the files of {host.hostname} cannot be written: {error}") from error
