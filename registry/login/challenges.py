"""What is asked for where a login is missing: `WWW-Authenticate` (RFC 9110, section 11.6.1).

One challenge, never two: clients differ on which of several they take. Every realm is a URL with a host, for
istio-agent refuses any other.
"""

from __future__ import annotations

from dataclasses import dataclass

from registry.access import scopes
from registry.access.rights import Right

TOKEN_PATH = "/token"  # noqa: S105 - a path

_REGISTRY = "/v2/"


@dataclass(frozen=True, slots=True)
class Challenges:
    """How this registry asks: `url` is how it is known from outside.

    With a `service`, clients of the registry get tokens for it; browsers and what fetches a URL still send a
    password.
    """

    url: str
    service: str = ""

    def ask(self, path: str, right: Right, repository: str | None, error: str = "") -> str:
        """The header's value for a request of a path that needs a right; `error` is RFC 6750's."""
        if not self.service or not path.startswith(_REGISTRY):
            return f'Basic realm="{self.url}"'
        said = {"realm": f"{self.url}{TOKEN_PATH}", "service": self.service}
        if repository is not None:
            said["scope"] = scopes.wanted(right, repository)
        elif right is Right.PULL:
            said["scope"] = scopes.CATALOG
        if error:
            said["error"] = error
        return "Bearer " + ",".join(f'{name}="{value}"' for name, value in said.items())
