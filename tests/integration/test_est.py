"""EST through the edge, with requests that OpenSSL makes and curl sends: enrol, renew, and what is refused."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pulse_local.environments import minimal
from pulse_local.seed import ACME

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg
    from tests.integration.world import World

pytestmark = pytest.mark.integration

P256 = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
OTHER_KEYS = {
    "P-384": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "Ed25519": ("-algorithm", "ED25519"),
    "RSA": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
}
PKCS10 = ("-H", "content-type: application/pkcs10")


@dataclass(frozen=True, kw_only=True)
class Client:
    """A machine with nothing of ours on it."""

    folder: Path
    ca: Path
    url: str

    def key_and_request(self, name: str, kind: tuple[str, ...] = P256, *more: str) -> Path:
        """Make a key and a request in base64 of DER, as EST wants it."""
        key, der = self.folder / f"{name}.key", self.folder / f"{name}.der"
        self.openssl("genpkey", *kind, "-out", str(key))
        wanted = ("-subj", "/CN=whatever", *more)
        self.openssl("req", "-new", "-key", str(key), *wanted, "-outform", "DER", "-out", str(der))
        request = self.folder / f"{name}.b64"
        self.openssl("base64", "-in", str(der), "-out", str(request))
        return request

    def est(self, what: str, *arguments: str, label: str = "device") -> tuple[int, str, bytes]:
        """Return the status, the head and the body of an answer."""
        head, body = self.folder / "head", self.folder / "body"
        done = _run(
            "curl", "--silent", "--show-error", "--cacert", str(self.ca), "--dump-header", str(head),
            "--output", str(body), "--write-out", "%{http_code}", *arguments,
            f"{self.url}/.well-known/est/{label}/{what}",
        )  # fmt: skip
        return int(done), head.read_text().lower(), body.read_bytes()

    def certificates(self, body: bytes, name: str) -> Path:
        """Let OpenSSL read what came: PKCS#7 in base64."""
        encoded, pem = self.folder / "answer.p7", self.folder / f"{name}.pem"
        encoded.write_bytes(b"-----BEGIN PKCS7-----\n" + body + b"-----END PKCS7-----\n")
        self.openssl("pkcs7", "-in", str(encoded), "-print_certs", "-out", str(pem))
        return pem

    def openssl(self, *arguments: str) -> str:
        return _run("openssl", *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(
        command, env=minimal(), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def client(world: World, tmp_path: Path) -> Client:
    return Client(folder=tmp_path, ca=world.stack.tls.ca, url=world.stack.url)


def test_openssl_and_curl_enrol_and_renew(
    world: World, client: Client, database: psycopg.Connection
) -> None:
    device_id = world.new_device(ACME, "Enrolled by EST")
    token = world.new_token(ACME, device_id)

    status, head, body = client.est("cacerts")
    assert (status, "application/pkcs7-mime" in head) == (200, True)
    authorities = client.certificates(body, "authorities")

    first = client.key_and_request("first")
    status, head, body = client.est(
        "simpleenroll", "--user", f"est:{token}", *PKCS10, "--data-binary", f"@{first}"
    )
    assert status == 200, body
    assert "content-type: application/pkcs7-mime; smime-type=certs-only\n" in head.replace("\r", "")
    assert "content-transfer-encoding: base64" in head
    present = client.certificates(body, "first")
    client.openssl("verify", "-CAfile", str(authorities), "-purpose", "sslclient", str(present))
    assert f"CN = {device_id}" in client.openssl("x509", "-in", str(present), "-noout", "-subject")

    second = client.key_and_request("second")
    shown = ("--cert", str(present), "--key", str(client.folder / "first.key"))
    answers = [
        client.est("simplereenroll", *shown, *PKCS10, "--data-binary", f"@{second}")
        for _ in range(2)
    ]
    assert [one[0] for one in answers] == [200, 200]
    assert answers[0][2] == answers[1][2]
    renewed = client.certificates(answers[0][2], "second")
    client.openssl("verify", "-CAfile", str(authorities), "-purpose", "sslclient", str(renewed))

    rows = database.execute(
        "SELECT status, renewal FROM certificates WHERE device_id = %s ORDER BY certificate_id",
        [device_id],
    ).fetchall()
    assert rows == [("valid", False), ("valid", True)]


@pytest.mark.parametrize("kind", OTHER_KEYS)
def test_every_kind_of_key_enrols_and_renews(world: World, client: Client, kind: str) -> None:
    """What a request asks for beside its key is ignored: names, and the rights of a CA."""
    token = world.new_token(ACME, world.new_device(ACME, f"{kind} by EST"))
    more = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "subjectAltName=DNS:a.test")
    first = client.key_and_request("first", OTHER_KEYS[kind], *more)
    second = client.key_and_request("second", OTHER_KEYS[kind])
    user = ("--user", f"est:{token}")

    enrolled = client.est("simpleenroll", *user, *PKCS10, "--data-binary", f"@{first}")
    assert enrolled[0] == 200, enrolled[2]
    present = client.certificates(enrolled[2], "first")
    shown = ("--cert", str(present), "--key", str(client.folder / "first.key"))
    renewed = client.est("simplereenroll", *shown, *PKCS10, "--data-binary", f"@{second}")

    assert renewed[0] == 200, renewed[2]
    issued = client.certificates(renewed[2], "second")
    authorities = client.certificates(client.est("cacerts")[2], "authorities")
    client.openssl("verify", "-CAfile", str(authorities), "-purpose", "sslclient", str(issued))
    key = client.openssl("pkey", "-in", str(client.folder / "second.key"), "-pubout")
    assert client.openssl("x509", "-in", str(issued), "-noout", "-pubkey") == key
    said = client.openssl("x509", "-in", str(present), "-noout", "-text")
    assert "CA:TRUE" not in said
    assert "a.test" not in said


def test_csr_attributes_are_readable(client: Client) -> None:
    status, head, body = client.est("csrattrs")

    encoded, der = client.folder / "attributes", client.folder / "attributes.der"
    encoded.write_bytes(body)
    client.openssl("base64", "-d", "-in", str(encoded), "-out", str(der))
    shown = client.openssl("asn1parse", "-inform", "DER", "-in", str(der))
    assert (status, "application/csrattrs" in head) == (200, True)
    assert "ecdsa-with-SHA256" in shown
    assert "prime256v1" in shown


def test_strangers_get_nothing(world: World, client: Client, database: psycopg.Connection) -> None:
    device = world.enrol(ACME, "Impersonated")
    request = client.key_and_request("stranger")
    body = (*PKCS10, "--data-binary", f"@{request}")
    own = client.folder / "own.pem"
    key = client.folder / "stranger.key"
    client.openssl(
        "req", "-x509", "-new", "-key", str(key), "-out", str(own), "-days", "1",
        "-subj", f"/O={device.tenant_id}/CN={device.device_id}",
    )  # fmt: skip
    real = client.openssl("x509", "-in", str(device.folder / "certificate.pem"), "-outform", "PEM")
    said = "".join(line for line in real.splitlines() if not line.startswith("-"))

    refused = {
        "no token": client.est("simpleenroll", *body),
        "a wrong token": client.est("simpleenroll", "--user", "est:wrong", *body),
        "no certificate": client.est("simplereenroll", *body),
        "a certificate of one's own": client.est(
            "simplereenroll", "--cert", str(own), "--key", str(key), *body
        ),
        "a header": client.est(
            "simplereenroll", "-H", f"x-pulse-client-certificate: {said}", *body
        ),
    }

    assert {why: answer[0] for why, answer in refused.items()} == dict.fromkeys(refused, 401)
    assert all('www-authenticate: basic realm="pulse-est"' in one[1] for one in refused.values())
    query = "SELECT count(*) FROM certificates WHERE device_id = %s"
    assert database.execute(query, [device.device_id]).fetchone() == (1,)


def test_unknown_label_and_nonsense_are_refused(world: World, client: Client) -> None:
    token = world.new_token(ACME, world.new_device(ACME, "Never enrolled"))
    request = client.key_and_request("any")
    user = ("--user", f"est:{token}")

    statuses = [
        client.est("cacerts", label="nobodys")[0],
        client.est("simpleenroll", *user, *PKCS10, "--data", f"@{request}", label="nobodys")[0],
        client.est("simpleenroll", *user, *PKCS10, "--data", "bm9uc2Vuc2U=")[0],
        client.est("simpleenroll", *user, "--data-binary", f"@{request}")[0],
        client.est("simpleenroll", *user, *PKCS10, "--data-binary", f"@{request}")[0],
    ]

    assert statuses == [404, 404, 400, 400, 200]  # and none of it has used the token up
