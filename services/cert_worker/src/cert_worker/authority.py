"""Find the certificate authority at start, or make it when this is the very first one.

The database says which authorities exist; CA_DIRECTORY holds their keys.  Where the two disagree the service does not
start: a second authority, made by mistake, would shut out every device of the first.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from cert_worker import profile, store, store_crl
from cert_worker.ca import PUBLIC_FILE, CaRefused, write_if_changed
from cert_worker.ceremony import read_chain
from cert_worker.domain import ShardId
from cert_worker.signers import open_signer
from pulse_common import audit
from pulse_common.clock import system_clock
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId
from pulse_common.ids import PLATFORM_TENANT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from cert_worker.ca import Signer
    from cert_worker.domain import Issuer, IssuerStatus
    from cert_worker.signers import Place
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, Tx

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Authority:
    """An issuing CA whose key is here, with the root that it hangs from."""

    root: Issuer
    issuing: Issuer
    signer: Signer

    @cached_property
    def chain_pem(self) -> bytes:
        """The issuing certificate, then the root: what devices send."""
        return as_pem((self.issuing, self.root))

    @property
    def shards(self) -> list[ShardId]:
        return [ShardId(self.issuing.issuer_id, n) for n in range(self.issuing.crl_shards)]


class Authorities:
    """Every CA of this database, as it was at the last ``refresh``."""

    def __init__(self, database: Database, place: Place, clock: Clock) -> None:
        self._database = database
        self._place = place
        self._clock = clock
        self._signers: dict[UUID, Signer] = {}
        self._issuers: Sequence[Issuer] = ()
        self._signing: tuple[Authority, ...] = ()
        self._refreshing = asyncio.Lock()

    @property
    def signing_lists(self) -> tuple[Authority, ...]:
        """Those whose lists are kept fresh: all that count, and a retired one until what it issued has expired."""
        return self._signing

    @property
    def counting(self) -> tuple[Authority, ...]:
        """Those under which certificates count."""
        return tuple(authority for authority in self._signing if authority.issuing.counts)

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
        return _with_roots(self.counting)

    def trusted_by(self, profile_name: str) -> bytes:
        """Return what devices of a profile are to trust: who issues, others that count, then the roots above them."""
        told = [
            authority
            for authority in self.counting
            if authority.issuing.profile == profile_name and authority.issuing.told_of
        ]
        return _with_roots(sorted(told, key=lambda one: one.issuing.status != "active"))

    def signing(self, issuer_id: UUID) -> Authority | None:
        return next((one for one in self._signing if one.issuing.issuer_id == issuer_id), None)

    @property
    def roots(self) -> Sequence[Issuer]:
        return [one for one in self._issuers if one.kind == "root"]

    @property
    def issuing(self) -> Sequence[Issuer]:
        """Every issuing CA that there ever was, the newest first."""
        return [one for one in self._issuers if one.kind == "issuing"]

    async def refresh(self) -> None:
        """Follow what was changed, here or by another replica, and write the bundle when that changes it.

        Raises:
            CaRefused: a key is missing, does not open or does not fit.
        """
        # One at a time: what was read before a change must not be taken after what was read since.
        async with self._refreshing, self._database.service_connection("pulse_ca") as tx:
            self.take(await store.list_issuers(tx))

    def take(self, issuers: Sequence[Issuer]) -> None:
        now = self._clock()
        listing = [one for one in issuers if one.kind == "issuing" and one.has_lists(now)]
        if issuers == self._issuers and listing == [one.issuing for one in self._signing]:
            return
        roots = [one for one in issuers if one.counts]
        signing = tuple(
            Authority(root=_root_of(one, roots), issuing=one, signer=self._signer(one))
            for one in listing
        )
        self._issuers, self._signing = issuers, signing
        write_if_changed(self._place.bundle, self.bundle_pem, PUBLIC_FILE)

    def _signer(self, issuing: Issuer) -> Signer:
        if issuing.issuer_id not in self._signers:
            self._signers[issuing.issuer_id] = open_signer(self._place, issuing)
        return self._signers[issuing.issuer_id]


async def open_authorities(
    database: Database, place: Place, clock: Clock = system_clock
) -> Authorities:
    """Return the authorities of this database and directory, with what `pulse-ca install` has put there since.

    Raises:
        CaRefused: they don't belong together, a key can't be opened, or there is no authority; nothing was changed.
    """
    async with database.service_tenant_connection("pulse_ca", TenantId(PLATFORM_TENANT)) as tx:
        await store.lock_authority(tx)
        known = await store.list_issuers(tx)
        await _record(tx, _new_ones(place, known))
        issuers = await store.list_issuers(tx)
    authorities = Authorities(database, place, clock)
    # After the commit: a bundle never names an authority that the database does not know.
    authorities.take(issuers)
    for authority in authorities.signing_lists:
        _warn_if_moved(authority, place.base_url)
    return authorities


def as_pem(issuers: Iterable[Issuer]) -> bytes:
    return b"".join(issuer.certificate.public_bytes(Encoding.PEM) for issuer in issuers)


def _with_roots(authorities: Iterable[Authority]) -> bytes:
    given = tuple(authorities)
    roots = {authority.root.issuer_id: authority.root for authority in given}
    return as_pem((*(authority.issuing for authority in given), *roots.values()))


def _new_ones(place: Place, known: Sequence[Issuer]) -> list[Issuer]:
    """Read the installed chains that the database does not know; the first of a profile is active at once."""
    if not known and place.bundle.exists():
        raise CaRefused(
            f"{place.bundle} belongs to an authority that the database does not know: restore the database, "
            "or move the directory away to begin with a new authority, which no enrolled device will pass"
        )
    before = {issuer.issuer_id for issuer in known}
    found = {issuer.issuer_id: issuer for issuer in known}
    taken = {issuer.profile for issuer in known if issuer.status == "active"}
    for path in sorted(place.directory.glob("*.*.pem")):
        chain = read_chain(path.name, path.read_bytes(), crl_shards=place.crl_shards)
        if chain.issuing.issuer_id in found:
            continue
        open_signer(place, chain.issuing)
        status: IssuerStatus = "standby" if chain.issuing.profile in taken else "active"
        taken.add(chain.issuing.profile)
        found.setdefault(chain.root.issuer_id, chain.root)
        found[chain.issuing.issuer_id] = replace(chain.issuing, status=status)
    if not found:
        raise CaRefused(
            f"there is no authority: make one with pulse-ca and install its chain in {place.directory} "
            "(docs/operations/certificates.md)"
        )
    return [issuer for issuer_id, issuer in found.items() if issuer_id not in before]


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
