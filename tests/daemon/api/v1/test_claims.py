"""Who of an identity provider's users may use ``/v1``: organization, scope and role, also where they are nested."""

from __future__ import annotations

import pytest

from daemon.api.v1.claims import found_at, may_read, missing
from daemon.settings.settings import Oidc

STYTCH = {"https://stytch.com/organization": {"organization_id": "house", "slug": "h"}}
KEYCLOAK = {"realm_access": {"roles": ["owner"]}, "scope": "openid personad.write"}


@pytest.mark.parametrize(
    ("claims", "path", "value"),
    [
        (STYTCH, "https://stytch.com/organization.organization_id", "house"),
        (KEYCLOAK, "realm_access.roles", ["owner"]),
        ({"a.b": {"c": 1}, "a": {"b": {"c": 2}}}, "a.b.c", 1),
        ({"a.b.c": 1}, "a.b.c", 1),
        (STYTCH, "https://stytch.com/organization", STYTCH["https://stytch.com/organization"]),
        (STYTCH, "organization_id", None),
        ({"org": "house"}, "org.id", None),
        ({}, "", None),
    ],
)
def test_a_path_leads_into_nested_claims(claims: dict[str, object], path: str, value: object) -> None:
    """Names may have dots themselves; what is not there is None."""
    assert found_at(claims, path) == value


@pytest.mark.parametrize(
    ("oidc", "claims", "lacks"),
    [
        (Oidc(organization_claim="https://stytch.com/organization.organization_id"), STYTCH, ""),
        (
            Oidc(organization_claim="https://stytch.com/organization.organization_id"),
            {"https://stytch.com/organization": {"organization_id": "somebody-else"}},
            "is not this daemon's organization",
        ),
        (Oidc(organization_claim="https://stytch.com/organization"), STYTCH, "is not this daemon's organization"),
        (Oidc(required_scope="personad.write"), KEYCLOAK, ""),
        (Oidc(required_scope="personad.write openid"), KEYCLOAK, ""),
        (Oidc(required_scope="personad.write"), {"scp": ["personad.write"]}, ""),
        (Oidc(required_scope="personad.write personad.read"), KEYCLOAK, "lacks the scope personad.read"),
        (Oidc(required_scope="personad"), KEYCLOAK, "lacks the scope personad"),
        (Oidc(required_scope="a"), {"scope": {"a": 1}}, "lacks the scope a"),
        (Oidc(required_role="owner", roles_claim="realm_access.roles"), KEYCLOAK, ""),
        (Oidc(required_role="owner"), {"roles": "guest owner"}, ""),
        (Oidc(required_role="owner"), KEYCLOAK, "lacks the role owner in its claim roles"),
        (Oidc(organization_claim="org", required_role="owner"), {"org": "house"}, "lacks the role"),
    ],
)
def test_what_a_token_lacks_is_said(oidc: Oidc, claims: dict[str, object], lacks: str) -> None:
    """Each that is set must fit; a wrong kind of value is as good as none."""
    said = missing(oidc, "house", claims)
    assert (lacks in said) if lacks else said == ""


READER = Oidc(organization_claim="org", required_scope="write", read_scope="read", required_role="owner")


@pytest.mark.parametrize(
    ("claims", "reads"),
    [
        ({"org": "house", "scope": "read", "roles": ["owner"]}, True),
        ({"org": "house", "scp": ["read"], "roles": ["owner"]}, True),
        ({"org": "house", "scope": "write", "roles": ["owner"]}, False),
        ({"org": "house", "scope": "read"}, False),
        ({"org": "other", "scope": "read", "roles": ["owner"]}, False),
    ],
)
def test_the_read_scope_stands_for_the_scope_alone(claims: dict[str, object], reads: bool) -> None:
    """The organization and the role are needed for reading as well."""
    assert may_read(READER, "house", claims) is reads


def test_without_a_read_scope_nobody_only_reads() -> None:
    """A token that lacks the scope stays outside."""
    assert not may_read(Oidc(organization_claim="org", required_scope="write"), "house", {"org": "house"})
