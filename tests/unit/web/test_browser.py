"""A person with a browser: signs in, approves by the code, sees the page change by itself, reads a plan, signs out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import load_pem_x509_certificate

from agent import wire
from tests.unit.operations.lab import csr, hardware
from tests.unit.web import webdriver
from tests.unit.web.serving import Serving
from tests.unit.web.test_processes import SITE

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    if reason := webdriver.missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("browsed")
    (folder / "site.yaml").write_text(SITE.split("approve:")[0] + "machines:\n  n1: {serial: WM21000001}\n")
    made = Serving(folder, folder / "site.yaml")
    made.start("https")
    try:
        made.wait(made.https)
        yield made
    finally:
        made.stop()


def enrol(serving: Serving, number: int) -> str:
    """A machine asks to be let in; returns the code on its console."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = wire.EnrolmentRequest(csr=csr(key), nonce=f"{number:032x}", clock_offset=0.0, inventory=hardware(number))
    ca = serving.state / "keys" / "ca.pem"
    reply = requests.post(
        f"https://127.0.0.1:{serving.https}/api/v1/enrolments",
        data=wire.encode(request),
        headers={"Content-Type": "application/json"},
        verify=str(ca),
        timeout=20,
    )
    assert reply.status_code == 201, reply.text
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    authority = load_pem_x509_certificate(ca.read_bytes()).public_key()
    return wire.enrolment_code(key.public_key().public_bytes(*form), authority.public_bytes(*form))


def sign_in(page: webdriver.Browser, serving: Serving) -> str:
    url = f"https://127.0.0.1:{serving.https}"
    page.go(url)
    page.type("#token", (serving.state / "admin-token").read_text().strip())
    page.click("button.main")
    page.wait("Machines", "h1")
    return url


def test_a_person_lets_a_machine_in(serving: Serving, tmp_path: Path) -> None:
    with webdriver.browser() as page:
        url = sign_in(page, serving)
        page.wait("No machine was seen yet")
        code = enrol(serving, 1)
        page.wait("WM21000001")  # by server-sent events: nobody reloaded
        page.click("td a")
        page.wait("Let this machine in")
        page.type("#code", code)
        page.click("form.row button.main")
        page.wait("approved", "#state .badge")
        assert "Let this machine in" not in page.text()
        page.go(f"{url}/plans")
        page.click("button.main")
        page.wait("What waits")
        page.screenshot(tmp_path / "plan.png")
        assert (tmp_path / "plan.png").stat().st_size > 10_000
        assert page.complaints() == [], "neither an error of a script nor a breach of the policy"
        page.click("button.quiet")
        page.wait("Sign in", "h1")
        page.go(f"{url}/machines")
        page.wait("Sign in", "h1")


def test_without_javascript(serving: Serving) -> None:
    with webdriver.browser(script=False) as page:
        url = sign_in(page, serving)
        code = enrol(serving, 2)
        page.go(f"{url}/machines/ac:1f:6b:00:02:01")
        page.wait("Let this machine in")
        page.type("#code", code)
        page.click("form.row button.main")
        page.wait("approved", "#state .badge")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(serving: Serving, width: int) -> None:
    with webdriver.browser(width=max(width, 500), height=900) as page:
        url = sign_in(page, serving)
        enrol(serving, 3)
        page.call(
            "POST",
            "/goog/cdp/execute",
            {
                "cmd": "Emulation.setDeviceMetricsOverride",
                "params": {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
            },
        )
        for path in ("/machines", "/machines/ac:1f:6b:00:03:01", "/plans", "/events", "/site"):
            page.go(url + path)
            assert page.run("return document.documentElement.scrollWidth") <= width, path
