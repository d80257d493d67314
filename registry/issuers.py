"""From settings to those who say who somebody is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from registry.login.asking import Asking
from registry.login.federation import Federation
from registry.login.provider import Client, Place, Provider
from registry.settings.model import Access
from registry.settings.oidc import Oidc
from storage.errors import StoreUnavailable

_ENVIRONMENT, _FILE = "env://", "file://"


def federation(access: Access, environment: Mapping[str, str] = os.environ) -> Federation:
    """All of them; nobody is asked yet. Raises StoreUnavailable for a secret or a file that is not there."""
    asking = Asking()
    providers = [
        Provider(one.known, _place(one), asking, _client(one, environment)) for one in access.oidc
    ]  # fmt: skip
    seconds = access.personal.lifetime.total_seconds()
    return Federation(providers, access.rights.groups, access.personal.revoked, asking, seconds)


def _place(one: Oidc) -> Place:
    for name, file in (("ca", one.ca), ("token", one.token)):
        if file is not None:
            _read(file, f"access.oidc: the {name} of {one.known_as}")
    return Place(one.keys or "", one.hosts, one.ca, one.token)


def _client(one: Oidc, environment: Mapping[str, str]) -> Client | None:
    if one.client_id is None:
        return None
    secret = one.client_secret.get_secret_value() if one.client_secret is not None else None
    what = f"access.oidc: the client_secret of {one.known_as}"
    if secret is not None and secret.startswith(_ENVIRONMENT):
        variable = secret.removeprefix(_ENVIRONMENT)
        secret = environment.get(variable)
        if not secret:
            raise StoreUnavailable(f"{what} is not there: the variable {variable} is not set.")
    elif secret is not None and secret.startswith(_FILE):
        secret = _read(secret.removeprefix(_FILE), what).strip()
    return Client(one.client_id, secret, one.scopes)


def _read(file: str, what: str) -> str:
    try:
        return Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise StoreUnavailable(
            f"{what}, {file}, cannot be read: {reason}.", fix="Let this user read it."
        ) from None
