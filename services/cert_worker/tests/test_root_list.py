"""The root says which of its CAs are revoked, in lists that come as files and are never worse than the last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from cert_worker import root_list
from cert_worker.ca import CaRefused
from cert_worker.ceremony import create_root
from cert_worker.command import main
from cert_worker.rehearsal import install_list
from cert_worker.root_lists import RootLists, file_of

if TYPE_CHECKING:
    from pathlib import Path

    from services.cert_worker.tests.conftest import HeldClock, Service

    from cert_worker.signers import Place

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, kw_only=True)
class Rig:
    """A replica and, elsewhere, the root."""

    service: Service
    lists: RootLists
    folder: Path
    place: Place
    clock: HeldClock

    @property
    def passphrase(self) -> bytes:
        return (self.folder / "passphrase").read_bytes()

    @property
    def root(self) -> x509.Certificate:
        return self.service.authority.root.certificate

    def make(self, *, revoke: bool = False, days: int = root_list.USUAL_DAYS) -> None:
        """Make the next list elsewhere, and bring it here."""
        certificate = self.service.authority.issuing.certificate
        given = [root_list.Revoke(certificate, x509.ReasonFlags.ca_compromise)] if revoke else []
        path = root_list.make(
            self.folder, self.passphrase, now=self.clock(), revoke=given, days=days
        )
        install_list(self.place, path)

    def served(self) -> root_list.RootList:
        found = self.lists.current(self.service.authority.root.issuer_id)
        assert found is not None
        return found


@pytest.fixture
async def rig(
    service: Service, place: Place, root_folder: Path, root_lists: RootLists, clock: HeldClock
) -> Rig:
    return Rig(service=service, lists=root_lists, folder=root_folder, place=place, clock=clock)


async def test_first_list_comes_with_the_root_and_is_named_in_issuing_certificates(
    rig: Rig,
) -> None:
    found = x509.load_der_x509_crl(rig.served().der)
    issuing = rig.service.authority.issuing.certificate

    assert (rig.served().number, rig.served().serials) == (1, frozenset())
    identifier = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert (
        identifier.key_identifier
        == rig.root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    )
    (point,) = issuing.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    root_id = rig.service.authority.root.issuer_id
    assert point.full_name == [
        x509.UniformResourceIdentifier(f"{rig.place.base_url}/{root_id}.crl")
    ]


async def test_next_list_is_taken_over_and_tells_of_the_revoked_ca(rig: Rig) -> None:
    rig.clock.move(timedelta(days=1))
    rig.make(revoke=True)

    await rig.lists.follow()

    assert rig.served().number == 2
    assert rig.served().serials == {rig.service.authority.issuing.certificate.serial_number}
    acts = rig.service.fetch("SELECT count(*) FROM audit_log WHERE action = 'crl.publish'")
    assert acts == [(2,)]


async def test_another_replica_takes_it_from_the_database(rig: Rig, tmp_path: Path) -> None:
    rig.make(revoke=True)
    await rig.lists.follow()
    other = RootLists(
        database=rig.service.database,
        authorities=rig.service.authorities,
        directory=tmp_path,
        clock=rig.clock,
    )

    await other.follow()

    found = other.current(rig.service.authority.root.issuer_id)
    assert found == rig.served()


async def test_older_list_that_is_put_back_is_not_taken(rig: Rig) -> None:
    before = file_of(rig.place.directory, rig.service.authority.root.issuer_id)
    first = before.read_bytes()
    rig.make(revoke=True)
    await rig.lists.follow()

    before.write_bytes(first)
    await rig.lists.follow()

    assert rig.served().number == 2


def read(rig: Rig) -> root_list.RootList:
    return root_list.read((rig.folder / root_list.LIST).read_bytes(), rig.root)


async def test_list_that_forgets_a_revoked_ca_is_worse_until_it_has_expired(rig: Rig) -> None:
    rig.make(revoke=True)
    full = read(rig)
    (rig.folder / root_list.LIST).unlink()  # as when the folder was restored from a backup
    for _ in range(3):
        rig.make()
    short, now = read(rig), rig.clock()

    refusal = root_list.refusal_to_follow(short, full, expired=(), now=now)
    excused = root_list.refusal_to_follow(short, full, expired=full.serials, now=now)

    assert refusal is not None
    assert "forgets" in refusal
    assert excused is None


async def test_expired_list_and_one_of_the_future_are_worse_than_none(rig: Rig) -> None:
    found, now = read(rig), rig.clock()

    late = root_list.refusal_to_follow(found, None, expired=(), now=now + timedelta(days=181))
    early = root_list.refusal_to_follow(found, None, expired=(), now=now - timedelta(days=1))

    assert (late, early) == ("it has expired", "it is from the future")


async def test_list_of_another_root_is_refused(rig: Rig, tmp_path: Path) -> None:
    create_root(tmp_path / "other", b"p" * 32, rig.clock())

    with pytest.raises(CaRefused, match="not of a root"):
        install_list(rig.place, tmp_path / "other" / root_list.LIST)
    with pytest.raises(CaRefused):
        root_list.read(b"nonsense", rig.root)


async def test_only_certificates_of_the_root_can_be_revoked_by_it(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = create_root(tmp_path / "other", b"p" * 32, rig.clock())
    monkeypatch.setenv("ROOT_KEY_PASSPHRASE", rig.passphrase.decode())

    assert main(["list", str(rig.folder), "--revoke", str(other)]) == 1
    assert "not of this root" in capsys.readouterr().err
    assert main(["list", str(rig.folder), "--days", "4000"]) == 1


async def test_chain_names_the_way_up_and_how_far_down_it_goes(rig: Rig) -> None:
    root, issuing = rig.root, rig.service.authority.issuing.certificate
    above = issuing.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value

    identifier = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert above.key_identifier == identifier.digest
    depths = [
        one.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
        for one in (root, issuing)
    ]
    assert depths == [1, 0]
    assert issuing.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
