"""Find the certificate authority at start, or make it when this is the very first one.

The database says which authorities exist; CA_DIRECTORY holds their keys.  Where the two disagree the service does not
start: a second authority, made by mistake, would shut out every device of the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from cert_worker import profile, store, store_crl
from cert_worker.ca import (
    PUBLIC_FILE,
    CaRefused,
    FileSigner,
    Signer,
    key_file,
    make_directory,
    write_if_changed,
)
from cert_worker.domain import DEFAULT_SHARDS, DEVICE_PROFILE, Issuer, ShardId
from pulse_common import audit
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId
from pulse_common.ids import PLATFORM_TENANT, new_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from pathlib import Path
    from uuid import UUID

    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, Tx

log = structlog.get_logger(__name__)

BUNDLE = "bundle.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the keys are, what opens them, and where the world finds what they signed."""

    directory: Path
    passphrase: bytes
    base_url: str
    crl_shards: int = DEFAULT_SHARDS

    @property
    def bundle(self) -> Path:
        return self.directory / BUNDLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """An issuing CA whose key is here, with the root that it hangs from."""

    root: Issuer
    issuing: Issuer
    signer: Signer

    @property
    def chain_pem(self) -> bytes:
        """The issuing certificate, then the root: what devices send."""
        return as_pem((self.issuing, self.root))

    @property
    def shards(self) -> list[ShardId]:
        return [ShardId(self.issuing.issuer_id, n) for n in range(self.issuing.crl_shards)]


class Authorities:
    """Every CA of this database, as it was at the last ``refresh``."""

    def __init__(self, database: Database, place: Place) -> None:
        self._database = database
        self._place = place
        self._signers: dict[UUID, Signer] = {}
        self._issuers: Sequence[Issuer] = ()
        self._signing: tuple[Authority, ...] = ()

    @property
    def signing_lists(self) -> tuple[Authority, ...]:
        """Those whose lists are kept fresh: all but the retired and revoked, of which nothing counts any more."""
        return self._signing

    def of_profile(self, name: str) -> Authority:
        """Return the one that issues for a profile.

        Raises:
            Unavailable: there is none at the moment.
        """
        for authority in self._signing:
            if (authority.issuing.status, authority.issuing.profile) == ("active", name):
                return authority
        raise Unavailable(f"no issuing authority is active for profile {name}")

    def find(self, issuer_id: str) -> Issuer | None:
        """Find any CA that there ever was: certificates in the field may still name it."""
        return next((one for one in self._issuers if str(one.issuer_id) == issuer_id), None)

    @property
    def bundle_pem(self) -> bytes:
        """What a broker may trust: issuing certificates that count, then the roots above them."""
        roots = {authority.root.issuer_id: authority.root for authority in self._signing}
        return as_pem((*(authority.issuing for authority in self._signing), *roots.values()))

    async def refresh(self) -> None:
        """Follow what was changed, here or by another replica, and write the bundle when that changes it.

        Raises:
            CaRefused: a key is missing, does not open or does not fit.
        """
        async with self._database.service_connection("pulse_ca") as tx:
            self.take(await store.list_issuers(tx))

    def take(self, issuers: Sequence[Issuer]) -> None:
        if issuers == self._issuers:
            return
        counting = [one for one in issuers if one.status not in ("retired", "revoked")]
        signing = tuple(
            Authority(root=_root_of(one, counting), issuing=one, signer=self._signer(one))
            for one in counting
            if one.kind == "issuing"
        )
        self._issuers, self._signing = issuers, signing
        write_if_changed(self._place.bundle, self.bundle_pem, PUBLIC_FILE)

    def _signer(self, issuing: Issuer) -> Signer:
        if issuing.issuer_id not in self._signers:
            self._signers[issuing.issuer_id] = _open_signer(self._place, issuing)
        return self._signers[issuing.issuer_id]


