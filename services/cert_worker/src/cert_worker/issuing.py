"""Turn an accepted request into a certificate: fit key, right authority, linted profile, real signature."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from cert_worker import lint, measures, profile
from cert_worker.csr import CsrRefused, key_type
from cert_worker.domain import Issued, shard_of
from cert_worker.weak_keys import NO_LIST, refuse_weak
from pulse_common.errors import Malformed, Unavailable
from pulse_common.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography import x509

    from cert_worker.authority import Authorities, Authority
    from cert_worker.csr import DeviceKey
    from cert_worker.profile import DeviceProfile
    from cert_worker.weak_keys import Blocklist
    from pulse_common.clock import Clock
    from pulse_common.events import SignRequest

LINT_STEPS = 10_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A request whose sender holds its key, and the authority that would sign."""

    request: SignRequest
    key: DeviceKey
    digest: bytes
    authority: Authority


class Issuing:
    """``lint_share`` of the certificates are linted before they are signed, and the first of each profile always."""

    def __init__(
        self,
        *,
        authorities: Authorities,
        profiles: Mapping[str, DeviceProfile],
        clock: Clock,
        lint_share: float = 0.0,
        blocklist: Blocklist = NO_LIST,
    ) -> None:
        self._authorities = authorities
        self._profiles = profiles
        self._clock = clock
        self._lint_share = lint_share
        self._blocklist = blocklist
        self._linted: set[str] = set()

    def authority_of(self, name: str) -> Authority:
        return self._authorities.of_profile(name)

    async def follow(self) -> None:
        """Look which authorities issue now: another replica may have changed that.

        Raises:
            CaRefused: the key of one is missing here, does not open or does not fit.
            Unavailable: the database is away.
        """
        await self._authorities.refresh()

    async def refuse_unfit_key(self, key: DeviceKey, name: str) -> None:
        """Raise when no device of this profile may have such a key.

        Raises:
            CsrRefused: the kind of key is not the profile's, or the key is weak or publicly known.
            Malformed: there is no such profile.
        """
        kind = key_type(key)
        allowed = self._profile(name).key_types
        if kind not in allowed:
            raise CsrRefused(
                f"profile {name} takes no {kind} keys; use {', '.join(sorted(allowed))}"
            )
        if kind == "RSA":  # milliseconds
            await asyncio.to_thread(refuse_weak, key, self._blocklist)
        else:
            refuse_weak(key, self._blocklist)

    def certify(self, wanted: Wanted) -> Issued | Unavailable:
        """Sign, or say why not.  Not for the event loop: a signer may wait for hardware."""
        try:
            return self._certify(wanted)
        except Unavailable as refusal:  # the others of its batch are not to blame
            return refusal

    def _certify(self, wanted: Wanted) -> Issued:
        rules = self._profile(wanted.request.profile)
        issuing = wanted.authority.issuing
        builder = profile.device_certificate(
            profile.DeviceName(wanted.request.tenant_id, wanted.request.device_id),
            wanted.key,
            issuer=issuing,
            profile=rules,
            now=self._clock(),
        )
        if (
            rules.name not in self._linted
            or secrets.randbelow(LINT_STEPS) < self._lint_share * LINT_STEPS
        ):
            self._lint(builder, rules.name)
        certificate = wanted.authority.signer.sign_certificate(builder)
        return Issued(
            certificate_id=new_id(),
            device_id=wanted.request.device_id,
            issuer_id=issuing.issuer_id,
            public_key_sha256=wanted.digest,
            profile=rules.name,
            crl_shard=shard_of(certificate.serial_number, issuing.crl_shards),
            certificate=certificate,
        )

    def _lint(self, builder: x509.CertificateBuilder, name: str) -> None:
        findings = lint.findings_before_signing(builder)
        for code in findings:
            measures.LINT_FINDINGS.labels(code).inc()
        if findings:
            log.error("certificate_not_signed", profile=name, findings=findings)
            raise Unavailable("the certificate would not be a proper one; nothing was signed")
        self._linted.add(name)

    def _profile(self, name: str) -> DeviceProfile:
        try:
            return self._profiles[name]
        except KeyError:
            raise Malformed("there is no such certificate profile") from None
