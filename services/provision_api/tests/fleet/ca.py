"""A CA at the end of the bus: signs what it is asked to, or refuses, and remembers what it was asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pulse_common import events, events_fleet

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulse_common.bus import Bus


def make_csr(key: ec.EllipticCurvePrivateKey, *subject: x509.NameAttribute[str]) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@dataclass
class Ca:
    clock: Callable[[], datetime]
    refusal: Exception | None = None
    signed: list[events.SignRequest] = field(default_factory=list)
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def bus(self) -> Bus:
        return cast("Bus", self)

    async def call(
        self, request: events.Call, _reply: object, *, seconds: float = 0
    ) -> events.Wire:
        assert seconds > 0
        if self.refusal is not None:
            raise self.refusal
        now = self.clock()
        if isinstance(request, events_fleet.SignClaimRequest):
            names = [
                x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, str(request.tenant_id)),
                x509.NameAttribute(
                    x509.NameOID.COMMON_NAME, f"claim {request.enrolment_profile_id}"
                ),
            ]
            until = now + timedelta(days=request.days)
            made = self._certify(request.csr_pem, x509.Name(names), until)
            return events_fleet.SignClaimReply(
                certificate_pem=made.public_bytes(Encoding.PEM).decode(),
                chain_pem="",
                serial_number=f"{made.serial_number:x}",
                not_before=made.not_valid_before_utc,
                not_after=made.not_valid_after_utc,
            )
        assert isinstance(request, events.SignRequest)
        self.signed.append(request)
        made = self._certify(request.csr_pem, x509.Name([]), now + timedelta(days=90))
        return events.SignReply(
            certificate_id=uuid4(),
            certificate_pem=made.public_bytes(Encoding.PEM).decode(),
            chain_pem="",
            serial_number=f"{made.serial_number:x}",
            not_before=now,
            not_after=now + timedelta(days=90),
        )

    def _certify(self, csr_pem: str, name: x509.Name, until: datetime) -> x509.Certificate:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(x509.Name([]))
            .public_key(csr.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.clock() - timedelta(minutes=1))
            .not_valid_after(until)
            .sign(self.key, hashes.SHA256())
        )
