"""What a verified token of the identity provider must say before it opens ``/v1``: organization, scope, role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from daemon.settings.settings import Oidc

SCOPES: Final = ("scope", "scp")
"""Where scopes stand, as text with blanks (https://www.rfc-editor.org/rfc/rfc9068#section-2.2.3.1) or as a list."""


def found_at(claims: Mapping[str, object], path: str) -> object:
    """The value at ``path``: a claim's name, or names with dots between them, one for each nested object.

    A name may have dots itself, as ``https://stytch.com/organization``; the longest one that is there counts.
    """
    if path in claims:
        return claims[path]
    ends = [place for place, character in enumerate(path) if character == "."]
    for end in reversed(ends):
        inner = claims.get(path[:end])
        if isinstance(inner, Mapping):
            return found_at(inner, path[end + 1 :])
    return None


def missing(oidc: Oidc, organization: str, claims: Mapping[str, object]) -> str:
    """Return "" for a token that may do everything under ``/v1``, else what it lacks."""
    return _lacks(oidc, organization, claims, oidc.required_scope)


def may_read(oidc: Oidc, organization: str, claims: Mapping[str, object]) -> bool:
    """Whether a token may at least read: it has ``oidc.read_scope`` in place of ``oidc.required_scope``."""
    return bool(oidc.read_scope) and not _lacks(oidc, organization, claims, oidc.read_scope)


def _lacks(oidc: Oidc, organization: str, claims: Mapping[str, object], scopes: str) -> str:
    if oidc.organization_claim and found_at(claims, oidc.organization_claim) != organization:
        return f"The token's claim {oidc.organization_claim} is not this daemon's organization."
    held = {word for name in SCOPES for word in _words(claims.get(name))}
    if lacking := [scope for scope in scopes.split() if scope not in held]:
        return f"The token lacks the scope {' '.join(lacking)} (oidc.required_scope)."
    if oidc.required_role and oidc.required_role not in _words(found_at(claims, oidc.roles_claim)):
        return f"The token lacks the role {oidc.required_role} in its claim {oidc.roles_claim} (oidc.required_role)."
    return ""


def _words(value: object) -> list[str]:
    if isinstance(value, str):
        return value.split()
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
