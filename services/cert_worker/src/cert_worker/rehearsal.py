"""Put a chain where the service finds it; and, for stacks that serve nobody, do the whole ceremony at once."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

from cert_worker import ceremony, root_list
from cert_worker.ca import PRIVATE_FILE, PUBLIC_FILE, CaRefused, make_directory, write_file
from cert_worker.root_lists import file_of
from cert_worker.signers import create_signer, open_signer

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from cert_worker.signers import Place


def install(place: Place, chain: Path) -> Path:
    """Check a chain against the key that is here, and put it beside that.

    Raises:
        CaRefused: the chain is not a proper one, or its key is not here.
    """
    content = chain.read_bytes()
    found = ceremony.read_chain(chain.name, content, crl_shards=place.crl_shards)
    open_signer(place, found.issuing)
    write_file(place.directory / chain.name, content, PUBLIC_FILE)
    return place.directory / chain.name


def install_list(place: Place, file: Path) -> Path:
    """Check a root's own list against the root that is here, and put it where the service takes it from.

    Raises:
        CaRefused: it is not of a root whose chain is installed here.  Whether it is worse than the last one the
            service itself finds out, which knows what it served.
    """
    content, roots = file.read_bytes(), {}
    for chain in sorted(place.directory.glob("*.*.pem")):
        installed = ceremony.read_chain(chain.name, chain.read_bytes(), crl_shards=place.crl_shards)
        roots[installed.root.issuer_id] = installed.root
    for root in roots.values():
        with contextlib.suppress(CaRefused):
            found = root_list.read(content, root.certificate)
            target = file_of(place.directory, root.issuer_id)
            write_file(target, found.der, PUBLIC_FILE)
            return target
    raise CaRefused("the list is not of a root whose chain is installed here")


def make_everything(
    place: Place, folder: Path, now: datetime, profile_name: str = "device"
) -> Path:
    """Make a root in ``folder`` and an issuing authority for a profile, unless there is one.  Never for production."""
    installed = sorted(place.directory.glob(f"*.{profile_name}.pem"))
    if installed:
        return installed[0]
    if place.bundle.exists() and not any(
        place.directory.glob("*.*.pem")
    ):  # of a first start before roots were made elsewhere
        return place.bundle
    make_directory(folder)
    secret = folder / "passphrase"
    if not secret.exists():
        write_file(secret, secrets.token_urlsafe(32).encode(), PRIVATE_FILE)
    passphrase = secret.read_bytes()
    if not (folder / "root.pem").exists():
        (folder / "root.key").unlink(missing_ok=True)  # of an attempt that was cut short
        ceremony.create_root(folder, passphrase, now)
    issuer_id, signer = create_signer(place)
    request = ceremony.write_request(place.directory, issuer_id, signer, now)
    chain = ceremony.write_chain(
        folder,
        passphrase,
        request,
        profile_name=profile_name,
        base_url=place.base_url,
        now=now,
    )
    put = install(place, chain)
    if not (folder / root_list.LIST).exists():  # of a root that was made before roots had lists
        root_list.make(folder, passphrase, now=now)
    install_list(place, folder / root_list.LIST)
    return put
