"""Secrets over the agents' API: names with slashes, the order that names them, and refusals as problems."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from flask.testing import FlaskClient

from agent import wire
from appliance.engine.orderdoor import OrderDoor
from appliance.engine.orders import secret_names
from appliance.serve import agents as agents_listener
from appliance.store import certificates
from tests.unit.engine.cephworld import Agents, CephWorld
from tests.unit.engine.world import World


class Connection:
    """Stands for a TLS connection with a verified client certificate."""

    def __init__(self, pem: str) -> None:
        self.der = x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)

    def getpeercert(self, binary_form: bool = False) -> bytes:
        assert binary_form
        return self.der


@pytest.fixture
def world(tmp_path: Path) -> CephWorld:
    World(tmp_path / "template").app.close()
    shutil.copytree(tmp_path / "template", tmp_path / "state")
    made = CephWorld(tmp_path / "state")
    made.use(OrderDoor(store=made.store, clock=made.clock, authority=made.app.authority))
    made.accept()
    return made


def test_a_secret_comes_to_the_machine_whose_order_names_it_and_to_no_other(world: CephWorld) -> None:
    agents = Agents(world)
    while world.engine.run_one():
        pass
    machine, order = next((m, found) for m in agents.nonces if (found := agents.poll(m)) is not None)
    assert order.ceph is not None
    name = sorted(secret_names(order.ceph))[0]
    assert "/" in name
    with world.store.read() as connection:
        pems = {m: certificates.of_machine(connection, m)[0].pem for m in agents.nonces}
    web: FlaskClient = agents_listener.make_app(world.app).test_client()

    def ask(who: str, what: str, query: str) -> tuple[int, bytes]:
        environ = {"gunicorn.socket": Connection(pems[who])}
        answer = web.get(f"/agent/v1/secrets/{quote(what, safe='')}{query}", environ_overrides=environ)
        return answer.status_code, answer.data

    status, body = ask(machine, name, f"?order={order.id}")
    assert status == 200
    assert len(wire.decode(wire.SecretReply, body).secret) == 40
    other = next(m for m in agents.nonces if m != machine)
    for who, what, query, wanted in (
        (other, name, f"?order={order.id}", 404),
        (machine, "ceph/x/client.admin", f"?order={order.id}", 404),
        (machine, name, "?order=none", 404),
        (machine, name, "", 422),
    ):
        status, body = ask(who, what, query)
        assert status == wanted
        assert json.loads(body)["status"] == wanted
    agents.one(machine)
    status, body = ask(machine, name, f"?order={order.id}")
    assert status == 409
    assert web.get(f"/agent/v1/secrets/{name}?order={order.id}").status_code == 401
