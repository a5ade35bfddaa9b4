"""Who is let in, and why not: every refusal has its own reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from cryptography import x509
from services.mqtt_authz.tests.conftest import Names, issue

from mqtt_authz.certificate import CertificateRefused, DeviceCertificate, read_certificate
from mqtt_authz.domain import (
    Admitted,
    Connect,
    Standing,
    admit_device,
    admit_service,
    check_names,
    identify,
)
from mqtt_authz.reasons import Denied, Reason
from pulse_common.clock import system_clock

NAMES = Names(
    tenant=UUID("11111111-1111-4111-8111-1111111111ab"),
    device=UUID("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"),
)
ELSE = UUID("cccccccc-cccc-4ccc-8ccc-cccccccccccc")
T, D = str(NAMES.tenant), str(NAMES.device)
PASSWORD = b"pass"


def connect(*, client_id: str = D, username: str = D, password: str = "") -> Connect:
    return Connect(client_id=client_id, username=username, password=password, certificate=None)


def reason_for(names: Names, **changes: str) -> Reason | None:
    holder = identify(issue(names))
    if isinstance(holder, Denied):
        return holder.reason
    verdict = check_names(connect(**changes), holder, system_clock())
    return verdict.reason if isinstance(verdict, Denied) else None


def uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


OURS = uri(f"urn:pulse:tenant:{T}:device:{D}")


def test_names_come_from_the_certificate() -> None:
    holder = identify(issue(NAMES))

    assert isinstance(holder, DeviceCertificate)
    assert (holder.tenant, holder.device) == (NAMES.tenant, NAMES.device)


def test_user_name_may_be_empty() -> None:
    assert reason_for(NAMES, username="") is None


@pytest.mark.parametrize(
    "names",
    [
        replace(NAMES, common_names=[]),
        replace(NAMES, common_names=[D, D]),
        replace(NAMES, common_names=[D, str(ELSE)]),
        replace(NAMES, common_names=[D.upper()]),
        replace(NAMES, common_names=["+"]),
        replace(NAMES, common_names=["#"]),
        replace(NAMES, common_names=[f"{D}/x"]),
        replace(NAMES, common_names=[f"{D}\x00"]),
        replace(NAMES, common_names=[f"{D}\n"]),
        replace(NAMES, common_names=[f"{{{D}}}"]),
        replace(NAMES, common_names=[D.replace("-", "")]),
        replace(NAMES, common_names=["device"]),
        replace(NAMES, common_names=[str(ELSE)]),
        replace(NAMES, organizations=[]),
        replace(NAMES, organizations=[T, T]),
        replace(NAMES, organizations=["Acme"]),
        replace(NAMES, organizations=[T.upper()]),
        replace(NAMES, organizations=[str(ELSE)]),
        replace(NAMES, san=[]),
        replace(NAMES, san=[OURS, OURS]),
        replace(NAMES, san=[OURS, uri("urn:pulse:tenant:x:device:y")]),
        replace(NAMES, san=[OURS, x509.DNSName("device.example")]),
        replace(NAMES, san=[x509.DNSName(D)]),
        replace(NAMES, san=[uri(f"urn:pulse:tenant:{T}:device:{ELSE}")]),
        replace(NAMES, san=[uri(f"urn:pulse:tenant:{ELSE}:device:{D}")]),
        replace(NAMES, san=[uri(f"URN:pulse:tenant:{T}:device:{D}")]),
        replace(NAMES, san=[uri(f"urn:pulse:tenant:{T}:device:{D}:")]),
    ],
)
def test_certificate_whose_names_are_not_exactly_one_device_is_refused(names: Names) -> None:
    assert reason_for(names) is Reason.BAD_CERTIFICATE


@pytest.mark.parametrize("der", [b"", b"0", b"\x30\x80", b"x" * 20_000, issue(NAMES) + b"\x00"])
def test_bytes_that_are_no_certificate_are_refused(der: bytes) -> None:
    verdict = identify(der)

    assert isinstance(verdict, Denied)
    assert verdict.reason is Reason.BAD_CERTIFICATE


def test_certificate_counts_only_between_its_dates() -> None:
    early = replace(NAMES, starts=timedelta(hours=1))
    late = replace(NAMES, ends=timedelta(seconds=-1))

    assert reason_for(early) is Reason.CERTIFICATE_NOT_YET_VALID
    assert reason_for(late) is Reason.CERTIFICATE_EXPIRED


def test_certificate_is_over_in_the_second_that_it_ends() -> None:
    der = issue(NAMES)
    last = read_certificate(der).not_after

    # EMQX refuses an expire_at that is not in the future.
    holder = read_certificate(der)
    assert check_names(connect(), holder, last) == Denied(Reason.CERTIFICATE_EXPIRED)
    assert check_names(connect(), holder, last - timedelta(seconds=1)) is None


def test_certificate_of_a_version_that_is_none_is_refused() -> None:
    der = issue(NAMES)
    seventh = der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020107"), 1)

    assert seventh != der
    with pytest.raises(CertificateRefused):
        read_certificate(seventh)


@pytest.mark.parametrize("client_id", ["", "foo", D.upper(), str(ELSE), f"{D} ", "+", "é"])
def test_client_id_must_be_the_device(client_id: str) -> None:
    assert reason_for(NAMES, client_id=client_id) is Reason.CLIENT_ID_MISMATCH


@pytest.mark.parametrize("username", ["svc_ingest_worker", "mallory", D.upper(), str(ELSE)])
def test_user_name_must_be_the_device_or_empty(username: str) -> None:
    assert reason_for(NAMES, username=username) is Reason.USERNAME_MISMATCH


HOLDER = read_certificate(issue(NAMES))
GOOD = Standing(
    tenant=NAMES.tenant,
    device=NAMES.device,
    issuer=ELSE,
    certificate_valid=True,
    issuer_active=True,
    device_active=True,
    tenant_active=True,
)


@pytest.mark.parametrize(
    ("standing", "reason"),
    [
        (None, Reason.CERTIFICATE_UNKNOWN),
        (replace(GOOD, tenant=ELSE), Reason.CERTIFICATE_MISMATCH),
        (replace(GOOD, device=ELSE), Reason.CERTIFICATE_MISMATCH),
        (replace(GOOD, certificate_valid=False), Reason.CERTIFICATE_REVOKED),
        (replace(GOOD, issuer_active=False), Reason.ISSUER_NOT_TRUSTED),
        (replace(GOOD, device_active=False), Reason.DEVICE_DISABLED),
        (replace(GOOD, tenant_active=False), Reason.TENANT_SUSPENDED),
    ],
)
def test_device_without_good_standing_is_refused(standing: Standing | None, reason: Reason) -> None:
    assert admit_device(HOLDER, standing) == Denied(reason)
    assert standing is None or not standing.good or reason is Reason.CERTIFICATE_MISMATCH


def test_session_ends_with_the_certificate() -> None:
    verdict = admit_device(HOLDER, GOOD)

    assert isinstance(verdict, Admitted)
    assert verdict.expires_at == int(HOLDER.not_after.timestamp())
    assert dict(verdict.attributes) == {
        "tenant": T,
        "device": D,
        "serial": HOLDER.serial_number,
    }


def service(**changes: str) -> Admitted | Denied:
    known = {"username": "svc_ingest_worker", "client_id": "ingest-1", "password": "pass"}
    return admit_service(connect(**(known | changes)), PASSWORD)


def test_service_is_let_in_by_its_password() -> None:
    verdict = service()

    assert isinstance(verdict, Admitted)
    assert verdict.expires_at is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"username": ""}, Reason.NO_CERTIFICATE),
        ({"username": D}, Reason.NO_CERTIFICATE),
        ({"username": "admin"}, Reason.NO_CERTIFICATE),
        ({"username": "SVC_INGEST_WORKER"}, Reason.NO_CERTIFICATE),
        ({"password": ""}, Reason.WRONG_PASSWORD),
        ({"password": "passé"}, Reason.WRONG_PASSWORD),
        ({"password": "pass "}, Reason.WRONG_PASSWORD),
        ({"client_id": ""}, Reason.SERVICE_CLIENT_ID),
        ({"client_id": D}, Reason.SERVICE_CLIENT_ID),
        ({"client_id": "a/b"}, Reason.SERVICE_CLIENT_ID),
        ({"client_id": "#"}, Reason.SERVICE_CLIENT_ID),
    ],
)
def test_without_a_certificate_only_a_service_with_its_password_gets_in(
    changes: dict[str, str], reason: Reason
) -> None:
    assert service(**changes) == Denied(reason)


def test_password_never_prints() -> None:
    assert "hunter2" not in repr(connect(password="hunter2"))
