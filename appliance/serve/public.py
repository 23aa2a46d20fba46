"""The plain HTTP listener's application: public artefacts, loaders and boot scripts. It knows no sessions and no API.

Files leave through ``wsgi.file_wrapper`` and so by sendfile(2): the body is never touched in Python. What is served is
public by its nature (kernels, images, loaders) and named by its hash.
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from flask import Blueprint, Flask, Response, current_app, request, send_file

from agent.wire import SiteBundle
from appliance.operations import artefacts, netboot
from appliance.operations.context import Appliance
from appliance.operations.errors import NotFound, OperationError
from appliance.serve.health import healthz
from appliance.serve.recorder import Recorder
from appliance.store.artefacts import ArtefactKind, ArtefactRow
from appliance.store.database import StoreError
from images.site import site_cpio
from pxe import script
from pxe.ports import BootEvent, EventKind

FOREVER = 365 * 24 * 3600
BINARY = "application/octet-stream"

blueprint = Blueprint("public", __name__)


def make_app(appliance: Appliance) -> Flask:
    """The WSGI application, for gunicorn, for tests and for the bench."""
    app = Flask("appliance.serve.public", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=0)
    app.extensions["rackseed"] = appliance
    app.extensions["rackseed-recorder"] = Recorder(netboot.NetbootDirectory(appliance))
    app.register_blueprint(blueprint)
    app.add_url_rule("/healthz", view_func=healthz)
    app.register_error_handler(OperationError, _refusal)
    app.register_error_handler(StoreError, lambda error: _text(f"{error}\n", 503))
    return app


@blueprint.get("/artefacts/<sha256>/<name>")
def artefact(sha256: str, name: str) -> Response:
    """A registered file by its content hash alone; ``name`` is for logs and for people who look at it."""
    del name
    response = _file(artefacts.find(_appliance(), sha256))
    response.cache_control.max_age = FOREVER
    response.cache_control.public = True
    response.cache_control.immutable = True
    return response


@blueprint.get("/loaders/<name>")
def loader(name: str) -> Response:
    """A boot loader by its name (UEFI HTTP Boot)."""
    row = artefacts.current(_appliance(), ArtefactKind.LOADER, name)
    if row is None:
        raise NotFound(f"there is no loader {name}; if none is there, run: rackseed image boot")
    return _file(row)


@blueprint.get("/autoexec.ipxe")
@blueprint.get("/loaders/autoexec.ipxe")
def autoexec() -> Response:
    """The script that asks for the machine's own one, with what iPXE knows of the machine. A UEFI iPXE that came by HTTP
    looks for it beside itself."""
    return _text(script.chain(_appliance().settings.public_url), 200)


@blueprint.get("/boot/script.ipxe")
def boot_script() -> Response:
    """The machine's boot script. An iPXE that gets an error status shows it, so refusals keep their status."""
    decision = netboot.script_decision(_appliance(), request.args, remote=_remote())
    again = f"{_appliance().settings.public_url}{request.full_path}"
    return _text(script.render(decision, again=again), 200)


@blueprint.get("/site.cpio")
def site_bundle() -> Response:
    """How the agent image reaches this appliance, and the CA that it trusts. Nothing in it is secret."""
    appliance = _appliance()
    bundle = SiteBundle(
        enrol_url=appliance.settings.enrol_url,
        agent_url=appliance.settings.agent_url,
        public_url=appliance.settings.public_url,
        ca=appliance.authority.ca_pem,
    )
    return Response(site_cpio(bundle), 200, mimetype=BINARY, headers={"Cache-Control": "no-store"})


def _file(row: ArtefactRow) -> Response:
    path = Path(row.path)
    if not path.is_file():
        current_app.logger.error("machine=- step=http-file why=%s is missing; run: rackseed image all", path)
        raise NotFound(f"{row.name} was removed from the cache: run rackseed image all")
    _observe(row)
    response = send_file(path, mimetype=BINARY, conditional=True, etag=row.sha256)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _observe(row: ArtefactRow) -> None:
    """One event per download that begins: not for HEAD, and not for the later pieces of a resumed one."""
    begins = request.range is None or all(start == 0 for start, _ in request.range.ranges)
    if request.method != "GET" or not begins:
        return
    detail = f"{row.kind} {row.name} ({row.size} bytes)"
    event = BootEvent(kind=EventKind.HTTP_FILE, at=_appliance().clock.now(), address=_remote(), detail=detail)
    current_app.extensions["rackseed-recorder"].add(event)


def _remote() -> IPv4Address | None:
    try:
        return IPv4Address(request.remote_addr or "")
    except AddressValueError:
        return None


def _appliance() -> Appliance:
    appliance: Appliance = current_app.extensions["rackseed"]
    return appliance


def _refusal(error: OperationError) -> Response:
    return _text(f"{error}\n", error.status)


def _text(text: str, status: int) -> Response:
    return Response(text, status, mimetype="text/plain", headers={"Cache-Control": "no-store"})
