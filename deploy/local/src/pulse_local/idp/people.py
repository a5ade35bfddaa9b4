"""The realm's people, as Keycloak would keep them in its database; kept in memory, so a restart forgets the invited."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from pulse_local.idp.passwords import PasswordHash, hash_password

if TYPE_CHECKING:
    from collections.abc import Iterable

ACME = "11111111-1111-4111-8111-111111111111"
GLOBEX = "22222222-2222-4222-8222-222222222222"
SINCE = 1_767_225_600
"""When the demo's people joined: the first day of 2026."""
ROLES = ("customer", "tenant-admin", "operator", "operator-admin")
ROLE_IDS = {role: str(uuid5(NAMESPACE_URL, f"pulse-role:{role}")) for role in ROLES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody of the realm; the username is always the e-mail address, as the realm has it."""

    subject: str
    username: str
    given_name: str = ""
    family_name: str = ""
    roles: frozenset[str] = frozenset()
    tenant: str | None = None
    password: PasswordHash | None = None
    enabled: bool = True
    email_verified: bool = False
    required_actions: tuple[str, ...] = ()
    created_at: int = 0

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}".strip()


class NameTaken(Exception):  # noqa: N818 -- reads as an outcome
    """Another person has this address."""


class People:
    """One event loop owns it and nothing here awaits, so each method is atomic."""

    def __init__(self, people: Iterable[Person]) -> None:
        self._people = {person.subject: person for person in people}

    def find(self, subject: str) -> Person | None:
        return self._people.get(subject)

    def by_username(self, username: str) -> Person | None:
        wanted = username.strip().lower()
        found = (person for person in self._people.values() if person.username == wanted)
        return next(found, None)

    def in_order(self) -> list[Person]:
        return sorted(self._people.values(), key=lambda person: person.username)

    def keep(self, person: Person) -> None:
        """Add somebody, or replace who they were."""
        other = self.by_username(person.username)
        if other is not None and other.subject != person.subject:
            raise NameTaken
        self._people[person.subject] = person

    def grant(self, person: Person, roles: Iterable[str]) -> None:
        self.keep(replace(person, roles=person.roles | frozenset(roles)))

    def withdraw(self, person: Person, roles: Iterable[str]) -> None:
        self.keep(replace(person, roles=person.roles - frozenset(roles)))

    def remove(self, subject: str) -> None:
        self._people.pop(subject, None)


def demo_people(password: str) -> People:
    people = [
        ("a11ce000-5f4e-4b1d-9c3a-2d8f6b7e1a01", "Alice", "Archer", "tenant-admin", "acme", ACME),
        ("b0b00000-1c7d-4e2f-8a4b-7e5d3c9f2b02", "Bob", "Baker", "customer", "acme", ACME),
        ("3a110000-9b3e-4d5c-a6f7-1f4e8d2c3c03", "Mallory", "Moss", "tenant-admin", "globex", GLOBEX),
        ("0115a000-7e2a-4c8b-b5d9-6c1f9a4e5d04", "Olivia", "Owens", "operator", "pulse", None),
        ("0770ad00-4b6f-4d2a-9e1c-8a3b5c7d9e05", "Otto", "Olsen", "operator-admin", "pulse", None),
    ]  # fmt: skip
    hashed = hash_password(password)
    return People(
        Person(
            subject=subject,
            username=f"{given_name.lower()}@{domain}.example",
            given_name=given_name,
            family_name=family_name,
            roles=frozenset({role}),
            tenant=tenant,
            password=hashed,
            email_verified=True,
            created_at=SINCE,
        )
        for subject, given_name, family_name, role, domain, tenant in people
    )
