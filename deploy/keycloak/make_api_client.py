r"""Make a client for a tenant's program in Keycloak and print its secret, once; standard library only.

    python3 deploy/keycloak/make_api_client.py --server https://pulse.example --user admin \
        --tenant 11111111-1111-4111-8111-111111111111 --name acme-erp --role customer

The password comes from KEYCLOAK_PASSWORD or is asked for. The client's tokens are its tenant's whatever it asks for:
the tenant is a mapper of the client, not an attribute that somebody could change.
"""

# ruff: noqa: INP001 -- a script on its own, in no package
from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from string import Template
from typing import Any

TEMPLATE = Path(__file__).with_name("api-client.json")
TIMEOUT_SECONDS = 30
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)


class Refused(Exception):  # noqa: N818 -- reads as what happened
    """Keycloak said no; the message says to what."""


class Keycloak:
    """The few calls of the admin API that are needed, as an administrator of the master realm."""

    def __init__(self, server: str, user: str, password: str) -> None:
        self._server = server.rstrip("/")
        form = {"grant_type": "password", "client_id": "admin-cli"}
        body = urllib.parse.urlencode(form | {"username": user, "password": password}).encode()
        path = "/realms/master/protocol/openid-connect/token"
        answer = self._send(urllib.request.Request(self._server + path, body))  # noqa: S310 -- checked in main
        self._token = json.load(answer)["access_token"]

    def call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 -- Keycloak's JSON
        request = urllib.request.Request(  # noqa: S310 -- as above
            f"{self._server}/admin/realms/pulse{path}",
            None if body is None else json.dumps(body).encode(),
            {"authorization": f"Bearer {self._token}", "content-type": "application/json"},
            method=method,
        )
        answer = self._send(request)
        text = answer.read()
        return json.loads(text) if text else answer.headers.get("location", "")

    @staticmethod
    def _send(request: urllib.request.Request) -> Any:  # noqa: ANN401 -- http.client's answer
        try:
            return urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310 -- as above
        except urllib.error.HTTPError as error:
            text = error.read(500).decode(errors="replace")
            raise Refused(f"{request.method} {request.selector}: {error.code} {text}") from error


def client_of(name: str, tenant: str) -> Any:  # noqa: ANN401 -- Keycloak's JSON
    """Fill in the template; both values have been checked to need no escaping."""
    text = Template(TEMPLATE.read_text()).substitute(CLIENT_NAME=name, TENANT_ID=tenant)
    return json.loads(text)


def make(keycloak: Keycloak, name: str, tenant: str, role: str) -> tuple[str, str]:
    """Make the client, give its service account the role, and return id and secret."""
    client = client_of(name, tenant)
    path = "/clients/" + keycloak.call("POST", "/clients", client).rpartition("/")[2]
    account = keycloak.call("GET", f"{path}/service-account-user")["id"]
    found = keycloak.call("GET", f"/roles/{role}")
    keycloak.call("POST", f"/users/{account}/role-mappings/realm", [found])
    # Without this the role would not reach the tokens; with it no other role ever can.
    keycloak.call("POST", f"{path}/scope-mappings/realm", [found])
    return client["clientId"], keycloak.call("GET", f"{path}/client-secret")["value"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--server", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--role", choices=("customer", "tenant-admin"), required=True)
    wanted = parser.parse_args()
    if urllib.parse.urlsplit(wanted.server).scheme not in {"http", "https"}:
        parser.error("--server is an address, such as https://pulse.example")
    if not _UUID.fullmatch(wanted.tenant):
        parser.error("--tenant is a UUID in lower case")
    if not _NAME.fullmatch(wanted.name):
        parser.error("--name is up to 40 of a-z, 0-9 and -")
    # No setting of a service: it would otherwise stand in the shell's history.
    password = os.environ.get("KEYCLOAK_PASSWORD") or getpass.getpass()  # noqa: TID251
    try:
        keycloak = Keycloak(wanted.server, wanted.user, password)
        client_id, secret = make(keycloak, wanted.name, wanted.tenant, wanted.role)
    except (Refused, OSError) as error:
        sys.exit(f"Keycloak refused: {error}")
    sys.stdout.write(f"client_id={client_id}\nclient_secret={secret}\n")


if __name__ == "__main__":
    main()
