"""Those who are known elsewhere: who somebody is whose credential was given by an issuer of the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import chain

from registry.access import idtokens
from registry.access.identities import Identity
from registry.access.issuers import within
from registry.access.principal import OIDC
from registry.login.asking import Asking, IssuerSilent
from registry.login.provider import Provider
from storage.errors import IssuerUnavailable


class Federation:
    """The issuers that are known, and the `groups` that matter here.

    Personal tokens last `personal_seconds`; those that are `revoked`, by their ids or by whose they are, do
    not count any more.
    """

    def __init__(
        self,
        providers: Sequence[Provider] = (),
        groups: Iterable[str] = (),
        revoked: Iterable[str] = (),
        asking: Asking | None = None,
        personal_seconds: float = 30 * 86400.0,
    ) -> None:
        self.personal_seconds = personal_seconds
        self._providers: dict[str, list[Provider]] = {}
        for one in providers:
            self._providers.setdefault(one.issuer.url, []).append(one)
        self._proofs = {one.issuer.name: one.issuer.proof for one in providers}
        self._groups = frozenset(groups)
        self._revoked = frozenset(revoked)
        self._asking = asking

    @property
    def sign_in(self) -> Sequence[Provider]:
        """Where people may sign in by a browser."""
        every = chain.from_iterable(self._providers.values())
        return [one for one in every if one.client is not None]

    def knows(self, shown: str) -> bool:
        """Whether a text says that it is an identity token of one of these."""
        said = idtokens.said(shown) if self._providers else None
        return said is not None and said.issuer in self._providers

    async def of(self, token: str) -> Provider:
        """Whose identity token that is, which says that it is of one of these.

        Of several that are called the same it is the one that has its key; where none has, one that does
        not answer, or any.
        """
        said = idtokens.said(token)
        assert said is not None
        first, *others = self._providers[said.issuer]
        if not others or not said.key_id:
            return first
        every = (first, *others)
        found = await asyncio.gather(*(_has(one, said.key_id) for one in every))
        best = [
            one for wanted in (True, None) for one, has in zip(every, found, strict=True) if has is wanted
        ]
        return best[0] if best else first

    async def identity(
        self, provider: Provider, token: str, now: float, *, audience: str = "", nonce: str = ""
    ) -> Identity:
        """Who shows an identity token; raises IdTokenRefused, IssuerUnavailable."""
        said = idtokens.said(token)
        try:
            key = await provider.key(said.key_id) if said and said.key_id else None
        except IssuerSilent as silent:
            raise IssuerUnavailable(
                f"{provider.issuer.name}, which says who you are, does not answer.",
                fix="Try again in a few seconds.",
            ) from silent
        identity = provider.issuer.identity(token, key, now, audience=audience, nonce=nonce)
        return within(identity, self._groups)

    def holds(self, identity: Identity, now: float) -> bool:
        """Whether its issuer is still known as it was then, and its time is not over.

        Nor, where it came by a personal token, that one or all of its holder are revoked.
        """
        if identity.by and not self._revoked.isdisjoint((identity.name, identity.by)):
            return False
        issuer, _, _ = identity.name.removeprefix(OIDC).partition("/")
        return self._proofs.get(issuer) == identity.proof and now < identity.ends

    async def close(self) -> None:
        """Let go of the threads."""
        if self._asking is not None:
            await self._asking.close()


async def _has(provider: Provider, key_id: str) -> bool | None:
    """Whether an issuer has a key; None: it does not answer."""
    try:
        return await provider.key(key_id) is not None
    except IssuerSilent:
        return None
