"""People as the admin API writes them: Keycloak's UserRepresentation, read with the realm's own rules."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pulse_local.idp.passwords import hash_password
from pulse_local.idp.people import ROLE_IDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulse_local.idp.people import Person

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 128
LONGEST_TEXT = 255
_EMAIL = re.compile(r"[^@\s\"<>(),;:\\]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class BadPerson(Exception):  # noqa: N818 -- reads as an outcome
    """The realm has no such people; the message is Keycloak's ``errorMessage``."""


@dataclass(frozen=True, slots=True)
class Fields:
    """A body's members, read by type; what is absent keeps its old value."""

    members: Mapping[str, Any]

    def text(self, name: str, default: str) -> str:
        value = self.members.get(name, default)
        if not isinstance(value, str) or len(value) > LONGEST_TEXT:
            raise BadPerson(f"error-invalid-value: {name}")
        return value

    def truth(self, name: str, *, default: bool) -> bool:
        value = self.members.get(name, default)
        if not isinstance(value, bool):
            raise BadPerson(f"error-invalid-value: {name}")
        return value

    def actions(self, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self.members.get("requiredActions")
        if value is None:
            return default
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise BadPerson("error-invalid-value: requiredActions")
        return tuple(value)

    def tenant(self, default: str | None) -> str | None:
        attributes = self.members.get("attributes")
        if attributes is None:
            return default
        if not isinstance(attributes, dict):
            raise BadPerson("error-invalid-value: attributes")
        values = attributes.get("tenant_id") or []
        if not values:
            return None
        if not isinstance(values, list) or len(values) != 1 or not _is_uuid(values[0]):
            raise BadPerson("a tenant id is a UUID in lower case")
        tenant: str = values[0]
        return tenant


def changed(person: Person, body: Mapping[str, Any]) -> Person:
    """Return the person as the body wants them; the username follows the address, as in the realm file."""
    fields = Fields(body)
    email = fields.text("email", person.username).strip().lower()
    if not email:
        raise BadPerson("error-user-attribute-required")
    if not _EMAIL.fullmatch(email):
        raise BadPerson("error-invalid-email")
    found = replace(
        person,
        username=email,
        given_name=fields.text("firstName", person.given_name),
        family_name=fields.text("lastName", person.family_name),
        enabled=fields.truth("enabled", default=person.enabled),
        email_verified=fields.truth("emailVerified", default=person.email_verified),
        tenant=fields.tenant(person.tenant),
        required_actions=fields.actions(person.required_actions),
    )
    credentials = body.get("credentials", [])
    if not isinstance(credentials, list):
        raise BadPerson("error-invalid-value: credentials")
    for credential in credentials:
        found = with_password(found, credential)
    return found


def with_password(person: Person, credential: object) -> Person:
    """Set a password that the realm's policy allows."""
    if not isinstance(credential, dict) or credential.get("type", "password") != "password":
        raise BadPerson("error-invalid-value: credentials")
    value = credential.get("value")
    if not isinstance(value, str) or not SHORTEST_PASSWORD <= len(value) <= LONGEST_PASSWORD:
        raise BadPerson(f"Invalid password: minimum length {SHORTEST_PASSWORD}.")
    if person.username in value.lower():
        raise BadPerson("Invalid password: must not contain the username.")
    return replace(person, password=hash_password(value))


def written(person: Person) -> dict[str, object]:
    return {
        "id": person.subject,
        "username": person.username,
        "firstName": person.given_name,
        "lastName": person.family_name,
        "email": person.username,
        "emailVerified": person.email_verified,
        "attributes": {"tenant_id": [person.tenant]} if person.tenant else {},
        "enabled": person.enabled,
        "createdTimestamp": person.created_at * 1000,
        "totp": False,
        "disableableCredentialTypes": [],
        "requiredActions": list(person.required_actions),
        "notBefore": 0,
    }


def role(name: str) -> dict[str, object]:
    return {"id": ROLE_IDS[name], "name": name, "composite": False, "clientRole": False}


def read_roles(body: object) -> set[str] | None:
    """Return the roles that a body names by id, or None when there is one that the realm does not have."""
    names = {role_id: name for name, role_id in ROLE_IDS.items()}
    if not isinstance(body, list):
        return None
    ids = {str(item.get("id")) if isinstance(item, dict) else "" for item in body}
    return {names[role_id] for role_id in ids} if ids <= names.keys() else None


def _is_uuid(value: object) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None
