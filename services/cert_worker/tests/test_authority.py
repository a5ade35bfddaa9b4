"""The CA is made once, found again, and never replaced by mistake."""

from __future__ import annotations

import asyncio
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from services.cert_worker.tests.conftest import PASSPHRASE, HeldClock

from cert_worker.authority import Authority, open_authorities
from cert_worker.ca import CaRefused, FileSigner, key_file
from cert_worker.rehearsal import make_everything

if TYPE_CHECKING:
    from pathlib import Path

    from services.cert_worker.tests.conftest import FreshDatabase

    from cert_worker.signers import Place
    from pulse_common.tenancy import Database

pytestmark = pytest.mark.anyio


async def open_authority(database: Database, place: Place) -> Authority:
    return (await open_authorities(database, place)).of_profile("device")


def issuing_key(authority: Authority, place: Place) -> Path:
    return key_file(place.directory, authority.issuing.issuer_id)


async def test_authority_is_a_root_and_an_issuing_ca(authority: Authority) -> None:
    root, issuing = authority.root.certificate, authority.issuing.certificate

    root.verify_directly_issued_by(root)
    issuing.verify_directly_issued_by(root)
    for certificate, path_length in ((root, 1), (issuing, 0)):
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert (basic.value.ca, basic.value.path_length, basic.critical) == (
            True,
            path_length,
            True,
        )
        assert usage.critical
        assert usage.value.key_cert_sign
        assert usage.value.crl_sign
        assert not usage.value.digital_signature


async def test_keys_are_encrypted_and_for_their_owner_only(
    authority: Authority, place: Place
) -> None:
    keys = sorted(place.directory.glob("*.key"))

    assert keys == [issuing_key(authority, place)], "the root's key is elsewhere"
    assert place.directory.stat().st_mode & 0o777 == 0o700
    for path in keys:
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")


async def test_bundle_holds_both_certificates_and_anybody_may_read_it(
    authority: Authority, place: Place
) -> None:
    found = x509.load_pem_x509_certificates(place.bundle.read_bytes())

    assert found == [authority.issuing.certificate, authority.root.certificate]
    assert place.bundle.stat().st_mode & 0o777 == 0o644
    assert not [path for path in place.directory.iterdir() if path.name.startswith(".")]


async def test_restart_keeps_the_same_ca(
    database: Database, authority: Authority, place: Place, clock: HeldClock
) -> None:
    again = await open_authority(database, place)

    assert again.chain_pem == authority.chain_pem
    assert again.signer.public_key == authority.signer.public_key


async def test_restart_writes_a_lost_bundle_again(
    database: Database, authority: Authority, place: Place, clock: HeldClock
) -> None:
    place.bundle.unlink()

    await open_authority(database, place)

    assert place.bundle.read_bytes() == authority.chain_pem


async def test_replicas_that_start_at_once_share_one_ca(
    database: Database, place: Place, root_folder: Path, clock: HeldClock, fresh: FreshDatabase
) -> None:
    make_everything(place, root_folder, clock())

    found = await asyncio.gather(*(open_authority(database, place) for _ in range(6)))

    assert len({authority.chain_pem for authority in found}) == 1
    with fresh.connect() as rows:
        assert rows.execute("SELECT count(*) FROM issuers").fetchone() == (2,)
        made = rows.execute(
            "SELECT count(*) FROM audit_log WHERE action = 'issuer.create'"
        ).fetchone()
        assert made == (2,)


async def test_without_an_authority_nothing_starts_and_it_is_said_what_to_do(
    database: Database, place: Place
) -> None:
    with pytest.raises(CaRefused, match="pulse-ca"):
        await open_authorities(database, place)
    assert not place.directory.exists()


async def test_attempt_that_was_cut_short_does_not_stand_in_the_way(
    database: Database, place: Place, root_folder: Path, clock: HeldClock
) -> None:
    place.directory.mkdir()
    (place.directory / "00000000-0000-7000-8000-000000000000.key").write_text("of nobody")
    root_folder.mkdir()
    (root_folder / "root.key").write_text("of nobody")
    make_everything(place, root_folder, clock())

    authority = await open_authority(database, place)

    assert place.bundle.read_bytes() == authority.chain_pem


