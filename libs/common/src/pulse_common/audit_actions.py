"""Every action that the audit log knows: a name that is not here is refused, by the type checker and by ``Act``.

Names read ``noun.verb``.  An action is never renamed or taken out: rows of ten years ago carry it.
"""

from __future__ import annotations

from typing import Literal, get_args

Action = Literal[
    # The log itself.
    "audit.expire",
    "audit.export",
    "audit.search",
    # What keeps tenants apart.
    "isolation.breach",
    # Who comes in, and who does not.
    "credentials.refuse",
    "session.begin",
    "session.end",
    "session.step_up",
    # What was looked at.
    "api.read",
    "page.view",
    # Tenants and people.
    "tenant.create",
    "tenant.rename",
    "tenant.suspend",
    "tenant.resume",
    "tenant.delete",
    "tenant.restore",
    "tenant.export",
    "tenant.settings_change",
    "user.create",
    "user.change",
    "user.invite",
    "user.disable",
    "user.enable",
    "user.delete",
    "user.role_change",
    # Operators, and what tenants allow them.
    "operator.read",
    "operator.write",
    "operator.break_glass",
    "access.request",
    "access.approve",
    "access.deny",
    "access.revoke",
    "access.break_glass",
    "access.use",
    # Devices and their credentials.
    "device.create",
    "device.rename",
    "device.enrol",
    "device.disable",
    "device.enable",
    "device.readmit",
    "device.delete",
    "device.rescue_open",
    "device.rescue_close",
    "device.rescue",
    "device.transfer_offer",
    "device.transfer_withdraw",
    "device.transfer_accept",
    "device.transfer_decline",
    "device.transfer_expire",
    "device.profile_assign",
    "device.command",
    "device_group.create",
    "device_group.rename",
    "device_group.change",
    "device_group.delete",
    "alert_rule.create",
    "alert_rule.change",
    "alert_rule.delete",
    "alert.acknowledge",
    "device.connect",
    "device.publish",
    "device.session_cut",
    "session.cut",
    "device_token.mint",
    "device_token.permit",
    "device_token.revoke",
    "enrolment_token.mint",
    "enrolment_token.revoke",
    "enrolment_profile.create",
    "enrolment_profile.change",
    "enrolment_profile.delete",
    "device_profile.create",
    "device_profile.change",
    "device_profile.delete",
    "claim_certificate.issue",
    "claim_certificate.revoke",
    "hardware.register",
    "hardware.approve",
    "hardware.reject",
    "hardware.forget",
    "device_import.create",
    "device_import.cancel",
    "device_import.finish",
    "device_import.tokens",
    "certificate.issue",
    "certificate.renew",
    "certificate.revoke",
    "certificate.hold",
    "certificate.release",
    "certificate.export",
    "issuer.create",
    "issuer.activate",
    "issuer.retire",
    "issuer.revoke",
    "rollover.plan",
    "rollover.step",
    "rollover.step_back",
    "crl.publish",
    # Money, and where readings go.
    "subscription.change",
    "entitlements.change",
    "billing.checkout",
    "billing.portal",
    "billing.history",
    "billing.replay",
    "billing.override",
    "route.create",
    "route.change",
    "route.delete",
    "route.test",
    "delivery.replay",
    "delivery.discard",
    "telemetry.export",
    "telemetry.delete",
]

ACTIONS: frozenset[str] = frozenset(get_args(Action))


class UnknownAction(ValueError):  # noqa: N818 -- reads as an outcome
    """The catalogue does not have this action: add it to ``pulse_common.audit_actions``."""

    def __init__(self, action: str) -> None:
        super().__init__(f"{action!r} is not in the catalogue (pulse_common/audit_actions.py)")


def require_known(action: str) -> None:
    """Raise ``UnknownAction`` for one that the type checker did not see."""
    if action not in ACTIONS:
        raise UnknownAction(action)
