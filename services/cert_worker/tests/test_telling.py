"""What clients are told of a profile before they enrol: whom to trust, and which keys it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from services.cert_worker.tests.conftest import PROFILES

from cert_worker.handlers.authorities import Telling
from pulse_common import events
from pulse_common.errors import NotFound

if TYPE_CHECKING:
    from cert_worker.authority import Authorities, Authority
    from cert_worker.settings import KeyType

pytestmark = pytest.mark.anyio


async def test_profile_tells_its_issuer_first_and_which_keys_it_takes(
    authorities: Authorities, authority: Authority
) -> None:
    taken: frozenset[KeyType] = frozenset({"P-384", "RSA"})
    profiles = {"device": replace(PROFILES["device"], key_types=taken)}

    told = await Telling(authorities, profiles).authorities_of(
        events.AuthoritiesRequest(profile="device")
    )

    issuer, *_ = x509.load_pem_x509_certificates(told.chain_pem.encode())
    assert issuer == authority.issuing.certificate
    assert told.key_types == taken


async def test_profile_that_nobody_issues_for_is_not_there(authorities: Authorities) -> None:
    with pytest.raises(NotFound):
        await Telling(authorities, PROFILES).authorities_of(
            events.AuthoritiesRequest(profile="meter")
        )
