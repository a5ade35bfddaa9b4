"""The profiles that the settings describe."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from cert_worker.domain import DEVICE_PROFILE
from cert_worker.profile import DeviceProfile
from cert_worker.settings import ProfileSetting

if TYPE_CHECKING:
    from cert_worker.settings import Settings


def profiles_of(settings: Settings) -> dict[str, DeviceProfile]:
    usual = ProfileSetting(name=DEVICE_PROFILE, lifetime_days=settings.certificate_lifetime_days)
    return {
        given.name: DeviceProfile(
            base_url=settings.crl_base_url,
            lifetime=timedelta(days=given.lifetime_days),
            name=given.name,
            key_types=given.key_types,
        )
        for given in (usual, *settings.certificate_profiles)
    }
