"""``pulse-ca``: make a root away from the server, issuing keys on it, and carry the one's word to the other.

pulse-ca root FOLDER                      elsewhere: make the root; its passphrase is ROOT_KEY_PASSPHRASE
pulse-ca request                          on the server: make an issuing key, in a file or in the PKCS#11 token
pulse-ca sign FOLDER REQUEST --profile P  elsewhere: sign the request, print where the chain is
pulse-ca install CHAIN                    on the server: put the chain where cert_worker finds it at its next start
pulse-ca list FOLDER [--revoke CERTIFICATE]  elsewhere: the root's next list of revoked issuing CAs, good for --days
pulse-ca install-list FILE                on the server: put it where cert_worker takes it from, within half a minute
pulse-ca rollover …                       where the service's settings are: see `pulse-ca rollover --help`
pulse-ca development FOLDER               all of it at once, for a stack that serves nobody; does nothing twice
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509

from cert_worker import ceremony, rehearsal, rollover_command, root_list
from cert_worker.ca import CaRefused
from cert_worker.settings import CaSettings, RootSettings
from cert_worker.signers import Place, create_signer
from pulse_common import settings
from pulse_common.clock import system_clock
from pulse_common.errors import AppError
from pulse_common.isolation import IsolationError

if TYPE_CHECKING:
    from collections.abc import Sequence

REASONS = (
    x509.ReasonFlags.cessation_of_operation,
    x509.ReasonFlags.ca_compromise,
    x509.ReasonFlags.superseded,
    x509.ReasonFlags.unspecified,
)


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    try:
        told = given.run(given)
    except (
        CaRefused,
        settings.SettingsError,
        AppError,
        IsolationError,
        OSError,
        ValueError,
    ) as error:
        print(f"pulse-ca: {error}", file=sys.stderr)  # noqa: T201 -- for the person at the terminal
        return 1
    print(told)  # noqa: T201 -- likewise
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pulse-ca", description=__doc__)
    commands = parser.add_subparsers(required=True)
    root = commands.add_parser("root")
    root.add_argument("folder", type=Path)
    root.set_defaults(run=_root)
    request = commands.add_parser("request")
    request.set_defaults(run=_request)
    sign = commands.add_parser("sign")
    sign.add_argument("folder", type=Path)
    sign.add_argument("request", type=Path)
    sign.add_argument("--profile", default="device")
    sign.add_argument("--base-url", required=True, help="CRL_BASE_URL of the server")
    sign.set_defaults(run=_sign)
    install = commands.add_parser("install")
    install.add_argument("chain", type=Path)
    install.set_defaults(run=_install)
    listing = commands.add_parser("list")
    listing.add_argument("folder", type=Path)
    listing.add_argument("--revoke", type=Path, help="certificate of an issuing CA, or its chain")
    listing.add_argument(
        "--reason", choices=[one.name for one in REASONS], default="cessation_of_operation"
    )
    listing.add_argument("--days", type=int, default=root_list.USUAL_DAYS)
    listing.set_defaults(run=_list)
    install_list = commands.add_parser("install-list")
    install_list.add_argument("file", type=Path)
    install_list.set_defaults(run=_install_list)
    rollover_command.add_commands(commands)
    development = commands.add_parser("development")
    development.add_argument("folder", type=Path)
    development.set_defaults(run=_development)
    return parser


def _root(given: argparse.Namespace) -> Path:
    passphrase = settings.load(RootSettings).root_key_passphrase.get_secret_value()
    return ceremony.create_root(given.folder, passphrase.encode(), system_clock())


def _request(_: argparse.Namespace) -> Path:
    ours = settings.load(CaSettings)
    issuer_id, signer = create_signer(Place.of(ours))
    return ceremony.write_request(ours.ca_directory, issuer_id, signer, system_clock())


def _sign(given: argparse.Namespace) -> Path:
    passphrase = settings.load(RootSettings).root_key_passphrase.get_secret_value()
    return ceremony.write_chain(
        given.folder,
        passphrase.encode(),
        given.request,
        profile_name=given.profile,
        base_url=given.base_url,
        now=system_clock(),
    )


def _install(given: argparse.Namespace) -> Path:
    return rehearsal.install(Place.of(settings.load(CaSettings)), given.chain)


def _list(given: argparse.Namespace) -> Path:
    passphrase = settings.load(RootSettings).root_key_passphrase.get_secret_value()
    revoke = []
    if given.revoke is not None:
        certificate = x509.load_pem_x509_certificates(given.revoke.read_bytes())[0]
        revoke.append(root_list.Revoke(certificate, x509.ReasonFlags[given.reason]))
    return root_list.make(
        given.folder, passphrase.encode(), now=system_clock(), revoke=revoke, days=given.days
    )


def _install_list(given: argparse.Namespace) -> Path:
    return rehearsal.install_list(Place.of(settings.load(CaSettings)), given.file)


def _development(given: argparse.Namespace) -> Path:
    return rehearsal.make_everything(
        Place.of(settings.load(CaSettings)), given.folder, system_clock()
    )


if __name__ == "__main__":
    sys.exit(main())
