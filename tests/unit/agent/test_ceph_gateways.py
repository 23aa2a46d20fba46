"""Gateways and S3, without a gateway."""

from __future__ import annotations

from typing import Any

import pytest

from agent.act import cephservices
from agent.act.cephs3 import S3
from agent.act.cephservices import Realm
from agent.errors import CephError
from agent.run import CommandError, Result
from agent.wire import ObjectStore


def test_signature_version_4() -> None:
    """Its fixed parts; that a gateway accepts it is shown in tests/net/agent/test_ceph_osd_on_loop.py."""
    s3 = S3(host="10.0.0.1", port=7480, access="AKIDEXAMPLE", secret="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    headers = s3.headers("GET", "/bucket/key", b"", 1440938160.0)
    assert headers["X-Amz-Date"] == "20150830T123600Z"
    assert headers["Authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/default/s3/aws4_request"
    )
    assert headers["Host"] == "10.0.0.1:7480"
    other = s3.headers("PUT", "/bucket/key", b"", 1440938160.0)
    assert other["Authorization"] != headers["Authorization"]


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("10.0.0.1", ("10.0.0.1", 7480)),
        ("10.0.0.1:80", ("10.0.0.1", 80)),
        ("[fd00::1]:80", ("fd00::1", 80)),
        ("[fd00::1]", ("fd00::1", 7480)),
        ("fd00::1", ("fd00::1", 7480)),
    ],
)
def test_addresses_of_gateways(address: str, found: tuple[str, int]) -> None:
    assert cephservices.endpoint(address) == found


def test_a_realm_is_made_with_the_gateways_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by 48 OSDs: gateways on machines without a monitor have no administrator's keyring."""
    asked: list[list[str]] = []

    def answer(argv: list[str], **options: Any) -> Result:
        asked.append(argv)
        return Result(argv=tuple(argv), code=0, stdout="{}", stderr="")

    monkeypatch.setattr(cephservices, "run", answer)
    realm = Realm(daemon="n1", store=ObjectStore(realm="s3", pool="s3.rgw.buckets.data", user="first"))
    realm.make()
    realm.make_user("secret")
    for argv in asked:
        named = argv[argv.index("--name") + 1], argv[argv.index("--keyring") + 1]
        assert named == ("client.rgw.n1", "/var/lib/ceph/radosgw/ceph-rgw.n1/keyring")


def test_a_secret_key_is_not_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(argv: list[str], **options: Any) -> Any:
        raise CommandError(argv, "did not end within 180 s")

    monkeypatch.setattr(cephservices, "run", fail)
    with pytest.raises(CephError) as raised:
        Realm(daemon="n1", store=ObjectStore(realm="s3"))._create(
            "user", "create", "--uid=first", "--secret-key=verysecret"
        )
    chain = f"{raised.value} {raised.value.__cause__}"
    assert "verysecret" not in chain and "radosgw-admin user create" in chain
