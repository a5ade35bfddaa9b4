"""What this service counts, beside the metrics that every service has."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

ISSUED = Counter("pulse_certificates_issued_total", "Device certificates issued")
REFUSED = Counter("pulse_certificates_refused_total", "Requests for one refused", ["code"])
REVOKED = Counter("pulse_certificates_revoked_total", "Device certificates revoked")
CRL_NUMBER = Gauge("pulse_crl_number", "Highest number of the revocation lists that are served")
CRL_NEXT_UPDATE = Gauge(
    "pulse_crl_next_update_timestamp_seconds",
    "When the first of the lists goes stale, in Unix time",
)
CRL_REFUSED = Counter(
    "pulse_crl_refused_total", "Lists made and not published, since they were worse than the last"
)
CRL_PROBES = Counter("pulse_crl_probes_total", "Lists read as the broker reads them", ["outcome"])
LINT_FINDINGS = Counter(
    "pulse_certificate_lint_findings_total", "What the linter found in certificates to be", ["code"]
)
ROLLOVER_SHARE = Gauge(
    "pulse_rollover_share",
    "Share of a profile's devices that trust the next authority, or hold a certificate of it",
    ["profile", "kind"],
)
ROLLOVER_STATE = Gauge(
    "pulse_rollover_state",
    "Which step a roll-over is at: 0 planned, 1 distributing, 2 dual trust, 3 issuing from new, 4 draining",
    ["profile"],
)
ROOT_LIST_NEXT_UPDATE = Gauge(
    "pulse_root_crl_next_update_timestamp_seconds",
    "When a root's own list goes stale, in Unix time",
    ["root"],
)
ROOT_LIST_MISSING = Gauge(
    "pulse_root_crl_missing", "Revoked issuing authorities that no list of their root tells of yet"
)
EXPIRING = Gauge(
    "pulse_certificates_expiring", "Valid certificates with at most so many days left", ["days"]
)
ISSUER_NOT_AFTER = Gauge(
    "pulse_issuer_not_after_timestamp_seconds", "When an issuer expires, in Unix time", ["issuer"]
)
EXPIRY_WARNINGS = Counter(
    "pulse_expiry_warnings_total", "Warnings of expiry that went out", ["kind"]
)
SERVER_NOT_AFTER = Gauge(
    "pulse_server_certificate_not_after_timestamp_seconds",
    "When the certificate that a server shows expires, in Unix time",
    ["server"],
)
SERVERS_UNREACHABLE = Counter(
    "pulse_server_certificates_unread_total", "Servers that showed no certificate", ["server"]
)
WEAK_KEYS_FOUND = Counter(
    "pulse_weak_keys_found_total", "Keys of issued certificates that would be refused today"
)
