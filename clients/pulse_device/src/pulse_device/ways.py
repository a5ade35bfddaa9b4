"""Which way in the command line chooses: a token, or what a fleet shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_device.errors import UsageError
from pulse_device.fleet import WithFleet, WithToken, checked_hardware_id, checked_label
from pulse_device.provisioning import parse_server, server_tls, show_claim

if TYPE_CHECKING:
    from pathlib import Path

    from pulse_device.app import Terminal

LONGEST_TOKEN = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolOptions:
    """A token, or as one of a fleet a hardware id and its secret (the token), a claim certificate, or a maker's key."""

    server: str
    token: str | None
    ca_file: Path | None
    hardware_id: str | None = None
    claim_certificate: Path | None = None
    claim_key: Path | None = None
    maker_key: Path | None = None
    label: str | None = None
    wait_seconds: float = 0


def chosen_way(terminal: Terminal, options: EnrolOptions) -> WithToken | WithFleet:
    server, tls = parse_server(options.server), server_tls(options.ca_file)
    claim, key = options.claim_certificate, options.claim_key
    if (claim is None) != (key is None) or (claim and options.hardware_id is None):
        raise UsageError("--claim-cert, --claim-key and --hardware-id go together")
    _check_maker_key(options)
    if options.hardware_id is None:
        return WithToken(server, _token(terminal, options.token), tls)
    proof: dict[str, str] = {}
    if claim and key:
        show_claim(tls, claim, key)
    elif options.label is not None:
        proof["label"] = checked_label(options.label)
    else:
        proof["secret"] = _token(terminal, options.token)
    return WithFleet(
        server=server,
        hardware_id=checked_hardware_id(options.hardware_id),
        tls=tls,
        proof=proof,
        wait_seconds=options.wait_seconds,
        tell=terminal.stderr,
    )


def _check_maker_key(options: EnrolOptions) -> None:
    if (options.maker_key is None) != (options.label is None):
        raise UsageError("--maker-key and --label go together")
    if options.maker_key and (options.hardware_id is None or options.claim_key or options.token):
        raise UsageError(
            "--maker-key needs --hardware-id, and neither a claim certificate nor a token"
        )


def _token(terminal: Terminal, given: str | None) -> str:
    if given == "-":
        given = (terminal.open_stdin().read(LONGEST_TOKEN + 1) or b"").decode("utf-8", "replace")
    token = (given if given is not None else terminal.environment_token or "").strip()
    if not token:
        raise UsageError("give the enrolment token with --token or PULSE_ENROLMENT_TOKEN")
    if len(token) > LONGEST_TOKEN or not token.isascii() or not token.isprintable():
        raise UsageError("the enrolment token is malformed")
    return token