async def open_authorities(database: Database, place: Place, clock: Clock) -> Authorities:
    """Return the authorities of this database and directory.

    Raises:
        CaRefused: they don't belong together, or a key file can't be opened; nothing was changed.
    """
    async with database.service_tenant_connection("pulse_ca", TenantId(PLATFORM_TENANT)) as tx:
        await store.lock_authority(tx)
        issuers: Sequence[Issuer] = await store.list_issuers(tx)
        if not issuers:
            issuers = _create(place, clock())
            await _record(tx, issuers)
    authorities = Authorities(database, place)
    # After the commit: a bundle never names an authority that the database does not know.
    authorities.take(issuers)
    for authority in authorities.signing_lists:
        _warn_if_moved(authority, place.base_url)
    return authorities


def as_pem(issuers: Iterable[Issuer]) -> bytes:
    return b"".join(issuer.certificate.public_bytes(Encoding.PEM) for issuer in issuers)


def _create(place: Place, now: datetime) -> list[Issuer]:
    """Make a root and an issuing CA.  Keys of an attempt that was cut short are left behind and mean nothing."""
    if place.bundle.exists():
        raise CaRefused(
            f"{place.bundle} belongs to an authority that the database does not know: restore the database, "
            "or move the directory away to begin with a new authority, which no enrolled device will pass"
        )
    make_directory(place.directory)
    root_id, issuing_id = new_id(), new_id()
    root_signer = FileSigner.create(key_file(place.directory, root_id), place.passphrase)
    signer = FileSigner.create(key_file(place.directory, issuing_id), place.passphrase)
    root = root_signer.sign_certificate(
        profile.root_certificate(root_id, root_signer.public_key, now=now)
    )
    issuing = root_signer.sign_certificate(
        profile.issuing_certificate(
            issuing_id,
            signer.public_key,
            root_id=root_id,
            root=root,
            base_url=place.base_url,
            now=now,
        )
    )
    log.warning("authority_created", root_id=str(root_id), issuing_id=str(issuing_id))
    return [
        Issuer(
            issuer_id=issuing_id,
            kind="issuing",
            certificate=issuing,
            profile=DEVICE_PROFILE,
            crl_shards=place.crl_shards,
        ),
        Issuer(issuer_id=root_id, kind="root", certificate=root),
    ]


async def _record(tx: Tx, issuers: Sequence[Issuer]) -> None:
    for issuer in issuers:
        await store.insert_issuer(tx, issuer)
        if issuer.kind == "issuing":
            shards = [ShardId(issuer.issuer_id, n) for n in range(issuer.crl_shards)]
            await store_crl.add_shards(tx, shards)
        act = audit.Act(
            actor_kind="service",
            actor_id="cert_worker",
            action="issuer.create",
            object_kind="issuer",
            object_id=str(issuer.issuer_id),
            details={"kind": issuer.kind},
        )
        await audit.record(tx, act)


def _root_of(issuing: Issuer, issuers: Sequence[Issuer]) -> Issuer:
    root = next((issuer for issuer in issuers if _issued(issuer, issuing)), None)
    if root is None:
        raise CaRefused(f"the database has no active root above issuer {issuing.issuer_id}")
    return root


def _open_signer(place: Place, issuing: Issuer) -> Signer:
    path = key_file(place.directory, issuing.issuer_id)
    if not path.exists():
        raise CaRefused(
            f"{path} is missing, and the database says that devices trust issuer {issuing.issuer_id}: restore the "
            "directory from its backup, or mount the one that the other replicas use"
        )
    signer = FileSigner.open(path, place.passphrase)
    if signer.public_key != issuing.certificate.public_key():
        raise CaRefused(f"{path} is not the key of issuer {issuing.issuer_id} in the database")
    return signer


def _warn_if_moved(authority: Authority, base_url: str) -> None:
    """Say that certificates in the field still name another place; they are checked there, not here."""
    described = authority.issuing.certificate.extensions.get_extension_for_class(
        x509.AuthorityInformationAccess
    )
    named = described.value[0].access_location.value
    if named != profile.certificate_url(base_url, authority.root.issuer_id):
        log.warning("crl_base_url_changed", first=named, now=base_url)


def _issued(issuer: Issuer, subordinate: Issuer) -> bool:
    if issuer.kind != "root":
        return False
    try:
        subordinate.certificate.verify_directly_issued_by(issuer.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