async def test_each_profile_has_one_active_authority_and_others_stand_by(
    database: Database, authority: Authority, place: Place, root_folder: Path, clock: HeldClock
) -> None:
    make_everything(place, root_folder, clock(), "meter")
    (root_folder / "second").mkdir()
    another = replace(place, directory=root_folder / "second")
    chain = make_everything(another, root_folder, clock(), "device")
    for path in (chain, chain.with_name(f"{chain.name.split('.')[0]}.key")):
        path.rename(place.directory / path.name)

    again = await open_authorities(database, place)

    assert again.of_profile("device").issuing == authority.issuing
    assert again.of_profile("meter").issuing.issuer_id != authority.issuing.issuer_id
    assert sorted(one.issuing.status for one in again.signing_lists) == [
        "active",
        "active",
        "standby",
    ]
    assert place.bundle.read_bytes().count(b"BEGIN CERTIFICATE") == 4
    assert {one.root.issuer_id for one in again.signing_lists} == {authority.root.issuer_id}


async def test_wrong_passphrase_refuses(
    database: Database, authority: Authority, place: Place, clock: HeldClock
) -> None:
    other = replace(place, passphrase=b"another-passphrase-of-32-characters!")

    with pytest.raises(CaRefused, match="CA_KEY_PASSPHRASE is wrong"):
        await open_authority(database, other)


async def test_key_of_another_ca_refuses(
    database: Database, authority: Authority, place: Place, clock: HeldClock
) -> None:
    path = issuing_key(authority, place)
    path.unlink()
    FileSigner.create(path, PASSPHRASE)

    with pytest.raises(CaRefused, match="is not the key of issuer"):
        await open_authority(database, place)


async def test_missing_key_refuses_and_makes_nothing(
    database: Database, authority: Authority, place: Place, tmp_path: Path, clock: HeldClock
) -> None:
    elsewhere = replace(place, directory=tmp_path / "empty")

    with pytest.raises(CaRefused, match="is missing"):
        await open_authority(database, elsewhere)
    assert not elsewhere.directory.exists()


async def test_directory_of_a_lost_database_refuses(
    database: Database, authority: Authority, place: Place, fresh: FreshDatabase, clock: HeldClock
) -> None:
    before = sorted(place.directory.iterdir())
    with fresh.connect() as rows:
        rows.execute("DELETE FROM crl_shards; DELETE FROM issuers")

    with pytest.raises(CaRefused, match="restore the database"):
        await open_authority(database, place)
    assert sorted(place.directory.iterdir()) == before


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
async def test_key_that_others_can_read_refuses(
    database: Database, authority: Authority, place: Place, clock: HeldClock, mode: int
) -> None:
    issuing_key(authority, place).chmod(mode)

    with pytest.raises(CaRefused, match="others could read"):
        await open_authority(database, place)


def test_unencrypted_key_refuses(tmp_path: Path) -> None:
    path = tmp_path / "plain.key"
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)

    with pytest.raises(CaRefused, match="is not encrypted"):
        FileSigner.open(path, PASSPHRASE)


def test_key_of_another_kind_refuses(tmp_path: Path) -> None:
    path = tmp_path / "p384.key"
    key = ec.generate_private_key(ec.SECP384R1())
    encrypted = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE)
    )
    path.write_bytes(encrypted)
    path.chmod(0o600)

    with pytest.raises(CaRefused, match="does not hold an EC P-256 key"):
        FileSigner.open(path, PASSPHRASE)


def test_garbage_refuses_without_repeating_it(tmp_path: Path) -> None:
    path = tmp_path / "garbage.key"
    path.write_text("hunter2")
    path.chmod(0o600)

    with pytest.raises(CaRefused) as refused:
        FileSigner.open(path, PASSPHRASE)
    assert "hunter2" not in str(refused.value)


def test_key_is_never_overwritten(tmp_path: Path) -> None:
    FileSigner.create(tmp_path / "a.key", PASSPHRASE)
    before = (tmp_path / "a.key").read_bytes()

    with pytest.raises(CaRefused, match="not overwritten"):
        FileSigner.create(tmp_path / "a.key", PASSPHRASE)
    assert (tmp_path / "a.key").read_bytes() == before


def test_signer_is_never_copied_out_of_its_process(tmp_path: Path) -> None:
    signer = FileSigner.create(tmp_path / "a.key", PASSPHRASE)

    with pytest.raises(TypeError):
        pickle.dumps(signer)
