"""The gate's reasons in words that a person can act on."""

from __future__ import annotations

_WORDS = {
    "allowed": "It is allowed",
    "malformed": "The request could not be read",
    "database_away": "The platform could not be asked; the device may try again",
    "too_slow": "The platform took too long; the device may try again",
    "bug": "Something went wrong on the platform's side",
    "bad_certificate": "The certificate's names are not those of one device",
    "certificate_not_yet_valid": "The certificate is not valid yet: check the device's enrolment and our clock",
    "certificate_expired": "The certificate has expired: enrol the device again",
    "client_id_mismatch": "The client id is not the device's id",
    "username_mismatch": "The user name is neither empty nor the device's id",
    "certificate_unknown": "We never issued this certificate",
    "certificate_mismatch": "The certificate is registered for another device",
    "certificate_revoked": "The certificate is revoked or on hold",
    "issuer_not_trusted": "The authority that issued the certificate is not trusted any more: enrol the device again",
    "tenant_suspended": "Your account is suspended",
    "device_disabled": "The device is disabled",
    "beyond_plan": "Your plan includes fewer devices, and this is one of the newest: disable some, or change the plan",
    "no_certificate": "The device has no certificate: enrol it",
    "certificate_not_wanted": "A certificate was shown where tokens count: use the other port",
    "no_token": "The device has no token: make one",
    "token_unknown": "Nobody knows this token",
    "token_revoked": "The token is revoked: make a new one",
    "token_expired": "The token has expired: make a new one",
    "tokens_not_allowed": "Neither the device's own switch nor its profile allows tokens",
    "too_many_wrong_tokens": "Too many wrong tokens came from that address: wait a minute",
    "wrong_password": "The password is wrong",
    "unknown_client": "Nobody knows this client",
    "bad_topic": "The topic is not well formed, or a publish names a wildcard",
    "system_topic": "Topics that begin with $ are the broker's own",
    "topic_not_allowed": "The topic is not one that this device may use so",
    "retain_not_allowed": "Only the state may be retained",
}


def reason_text(reason: str) -> str:
    """Put a reason into words; one of a later release shows its code."""
    return _WORDS.get(reason, reason.replace("_", " "))
